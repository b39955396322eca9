package torrent

import (
	"slices"
	"time"

	"aula/imagestore/torrent/wire"
)

// What a peer is asked for at once takes it so long, at its rate. Other clients may look at their requests a few times a second only, so that they
// are asked for more.
const (
	horizon        = 400 * time.Millisecond
	foreignHorizon = 1500 * time.Millisecond
	leastForeign   = 512 << 10 // bytes
	mostAsking     = 8 << 20
)

// gained notes that a peer has a piece.
func (s *swarm) gained(p *peer, index int) {
	if !p.has.set(index) {
		return
	}
	s.picker.holders[index]++
	if s.giving != nil {
		s.giving.gained(p, index)
		s.giving.give()
	}
	if !s.have.has(index) {
		s.interest(p)
		s.fill(p)
	}
	s.leaveIfDone(p)
}

// gainedMany notes what a peer has at its beginning.
func (s *swarm) gainedMany(p *peer, m wire.Message) {
	field := newBitset(s.meta.Count())
	if m.Kind == wire.Bitfield {
		field.load(m.Bits)
	} else {
		for i := range field.size {
			field.set(i)
		}
	}
	var fresh []int
	for i := range field.all {
		if p.has.set(i) {
			s.picker.holders[i]++
			fresh = append(fresh, i)
		}
	}
	if s.giving != nil {
		for _, i := range fresh {
			s.giving.gained(p, i)
		}
		s.giving.give()
	}
	if s.picker.wants(&p.has) {
		s.interest(p)
		s.fill(p)
	}
	s.leaveIfDone(p)
}

// lost notes that a peer has a piece no longer.
func (s *swarm) lost(p *peer, index int) {
	if !p.has.clear(index) {
		return
	}
	s.picker.holders[index]--
	if s.giving != nil {
		s.giving.lost(p, index)
		s.giving.give()
	}
	before := len(p.requests)
	p.requests = slices.DeleteFunc(p.requests, func(r request) bool {
		if r.piece.index != index {
			return false
		}
		s.excuse(p, r.piece)
		s.picker.release(r.span)
		p.asking -= int64(r.length())
		return true
	})
	if len(p.requests) < before {
		s.fillAll()
	}
}

func (s *swarm) interest(p *peer) {
	if !p.interested {
		p.interested = true
		p.say(wire.Message{Kind: wire.Interested})
	}
}

// fill asks a peer for as much as it can send until we look again.
func (s *swarm) fill(p *peer) {
	if p.closed || p.choked || !p.interested || s.have.full() {
		return
	}
	size, depth, most := p.appetite()
	for p.asking < depth && len(p.requests) < most {
		next, ok := s.picker.pick(p, size)
		if !ok && len(p.requests) == 0 && !p.slow && s.picker.ending() {
			next, ok = s.picker.again(p, size, 2)
		}
		if !ok {
			return
		}
		if len(p.requests) == 0 {
			p.heard = time.Now()
		}
		p.requests = append(p.requests, request{next, time.Now()})
		p.asking += int64(next.length())
		p.say(wire.Message{Kind: wire.Request, Piece: uint32(next.piece.index), Begin: uint32(next.begin()), Length: uint32(next.length())})
	}
}

func (s *swarm) fillAll() {
	for p := range s.peers {
		s.fill(p)
	}
}

// appetite is how many units to ask a peer for with one request, how many bytes to ask it for at once, and how many requests.
func (p *peer) appetite() (units int, depth int64, most int) {
	most = foreignQueue
	if p.says.Requests > 0 {
		most = min(p.says.Requests, mostRequests)
	}
	if p.slow {
		return 1, unitSize, 1
	}
	if p.says.Block <= unitSize {
		return foreignBlock / unitSize, min(max(int64(p.down.rate*foreignHorizon.Seconds()), leastForeign), mostAsking), most
	}
	// A tenth of a second's: small enough that several peers share in a piece.
	block := min(max(leastRequest, int64(p.down.rate/10)), int64(p.says.Block), largestRequest)
	return int(block / unitSize), min(max(int64(p.down.rate*horizon.Seconds()), 2*block), mostAsking), most
}

// A coming is a block that is being read from a connection.
type coming struct {
	span
	buf    []byte
	direct bool // buf is the piece's own
}

