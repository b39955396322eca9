package lzop

import (
	"encoding/binary"
	"math/bits"
)

const (
	hashBits = 14

	// How far back the three kinds of matches reach, and how long the shortest may be.
	nearest, near, farthest = 2 << 10, 16 << 10, 48<<10 - 1
	minMatch                = 4
)

// compress appends plain in LZO1X: greedily, each time with the last place where the same 4 bytes have been seen, as LZO1X-1 does.
func (e *Encoder) compress(dst, plain []byte) []byte {
	clear(e.table[:])
	var (
		start    = len(dst)
		literals int // where those begin that are not written yet
		at       = 1 // the table's zeros are no place
	)
	for at+8 <= len(plain) {
		word := binary.LittleEndian.Uint64(plain[at:])
		slot := &e.table[uint32(word)*0x9e3779b1>>(32-hashBits)]
		from := int(*slot)
		*slot = uint32(at)
		if from == 0 || at-from > farthest || binary.LittleEndian.Uint32(plain[from:]) != uint32(word) {
			at += 1 + (at-literals)>>5 // through what does not shrink in longer and longer steps
			continue
		}
		n := minMatch + common(plain[from+minMatch:], plain[at+minMatch:])
		dst = appendLiterals(dst, start, plain[literals:at])
		dst = appendMatch(dst, at-from, n)
		at += n
		literals = at
	}
	dst = appendLiterals(dst, start, plain[literals:])
	return append(dst, 0x11, 0, 0)
}

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

// appendLiterals appends bytes as they are; start is where the block has begun in dst.
func appendLiterals(dst []byte, start int, p []byte) []byte {
	switch n := len(p); {
	case n == 0:
		return dst
	case len(dst) == start && n <= 238:
		dst = append(dst, byte(17+n))
	case n <= 3: // the match before has room for the number
		dst[len(dst)-2] |= byte(n)
	case n <= 18:
		dst = append(dst, byte(n-3))
	default:
		dst = appendLength(append(dst, 0), n-18)
	}
	return append(dst, p...)
}

// appendMatch appends the instruction to copy n bytes from distance back.
func appendMatch(dst []byte, distance, n int) []byte {
	if n <= 8 && distance <= nearest {
		distance--
		return append(dst, byte((n-1)<<5|distance&7<<2), byte(distance>>3))
	}
	b, most := 0x20, 33
	distance--
	if distance >= near {
		distance -= near - 1
		b, most = 0x10|distance>>11&8, 9
	}
	if n <= most {
		dst = append(dst, byte(b+n-2))
	} else {
		dst = appendLength(append(dst, byte(b)), n-most)
	}
	return append(dst, byte(distance<<2), byte(distance>>6))
}

// appendLength appends what a length goes on with; see decompress.
func appendLength(dst []byte, n int) []byte {
	for ; n > 255; n -= 255 {
		dst = append(dst, 0)
	}
	return append(dst, byte(n))
}
