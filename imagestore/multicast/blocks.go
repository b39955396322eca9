package multicast

import (
	"math/bits"
	"slices"
)

// Blocks is a set of blocks, by their number from 0. The zero value is empty, and so is nil.
type Blocks struct {
	words []uint64
	count int64
}

// Add puts a block into the set, which takes a bit for each block up to the highest.
func (s *Blocks) Add(n int64) {
	for int64(len(s.words)) <= n>>6 {
		s.words = append(s.words, make([]uint64, max(len(s.words), 16))...)
	}
	if w := &s.words[n>>6]; *w&(1<<(n&63)) == 0 {
		*w |= 1 << (n & 63)
		s.count++
	}
}

// Has tells whether the block is in the set.
func (s *Blocks) Has(n int64) bool {
	return s != nil && n >= 0 && n>>6 < int64(len(s.words)) && s.words[n>>6]&(1<<(n&63)) != 0
}

// Len returns how many blocks are in the set.
func (s *Blocks) Len() int64 {
	if s == nil {
		return 0
	}
	return s.count
}

// missing returns the first block from n on that is not in the set.
func (s *Blocks) missing(n int64) int64 {
	if s == nil {
		return n
	}
	for ; n>>6 < int64(len(s.words)); n = (n>>6 + 1) << 6 {
		if free := ^s.words[n>>6] >> (n & 63); free != 0 {
			return n + int64(bits.TrailingZeros64(free))
		}
	}
	return n
}

// next returns the first block from n on that is in the set, or -1.
func (s *Blocks) next(n int64) int64 {
	if s == nil {
		return -1
	}
	for ; n>>6 < int64(len(s.words)); n = (n>>6 + 1) << 6 {
		if set := s.words[n>>6] >> (n & 63); set != 0 {
			return n + int64(bits.TrailingZeros64(set))
		}
	}
	return -1
}

// clone returns a set of the same blocks.
func (s *Blocks) clone() *Blocks {
	if s == nil {
		return &Blocks{}
	}
	return &Blocks{slices.Clone(s.words), s.count}
}

// last returns the highest block of the set, or -1.
func (s *Blocks) last() int64 {
	for i := len(s.words) - 1; i >= 0; i-- {
		if s.words[i] != 0 {
			return int64(i)<<6 + int64(bits.Len64(s.words[i])) - 1
		}
	}
	return -1
}

// recount counts the blocks anew, of words that came from elsewhere.
func (s *Blocks) recount() {
	s.count = 0
	for _, w := range s.words {
		s.count += int64(bits.OnesCount64(w))
	}
}

// Remove takes a block out of the set.
func (s *Blocks) Remove(n int64) {
	if s.Has(n) {
		s.words[n>>6] &^= 1 << (n & 63)
		s.count--
	}
}
