package fec

import (
	"bytes"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
)

// Sizes around what a processor does at once, and that of the engine.
var sizes = []int{1, 2, 31, 32, 33, 64, 100, 127, 128, 129, 1000, 1440}

// TestAnyMissingByAnyRepairs loses any source symbols and makes them of any repair symbols, of blocks of any size.
func TestAnyMissingByAnyRepairs(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		rng := rand.New(rand.NewPCG(seed, 0))
		k := 1 + rng.IntN(MaxSymbols-1)
		newLoss(rng, k, sizes[rng.IntN(len(sizes))], rng.IntN(min(k, MaxSymbols-k)+1)).checkRepaired(t)
	}
}

// TestAsManyAsCanBe loses as many symbols as there are repair symbols, or the whole block.
func TestAsManyAsCanBe(t *testing.T) {
	t.Parallel()
	for seed, k := range []int{1, 2, 127, 128, 129, 254, 255} {
		newLoss(rand.New(rand.NewPCG(uint64(seed), 1)), k, 33, min(k, MaxSymbols-k)).checkRepaired(t)
	}
}

// TestEverySymbolByEveryRepair loses one symbol after the other, and makes it of one repair symbol after the other.
func TestEverySymbolByEveryRepair(t *testing.T) {
	t.Parallel()
	const size = 3
	for _, k := range []int{1, 7, 128, 255} {
		code := New(k, size)
		want := noise(rand.New(rand.NewPCG(uint64(k), 2)), k*size)
		repairs := make([]byte, (MaxSymbols-k)*size)
		code.Encode(repairs, want, k)
		for missing := range k {
			for id := k; id < MaxSymbols; id++ {
				block := slices.Clone(want)
				clear(code.symbol(block, missing))
				if err := code.Decode(block, []int{missing}, []int{id}, code.symbol(repairs, id-k)); err != nil {
					t.Fatalf("k=%d: symbol %d by %d: %v", k, missing, id, err)
				}
				if !bytes.Equal(block, want) {
					t.Fatalf("k=%d: symbol %d by %d: got another block than was encoded", k, missing, id)
				}
			}
		}
	}
}

// TestRepairOfOneSymbol pins the code to numbers that can be checked by hand.
func TestRepairOfOneSymbol(t *testing.T) {
	t.Parallel()
	got := make([]byte, 3)
	New(1, 1).Encode(got, []byte{1}, 1)
	// 1/1, 1/2 and 1/3: without carries, 2·0x8e and 3·0xf4 are both 0x11c, and that is 1 but for the polynomial 0x11d.
	if want := []byte{1, 0x8e, 0xf4}; !bytes.Equal(got, want) {
		t.Errorf("got repair symbols %#x, want %#x", got, want)
	}
}

// TestRepairsAreTheSameAloneAndTogether makes repair symbols from several walks over the block, and leaves the rest of dst alone.
func TestRepairsAreTheSameAloneAndTogether(t *testing.T) {
	t.Parallel()
	const k, size, first, count = 50, 40, 60, 2*together + 3
	code := New(k, size)
	block := noise(rand.New(rand.NewPCG(1, 3)), k*size)
	rest := bytes.Repeat([]byte{0xee}, size-1)
	got := append(noise(rand.New(rand.NewPCG(2, 3)), count*size), rest...)
	code.Encode(got, block, first)
	for i := range count {
		want := make([]byte, size)
		code.Encode(want, block, first+i)
		if !bytes.Equal(code.symbol(got, i), want) {
			t.Errorf("repair symbol %d is another one when it is made with others", first+i)
		}
	}
	if !bytes.Equal(got[count*size:], rest) {
		t.Error("Encode wrote after the last symbol")
	}
}

