package format

import (
	"bufio"
	"compress/bzip2"
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
func (p *pipeline) decodeBzip2(in *bufio.Reader, src *source, _ int) {
	p.copyFrom(bzip2.NewReader(in), src.failure)
}
