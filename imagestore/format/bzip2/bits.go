package bzip2

import "encoding/binary"

// bitSlack is how many bytes must follow the data of a bitReader in memory.
const bitSlack = 8

// A bitReader takes bits off data, the most significant of each byte first. Beyond the end it goes on with whatever is in the slack, then
// with zeros; past tells that it has.
type bitReader struct {
	data []byte // with bitSlack bytes behind the real end
	at   int    // of the first byte that is not in acc whole
	acc  uint64 // bits not taken yet, from the top
	have uint   // how many of them
}

// newBitReader begins at a bit of data, whose last bitSlack bytes do not count.
func newBitReader(data []byte, bit int) bitReader {
	b := bitReader{data: data, at: bit / 8}
	b.refill()
	b.drop(uint(bit % 8))
	return b
}

// refill makes at least 56 bits available.
func (b *bitReader) refill() {
	if b.at+8 <= len(b.data) {
		b.acc |= binary.BigEndian.Uint64(b.data[b.at:b.at+8]) >> b.have
	} // else no bit is real any more, and zeros follow
	b.at += int(63-b.have) >> 3
	b.have |= 56
}

func (b *bitReader) drop(n uint) {
	b.acc <<= n
	b.have -= n
}

// take returns the next n bits, 1 to 32.
func (b *bitReader) take(n uint) uint32 {
	if b.have < n {
		b.refill()
	}
	v := uint32(b.acc >> (64 - n))
	b.drop(n)
	return v
}

// bit is the position of the next bit.
func (b *bitReader) bit() int { return b.at*8 - int(b.have) }

// past tells whether n bits more are beyond the end.
func (b *bitReader) past(n int) bool { return b.bit()+n > 8*(len(b.data)-bitSlack) }
