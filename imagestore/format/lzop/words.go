package lzop

import "encoding/binary"

// Reading, writing and copying of whole words at a position. Slices that are cut at both ends cost the fewest instructions.

func load16(p []byte, at int) int    { return int(binary.LittleEndian.Uint16(p[at : at+2])) }
func load32(p []byte, at int) uint32 { return binary.LittleEndian.Uint32(p[at : at+4]) }
func load64(p []byte, at int) uint64 { return binary.LittleEndian.Uint64(p[at : at+8]) }

func store64(p []byte, at int, word uint64) { binary.LittleEndian.PutUint64(p[at:at+8], word) }

func copy4(dst []byte, to int, src []byte, from int) {
	*(*[4]byte)(dst[to : to+4]) = *(*[4]byte)(src[from : from+4])
}

func copy8(dst []byte, to int, src []byte, from int) {
	*(*[8]byte)(dst[to : to+8]) = *(*[8]byte)(src[from : from+8])
}

func copy16(dst []byte, to int, src []byte, from int) {
	*(*[16]byte)(dst[to : to+16]) = *(*[16]byte)(src[from : from+16])
}
