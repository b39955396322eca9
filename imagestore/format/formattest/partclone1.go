package formattest

import (
	"encoding/binary"
	"hash/crc32"
)

// Partclone1HeaderLen is the length of a header of format 0001.
const Partclone1HeaderLen = 4160

// Encode1 returns the image file in format 0001, as partclone before 0.3.0 wrote it; Checksum, StripBlocks, Running and Bitmap
// do not count. With wide, checksums take 8 bytes, as before 0.1.0 on 64-bit machines.
func (p Partclone) Encode1(wide bool) []byte {
	le := binary.LittleEndian
	h := make([]byte, Partclone1HeaderLen)
	v2 := p.Header()
	copy(h, "partclone-image")
	copy(h[15:30], v2[36:51]) // filesystem
	copy(h[30:], "0001")
	le.PutUint32(h[36:], uint32(p.blockSize()))
	copy(h[40:56], v2[52:68]) // device size, blocks
	copy(h[56:64], v2[76:84]) // used blocks
	out := append(h, p.flags()...)
	crc := uint32(0xFFFFFFFF) // the sum so far, never started again
	for i := range p.Blocks {
		if !p.used(i) {
			continue
		}
		data := p.Block(i)
		out = append(out, data...)
		for range data { // the mistake: always the first byte
			crc = crc32.IEEETable[byte(crc)^data[0]] ^ crc>>8
		}
		out = le.AppendUint32(out, crc)
		if wide {
			out = append(out, 0xDE, 0xAD, byte(i), 1)
		}
	}
	return out
}

// flags is the bitmap of a byte for each block, with the mark that ends it.
func (p Partclone) flags() []byte {
	b := make([]byte, p.Blocks)
	for i := range b {
		if p.used(i) {
			b[i] = 1
		}
	}
	return append(b, "BiTmAgIc"...)
}
