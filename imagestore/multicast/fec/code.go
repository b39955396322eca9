package fec

import (
	"fmt"

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
		panic(fmt.Sprintf("fec: no code has %d source symbols of %d bytes", k, size))
	}
	return &Code{k: k, size: size, field: newField()}
}

// Encode makes the repair symbols first, first+1 and so on of a block, as many as dst has room for; bytes of dst after the last whole
// symbol stay as they are. Repair symbols are numbered from k to MaxSymbols-1, after the source symbols; block is the k source symbols
// one after another. Encode panics when block has another length or a repair symbol another number.
func (c *Code) Encode(dst, block []byte, first int) {
	count := len(dst) / c.size
	switch {
	case len(block) != c.k*c.size:
		panic(fmt.Sprintf("fec: a block of %d bytes is not %d symbols of %d", len(block), c.k, c.size))
	case first < c.k || first+count > MaxSymbols:
		panic(fmt.Sprintf("fec: no %d repair symbols from number %d on: they are numbered %d to %d", count, first, c.k, MaxSymbols-1))
	}
	var coefficients [MaxSymbols]byte
	for tile := 0; tile < count; tile += tileSymbols {
		n := min(tileSymbols, count-tile)
		for source := range c.k {
			for i := range n {
				coefficients[i] = c.field.repairCoefficient(first+tile+i, source)
			}
			for i := range n {
				c.add(symbolAt(dst, tile+i, c.size), symbolAt(block, source, c.size), coefficients[i], source == 0)
			}
		}
	}
}

const tileSymbols = 16

func symbolAt(b []byte, i, size int) []byte { return b[i*size : (i+1)*size : (i+1)*size] }

func (c *Code) add(dst, src []byte, coefficient byte, first bool) {
	var kernel reedsolomon.LowLevel
	if first {
		kernel.GalMulSlice(coefficient, src, dst)
	} else {
		kernel.GalMulSliceXor(coefficient, src, dst)
	}
}

// Decode makes the missing source symbols of a block, in their places. repairs are the symbols with these ids, one after another;
// there are as many as are missing. They are only read.
func (c *Code) Decode(block []byte, missing []int, ids []int, repairs []byte) error {
	if err := c.check(block, missing, ids, repairs); err != nil {
		return err
	}
	lost := [MaxSymbols]bool{}
	for _, m := range missing {
		lost[m] = true
		clear(symbolAt(block, m, c.size))
	}
	r := newRecovery(&c.field, missing, ids)
	var coefficients [MaxSymbols]byte
	for y := range c.k {
		if lost[y] {
			continue
		}
		r.coefficients(coefficients[:], y)
		for i, m := range missing {
			c.add(symbolAt(block, m, c.size), symbolAt(block, y, c.size), coefficients[i], false)
		}
	}
	for j, id := range ids {
		r.coefficients(coefficients[:], id)
		for i, m := range missing {
			c.add(symbolAt(block, m, c.size), symbolAt(repairs, j, c.size), coefficients[i], false)
		}
	}
	return nil
}

// check says what is wrong with the arguments of Decode.
func (c *Code) check(block []byte, missing, ids []int, repairs []byte) error {
	switch {
	case len(block) != c.k*c.size:
		return fmt.Errorf("a block of %d bytes is not %d symbols of %d bytes", len(block), c.k, c.size)
	case len(ids) != len(missing):
		return fmt.Errorf("%d missing symbols need as many repair symbols, not %d", len(missing), len(ids))
	case len(repairs) != len(ids)*c.size:
		return fmt.Errorf("%d bytes are not %d repair symbols of %d bytes", len(repairs), len(ids), c.size)
	}
	if err := distinct(missing, 0, c.k); err != nil {
		return fmt.Errorf("missing source symbols: %w", err)
	}
	if err := distinct(ids, c.k, MaxSymbols); err != nil {
		return fmt.Errorf("repair symbols: %w", err)
	}
	return nil
}

// distinct says which of the numbers is not from first to end-1, or is there twice.
func distinct(numbers []int, first, end int) error {
	var seen [MaxSymbols]bool
	for _, n := range numbers {
		switch {
		case n < first || n >= end:
			return fmt.Errorf("number %d is not one of %d to %d", n, first, end-1)
		case seen[n]:
			return fmt.Errorf("number %d is there twice", n)
		}
		seen[n] = true
	}
	return nil
}
