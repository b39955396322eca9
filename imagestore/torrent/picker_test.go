package torrent

import (
	"math/rand/v2"
	"testing"
	"time"
)

// everything is what a peer has that has all.
func everything(p *picker) *peer {
	from := &peer{has: newBitset(p.torrent.Count())}
	for i := range p.torrent.Count() {
		from.has.set(i)
	}
	return from
}

// pickerOf is the picker of a torrent with nothing had yet.
func pickerOf(t *testing.T, pieces int, pieceLength, room int64) *picker {
	s := still(t, pieces, pieceLength, Peer, false)
	p := newPicker(s.meta, make([]bool, pieces), room)
	p.random = rand.New(rand.NewPCG(3, 4))
	return p
}

func TestPickerBeginsTheRarest(t *testing.T) {
	p := pickerOf(t, 100, 64<<10, 64<<20)
	r := rand.New(rand.NewPCG(5, 6))
	for i := range p.holders {
		p.holders[i] = 1 + r.IntN(3)
	}
	from := everything(p)
	last := 0
	for range 100 {
		s, ok := p.pick(from, 4)
		if !ok || s.count != 4 {
			t.Fatalf("of a new piece, %d of 4 units are picked", s.count)
		}
		if n := p.holders[s.piece.index]; n < last {
			t.Fatalf("a piece that %d have is begun after one that %d have", n, last)
		} else {
			last = n
		}
	}
	if s, ok := p.pick(from, 4); ok {
		t.Errorf("piece %d is picked, and all were", s.piece.index)
	}
}

// Of pieces that are equally rare, any may be the first: a room that fetched them in one order would have nothing to share.
func TestPickerDoesNotPickInOrder(t *testing.T) {
	first := map[int]bool{}
	p := pickerOf(t, 64, 16<<10, 64<<20)
	from := everything(p)
	for range 20 {
		s, _ := p.pick(from, 1)
		first[s.piece.index] = true
		p.release(s)
		p.drop(s.piece)
		p.letGo(s.piece)
		p.missing.set(s.piece.index)
	}
	if len(first) < 10 {
		t.Errorf("of 64 pieces, 20 picks take %d different ones", len(first))
	}
}

func TestPickerFinishesWhatIsBegun(t *testing.T) {
	p := pickerOf(t, 8, 64<<10, 64<<20)
	from, other := everything(p), everything(p)
	a, _ := p.pick(from, 1)
	for i := range 3 {
		if s, _ := p.pick(other, 1); s.piece != a.piece || s.first != i+1 {
			t.Fatalf("unit %d of piece %d is picked while piece %d is begun", s.first, s.piece.index, a.piece.index)
		}
	}
	if s, _ := p.pick(other, 1); s.piece == a.piece {
		t.Error("a unit is picked twice")
	}
	// What is given back is picked again, before another piece is begun.
	p.release(a)
	if s, _ := p.pick(other, 4); s.piece != a.piece || s.first != 0 || s.count != 1 {
		t.Errorf("instead of what was given back, %d units from %d of piece %d are picked", s.count, s.first, s.piece.index)
	}
}

func TestPickerPicksWhatThePeerHas(t *testing.T) {
	p := pickerOf(t, 8, 32<<10, 64<<20)
	from := &peer{has: newBitset(8)}
	if p.wants(&from.has) {
		t.Error("something is wanted of a peer that has nothing")
	}
	from.has.set(5)
	if !p.wants(&from.has) {
		t.Error("nothing is wanted of a peer that has piece 5")
	}
	if s, ok := p.pick(from, 9); !ok || s.piece.index != 5 || s.count != 2 {
		t.Errorf("of a peer that has piece 5, piece %d is picked", s.piece.index)
	}
	if _, ok := p.pick(from, 1); ok {
		t.Error("more is picked than the peer has")
	}
}

// No more bytes are begun than there is room for, but one piece always.
func TestPickerKeepsItsRoom(t *testing.T) {
	const length = 64 << 10
	p := pickerOf(t, 16, length, 3*length)
	p.missing.clear(15) // the shorter one
	from := everything(p)
	var begun []*piece
	for {
		s, ok := p.pick(from, 100)
		if !ok {
			break
		}
		begun = append(begun, s.piece)
	}
	if len(begun) != 3 || p.held != 3*length {
		t.Fatalf("%d pieces are begun, of %d bytes", len(begun), p.held)
	}
	p.drop(begun[0]) // it is being checked
	if _, ok := p.pick(from, 1); ok {
		t.Error("a piece that is being checked makes room")
	}
	p.letGo(begun[0])
	if _, ok := p.pick(from, 1); !ok {
		t.Error("a piece that is stored makes no room")
	}
	if large := pickerOf(t, 4, 1<<20, 1); large.begin(everything(large)) == nil {
		t.Error("a piece that is larger than the room is never begun")
	}
}

