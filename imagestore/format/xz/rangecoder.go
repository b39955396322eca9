package xz

import "encoding/binary"

// Probabilities have 11 bits and move by a 32nd of what they could.
const (
	probBits = 11
	probInit = 1 << (probBits - 1)
	probMove = 5
	rangeTop = 1 << 24

	// moveUp makes of the way down to 0, which is p, the way up to 1, rounded towards 1.
	moveUp = 1<<probMove - 1 - 1<<probBits
)

const (
	// rangeInit is how many bytes of a chunk fill the range coder.
	rangeInit = 5
	// inputSlack is how many bytes behind its input a range coder may look at before anybody checks: a symbol takes at most 20.
	inputSlack = 24
)

// A rangeCoder decodes bits from in, which has inputSlack bytes more than belong to it.
type rangeCoder struct {
	rng, code uint32
	in        []byte
	pos       int // in in; who decodes a symbol checks afterwards that it was there
}

// newRangeCoder begins a chunk.
func newRangeCoder(in []byte) rangeCoder {
	return rangeCoder{rng: 1<<32 - 1, code: binary.BigEndian.Uint32(in[1:]), in: in, pos: rangeInit}
}

// normalize makes sure that there are bits for the next step.
func (c *rangeCoder) normalize() {
	if c.rng < rangeTop {
		c.rng <<= 8
		c.code = c.code<<8 | uint32(c.in[c.pos])
		c.pos++
	}
}

// bit decodes a bit of which the processor may guess the value.
func (c *rangeCoder) bit(prob *uint16) uint32 {
	c.normalize()
	p := uint32(*prob)
	bound := c.rng >> probBits * p
	if c.code < bound {
		c.rng = bound
		*prob = uint16(p + (1<<probBits-p)>>probMove)
		return 0
	}
	c.rng -= bound
	c.code -= bound
	*prob = uint16(p - p>>probMove)
	return 1
}

// tree decodes a number of several bits, the highest first, for which there are len(probs) = 1<<bits probabilities.
// No branch depends on them, for the reason that lzma.literals gives.
func (c *rangeCoder) tree(probs []uint16) uint32 {
	rng, code, in, pos := c.rng, c.code, c.in, c.pos
	symbol := uint32(1)
	for symbol < uint32(len(probs)) {
		if rng < rangeTop {
			rng <<= 8
			code = code<<8 | uint32(in[pos])
			pos++
		}
		p := uint32(probs[symbol])
		bound := rng >> probBits * p
		zero := uint32((int64(code) - int64(bound)) >> 63)
		rng += zero&(bound+bound-rng) - bound
		code -= bound &^ zero
		probs[symbol] = uint16(int32(p) - (int32(p)+int32(zero)&moveUp)>>probMove)
		symbol = symbol<<1 + 1 + zero
	}
	c.rng, c.code, c.pos = rng, code, pos
	return symbol - uint32(len(probs))
}

// reverse decodes a number of some bits, the lowest first.
func (c *rangeCoder) reverse(probs []uint16, bits uint32) uint32 {
	symbol, value := uint32(1), uint32(0)
	for i := range bits {
		bit := c.bit(&probs[symbol])
		symbol = symbol<<1 | bit
		value |= bit << i
	}
	return value
}

// direct decodes a number of some bits, the highest first, that have no probabilities.
func (c *rangeCoder) direct(bits uint32) uint32 {
	value := uint32(0)
	for range bits {
		c.normalize()
		c.rng >>= 1
		c.code -= c.rng
		zero := -(c.code >> 31)
		c.code += c.rng & zero
		value = value<<1 + 1 + zero
	}
	return value
}
