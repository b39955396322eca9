package torrent

import (
	"slices"
	"testing"
	"time"

	"aula/imagestore/torrent/wire"
)

// has says that a peer has a piece.
func has(p *peer, index int) { _ = p.obey(wire.Message{Kind: wire.Have, Piece: uint32(index)}) }

// While nobody leaves, each piece is told to one peer, until all have been.
func TestEachPieceIsGivenOnce(t *testing.T) {
	const pieces = 60
	s := still(t, pieces, 256<<10, Seeder, true)
	peers := []*peer{guest(t, s, 1), guest(t, s, 2), guest(t, s, 3)}
	given, done := make([]int, pieces), 0
	handled := map[*peer]int{}
	for done < pieces {
		s.look(time.Now())
		before := done
		for _, p := range peers {
			for _, i := range p.toldOf() {
				if p.has.has(i) || done == pieces { // second copies follow the last of the first at once
					continue
				}
				if given[i]++; given[i] > 1 {
					t.Fatalf("piece %d is given twice, and %d have not been given", i, pieces-done)
				}
				handled[p]++
				done++
				has(p, i)
				break
			}
		}
		if done == before {
			t.Fatalf("nothing is given any more, and %d pieces have not been", pieces-done)
		}
	}
	for p, n := range handled {
		if n < pieces/6 {
			t.Errorf("%s was given %d of %d pieces", p.address, n, pieces)
		}
	}
}

// What only a peer had that is gone is given again.
func TestWhatIsGoneIsGivenAgain(t *testing.T) {
	s := still(t, 2, 256<<10, Seeder, true)
	first := guest(t, s, 1)
	s.look(time.Now())
	if got := first.toldOf(); !slices.Equal(got, []int{0, 1}) {
		t.Fatalf("the only peer is given %v", got)
	}
	has(first, 0)
	second := guest(t, s, 2)
	has(second, 0)
	third := guest(t, s, 3)
	s.look(time.Now())
	if slices.Contains(third.toldOf(), 1) || slices.Contains(second.toldOf(), 1) {
		t.Error("a piece that is on its way to another is given")
	}
	s.left(first) // with piece 1, on its way
	if !slices.Contains(third.toldOf(), 1) && !slices.Contains(second.toldOf(), 1) {
		t.Error("a piece that was on its way to one who is gone is not given again")
	}
}

// Second copies are of the pieces that the fewest have.
func TestSecondCopiesAreOfTheRarest(t *testing.T) {
	s := still(t, 4, 256<<10, Seeder, true)
	a, b, c := guest(t, s, 1), guest(t, s, 2), guest(t, s, 3)
	for i := range 4 {
		has(a, i)
	}
	for i := range 3 {
		has(b, i)
	}
	for _, i := range []int{0, 2} {
		has(c, i)
	}
	s.look(time.Now())
	if got := append(b.toldOf(), c.toldOf()...); !slices.Contains(got, 3) {
		t.Errorf("piece 3, which one has, is not given; given: %v", got)
	}
}

// Who shares nothing until it is complete is told of everything, and so is who does not get on.
func TestWhoIsToldOfEverything(t *testing.T) {
	s := still(t, 50, 256<<10, Seeder, true)
	silent, slow, quick := guest(t, s, 1), guest(t, s, 2), guest(t, s, 3)
	_ = silent.obey(wire.Message{Kind: wire.Extended, Body: wire.Extensions{Client: "Aula", Silent: true}.Append(nil)})
	if !silent.told.full() {
		t.Errorf("a silent peer is told of %d of 50 pieces", silent.told.count)
	}
	slow.grew = time.Now().Add(-2 * givingStalls)
	s.look(time.Now())
	if !slow.told.full() {
		t.Errorf("a peer that does not get on is told of %d of 50 pieces", slow.told.count)
	}
	if quick.told.full() {
		t.Error("a peer that gets on is told of everything")
	}
}

// A gift that does not arrive is given to another.
func TestGiftThatDoesNotArrive(t *testing.T) {
	s := still(t, 1, 256<<10, Seeder, true)
	slow := guest(t, s, 1)
	s.look(time.Now())
	if !slow.told.has(0) {
		t.Fatal("nothing is given")
	}
	other := guest(t, s, 2)
	s.look(time.Now())
	if other.told.has(0) {
		t.Error("it is given to another at once")
	}
	other.grew = time.Now().Add(time.Hour) // it gets on
	s.look(time.Now().Add(givingStalls + time.Second))
	if !other.told.has(0) {
		t.Error("it is never given to another")
	}
}
