package xz

import (
	"encoding/binary"
	"errors"
)

// Numbers of LZMA: how many contexts there are for everything that is coded.
const (
	states       = 12
	literalState = 7 // states below this follow a literal
	maxPosBits   = 4
	maxPos       = 1 << maxPosBits
	lowLengths   = 8
	highLengths  = 256
	minMatch     = 2

	distanceClasses = 4 // of the length of the match
	distanceSlots   = 64
	firstModelled   = 4  // the first slot with more bits
	firstDirect     = 14 // the first slot of whose bits all but the last are direct
	alignBits       = 4
	reverseProbs    = 1 + 1<<(firstDirect/2) - firstDirect

	literalProbs  = 0x300
	maxLiteralLog = 4 // lc + lp
)

var errLZMA = errors.New("packed data makes no sense")

// A lengthModel predicts lengths of matches.
type lengthModel struct {
	choice, choice2 uint16
	low, mid        [maxPos][lowLengths]uint16
	high            [highLengths]uint16
}

func (m *lengthModel) decode(c *rangeCoder, pos int) int {
	switch {
	case c.bit(&m.choice) == 0:
		return minMatch + int(c.tree(m.low[pos][:]))
	case c.bit(&m.choice2) == 0:
		return minMatch + lowLengths + int(c.tree(m.mid[pos][:]))
	}
	return minMatch + 2*lowLengths + int(c.tree(m.high[:]))
}

// A model is all that an LZMA decoder learns while it decodes.
type model struct {
	isMatch    [states][maxPos]uint16
	isRep      [states]uint16
	isRep0     [states]uint16
	isRep1     [states]uint16
	isRep2     [states]uint16
	isLongRep0 [states][maxPos]uint16
	slots      [distanceClasses][distanceSlots]uint16
	special    [reverseProbs]uint16
	align      [1 << alignBits]uint16
	lengths    lengthModel
	repLengths lengthModel
	literals   [1 << maxLiteralLog][literalProbs]uint16
}

// An lzma decodes LZMA chunks one after the other.
type lzma struct {
	model      model
	state      int
	reps       [4]uint32 // distances of the last matches, less 1
	lc, lp, pb int
}

// setProperties takes the properties byte of a chunk. LZMA2 allows less than LZMA.
func (z *lzma) setProperties(b byte) error {
	if b >= 9*5*5 {
		return corrupt("LZMA properties are %d", b)
	}
	z.lc, z.lp, z.pb = int(b%9), int(b/9%5), int(b/45)
	if z.lc+z.lp > maxLiteralLog {
		return corrupt("LZMA properties are %d", b)
	}
	return nil
}

// reset forgets everything but the properties.
func (z *lzma) reset() {
	z.state, z.reps = 0, [4]uint32{}
	m := &z.model
	for i := range states {
		fillProbs(m.isMatch[i][:])
		fillProbs(m.isLongRep0[i][:])
	}
	fillProbs(m.isRep[:])
	fillProbs(m.isRep0[:])
	fillProbs(m.isRep1[:])
	fillProbs(m.isRep2[:])
	for i := range m.slots {
		fillProbs(m.slots[i][:])
	}
	fillProbs(m.special[:])
	fillProbs(m.align[:])
	for _, l := range []*lengthModel{&m.lengths, &m.repLengths} {
		l.choice, l.choice2 = probInit, probInit
		for i := range maxPos {
			fillProbs(l.low[i][:])
			fillProbs(l.mid[i][:])
		}
		fillProbs(l.high[:])
	}
	for i := range 1 << (z.lc + z.lp) {
		fillProbs(m.literals[i][:])
	}
}

func fillProbs(probs []uint16) {
	for i := range probs {
		probs[i] = probInit
	}
}

// decode unpacks a chunk into out[at:], all of it. The dictionary begins at out[begin], where begin may be negative when its first bytes are
// gone, and matches reach back to it by at most window bytes. After the packed bytes, in has inputSlack more.
func (z *lzma) decode(out []byte, at, begin, window int, in []byte) error {
	packed := len(in) - inputSlack
	if packed < rangeInit || in[0] != 0 {
		return errLZMA
	}
	c := newRangeCoder(in)
	posMask := 1<<z.pb - 1
	for {
		var ok bool
		if at, ok = z.literals(&c, out, at, begin); !ok {
			return errLZMA
		}
		if at == len(out) {
			break
		}
		length := z.match(&c, (at-begin)&posMask)
		distance := int(z.reps[0]) + 1
		if distance > window || distance > at-begin || distance > at || length > len(out)-at || c.pos > packed {
			return errLZMA
		}
		copyMatch(out[at-distance:], distance, length)
		at += length
	}
	c.normalize()
	if c.pos != packed || c.code != 0 {
		return errLZMA
	}
	return nil
}

