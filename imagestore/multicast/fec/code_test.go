package fec

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// TestAnyMissingByAnyRepairs loses any source symbols and makes them of any repair symbols, of blocks of many sizes.
func TestAnyMissingByAnyRepairs(t *testing.T) {
	t.Parallel()
	sizes := []int{1, 2, 31, 32, 33, 64, 100, 127, 128, 129, 1000, 1440}
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 4))
		k := 1 + rng.IntN(MaxSymbols-1)
		size := sizes[rng.IntN(len(sizes))]
		e := rng.IntN(min(k, MaxSymbols-k) + 1)
		l := lose(rng, k, size, e)
		if err := New(k, size).Decode(l.block, l.missing, l.ids, l.repairs); err != nil {
			t.Fatalf("seed %d: k=%d size=%d missing %v by %v: %v", seed, k, size, l.missing, l.ids, err)
		}
		if !bytes.Equal(l.block, l.want) {
			t.Fatalf("seed %d: k=%d size=%d missing %v by %v: the decoded block is not the encoded one", seed, k, size, l.missing, l.ids)
		}
	}
}

// A loss is a block of which symbols are missing, and the repair symbols to make them of.
type loss struct {
	want, block  []byte
	missing, ids []int
	repairs      []byte
}

// lose makes a random block, overwrites e of its k symbols with noise, and makes e of its repair symbols.
func lose(rng *rand.Rand, k, size, e int) loss {
	l := loss{want: noise(rng, k*size), missing: rng.Perm(k)[:e], ids: rng.Perm(MaxSymbols - k)[:e], repairs: make([]byte, e*size)}
	l.block = slices.Clone(l.want)
	for _, m := range l.missing {
		copy(l.block[m*size:], noise(rng, size))
	}
	code := New(k, size)
	for i := range l.ids {
		l.ids[i] += k
		code.Encode(l.repairs[i*size:(i+1)*size], l.want, l.ids[i])
	}
	return l
}

func noise(rng *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

// The sizes of the engine's blocks.
const (
	benchK    = 128
	benchSize = 1440
)

func BenchmarkEncode(b *testing.B) {
	for _, n := range []int{1, 4, 16, 64} {
		b.Run(fmt.Sprintf("repairs=%d", n), func(b *testing.B) {
			code := New(benchK, benchSize)
			block := noise(rand.New(rand.NewPCG(1, 1)), benchK*benchSize)
			dst := make([]byte, n*benchSize)
			b.SetBytes(int64(len(block)))
			b.ReportAllocs()
			for b.Loop() {
				code.Encode(dst, block, benchK)
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for _, e := range []int{1, 4, 16, 64} {
		b.Run(fmt.Sprintf("missing=%d", e), func(b *testing.B) {
			code := New(benchK, benchSize)
			l := lose(rand.New(rand.NewPCG(1, 1)), benchK, benchSize, e)
			b.SetBytes(int64(len(l.block)))
			b.ReportAllocs()
			for b.Loop() {
				if err := code.Decode(l.block, l.missing, l.ids, l.repairs); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
