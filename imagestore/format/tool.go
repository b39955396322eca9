package format

import "bufio"

// A tool is one way in which the content of a partition is written down.
type tool struct {
	is   func(head []byte) bool // head has up to sniffLen bytes
	open func(in *bufio.Reader, size int64) (decoder, error)
}

// tools are all whose images are read. Raw filesystems come last: an image may hold anything at their marks.
func tools() []tool {
	return []tool{
		{signature{magic: partcloneMagic}.in, func(in *bufio.Reader, _ int64) (decoder, error) { return openPartclone(in) }},
	}
}
