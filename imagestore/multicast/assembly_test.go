package multicast

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"aula/imagestore/multicast/fec"
)

// A testBlock is a block as its sender has it: all its symbols, and the bytes that it carries.
type testBlock struct {
	sources int
	body    []byte
	symbols [][]byte
}

func newTestBlock(rng *rand.Rand, length int) testBlock {
	data := make([]byte, blockBuffer)
	for i := range data { // also behind the bytes: pack has to clear that
		data[i] = byte(rng.Uint32())
	}
	b := testBlock{body: bytes.Clone(data[:length])}
	b.sources = pack(data, length)
	data = data[:b.sources*symbolSize]
	repairs := make([]byte, (maxSymbols-b.sources)*symbolSize)
	fec.New(b.sources, symbolSize).Encode(repairs, data, b.sources)
	for all := append(data, repairs...); len(all) > 0; all = all[symbolSize:] {
		b.symbols = append(b.symbols, all[:symbolSize])
	}
	return b
}

// receive puts symbols into an assembly.
func (b *testBlock) receive(a *assembly, symbols []int) {
	for _, i := range symbols {
		copy(a.place(i)[:symbolSize], b.symbols[i])
		a.put(i)
	}
}

func TestAnySymbolsMakeTheBlock(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 1))
	var a assembly // the same for all: what it had before must not matter
	for _, length := range []int{1, 1407, 1408, 1409, 1440, 5 * symbolSize, 70000, BlockSize - 1, BlockSize} {
		b := newTestBlock(rng, length)
		code := fec.New(b.sources, symbolSize)
		choices := map[string][]int{
			"source symbols":       rng.Perm(b.sources),
			"the last repairs":     nil,
			"one repair":           append(rng.Perm(b.sources)[1:], b.sources+rng.IntN(maxSymbols-b.sources)),
			"any":                  rng.Perm(maxSymbols)[:b.sources],
			"any, again":           rng.Perm(maxSymbols)[:b.sources],
			"the first is missing": nil,
		}
		for i := range b.sources {
			choices["the last repairs"] = append(choices["the last repairs"], maxSymbols-1-i)
			choices["the first is missing"] = append(choices["the first is missing"], i+1)
		}
		for name, symbols := range choices {
			t.Run(fmt.Sprintf("%d bytes/%s", length, name), func(t *testing.T) {
				a.begin(3, b.sources)
				for n, i := range symbols {
					if a.has(i) {
						t.Errorf("symbol %d is there before it came", i)
					}
					if a.lacks != b.sources-n {
						t.Errorf("lacks %d symbols, want %d", a.lacks, b.sources-n)
					}
					b.receive(&a, []int{i})
					if !a.has(i) {
						t.Errorf("symbol %d is not there", i)
					}
				}
				if a.lacks != 0 {
					t.Fatalf("lacks %d symbols", a.lacks)
				}
				if err := a.complete(code); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(a.data[:length], b.body) {
					t.Error("other bytes than were sent")
				}
			})
		}
	}
}

func TestChecksumIsCompared(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 2))
	b := newTestBlock(rng, 10000)
	code := fec.New(b.sources, symbolSize)
	for name, symbols := range map[string][]int{
		"source symbols": {0, 1, 2, 3, 4, 5, 6},
		"repairs":        {0, 1, 2, 3, 4, 100, 200},
	} {
		for _, wrong := range []int{0, 4, symbols[len(symbols)-1]} {
			t.Run(fmt.Sprintf("%s/%d", name, wrong), func(t *testing.T) {
				var a assembly
				a.begin(77, b.sources)
				b.symbols[wrong][symbolSize-1] ^= 1
				b.receive(&a, symbols)
				b.symbols[wrong][symbolSize-1] ^= 1
				if err := a.complete(code); err == nil || !strings.Contains(err.Error(), "block 77") {
					t.Errorf("got error %v, want one that names block 77", err)
				}
			})
		}
	}
	// It is the block's own checksum: zeros behind the bytes count, too.
	var a assembly
	a.begin(0, b.sources)
	b.receive(&a, []int{0, 1, 2, 3, 4, 5, 6})
	a.data[10000] ^= 1
	if err := a.complete(code); err == nil {
		t.Error("a byte behind the content was changed, and the block passed for right")
	}
}

func TestSourcesOf(t *testing.T) {
	const whole = 5 * BlockSize
	for _, test := range []struct {
		size, block     int64
		symbols, length int
	}{
		{1, 0, 1, 1},
		{symbolSize - digestSize, 0, 1, symbolSize - digestSize},
		{symbolSize - digestSize + 1, 0, 2, symbolSize - digestSize + 1},
		{BlockSize - 1, 0, sourceSymbols, BlockSize - 1},
		{whole, 0, sourceSymbols, BlockSize},
		{whole, 4, sourceSymbols, BlockSize},
		{whole + 1, 4, sourceSymbols, BlockSize},
		{whole + 1, 5, 1, 1},
		{whole + 2000, 5, 2, 2000},
		{Unknown, 0, sourceSymbols, BlockSize},
		{Unknown, 1 << 30, sourceSymbols, BlockSize},
	} {
		if symbols, length := sourcesOf(test.size, test.block); symbols != test.symbols || length != test.length {
			t.Errorf("block %d of %d bytes: got %d symbols, %d bytes; want %d, %d", test.block, test.size, symbols, length, test.symbols, test.length)
		}
	}
}

// What both sides reckon by themselves has to be the same.
func TestPackAgreesWithSourcesOf(t *testing.T) {
	data := make([]byte, blockBuffer)
	for length := 1; length <= BlockSize; length += 331 {
		want, _ := sourcesOf(int64(length), 0)
		if got := pack(data, length); got != want {
			t.Fatalf("%d bytes are packed into %d symbols, want %d", length, got, want)
		}
	}
}
