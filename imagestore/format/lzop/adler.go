package lzop

import "encoding/binary"

const (
	adlerMod = 65521

	// adlerGroup is how many bytes are summed up at once, in words of 8: the sum of the sums of that many words,
	// 22 * 23 / 2 * 255, is the largest that 16 bits hold.
	adlerGroup = 22 * 8
)

// adlerOf is the Adler-32 of p (RFC 1950, section 8.2), like hash/adler32 and more than twice as fast: verifying would take
// a quarter of the time of decoding otherwise. It adds four bytes at a time, in the four quarters of a word. Up to MaxBlock bytes
// its sums stay below 1 << 59, so that the modulo waits for the end.
func adlerOf(p []byte) uint32 {
	const quarters = 0x00ff00ff00ff00ff
	s1, s2 := uint64(1), uint64(0)
	for ; len(p) >= adlerGroup; p = p[adlerGroup:] {
		group := (*[adlerGroup]byte)(p)
		var even, odd, evens, odds uint64 // sums of every other byte, and sums of all these sums
		for i := 0; i < len(group); i += 16 {
			word := binary.LittleEndian.Uint64(group[i : i+8])
			even += word & quarters
			odd += word >> 8 & quarters
			evens += even
			odds += odd
			word = binary.LittleEndian.Uint64(group[i+8 : i+16])
			even += word & quarters
			odd += word >> 8 & quarters
			evens += even
			odds += odd
		}
		// A byte adds to s2 once for itself and once for each byte behind it: 8 times for its word and each word behind that, which is
		// what evens and odds have counted, less once for each byte before it in its own word.
		halves := half(evens) + half(evens>>16) + half(odds) + half(odds>>16)
		s2 += adlerGroup*s1 + 8*(halves>>32+halves&0xffffffff)
		pair02, pair13 := half(even)+half(odd), half(even>>16)+half(odd>>16)
		odd = half(odd) + half(odd>>16)
		s2 -= odd>>32 + odd&0xffffffff + 2*(pair13&0xffffffff) + 4*(pair02>>32) + 6*(pair13>>32)
		halves = pair02 + pair13
		s1 += halves>>32 + halves&0xffffffff
	}
	for _, b := range p {
		s1 += uint64(b)
		s2 += s1
	}
	return uint32(s2%adlerMod)<<16 | uint32(s1%adlerMod)
}

// half makes two numbers of 32 bits of every other one of four.
func half(x uint64) uint64 { return x & 0x0000ffff0000ffff }