// In the end the same is asked of two, and never twice of one.
func TestPickerAsksAgainInTheEnd(t *testing.T) {
	p := pickerOf(t, 2, 64<<10, 64<<20)
	slow, quick, third := everything(p), everything(p), everything(p)
	for {
		s, ok := p.pick(slow, 2)
		if !ok {
			break
		}
		slow.requests = append(slow.requests, request{span: s})
	}
	if !p.ending() {
		t.Fatal("all units are asked for, and it is not the end")
	}
	if _, ok := p.again(slow, 2, 2); ok {
		t.Error("a peer is asked again for what it was asked for")
	}
	seen := map[unitOf]bool{}
	for {
		s, ok := p.again(quick, 2, 2)
		if !ok {
			break
		}
		quick.requests = append(quick.requests, request{span: s})
		for i := s.first; i < s.first+s.count; i++ {
			if seen[unitOf{s.piece.index, i}] {
				t.Fatalf("unit %d of piece %d is asked twice of one peer", i, s.piece.index)
			}
			seen[unitOf{s.piece.index, i}] = true
		}
	}
	if len(seen) != 8 {
		t.Errorf("%d of 8 units are asked for again", len(seen))
	}
	if _, ok := p.again(third, 2, 2); ok {
		t.Error("a third is asked for what two were asked for")
	}
	// One of the two gives up: the units are still asked for. Then the other: they are free.
	for _, r := range slow.requests {
		p.release(r.span)
	}
	if !p.ending() {
		t.Error("units that one of two was asked for are free")
	}
	for _, r := range quick.requests {
		p.release(r.span)
	}
	if p.ending() {
		t.Error("units that nobody is asked for are not free")
	}
}

type unitOf struct{ piece, unit int }

// A piece that came wrong is fetched from one alone, at first not from those who had a part in it.
func TestPieceThatCameWrong(t *testing.T) {
	p := pickerOf(t, 1, 64<<10, 64<<20)
	suspect, other, third := everything(p), everything(p), everything(p)
	s, _ := p.pick(suspect, 1)
	b := s.piece
	p.release(s)
	b.single, b.wrong, b.since = true, []contribution{{from: suspect}}, time.Now()
	if _, ok := p.pick(suspect, 1); ok {
		t.Error("it is fetched from one who may have sent it wrong")
	}
	if s, ok := p.pick(other, 1); !ok || s.piece != b {
		t.Fatal("it is not fetched from another")
	}
	if _, ok := p.pick(third, 1); ok {
		t.Error("it is fetched from two")
	}
	// When there is nobody else, one who had a part in it must do.
	b.alone, b.since = nil, time.Now().Add(-time.Hour)
	if _, ok := p.pick(suspect, 1); !ok {
		t.Error("it is fetched from nobody")
	}
}

// Whatever happens, what is counted is what there is.
func TestPickerAtRandom(t *testing.T) {
	for seed := range uint64(20) {
		p := pickerOf(t, 12, 128<<10, 512<<10)
		r := rand.New(rand.NewPCG(seed, 9))
		peers := []*peer{everything(p), everything(p), everything(p)}
		for step := 0; p.missing.count > 0 || len(p.begun) > 0; step++ {
			if step > 100000 {
				t.Fatalf("seed %d: it does not end", seed)
			}
			from := peers[r.IntN(len(peers))]
			switch r.IntN(4) {
			case 0, 1:
				s, ok := p.pick(from, 1+r.IntN(4))
				if !ok {
					s, ok = p.again(from, 1+r.IntN(4), 2)
				}
				if ok {
					from.requests = append(from.requests, request{span: s})
				}
			case 2: // it comes
				if len(from.requests) == 0 {
					continue
				}
				s := from.requests[0].span
				from.requests = from.requests[1:]
				for i := range s.units() {
					if u := &s.units()[i]; u.state != unitHere {
						u.state = unitHere
						s.piece.left--
					}
				}
				p.release(s)
				if s.piece.left == 0 && p.drop(s.piece) {
					p.letGo(s.piece)
				}
			case 3: // it does not
				for _, q := range from.requests {
					p.release(q.span)
				}
				from.requests = nil
			}
			checkPicker(t, p, peers)
		}
		if p.held != 0 {
			t.Errorf("seed %d: %d bytes are held of nothing", seed, p.held)
		}
	}
}

func checkPicker(t *testing.T, p *picker, peers []*peer) {
	t.Helper()
	for _, b := range p.begun {
		free, left := 0, 0
		for i, u := range b.units {
			asked := 0
			for _, q := range peers {
				if q.asked(b, i) {
					asked++
				}
			}
			if u.state != unitHere {
				left++
				if int(u.asked) != asked {
					t.Fatalf("unit %d of piece %d counts %d requests, and there are %d", i, b.index, u.asked, asked)
				}
			}
			if u.state == unitFree {
				free++
				if i < b.rest {
					t.Fatalf("unit %d of piece %d is free, and looked for from %d on", i, b.index, b.rest)
				}
			}
		}
		if free != b.free || left != b.left {
			t.Fatalf("piece %d: %d units are free and %d lack; it counts %d and %d", b.index, free, left, b.free, b.left)
		}
	}
}