// expect tells where the bytes of a block go, if it was asked for and is still wanted.
func (s *swarm) expect(p *peer, m wire.Message) (coming, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down.add(int64(m.Length))
	for i, r := range p.requests {
		if r.piece.index != int(m.Piece) || r.begin() != int(m.Begin) || r.length() != int(m.Length) {
			continue
		}
		p.down.add(int64(m.Length))
		p.heard = time.Now()
		if p.heard.Sub(r.sent) < stalledTime/4 {
			p.slow = false
		}
		p.requests = append(p.requests[:i], p.requests[i+1:]...)
		p.asking -= int64(m.Length)
		c := coming{span: r.span, direct: true}
		for _, u := range c.units() {
			c.direct = c.direct && u.state == unitAsked
		}
		if !c.direct {
			c.buf = make([]byte, m.Length) // others send some of it as well: this is the end, and seldom
			return c, true
		}
		c.buf = r.piece.buf[r.begin() : r.begin()+r.length()]
		for j := range c.units() {
			c.units()[j].state = unitComing
		}
		return c, true
	}
	s.wasted += int64(m.Length)
	s.fill(p)
	return coming{}, false
}

func (s span) units() []unit { return s.piece.units[s.first : s.first+s.count] }

// arrived takes what was read of a block, or the end of the connection in the middle of it.
func (s *swarm) arrived(p *peer, c coming, failed error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if failed != nil {
		for i := range c.units() {
			if u := &c.units()[i]; c.direct {
				u.state = unitAsked
			}
		}
		s.picker.release(c.span)
		return
	}
	b := c.piece
	for i := range c.units() {
		u := &c.units()[i]
		if u.asked > 0 {
			u.asked--
		}
		switch {
		case c.direct:
		case u.state == unitAsked && b.buf != nil:
			at := i * unitSize
			copy(b.buf[c.begin()+at:], c.buf[at:min(at+unitSize, len(c.buf))])
		default:
			s.wasted += int64(min(unitSize, len(c.buf)-i*unitSize))
			continue
		}
		u.state, u.from = unitHere, p
		b.left--
		if u.asked > 0 {
			s.withdraw(b, c.first+i)
		}
	}
	if b.left == 0 && b.buf != nil && s.picker.drop(b) {
		s.checks <- b
	}
	s.fill(p)
}

// withdraw takes back requests for a unit that has come from another peer.
func (s *swarm) withdraw(b *piece, unit int) {
	for p := range s.peers {
		for i, r := range p.requests {
			if r.piece != b || unit < r.first || unit >= r.first+r.count || !allHere(r.units()) {
				continue
			}
			p.requests = append(p.requests[:i], p.requests[i+1:]...)
			p.asking -= int64(r.length())
			s.picker.release(r.span)
			p.say(wire.Message{Kind: wire.Cancel, Piece: uint32(b.index), Begin: uint32(r.begin()), Length: uint32(r.length())})
			break
		}
	}
}

func allHere(units []unit) bool {
	for _, u := range units {
		if u.state != unitHere {
			return false
		}
	}
	return true
}

// rejected notes that a peer will not answer a request.
func (s *swarm) rejected(p *peer, m wire.Message) {
	for i, r := range p.requests {
		if r.piece.index == int(m.Piece) && r.begin() == int(m.Begin) {
			p.requests = append(p.requests[:i], p.requests[i+1:]...)
			p.asking -= int64(r.length())
			s.picker.release(r.span)
			s.excuse(p, r.piece)
			return // what to do instead is decided at the next tick: this peer would be asked for the same at once
		}
	}
}

// stalled takes back, and cancels, what a peer was asked for and did not send in time. Until it answers soon it is asked for little: a slow one should
// send what is still wanted when it comes.
func (s *swarm) stalled(p *peer) {
	s.log.Debug("peer stands still", "peer", p.address, "requests", len(p.requests))
	for _, r := range p.requests {
		p.say(wire.Message{Kind: wire.Cancel, Piece: uint32(r.piece.index), Begin: uint32(r.begin()), Length: uint32(r.length())})
	}
	s.releaseAll(p)
	p.slow, p.down.rate = true, 0
}

// releaseAll takes back all that a peer was asked for.
func (s *swarm) releaseAll(p *peer) {
	for _, b := range s.picker.begun {
		s.excuse(p, b)
	}
	for _, r := range p.requests {
		s.picker.release(r.span)
	}
	p.requests, p.asking = nil, 0
	for other := range s.peers {
		if other != p {
			s.fill(other)
		}
	}
}
