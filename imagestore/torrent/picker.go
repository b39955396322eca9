package torrent

import (
	"math/rand/v2"
	"slices"
	"time"

	"aula/imagestore/torrent/metainfo"
)

// unitSize is what a block of any client can be: larger requests of Aulas are of several units in a row.
const unitSize = 16 << 10

// A picker decides which bytes to ask whom for. It knows the pieces that are had, those that are being fetched, and how many peers have each.
//
// Pieces that are begun are finished first, so that they can be passed on; of the others, one that the fewest have is begun: what only one
// peer has is what the room lacks most. When every byte that is missing has been asked for, the slowest are asked for again of
// others, so that one slow peer does not hold the end.
type picker struct {
	torrent *metainfo.Torrent
	missing bitset // pieces neither had nor begun
	holders []int  // how many of the connected peers have each piece
	begun   []*piece
	room    int64    // bytes of pieces that may be begun in all
	held    int64    // bytes of pieces that are begun or being checked
	spare   [][]byte // buffers of pieces that were let go
	random  *rand.Rand
}

// A piece is one that has been begun.
type piece struct {
	index int
	buf   []byte
	units []unit
	left  int // units that have not come
	free  int // units that nobody was asked for
	rest  int // where the first of them may be

	// A piece that came wrong from several peers is fetched again from one alone, to find out who lied.
	single bool
	alone  *peer   // that one, once chosen
	tried  []*peer // that were, and did not give it
	wrong  []contribution
	since  time.Time // when it came wrong
}

// A unit is 16 KiB of a piece, or what is left at its end.
type unit struct {
	state unitState
	asked uint8 // requests that are out for it
	from  *peer // who sent it
}

type unitState uint8

const (
	unitFree unitState = iota
	unitAsked
	unitComing // its bytes are being read from a connection
	unitHere
)

// A span is some units in a row of a begun piece.
type span struct {
	piece *piece
	first int
	count int
}

func (s span) begin() int { return s.first * unitSize }

func (s span) length() int { return min((s.first+s.count)*unitSize, len(s.piece.buf)) - s.begin() }

func newPicker(t *metainfo.Torrent, have []bool, room int64) *picker {
	p := &picker{torrent: t, missing: newBitset(t.Count()), holders: make([]int, t.Count()), room: room,
		random: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))}
	for i := range t.Count() {
		if !have[i] {
			p.missing.set(i)
		}
	}
	return p
}

// wants tells whether a peer that has these pieces has one that is missing or not complete.
func (p *picker) wants(has *bitset) bool {
	for i, w := range p.missing.words {
		if w&has.words[i] != 0 {
			return true
		}
	}
	for _, b := range p.begun {
		if b.left > 0 && has.has(b.index) {
			return true
		}
	}
	return false
}

// pick chooses at most so many units to ask the peer for, and marks them as asked; nothing when there is nothing to ask of it.
func (p *picker) pick(from *peer, units int) (span, bool) {
	for _, b := range p.begun {
		if b.free > 0 && from.has.has(b.index) && b.takes(from) {
			return b.ask(units), true
		}
	}
	if b := p.begin(from); b != nil {
		return b.ask(units), true
	}
	return span{}, false
}

// again chooses units that others were asked for and that have not come, when nothing that this peer has is free; most is how many may be
// asked for the same.
func (p *picker) again(from *peer, units, most int) (span, bool) {
	for _, b := range p.begun {
		if b.left == 0 || b.single || !from.has.has(b.index) {
			continue
		}
		for i := range b.units {
			u := &b.units[i]
			if u.state != unitAsked || int(u.asked) >= most || from.asked(b, i) {
				continue
			}
			s := span{piece: b, first: i}
			for s.count < units && i+s.count < len(b.units) {
				if u := &b.units[i+s.count]; u.state != unitAsked || int(u.asked) >= most || from.asked(b, i+s.count) {
					break
				}
				b.units[i+s.count].asked++
				s.count++
			}
			return s, true
		}
	}
	return span{}, false
}

// begin begins the piece of the peer's that the fewest have; nil if it has none, or if too much is begun.
func (p *picker) begin(from *peer) *piece {
	if p.held+p.torrent.PieceLength > p.room && p.held > 0 {
		return nil
	}
	best, ties := -1, 0
	for w, word := range p.missing.words {
		if word &= from.has.words[w]; word == 0 {
			continue
		}
		for i := w * 64; word != 0; i, word = i+1, word>>1 {
			switch {
			case word&1 == 0:
			case best < 0 || p.holders[i] < p.holders[best]:
				best, ties = i, 1
			case p.holders[i] == p.holders[best]:
				if ties++; p.random.IntN(ties) == 0 {
					best = i
				}
			}
		}
	}
	if best < 0 {
		return nil
	}
	p.missing.clear(best)
	b := p.newPiece(best)
	p.held += int64(len(b.buf))
	p.begun = append(p.begun, b)
	return b
}

func (p *picker) newPiece(index int) *piece {
	size := p.torrent.Size(index)
	n := int((size + unitSize - 1) / unitSize)
	return &piece{index: index, buf: p.buffer()[:size], units: make([]unit, n), left: n, free: n}
}

// buffer is for a piece of any length.
func (p *picker) buffer() []byte {
	last := len(p.spare) - 1
	if last < 0 {
		return make([]byte, p.torrent.PieceLength)
	}
	b := p.spare[last]
	p.spare = p.spare[:last]
	return b
}

// patience is how long a piece that came wrong waits for a peer that had no part in it.
const patience = 3 * time.Second

// takes tells whether the peer may be asked for units of the piece.
func (b *piece) takes(from *peer) bool {
	if !b.single {
		return true
	}
	if b.alone == nil && (!b.suspects(from) || time.Since(b.since) > patience) {
		b.alone = from
	}
	return b.alone == from
}

// ask marks the first free units as asked, at most that many in a row.
func (b *piece) ask(most int) span {
	for b.units[b.rest].state != unitFree {
		b.rest++
	}
	s := span{piece: b, first: b.rest}
	for s.count < most && b.rest < len(b.units) && b.units[b.rest].state == unitFree {
		b.units[b.rest] = unit{state: unitAsked, asked: 1}
		b.rest++
		s.count++
	}
	b.free -= s.count
	return s
}

// release takes back that a peer was asked for the span.
func (p *picker) release(s span) {
	b := s.piece
	for i := s.first; i < s.first+s.count; i++ {
		u := &b.units[i]
		if u.asked > 0 {
			u.asked--
		}
		if u.state == unitAsked && u.asked == 0 {
			u.state = unitFree
			b.free++
			b.rest = min(b.rest, i)
		}
	}
}

// drop takes a piece out of those begun, and tells whether it was; its bytes count as held until they are let go.
func (p *picker) drop(b *piece) bool {
	i := slices.Index(p.begun, b)
	if i < 0 {
		return false
	}
	p.begun = slices.Delete(p.begun, i, i+1)
	return true
}

// letGo frees the bytes of a piece that was dropped.
func (p *picker) letGo(b *piece) {
	p.held -= int64(len(b.buf))
	if p.missing.count > 0 {
		p.spare = append(p.spare, b.buf[:cap(b.buf)])
	}
	b.buf = nil
}

// ending tells whether every unit that is missing has been asked for.
func (p *picker) ending() bool {
	if p.missing.count > 0 {
		return false
	}
	for _, b := range p.begun {
		if b.free > 0 {
			return false
		}
	}
	return true
}
