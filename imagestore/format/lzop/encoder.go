package lzop

import "encoding/binary"

// An Encoder makes the pieces of an lzop file, as lzop does by default: LZO1X-1 with the Adler-32 of the plain bytes. The zero Encoder is ready
// for use, by one goroutine at a time; several may make the blocks of one file.
type Encoder struct {
	places [1 << hashBits]uint16 // of the bytes that have this hash; see compress
}

// AppendHeader appends what a file begins with.
func (*Encoder) AppendHeader(dst []byte) []byte { return appendHeader(dst) }

// AppendEnd appends what a file ends with.
func (*Encoder) AppendEnd(dst []byte) []byte { return append(dst, 0, 0, 0, 0) }

// AppendBlock appends a block of the bytes of plain, of which there should be BlockSize but for the last block and must not be more than
// MaxBlock. Without bytes it appends nothing.
func (e *Encoder) AppendBlock(dst, plain []byte) []byte {
	if len(plain) == 0 {
		return dst
	}
	at := len(dst)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(plain)))
	dst = append(dst, 0, 0, 0, 0)
	dst = binary.BigEndian.AppendUint32(dst, adlerOf(plain))
	body := len(dst)
	dst = e.compress(dst, plain)
	if len(dst)-body >= len(plain) {
		dst = append(dst[:body], plain...)
	}
	binary.BigEndian.PutUint32(dst[at+4:], uint32(len(dst)-body))
	return dst
}
