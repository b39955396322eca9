package fec

import (
	"bytes"
	"math/rand/v2"
	"testing"

	"github.com/klauspost/reedsolomon"
)

// TestFieldIsThatOfTheLibrary compares the logarithms with the library's inverses, and with products made bit by bit.
func TestFieldIsThatOfTheLibrary(t *testing.T) {
	t.Parallel()
	f := newField()
	for a := 1; a < 256; a++ {
		if got, want := f.exp(-int(f.logs[a])), reedsolomon.Inv(byte(a)); got != want {
			t.Errorf("1/%#x: got %#x, want %#x", a, got, want)
		}
		for b := 1; b < 256; b++ {
			got, want := f.exp(int(f.logs[a])+int(f.logs[b])), product(byte(a), byte(b))
			if got != want {
				t.Fatalf("%#x times %#x: got %#x, want %#x", a, b, got, want)
			}
		}
	}
}

// product multiplies as one does on paper.
func product(a, b byte) byte {
	var sum byte
	for ; b != 0; b >>= 1 {
		if b&1 != 0 {
			sum ^= a
		}
		carry := a & 0x80
		a <<= 1
		if carry != 0 {
			a ^= polynomial & 0xff
		}
	}
	return sum
}

// TestLogarithmsOfLongProducts adds up as many as a weight can have.
func TestLogarithmsOfLongProducts(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ log, want int }{
		{0, 0}, {254, 254}, {255, 0}, {-1, 254}, {-255, 0}, {MaxSymbols * 254, 254 * 256 % 255}, {-MaxSymbols * 254, 1},
	} {
		if got := reduce(tt.log); got != tt.want {
			t.Errorf("reduce(%d): got %d, want %d", tt.log, got, tt.want)
		}
	}
}

// TestSameAsTheLibrary has the library's own encoder, which is given the matrix, make all repair symbols; and the library and this
// package make the missing symbols of them.
func TestSameAsTheLibrary(t *testing.T) {
	t.Parallel()
	for seed, k := range []int{1, 2, 3, 31, 127, 128, 200, 255} {
		rng := rand.New(rand.NewPCG(uint64(seed), 8))
		size := sizes[rng.IntN(len(sizes))]
		l := newLoss(rng, k, size, min(k, MaxSymbols-k, 20))

		library := libraryEncoder(t, k)
		symbols := make([][]byte, MaxSymbols)
		for i := range symbols {
			symbols[i] = make([]byte, size)
		}
		for i := range k {
			copy(symbols[i], l.code.symbol(l.want, i))
		}
		if err := library.Encode(symbols); err != nil {
			t.Fatal(err)
		}
		repairs := make([]byte, (MaxSymbols-k)*size)
		l.code.Encode(repairs, l.want, k)
		for id := k; id < MaxSymbols; id++ {
			if !bytes.Equal(l.code.symbol(repairs, id-k), symbols[id]) {
				t.Errorf("k=%d: repair symbol %d is not what the library makes", k, id)
			}
		}

		clear(symbols[k:])
		for i, m := range l.missing {
			symbols[m] = nil
			symbols[l.ids[i]] = l.code.symbol(l.repairs, i)
		}
		if err := library.ReconstructData(symbols); err != nil {
			t.Fatal(err)
		}
		l.checkRepaired(t)
		for _, m := range l.missing {
			if !bytes.Equal(l.code.symbol(l.block, m), symbols[m]) {
				t.Errorf("k=%d: missing symbol %d is not what the library makes of %v", k, m, l.ids)
			}
		}
	}
}

// libraryEncoder returns one with the matrix that the protocol describes.
func libraryEncoder(t *testing.T, k int) reedsolomon.Encoder {
	t.Helper()
	matrix := make([][]byte, MaxSymbols-k)
	for row := range matrix {
		for source := range k {
			matrix[row] = append(matrix[row], reedsolomon.Inv(byte((k+row)^source)))
		}
	}
	encoder, err := reedsolomon.New(k, MaxSymbols-k, reedsolomon.WithCustomMatrix(matrix))
	if err != nil {
		t.Fatal(err)
	}
	return encoder
}
