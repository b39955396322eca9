package torrent

import (
	"errors"
	"fmt"
	"net/netip"
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

// greet is the first that a peer is told, after the handshake.
func (s *swarm) greet(p *peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	tells := s.sharing() && s.giving == nil && s.readable.count > 0
	if _, forgets := s.storage.(Forgetful); forgets {
		tells = false // until it has said that it understands lt_donthave
	}
	switch {
	case tells && p.fast && s.readable.full():
		p.say(wire.Message{Kind: wire.HaveAll})
	case tells:
		p.say(wire.Message{Kind: wire.Bitfield, Bits: s.readable.field()})
	case p.fast:
		p.say(wire.Message{Kind: wire.HaveNone})
	}
	if tells {
		for i := range s.readable.all {
			p.told.set(i)
		}
	}
	if s.sharing() {
		s.unchoke(p)
	}
}

// introduce tells what we can beyond BEP 3.
func (s *swarm) introduce(p *peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.say(wire.Message{Kind: wire.Extended, Body: wire.Extensions{
		Client: s.client.name, Listen: s.client.Port(), Requests: mostRequests, DontHave: dontHaveNumber,
		UploadOnly: s.have.full(), Block: largestRequest, Silent: !s.sharing(),
	}.Append(nil)})
}

func (s *swarm) unchoke(p *peer) {
	if p.choking {
		p.choking = false
		p.say(wire.Message{Kind: wire.Unchoke})
	}
}

// extended takes a message of the extension protocol.
func (s *swarm) extended(p *peer, m wire.Message) error {
	switch m.Number {
	case 0:
		says, err := wire.ParseExtensions(m.Body)
		if err != nil {
			return fmt.Errorf("%w: %w", errRude, err)
		}
		s.introduced(p, says)
	case dontHaveNumber:
		index, err := wire.ParseDontHave(m.Body)
		if err != nil || int(index) >= s.meta.Count() {
			return fmt.Errorf("%w: it has not what does not exist", errRude)
		}
		s.lost(p, int(index))
	}
	return nil
}

func (s *swarm) introduced(p *peer, says wire.Extensions) {
	first := p.says.Client == ""
	p.says = says
	if says.Listen != 0 && !p.listen.IsValid() {
		p.listen = netip.AddrPortFrom(p.address.Addr(), says.Listen)
		s.contacts.connected(p.listen)
	}
	if _, forgets := s.storage.(Forgetful); forgets && first && says.DontHave != 0 && s.sharing() {
		for i := range s.readable.all {
			s.tell(p, i)
		}
	}
	if s.giving != nil {
		if says.Silent {
			s.giving.tellAll(p)
		}
		s.giving.give()
	}
	s.leaveIfDone(p)
}

// gained notes that a peer has a piece.
func (s *swarm) gained(p *peer, index int) {
	if !p.has.set(index) {
		return
	}
	s.picker.holders[index]++
	if s.giving != nil {
		s.giving.gained(p, index)
		s.leaveIfDone(p)
		return
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
	for i := range field.all {
		if p.has.set(i) {
			s.picker.holders[i]++
			if s.giving != nil {
				s.giving.gained(p, i)
			}
		}
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
	s.excuse(p)
	kept := p.requests[:0]
	for _, r := range p.requests {
		if r.piece.index == index {
			s.picker.release(r.span)
			p.asking -= int64(r.length())
			continue
		}
		kept = append(kept, r)
	}
	p.requests = kept
	s.fillAll()
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
		if !ok && len(p.requests) == 0 && s.picker.ending() {
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
	if p.says.Block <= unitSize {
		return foreignBlock / unitSize, min(max(int64(p.down.rate*foreignHorizon.Seconds()), leastForeign), mostAsking), most
	}
	// A tenth of a second's: small enough that several peers share in a piece.
	block := max(64<<10, min(int64(p.down.rate/10), int64(p.says.Block), largestRequest))
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
			s.wasted += unitSize
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
			s.excuse(p)
			return // what to do instead is decided at the next tick: this peer would be asked for the same at once
		}
	}
}

// releaseAll takes back all that a peer was asked for.
func (s *swarm) releaseAll(p *peer) {
	s.excuse(p)
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

// requested queues what a peer asks for.
func (s *swarm) requested(p *peer, m wire.Message) error {
	end := uint64(m.Begin) + uint64(m.Length)
	if m.Length == 0 || m.Length > largestAsked || end > uint64(s.meta.Size(int(m.Piece))) {
		return fmt.Errorf("%w: it asks for %d bytes at %d of piece %d", errRude, m.Length, m.Begin, m.Piece)
	}
	if len(p.serves) >= 2*mostRequests {
		return fmt.Errorf("%w: it keeps more than %d requests waiting", errRude, 2*mostRequests)
	}
	if p.choking || !p.told.has(int(m.Piece)) {
		s.reject(p, m)
		return nil
	}
	p.serves = append(p.serves, m)
	p.stir()
	return nil
}

func (s *swarm) reject(p *peer, m wire.Message) {
	if p.fast {
		p.say(wire.Message{Kind: wire.Reject, Piece: m.Piece, Begin: m.Begin, Length: m.Length})
	}
}

// cancelled takes a request back that has not been answered.
func (s *swarm) cancelled(p *peer, m wire.Message) {
	for i, r := range p.serves {
		if r.Piece == m.Piece && r.Begin == m.Begin && r.Length == m.Length {
			p.serves = append(p.serves[:i], p.serves[i+1:]...)
			s.reject(p, m)
			return
		}
	}
}

// next is what to write to a peer next: what is to be said, and a block to send.
func (s *swarm) next(p *peer, control []byte) ([]byte, wire.Message, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(p.serves) > 0 {
		m := p.serves[0]
		p.serves = p.serves[1:]
		if !s.readable.has(int(m.Piece)) { // forgotten meanwhile
			s.reject(p, m)
			continue
		}
		control = append(control, p.control...)
		p.control = p.control[:0]
		return control, m, true
	}
	p.serves = nil
	control = append(control, p.control...)
	p.control = p.control[:0]
	return control, wire.Message{}, false
}

// unreadable takes that a block cannot be read: one that was forgotten meanwhile is refused, anything else ends the torrent.
func (s *swarm) unreadable(p *peer, m wire.Message, err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, forgets := s.storage.(Forgetful); forgets && errors.Is(err, ErrGone) {
		s.reject(p, m)
		return nil
	}
	err = fmt.Errorf("read piece %d of %s to share it: %w", m.Piece, s.meta.Name, err)
	select {
	case s.failed <- err:
	default: // another peer's write was the first
	}
	return err
}

func (s *swarm) sent(p *peer, n int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p.up.add(n)
	s.up.add(n)
}

// close ends a connection; who reads and writes it notices.
func (s *swarm) close(p *peer) {
	if !p.closed {
		p.closed = true
		_ = p.conn.Close()
	}
}

// joined takes a peer in; an error says why not.
func (s *swarm) joined(p *peer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return fmt.Errorf("the torrent is not open any more")
	}
	if _, bad := s.banned[p.address.Addr()]; bad {
		return fmt.Errorf("it sent wrong bytes before")
	}
	for other := range s.peers {
		if other.id != p.id || other.closed {
			continue
		}
		// Both dialled each other: the connection of the one with the larger ID stays.
		ours := string(s.client.id[:]) > string(p.id[:])
		if other.dialled == p.dialled || other.dialled == ours {
			return fmt.Errorf("it is connected already")
		}
		s.close(other)
	}
	s.peers[p] = struct{}{}
	s.talks.Add(1)
	return nil
}

// left takes a peer out.
func (s *swarm) left(p *peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.close(p)
	delete(s.peers, p)
	for i := range p.has.all {
		s.picker.holders[i]--
	}
	s.releaseAll(p)
	if s.giving != nil {
		s.giving.left(p)
	}
	for other := range s.peers {
		if other.listen == p.listen {
			return // it is connected all the same
		}
	}
	s.contacts.gone(p)
}
