// Package fec makes repair symbols of blocks, and blocks of any sufficient number of their symbols: a systematic
// Reed–Solomon code over GF(2^8) with a Cauchy matrix, each symbol of which can be made alone.
package fec

import "errors"

// MaxSymbols is how many symbols, source and repair, a block can have.
const MaxSymbols = 256

// A Code is that of blocks of k source symbols of the same size. It is immutable and safe for concurrent use.
type Code struct{}

// New returns the code of blocks of k source symbols (1 to 255) of size bytes each.
func New(k, size int) *Code { return nil }

// Encode makes the repair symbols first, first+1 and so on of a block, as many as dst has room for. Repair symbols are numbered from k
// to MaxSymbols-1, after the source symbols; block is the k source symbols one after another.
func (c *Code) Encode(dst, block []byte, first int) {}

// Decode makes the missing source symbols of a block, in their places. repairs are the symbols with these ids, one after another;
// there are as many as are missing. Their bytes are used as scratch.
func (c *Code) Decode(block []byte, missing []int, ids []int, repairs []byte) error {
	return errors.New("not written")
}