// TestOneCodeForMany decodes blocks of one code at the same time.
func TestOneCodeForMany(t *testing.T) {
	t.Parallel()
	code := New(64, 256)
	var wg sync.WaitGroup
	for seed := range uint64(8) {
		wg.Go(func() {
			for round := range uint64(8) {
				l := newLoss(rand.New(rand.NewPCG(seed, 4+round)), 64, 256, int(4*seed+round))
				l.code = code
				l.checkRepaired(t)
			}
		})
	}
	wg.Wait()
}

func TestNothingMissing(t *testing.T) {
	t.Parallel()
	block := []byte{1, 2, 3}
	if err := New(3, 1).Decode(block, nil, nil, nil); err != nil || !bytes.Equal(block, []byte{1, 2, 3}) {
		t.Errorf("got block %v, error %v; want the block as it was", block, err)
	}
}

func TestDecodeRefuses(t *testing.T) {
	t.Parallel()
	const k, size = 4, 2
	for _, tt := range []struct {
		name         string
		block        int
		missing, ids []int
		repairs      int
		want         string
	}{
		{"short block", 7, []int{0}, []int{4}, 2, "7 bytes are not a block of 4 symbols of 2 bytes"},
		{"long block", 9, nil, nil, 0, "9 bytes are not a block of 4 symbols of 2 bytes"},
		{"too few repairs", 8, []int{0, 1}, []int{4}, 2, "2 missing symbols are made of as many repair symbols, not of 1"},
		{"too many repairs", 8, []int{0}, []int{4, 5}, 4, "1 missing symbols are made of as many repair symbols, not of 2"},
		{"short repairs", 8, []int{0, 1}, []int{4, 5}, 3, "3 bytes are not 2 repair symbols of 2 bytes"},
		{"missing symbol before the first", 8, []int{-1}, []int{4}, 2, "missing symbols: -1 is not one of 0 to 3"},
		{"missing symbol is a repair symbol", 8, []int{4}, []int{4}, 2, "missing symbols: 4 is not one of 0 to 3"},
		{"missing symbol twice", 8, []int{2, 1, 2}, []int{4, 5, 6}, 6, "missing symbols: 2 is there twice"},
		{"repair symbol is a source symbol", 8, []int{0}, []int{3}, 2, "repair symbols: 3 is not one of 4 to 255"},
		{"repair symbol after the last", 8, []int{0}, []int{256}, 2, "repair symbols: 256 is not one of 4 to 255"},
		{"repair symbol twice", 8, []int{0, 1}, []int{9, 9}, 4, "repair symbols: 9 is there twice"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			block := bytes.Repeat([]byte{0xee}, tt.block)
			err := New(k, size).Decode(block, tt.missing, tt.ids, make([]byte, tt.repairs))
			if err == nil || err.Error() != tt.want {
				t.Errorf("got error %v, want %q", err, tt.want)
			}
			if !bytes.Equal(block, bytes.Repeat([]byte{0xee}, tt.block)) {
				t.Error("a refused block was changed")
			}
		})
	}
}

func TestProgrammingErrorsPanic(t *testing.T) {
	t.Parallel()
	code := New(4, 2)
	for name, f := range map[string]func(){
		"New: no source symbol":               func() { New(0, 1440) },
		"New: no repair symbol left":          func() { New(256, 1440) },
		"New: empty symbols":                  func() { New(128, 0) },
		"Encode: short block":                 func() { code.Encode(make([]byte, 2), make([]byte, 7), 4) },
		"Encode: source symbol":               func() { code.Encode(make([]byte, 2), make([]byte, 8), 3) },
		"Encode: symbol after the last":       func() { code.Encode(make([]byte, 2), make([]byte, 8), 256) },
		"Encode: symbol out of all bounds":    func() { code.Encode(make([]byte, 2), make([]byte, 8), math.MaxInt) },
		"Encode: symbols go beyond the last":  func() { code.Encode(make([]byte, 4), make([]byte, 8), 255) },
		"Encode: more symbols than there are": func() { code.Encode(make([]byte, 2*253), make([]byte, 8), 4) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if got, _ := recover().(string); !strings.HasPrefix(got, "fec: ") {
					t.Errorf("got panic %q, want one that says what is wrong", got)
				}
			}()
			f()
		})
	}
}