// literals decodes literals into out[at:] until a match comes or out is full. It returns where that is, or false for nonsense.
//
// It is what takes most of the time, so the steps of rangeCoder are written out here. The bits of a literal are hard to guess, and a wrong guess costs
// the processor more than decoding a bit. So nothing depends on them but what is computed: zero has all its bits set for a 0 and none for a 1.
func (z *lzma) literals(c *rangeCoder, out []byte, at, begin int) (int, bool) {
	m := &z.model
	state, posMask, lpMask := z.state, 1<<z.pb-1, 1<<z.lp-1
	rng, code, in, pos := c.rng, c.code, c.in, c.pos
	for at < len(out) {
		if rng < rangeTop {
			rng, code = rng<<8, code<<8|uint32(in[pos])
			pos++
		}
		isMatch := &m.isMatch[state][(at-begin)&posMask&(maxPos-1)]
		p := uint32(*isMatch)
		bound := rng >> probBits * p
		if code >= bound {
			rng, code = rng-bound, code-bound
			*isMatch = uint16(p - p>>probMove)
			z.state, c.rng, c.code, c.pos = state, rng, code, pos
			return at, true
		}
		rng = bound
		*isMatch = uint16(p + (1<<probBits-p)>>probMove)

		if pos > len(in)-inputSlack {
			return at, false
		}
		var last byte
		if at > 0 && at > begin {
			last = out[at-1]
		}
		probs := &m.literals[((at-begin)&lpMask<<z.lc|int(last)>>(8-z.lc))&(1<<maxLiteralLog-1)]
		// After a match comes a byte that is not the one which would have continued it: expected leads to other probabilities as long
		// as the literal is the same.
		expected, offset := uint32(0), uint32(0)
		if state >= literalState {
			i := at - 1 - int(z.reps[0])
			if i < 0 || i < begin {
				return at, false
			}
			expected, offset = uint32(out[i]), 0x100
		}
		symbol := uint32(1)
		for symbol < 0x100 {
			if rng < rangeTop {
				rng, code = rng<<8, code<<8|uint32(in[pos])
				pos++
			}
			expected <<= 1
			bit := expected & offset
			prob := &probs[offset+bit+symbol]
			p := uint32(*prob)
			bound := rng >> probBits * p
			zero := uint32((int64(code) - int64(bound)) >> 63)
			rng += zero&(bound+bound-rng) - bound
			code -= bound &^ zero
			*prob = uint16(int32(p) - (int32(p)+int32(zero)&moveUp)>>probMove)
			symbol = symbol<<1 + 1 + zero
			offset &= bit ^ zero
		}
		out[at] = byte(symbol)
		at++
		switch {
		case state < 4:
			state = 0
		case state < 10:
			state -= 3
		default:
			state -= 6
		}
	}
	z.state, c.rng, c.code, c.pos = state, rng, code, pos
	return at, true
}

// match decodes a match: its length, and its distance into reps[0].
func (z *lzma) match(c *rangeCoder, pos int) int {
	m, state := &z.model, z.state
	if c.bit(&m.isRep[state]) == 0 {
		z.state = after(state, 7, 10)
		z.reps[3], z.reps[2], z.reps[1] = z.reps[2], z.reps[1], z.reps[0]
		length := m.lengths.decode(c, pos)
		z.reps[0] = z.distance(c, min(length-minMatch, distanceClasses-1))
		return length
	}
	if c.bit(&m.isRep0[state]) == 0 {
		if c.bit(&m.isLongRep0[state][pos]) == 0 {
			z.state = after(state, 9, 11)
			return 1
		}
	} else {
		distance := z.reps[1]
		if c.bit(&m.isRep1[state]) != 0 {
			distance = z.reps[2]
			if c.bit(&m.isRep2[state]) != 0 {
				distance = z.reps[3]
				z.reps[3] = z.reps[2]
			}
			z.reps[2] = z.reps[1]
		}
		z.reps[1], z.reps[0] = z.reps[0], distance
	}
	z.state = after(state, 8, 11)
	return m.repLengths.decode(c, pos)
}

// after is the state that follows on one after a literal, or on another.
func after(state, literal, other int) int {
	if state < literalState {
		return literal
	}
	return other
}

// distance decodes the distance of a match, less 1.
func (z *lzma) distance(c *rangeCoder, class int) uint32 {
	m := &z.model
	slot := c.tree(m.slots[class][:])
	if slot < firstModelled {
		return slot
	}
	bits := slot>>1 - 1
	base := (2 | slot&1) << bits
	if slot < firstDirect {
		return base + c.reverse(m.special[base-slot:], bits)
	}
	return base + c.direct(bits-alignBits)<<alignBits + c.reverse(m.align[:], alignBits)
}

// copyMatch repeats what lies distance bytes before b[distance], for length bytes.
func copyMatch(b []byte, distance, length int) {
	const short = 16 // most matches are, and two words are copied in no time
	switch {
	case length <= short && distance >= short && len(b) >= distance+short:
		le := binary.LittleEndian
		first, second := le.Uint64(b), le.Uint64(b[8:])
		le.PutUint64(b[distance:], first) // what is too much will be written over
		le.PutUint64(b[distance+8:], second)
	case distance >= length:
		copy(b[distance:distance+length], b[:length])
	default:
		for done := 0; done < length; {
			done += copy(b[distance+done:distance+length], b[:distance+done])
		}
	}
}
