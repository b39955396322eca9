package format

import (
	"bufio"
	"errors"

	"aula/imagestore/format/bzip2"
)

// isBzip2 tells whether head begins with a bzip2 stream: its magic, the size of its blocks, and the mark of its first block or, in an
// empty stream, of its end.
func isBzip2(head []byte) bool {
	if len(head) < 10 || string(head[:3]) != "BZh" || head[3] < '1' || head[3] > '9' {
		return false
	}
	mark := string(head[4:10])
	return mark == "1AY&SY" || mark == "\x17\x72\x45\x38\x50\x90"
}

// decodeBzip2 delivers the plain bytes of a bzip2 file of one or more streams.
func (p *pipeline) decodeBzip2(in *bufio.Reader, src *source, workers int) {
	file := bzip2.NewReader(in, workers)
	defer file.Close()
	p.copyFrom(file, func(err error) error {
		if errors.Is(err, bzip2.ErrUnsupported) {
			return unsupported(`%w: decompress it first with "bzip2 -d"`, err)
		}
		return src.failure(err)
	})
}