// TestNoGarbage matters because a sender and each receiver do this for every block.
func TestNoGarbage(t *testing.T) {
	l := newLoss(rand.New(rand.NewPCG(1, 5)), 128, 64, 2*together)
	for name, f := range map[string]func(){
		"Encode": func() { l.code.Encode(l.repairs, l.want, 128) },
		"Decode": func() {
			if err := l.code.Decode(l.block, l.missing, l.ids, l.repairs); err != nil {
				t.Error(err)
			}
		},
	} {
		if got := testing.AllocsPerRun(10, f); got != 0 {
			t.Errorf("%s allocates %v times, want none", name, got)
		}
	}
}

// A loss is a block of which symbols are missing, and the repair symbols to make them of.
type loss struct {
	code         *Code
	want, block  []byte
	missing, ids []int
	repairs      []byte
}

// newLoss makes a random block, overwrites e of its k symbols with noise, and makes e of its repair symbols.
func newLoss(rng *rand.Rand, k, size, e int) *loss {
	l := &loss{
		code:    New(k, size),
		want:    noise(rng, k*size),
		missing: rng.Perm(k)[:e],
		ids:     rng.Perm(MaxSymbols - k)[:e],
		repairs: make([]byte, e*size),
	}
	l.block = slices.Clone(l.want)
	for _, m := range l.missing {
		copy(l.code.symbol(l.block, m), noise(rng, size))
	}
	for i := range l.ids {
		l.ids[i] += k
		l.code.Encode(l.code.symbol(l.repairs, i), l.want, l.ids[i])
	}
	return l
}

// checkRepaired decodes the block and fails the test when it is not what was encoded, or something else was changed.
func (l *loss) checkRepaired(t *testing.T) {
	t.Helper()
	missing, ids, repairs := slices.Clone(l.missing), slices.Clone(l.ids), slices.Clone(l.repairs)
	if err := l.code.Decode(l.block, l.missing, l.ids, l.repairs); err != nil {
		t.Errorf("k=%d size=%d: %v by %v: %v", l.code.k, l.code.size, missing, ids, err)
		return
	}
	if !bytes.Equal(l.block, l.want) {
		t.Errorf("k=%d size=%d: %v by %v: got another block than was encoded", l.code.k, l.code.size, missing, ids)
	}
	if !slices.Equal(l.missing, missing) || !slices.Equal(l.ids, ids) || !bytes.Equal(l.repairs, repairs) {
		t.Errorf("k=%d size=%d: %v by %v: the arguments were changed", l.code.k, l.code.size, missing, ids)
	}
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

// BenchmarkEncode measures in bytes of the block.
func BenchmarkEncode(b *testing.B) {
	for _, n := range []int{1, 4, 16, 128} {
		b.Run(fmt.Sprintf("repairs=%d", n), func(b *testing.B) {
			code := New(benchK, benchSize)
			block := noise(rand.New(rand.NewPCG(1, 6)), benchK*benchSize)
			dst := make([]byte, n*benchSize)
			b.SetBytes(int64(len(block)))
			b.ReportAllocs()
			for b.Loop() {
				code.Encode(dst, block, benchK)
			}
		})
	}
}

// BenchmarkDecode measures in bytes of the block, of which 1, 4, 16 or all symbols are missing.
func BenchmarkDecode(b *testing.B) {
	for _, e := range []int{1, 4, 16, 128} {
		b.Run(fmt.Sprintf("missing=%d", e), func(b *testing.B) {
			l := newLoss(rand.New(rand.NewPCG(1, 7)), benchK, benchSize, e)
			b.SetBytes(int64(len(l.block)))
			b.ReportAllocs()
			for b.Loop() {
				if err := l.code.Decode(l.block, l.missing, l.ids, l.repairs); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
