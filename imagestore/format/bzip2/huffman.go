package bzip2

import "errors"

const (
	maxLen    = 20  // bits of a code
	maxAlpha  = 258 // symbols: 2 for runs, 255 places, and the end
	quickBits = 10  // codes up to this length are looked up at once
)

var errCode = errors.New("bad table of codes")

// A code is one of up to six Huffman codes of a block. Codes of the same length are consecutive numbers, shorter ones before longer ones.
type code struct {
	quick  [1 << quickBits]uint16 // by the next bits: symbol<<4 | length; 0 for longer codes and for no code
	limit  [maxLen + 2]uint32     // of each length: the first number, in maxLen bits, beyond its codes
	offset [maxLen + 1]uint32     // of each length: what its number is more than its place in symbols
	symbol [maxAlpha]uint16       // in the order of their codes
}

// build makes the code in which symbol i has a code of lengths[i] bits, from 1 to maxLen.
func (c *code) build(lengths []uint8) error {
	var count [maxLen + 1]int
	for _, n := range lengths {
		count[n]++
	}
	clear(c.quick[:])
	var first [maxLen + 1]int // place in symbols
	number, place := uint32(0), 0
	for n := 1; n <= maxLen; n++ {
		first[n] = place
		c.offset[n] = number - uint32(place)
		number += uint32(count[n])
		place += count[n]
		if number > 1<<n {
			return errCode
		}
		c.limit[n] = number << (maxLen - n)
		number <<= 1
	}
	for i, n := range lengths {
		at := first[n]
		first[n]++
		c.symbol[at] = uint16(i)
		if n <= quickBits {
			from := (c.offset[n] + uint32(at)) << (quickBits - n)
			for j := range uint32(1) << (quickBits - n) {
				c.quick[from+j] = uint16(i)<<4 | uint16(n)
			}
		}
	}
	return nil
}

// next takes a symbol, of which maxLen bits must be available; ok tells whether there is one with these bits.
func (c *code) next(b *bitReader) (symbol int, ok bool) {
	if q := c.quick[b.acc>>(64-quickBits)]; q != 0 {
		b.drop(uint(q & 15))
		return int(q >> 4), true
	}
	return c.long(b)
}

// long is next for codes that are too long to be looked up.
func (c *code) long(b *bitReader) (symbol int, ok bool) {
	bits := uint32(b.acc >> (64 - maxLen))
	for n := quickBits + 1; n <= maxLen; n++ {
		if bits < c.limit[n] {
			b.drop(uint(n))
			return int(c.symbol[bits>>(maxLen-n)-c.offset[n]]), true
		}
	}
	return 0, false
}
