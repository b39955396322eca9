package bzip2

import (
	"fmt"
	"io"
)

const (
	groupLen  = 50    // symbols with the same code
	maxGroups = 18002 // that a block can have; some encoders write more selectors, which mean nothing
	runB      = 1     // with 0 before it, the symbols for digits of the length of a run
	minCodes  = 2
	maxCodes  = 6
)

// A block is decoded in two steps: decode makes of the packed bits its bytes in sorted order, then expand puts out the plain ones bit by bit,
// as there can be 50 times as many. A block is used again and again for its memory.
type block struct {
	// next has the bytes in sorted order, in the lower 8 bits. In the upper 24 it has the place of the byte that is next in the real order.
	next  []uint32
	codes [maxCodes]code
	// selectors tell for each group of symbols which code it has.
	selectors [maxGroups]uint8

	size  int    // of next
	crc   uint32 // that the plain bytes should have
	end   int    // position of the bit after the block
	state expansion
}

// decode decodes the block that begins, with its mark, at a bit of data; the last bitSlack bytes of data do not count. When data ends too early
// it answers io.ErrUnexpectedEOF.
func (k *block) decode(data []byte, bit int) error {
	b := newBitReader(data, bit+markLen)
	err := k.decodeFrom(&b)
	if b.past(0) || err != nil && b.past(maxLen) { // a code was looked for in as many bits
		return io.ErrUnexpectedEOF
	}
	k.end = b.bit()
	return err
}

// decodeFrom decodes the block from the checksum on.
func (k *block) decodeFrom(b *bitReader) error {
	k.crc = b.take(32)
	if b.take(1) != 0 {
		return fmt.Errorf("%w: randomised block of a bzip2 from before 1999: unpack it with bzip2 and pack it again", ErrUnsupported)
	}
	origin := int(b.take(24))
	places, used := readUsed(b)
	if used == 0 {
		return corrupt("block without bytes")
	}
	groups, err := k.readCodes(b, used+2)
	if err != nil {
		return err
	}
	var count [256]uint32
	if k.size, err = k.readBytes(b, groups, &places, used+1, &count); err != nil {
		return err
	}
	if origin >= k.size {
		return corrupt("block of %d bytes begins at byte %d", k.size, origin)
	}
	k.link(&count)
	k.state = expansion{at: k.next[origin] >> 8, left: k.size, crc: ^uint32(0)}
	return nil
}

// readUsed reads which bytes occur in the block: 16 bits tell in which sixteenths any do, and for each of those 16 bits tell which.
func readUsed(b *bitReader) (places [256]byte, n int) {
	sixteenths := b.take(16)
	for i := range 16 {
		if sixteenths>>(15-i)&1 == 0 {
			continue
		}
		bytes := b.take(16)
		for j := range 16 {
			if bytes>>(15-j)&1 != 0 {
				places[n] = byte(16*i + j)
				n++
			}
		}
	}
	return places, n
}

// readCodes reads the codes, for alphabets of the given size, and the selectors, of which it returns the number.
func (k *block) readCodes(b *bitReader, alphabet int) (groups int, err error) {
	codes := int(b.take(3))
	selectors := int(b.take(15))
	if codes < minCodes || codes > maxCodes || selectors == 0 {
		return 0, corrupt("block has %d codes and %d groups", codes, selectors)
	}
	recent := [maxCodes]uint8{0, 1, 2, 3, 4, 5}
	for i := range selectors {
		at := 0
		for b.take(1) != 0 {
			if at++; at >= codes {
				return 0, corrupt("group of symbols with a code that is not there")
			}
		}
		selected := recent[at]
		copy(recent[1:], recent[:at])
		recent[0] = selected
		if i < maxGroups {
			k.selectors[i] = selected
		}
	}
	var lengths [maxAlpha]uint8
	for i := range codes {
		if err := readLengths(b, lengths[:alphabet]); err != nil {
			return 0, err
		}
		if err := k.codes[i].build(lengths[:alphabet]); err != nil {
			return 0, corrupt("%w", err)
		}
	}
	return min(selectors, maxGroups), nil
}

// readLengths reads the lengths of the codes of all symbols, each as its difference to the one before.
func readLengths(b *bitReader, lengths []uint8) error {
	n := b.take(5)
	for i := range lengths {
		for n >= 1 && n <= maxLen && b.take(1) != 0 {
			n += 1 - 2*b.take(1)
		}
		if n < 1 || n > maxLen {
			return corrupt("%w", errCode)
		}
		lengths[i] = uint8(n)
	}
	return nil
}

// readBytes reads the bytes into next and counts them. A byte is coded as its place in a list of all that occur, where the last one is
// moved to the front each time; again the same byte as a run, whose length is in the digits 1 and 2 of base 2, lowest first.
func (k *block) readBytes(b *bitReader, groups int, places *[256]byte, end int, count *[256]uint32) (n int, err error) {
	next := k.next
	run, digit := 0, 1 // of a run that goes on
	for _, selected := range k.selectors[:groups] {
		c := &k.codes[selected]
		for range groupLen {
			if b.have < maxLen {
				b.refill()
			}
			symbol, ok := c.next(b)
			if !ok {
				return 0, corrupt("%w", errCode)
			}
			if symbol <= runB {
				if run += digit << symbol; run > maxBlock {
					return 0, errTooLong
				}
				digit <<= 1
				continue
			}
			if run > 0 {
				if run > len(next)-n {
					if next, err = k.grow(n + run); err != nil {
						return 0, err
					}
				}
				fill(next[n:n+run], uint32(places[0]))
				count[places[0]] += uint32(run)
				n += run
				run, digit = 0, 1
			}
			if symbol == end {
				return n, nil
			}
			if n == len(next) {
				if next, err = k.grow(n + 1); err != nil {
					return 0, err
				}
			}
			v := toFront(places, uint8(symbol-1))
			next[n] = uint32(v)
			count[v]++
			n++
		}
		if b.past(0) {
			return 0, io.ErrUnexpectedEOF
		}
	}
	return 0, corrupt("block does not end")
}

var errTooLong = corrupt("block has more than %d bytes", maxBlock)

// grow makes next long enough for n bytes, and answers it.
func (k *block) grow(n int) ([]uint32, error) {
	if n > maxBlock {
		return nil, errTooLong
	}
	longer := make([]uint32, min(max(n, unit, 3*len(k.next)), maxBlock))
	copy(longer, k.next)
	k.next = longer
	return longer, nil
}

// fill sets all of p to v.
func fill(p []uint32, v uint32) {
	for i := range p {
		p[i] = v
	}
}

// toFront moves what is at a place to the front, and returns it.
func toFront(places *[256]byte, at uint8) byte {
	v := places[at]
	if at < 16 {
		for i := at; i > 0; i-- {
			places[i] = places[i-1]
		}
	} else {
		copy(places[1:int(at)+1], places[:at])
	}
	places[0] = v
	return v
}

// link undoes the sorting (Burrows and Wheeler, 1994, section 4.2): the n-th time that a byte occurs here is the n-th time that it begins a line
// of the sorted ones.
func (k *block) link(count *[256]uint32) {
	sum := uint32(0)
	for i, n := range count {
		count[i] = sum
		sum += n
	}
	next := k.next[:k.size]
	for i, v := range next {
		at := &count[byte(v)]
		next[*at] |= uint32(i) << 8
		*at++
	}
}
