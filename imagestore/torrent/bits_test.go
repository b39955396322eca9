package torrent

import (
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
)

// A bitset is as a map of what is set, whatever is done with it.
func TestBitset(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for _, size := range []int{0, 1, 7, 8, 63, 64, 65, 128, 1000} {
		b, model := newBitset(size), map[int]bool{}
		for range 10 * size {
			i := r.IntN(size)
			if r.IntN(2) == 0 {
				if b.set(i) == model[i] {
					t.Fatalf("size %d: setting %d tells what is not so", size, i)
				}
				model[i] = true
			} else {
				if b.clear(i) != model[i] {
					t.Fatalf("size %d: clearing %d tells what is not so", size, i)
				}
				delete(model, i)
			}
			if b.count != len(model) || b.full() != (len(model) == size) || b.has(i) != model[i] {
				t.Fatalf("size %d: %d are set, of %d", size, b.count, len(model))
			}
		}
		want := slices.Sorted(maps.Keys(model))
		if got := slices.Collect(b.all); !slices.Equal(got, want) {
			t.Fatalf("size %d: %v are set, not %v", size, got, want)
		}
		again := newBitset(size)
		again.load(b.field())
		if !slices.Equal(again.words, b.words) || again.count != b.count {
			t.Errorf("size %d: a bitfield is not read as it was written", size)
		}
	}
}

// The first piece is the highest bit of the first byte (BEP 3).
func TestBitfieldOrder(t *testing.T) {
	b := newBitset(10)
	b.set(0)
	b.set(9)
	if got := b.field(); !slices.Equal(got, []byte{0x80, 0x40}) {
		t.Errorf("the bitfield is %x", got)
	}
}
