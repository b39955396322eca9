// Package fec makes repair symbols of blocks, and blocks of any sufficient number of their symbols: a systematic
// Reed–Solomon code over GF(2^8) with a Cauchy matrix, each symbol of which can be made alone.
//
// A block is k source symbols, numbered from 0; its repair symbols are numbered from k on. Any k of these [MaxSymbols] symbols make
// the whole block, so one repair symbol that is sent to many receivers answers a different loss at each of them, and no code does with
// fewer (it is maximum distance separable, RFC 5510).
//
// The code makes up for symbols that are known to be missing. It does not notice changed ones: of these it makes a wrong block
// without an error, so the seal of each datagram has to be checked before.
package fec

import (
	"fmt"
	"slices"

	"github.com/klauspost/reedsolomon"
)

// MaxSymbols is how many symbols, source and repair, a block can have.
const MaxSymbols = 256

// A Code is that of blocks of k source symbols of the same size. It is immutable and safe for concurrent use.
type Code struct {
	k, size int
	field   field
}

// New returns the code of blocks of k source symbols (1 to 255) of size bytes each (at least 1). It panics on other numbers.
func New(k, size int) *Code {
	if k < 1 || k >= MaxSymbols || size < 1 {
		panic(fmt.Sprintf("fec: there is no code for blocks of %d symbols of %d bytes", k, size))
	}
	return &Code{k: k, size: size, field: newField()}
}

// Encode makes the repair symbols first, first+1 and so on of a block, as many as dst has room for; what is left of dst after the last
// of them stays as it is. Repair symbols are numbered from k to MaxSymbols-1, after the source symbols; block is the k source symbols
// one after another, and must not overlap dst. Encode panics when block has another length or a repair symbol another number.
func (c *Code) Encode(dst, block []byte, first int) {
	count := len(dst) / c.size
	switch {
	case len(block) != c.k*c.size:
		panic(fmt.Sprintf("fec: %d bytes are not a block of %d symbols of %d bytes", len(block), c.k, c.size))
	case first < c.k || count > MaxSymbols-first:
		panic(fmt.Sprintf("fec: %d repair symbols from number %d on are not all of %d to %d", count, first, c.k, MaxSymbols-1))
	}
	for count > 0 {
		n := min(count, together)
		c.encode(dst[:n*c.size], block, first)
		dst, first, count = dst[n*c.size:], first+n, count-n
	}
}

// together is how many symbols are made in one walk over a block. With one symbol of the block, so many of an Ethernet frame's size
// fit into the 32 KiB of a processor core's first cache; the block itself does not.
const together = 16

// encode is Encode of at most together symbols, which fill dst.
func (c *Code) encode(dst, block []byte, first int) {
	clear(dst)
	for source := range c.k {
		for i := range len(dst) / c.size {
			addMultiple(c.symbol(dst, i), c.symbol(block, source), c.field.repairCoefficient(first+i, source))
		}
	}
}

// Decode makes the missing source symbols of a block, in their places; what was there before does not matter. repairs are the repair
// symbols with these ids, one after another, and must not overlap block; there are as many as are missing. Numbers may come in any
// order. Decode changes the block only, and on an error nothing: numbers that are out of range or there twice, or lengths that do not
// go with each other.
func (c *Code) Decode(block []byte, missing []int, ids []int, repairs []byte) error {
	if err := c.check(block, missing, ids, repairs); err != nil {
		return err
	}
	r := newRecovery(&c.field, c.k, missing, ids)
	for some := range slices.Chunk(missing, together) {
		c.decode(block, some, &r, repairs)
	}
	return nil
}

// decode is Decode of some of the missing symbols, at most together.
func (c *Code) decode(block []byte, some []int, r *recovery, repairs []byte) {
	for _, m := range some {
		clear(c.symbol(block, m))
	}
	for source := range c.k {
		if !r.isMissing[source] {
			c.addToEach(block, some, r, source, c.symbol(block, source))
		}
	}
	for i, id := range r.repairs {
		c.addToEach(block, some, r, id, c.symbol(repairs, i))
	}
}

// addToEach adds to some missing symbols of the block what a symbol at hand contributes to them.
func (c *Code) addToEach(block []byte, some []int, r *recovery, id int, symbol []byte) {
	for _, m := range some {
		addMultiple(c.symbol(block, m), symbol, r.coefficient(m, id))
	}
}

// symbol returns the symbol in that place of symbols that are one after another.
func (c *Code) symbol(symbols []byte, place int) []byte {
	return symbols[place*c.size : (place+1)*c.size]
}

// addMultiple adds a multiple of symbol to sum. The library has kernels that make several sums at once, in half to two thirds of the
// time. They are to be had only through an encoder with a fixed matrix, and to make one for each block takes what it saves.
func addMultiple(sum, symbol []byte, coefficient byte) {
	reedsolomon.LowLevel{}.GalMulSliceXor(coefficient, symbol, sum)
}

// check says what is wrong with the arguments of Decode.
func (c *Code) check(block []byte, missing, ids []int, repairs []byte) error {
	switch {
	case len(block) != c.k*c.size:
		return fmt.Errorf("%d bytes are not a block of %d symbols of %d bytes", len(block), c.k, c.size)
	case len(ids) != len(missing):
		return fmt.Errorf("%d missing symbols are made of as many repair symbols, not of %d", len(missing), len(ids))
	case len(repairs) != len(ids)*c.size:
		return fmt.Errorf("%d bytes are not %d repair symbols of %d bytes", len(repairs), len(ids), c.size)
	}
	if err := checkNumbers(missing, 0, c.k-1); err != nil {
		return fmt.Errorf("missing symbols: %w", err)
	}
	if err := checkNumbers(ids, c.k, MaxSymbols-1); err != nil {
		return fmt.Errorf("repair symbols: %w", err)
	}
	return nil
}

// checkNumbers says which of the numbers is not from first to last, or is there twice.
func checkNumbers(numbers []int, first, last int) error {
	var seen [MaxSymbols]bool
	for _, n := range numbers {
		switch {
		case n < first || n > last:
			return fmt.Errorf("%d is not one of %d to %d", n, first, last)
		case seen[n]:
			return fmt.Errorf("%d is there twice", n)
		}
		seen[n] = true
	}
	return nil
}
