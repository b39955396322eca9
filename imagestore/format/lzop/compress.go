package lzop

import (
	"encoding/binary"
	"math/bits"
	"slices"
)

const (
	hashBits = 14

	// How far back the three kinds of matches reach, and the length of the shortest that is looked for.
	nearest, near, farthest = 2 << 10, 16 << 10, 48<<10 - 1
	minMatch                = 4
)

// compress appends plain in LZO1X: greedily, each time with the last place where the same 4 bytes have been seen, as LZO1X-1 does.
func (e *Encoder) compress(dst, plain []byte) []byte {
	// Places are kept in 16 bits, as nothing farther is of use. That a place was never set, or long ago, does not matter: its bytes are looked at.
	clear(e.places[:])
	var (
		start    = len(dst)
		op       = start
		literals int // where those begin that are not written yet
		at       = 1
	)
	dst = slices.Grow(dst, worstSize(len(plain)))
	dst = dst[:cap(dst)]
	for at+8 <= len(plain) {
		word := binary.LittleEndian.Uint32(plain[at:])
		place := &e.places[word*0x9e3779b1>>(32-hashBits)]
		distance := int(uint16(at) - *place)
		*place = uint16(at)
		from := at - distance
		if uint(distance-1) >= farthest || binary.LittleEndian.Uint32(plain[from:]) != word {
			at += 1 + (at-literals)>>5 // through what does not shrink in longer and longer steps
			continue
		}
		if literals < at {
			op = putLiterals(dst, op, op == start, plain[literals:], at-literals)
		}
		n := minMatch + common(plain[from+minMatch:], plain[at+minMatch:])
		op = putMatch(dst, op, distance, n)
		at += n
		literals = at
	}
	if literals < len(plain) {
		op = putLiterals(dst, op, op == start, plain[literals:], len(plain)-literals)
	}
	return append(dst[:op], 0x11, 0, 0)
}

// worstSize bounds what n bytes are packed into: literals cost one byte for 255, and few of them at most as
// much as the match before them saves. The rest is for the end, and for literals that are copied in whole words.
func worstSize(n int) int { return n + n/16 + 64 }

// common counts the bytes that a and b, which is the shorter, begin with alike.
func common(a, b []byte) int {
	n := 0
	for ; n+8 <= len(b); n += 8 {
		if d := binary.LittleEndian.Uint64(a[n:]) ^ binary.LittleEndian.Uint64(b[n:]); d != 0 {
			return n + bits.TrailingZeros64(d)>>3
		}
	}
	for n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// putLiterals writes the instruction for the first n bytes of p, and them, to dst at op, and returns where it ends. The instructions are in the
// comment of decompress.
func putLiterals(dst []byte, op int, first bool, p []byte, n int) int {
	switch {
	case first && n <= 238:
		dst[op] = byte(17 + n)
		op++
	case n <= 3: // the match before has room for the number
		dst[op-2] |= byte(n)
	case n <= 18:
		dst[op] = byte(n - 3)
		op++
	default:
		dst[op] = 0
		op = putLength(dst, op+1, n-18)
	}
	if n <= 16 && len(p) >= 16 {
		*(*[16]byte)(dst[op:]) = *(*[16]byte)(p)
	} else {
		copy(dst[op:], p[:n])
	}
	return op + n
}

// putMatch writes the instruction to copy n bytes from distance back.
func putMatch(dst []byte, op, distance, n int) int {
	distance--
	if n <= 8 && distance < nearest {
		dst[op] = byte((n-1)<<5 | distance&7<<2)
		dst[op+1] = byte(distance >> 3)
		return op + 2
	}
	b, most := 0x20, 33
	if distance >= near {
		distance -= near - 1
		b, most = 0x10|distance>>11&8, 9
	}
	if n <= most {
		dst[op] = byte(b + n - 2)
		op++
	} else {
		dst[op] = byte(b)
		op = putLength(dst, op+1, n-most)
	}
	dst[op] = byte(distance << 2)
	dst[op+1] = byte(distance >> 6)
	return op + 2
}

// putLength writes what a length goes on with.
func putLength(dst []byte, op, n int) int {
	for ; n > 255; n -= 255 {
		dst[op] = 0
		op++
	}
	dst[op] = byte(n)
	return op + 1
}
