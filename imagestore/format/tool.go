package format

import "bufio"

// A tool is one way in which the content of a partition is written down.
type tool struct {
	magic string // at the beginning of the plain stream
	// open reads up to the data. The size is that of the plain stream, or unknownSize.
	open func(in *bufio.Reader, size int64) (decoder, error)
}

// tools are all whose images are read, but Raw, which has no mark of its own.
func tools() []tool {
	return []tool{
		{partcloneMagic, openPartclone},
		{ntfscloneMagic, openNtfsclone},
		{partimageMagic, openPartimage},
	}
}
