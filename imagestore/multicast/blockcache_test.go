package multicast

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aula/imagestore/multicast/fec"
)

// countingSource counts the blocks that are read of it.
type countingSource struct {
	Source
	reads map[int64]int
}

func (s *countingSource) ReadAt(b []byte, offset int64) (int, error) {
	s.reads[offset/BlockSize]++
	return s.Source.ReadAt(b, offset)
}

func TestSymbolsOfTheCache(t *testing.T) {
	const size = 2*BlockSize + 5000 // the last block has 4 symbols
	image := newMemory(6, size)
	source := &countingSource{image, map[int64]int{}}
	c := newBlockCache(source)
	scratch := make([]byte, most*symbolSize)
	rng := rand.New(rand.NewPCG(6, 1))
	for block, sources := range []int{sourceSymbols, sourceSymbols, 4} {
		want := make([]byte, maxSymbols*symbolSize)
		body := image.b[block*BlockSize : min((block+1)*BlockSize, size)]
		copy(want, body)
		if n := pack(want[:blockBuffer], len(body)); n != sources {
			t.Fatalf("block %d is packed into %d symbols, want %d", block, n, sources)
		}
		fec.New(sources, symbolSize).Encode(want[sources*symbolSize:], want[:sources*symbolSize], sources)
		for range 60 {
			first := rng.IntN(maxSymbols)
			if rng.IntN(2) == 0 {
				first = rng.IntN(sources)
			}
			count := 1 + rng.IntN(min(most, maxSymbols-first))
			if first < sources { // a call is of source or of repair symbols
				count = min(count, sources-first)
			}
			got, n, err := c.symbols(int64(block), first, count, scratch)
			if err != nil || n != sources || !bytes.Equal(got, want[first*symbolSize:(first+count)*symbolSize]) {
				t.Fatalf("block %d: symbols %d to %d of %d: %v, or others than the code makes", block, first, first+count-1, n, err)
			}
		}
		if source.reads[int64(block)] != 1 {
			t.Errorf("block %d was read %d times, want once", block, source.reads[int64(block)])
		}
	}
}

// The cache keeps the newest blocks, and reads older ones again.
func TestCacheIsBounded(t *testing.T) {
	const total = cachedBlocks + 50
	source := &countingSource{&zeros{total * BlockSize}, map[int64]int{}}
	c := newBlockCache(source)
	get := func(block int64) {
		t.Helper()
		p, err := c.get(block)
		if err != nil || p.block != block {
			t.Fatalf("block %d: %v", block, err)
		}
		if len(c.blocks) > cachedBlocks || len(c.order) > cachedBlocks {
			t.Fatalf("%d blocks in %d places, want at most %d", len(c.blocks), len(c.order), cachedBlocks)
		}
	}
	for block := range int64(total) {
		get(block)
	}
	for block := int64(50); block < total; block++ {
		if get(block); source.reads[block] != 1 {
			t.Fatalf("block %d, one of the newest, was read %d times", block, source.reads[block])
		}
	}
	if get(0); source.reads[0] != 2 {
		t.Errorf("block 0, one of the oldest, was read %d times, want twice", source.reads[0])
	}
}

// zeros is a source of so many.
type zeros struct{ size int64 }

func (z *zeros) Content() Content { return Content{Name: "zeros", Size: z.size} }
func (z *zeros) ReadAt(b []byte, offset int64) (int, error) {
	clear(b)
	if left := z.size - offset; int64(len(b)) > left {
		return int(left), io.EOF
	}
	return len(b), nil
}

func TestFileChangesWhileItIsSent(t *testing.T) {
	const size = BlockSize + 5000
	path := filepath.Join(t.TempDir(), "win11.img")
	b := counted(3 * BlockSize)
	writeFile(t, path, b[:size])
	f, err := OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()

	// Longer: what was there is sent. Its last block keeps its shape, which receivers rely on.
	writeFile(t, path, b)
	p, err := newBlockCache(f).get(1)
	if err != nil {
		t.Fatal(err)
	}
	if want, _ := sourcesOf(size, 1); p.sources != want || !bytes.Equal(p.data[:5000], b[BlockSize:size]) {
		t.Errorf("longer: the last block has %d source symbols, want %d, or other bytes", p.sources, want)
	}

	for name, left := range map[string]int64{"cut in a block": BlockSize + 100, "cut between blocks": BlockSize, "empty": 0} {
		if err := os.Truncate(path, left); err != nil {
			t.Fatal(err)
		}
		c := newBlockCache(f)
		if _, err := c.get(1); err == nil || !strings.Contains(err.Error(), "win11.img") || !strings.Contains(err.Error(), "changed") {
			t.Errorf("%s: got error %v, want one that names the file and asks whether it was changed", name, err)
		}
		if len(c.blocks) != 0 {
			t.Errorf("%s: what could not be read is in the cache", name)
		}
	}
}

func TestCacheOfAStream(t *testing.T) {
	b := counted(BlockSize + 5000)
	s := NewStream(bytes.NewReader(b), "disk")
	fill(t, s)
	c := newBlockCache(s)
	for block, want := range []int{sourceSymbols, 4} {
		p, err := c.get(int64(block))
		if err != nil || p.sources != want || !bytes.Equal(p.data[:min(BlockSize, len(b)-block*BlockSize)], b[block*BlockSize:min(len(b), (block+1)*BlockSize)]) {
			t.Errorf("block %d: %v, or not %d symbols of its bytes", block, err, want)
		}
	}
	if _, err := newBlockCache(NewStream(nil, "disk")).get(0); !errors.Is(err, ErrGone) {
		t.Errorf("a block that is not kept: got %v, want ErrGone", err)
	}
}
