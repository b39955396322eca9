package multicast

import (
	"slices"
	"testing"
)

func TestBlocks(t *testing.T) {
	t.Parallel()
	var s Blocks
	for _, n := range []int64{0, 1, 63, 64, 65, 1023, 1024, 5000, 64, 0} {
		s.Add(n)
	}
	in := []int64{0, 1, 63, 64, 65, 1023, 1024, 5000}
	if got := s.Len(); got != int64(len(in)) {
		t.Errorf("Len is %d, want %d: a block counts once", got, len(in))
	}
	for n := range int64(6000) {
		if got, want := s.Has(n), slices.Contains(in, n); got != want {
			t.Errorf("Has(%d) is %v, want %v", n, got, want)
		}
	}
	for _, n := range []int64{-1, 1 << 40} {
		if s.Has(n) {
			t.Errorf("Has(%d), which was never added", n)
		}
	}
	var walked []int64
	for n := s.next(0); n >= 0; n = s.next(n + 1) {
		walked = append(walked, n)
	}
	if !slices.Equal(walked, in) {
		t.Errorf("next walks over %v, want %v", walked, in)
	}
	for _, c := range []struct{ from, want int64 }{{0, 2}, {2, 2}, {63, 66}, {64, 66}, {1023, 1025}, {5000, 5001}, {1 << 40, 1 << 40}} {
		if got := s.missing(c.from); got != c.want {
			t.Errorf("missing(%d) is %d, want %d", c.from, got, c.want)
		}
	}
	if got := s.last(); got != 5000 {
		t.Errorf("last is %d, want 5000", got)
	}
	s.recount()
	if got := s.Len(); got != int64(len(in)) {
		t.Errorf("counted anew, Len is %d, want %d", got, len(in))
	}
	if got := s.next(5001); got != -1 {
		t.Errorf("next(5001) is %d, want -1", got)
	}
}

func TestBlocksMissingGoesOverFullWords(t *testing.T) {
	t.Parallel()
	var s Blocks
	for n := range int64(16 * 64) {
		s.Add(n)
	}
	for _, from := range []int64{0, 63, 64, 1000} {
		if got := s.missing(from); got != 16*64 {
			t.Errorf("missing(%d) is %d, want %d", from, got, 16*64)
		}
	}
}

func TestBlocksOfNobodyAreEmpty(t *testing.T) {
	t.Parallel()
	var none *Blocks
	if none.Has(0) || none.Len() != 0 || none.missing(7) != 7 || none.next(0) != -1 || new(Blocks).last() != -1 || none.clone().Len() != 0 {
		t.Error("a nil set is not empty")
	}
}

func TestBlocksCloneIsIndependent(t *testing.T) {
	t.Parallel()
	var s Blocks
	s.Add(3)
	c := s.clone()
	s.Add(4)
	c.Add(5)
	if !c.Has(3) || c.Has(4) || s.Has(5) || c.Len() != 2 || s.Len() != 2 {
		t.Errorf("set %v and its clone %v share blocks", s, c)
	}
}
