package lzop

import (
	"math/bits"
	"slices"
)

const (
	hashBits = 13 // a table that leaves half of a usual first cache; 14 pack 1 % better and take a fifth longer

	// How far back the three kinds of matches reach, and the length of the shortest that is looked for.
	nearest, near, farthest = 2 << 10, 16 << 10, 48<<10 - 1
	minMatch                = 4
)

// compress appends plain in LZO1X: greedily, each time with the last place where the same 4 bytes have been seen, as LZO1X-1 does.
func (e *Encoder) compress(dst, plain []byte) []byte {
	clear(e.places[:])
	var (
		start    = len(dst)
		op       = start
		literals int // where those begin that are not written yet
	)
	dst = slices.Grow(dst, worstSize(len(plain)))
	dst = dst[:cap(dst)]
	for {
		at, distance := e.find(plain, literals)
		if literals < at {
			op = putLiterals(dst, op, op == start, plain[literals:], at-literals)
		}
		if distance == 0 {
			return append(dst[:op], 0x11, 0, 0)
		}
		n := minMatch + common(plain, at-distance+minMatch, at+minMatch)
		op = putMatch(dst, op, distance, n)
		literals = at + n
	}
}

// find looks from start on for 4 bytes that have been seen before, and returns where they are and how far back; at the end of plain,
// no distance. Through what does not shrink it goes in longer and longer steps.
//
// Places are kept in 16 bits, as nothing farther is of use. That one was never set, or long ago, does not matter: its bytes are looked at.
func (e *Encoder) find(plain []byte, start int) (at, distance int) {
	for at = max(start, 1); at+8 <= len(plain); at += 1 + (at-start)>>5 {
		word := load32(plain, at)
		place := &e.places[word*0x9e3779b1>>(32-hashBits)]
		distance = int(uint16(at) - *place)
		*place = uint16(at)
		if load32(plain, at-distance) == word && uint(distance-1) < farthest {
			return at, distance
		}
	}
	return len(plain), 0
}

// worstSize bounds what n bytes are packed into: literals cost one byte for 255, and few of them at most as
// much as the match before them saves. The rest is for the end, and for literals that are copied in whole words.
func worstSize(n int) int { return n + n/16 + 64 }

// common counts the bytes that are alike from a and from the later b on.
func common(p []byte, a, b int) int {
	n := 0
	for ; b+n+8 <= len(p); n += 8 {
		if d := load64(p, a+n) ^ load64(p, b+n); d != 0 {
			return n + bits.TrailingZeros64(d)>>3
		}
	}
	for b+n < len(p) && p[a+n] == p[b+n] {
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
		copy16(dst, op, p, 0)
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
