package torrent

import "math/bits"

// A bitset has a bit for each piece.
type bitset struct {
	words []uint64
	size  int
	count int // bits that are set
}

func newBitset(size int) bitset { return bitset{words: make([]uint64, (size+63)/64), size: size} }

func (b *bitset) has(i int) bool { return b.words[i/64]>>(i%64)&1 != 0 }

// set sets a bit and tells whether it was not.
func (b *bitset) set(i int) bool {
	if b.has(i) {
		return false
	}
	b.words[i/64] |= 1 << (i % 64)
	b.count++
	return true
}

// clear clears a bit and tells whether it was set.
func (b *bitset) clear(i int) bool {
	if !b.has(i) {
		return false
	}
	b.words[i/64] &^= 1 << (i % 64)
	b.count--
	return true
}

func (b *bitset) full() bool { return b.count == b.size }

// all yields the bits that are set, in order.
func (b *bitset) all(yield func(int) bool) {
	for w, word := range b.words {
		for ; word != 0; word &= word - 1 {
			if !yield(w*64 + bits.TrailingZeros64(word)) {
				return
			}
		}
	}
}

// load sets the bits of a bitfield message (BEP 3), the first piece's the highest of the first byte.
func (b *bitset) load(field []byte) {
	for i := range b.size {
		if field[i/8]<<(i%8)&0x80 != 0 {
			b.set(i)
		}
	}
}

// field is the bitfield message's content.
func (b *bitset) field() []byte {
	f := make([]byte, (b.size+7)/8)
	for i := range b.all {
		f[i/8] |= 0x80 >> (i % 8)
	}
	return f
}
