package torrent

import (
	"fmt"
	"net/netip"

	"aula/imagestore/torrent/wire"
)

// greet is the first that a peer is told, after the handshake: what we have (BEP 3 and 6 want that before all else), and what we can beyond BEP 3.
func (s *swarm) greet(p *peer) {
	tells := s.sharing() && s.giving == nil && s.readable.count > 0
	if s.forgets() {
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
	if !p.extended {
		return
	}
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
		s.contacts.taken(p.listen, true)
	}
	if s.forgets() && first && says.DontHave != 0 && s.sharing() {
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

// close ends a connection; who reads and writes it notices.
func (s *swarm) close(p *peer) {
	if !p.closed {
		p.closed = true
		_ = p.conn.Close()
	}
}

// joined takes a peer in and greets it; an error says why not.
func (s *swarm) joined(p *peer) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended {
		return fmt.Errorf("the torrent is not open any more")
	}
	if _, bad := s.banned[p.address.Addr()]; bad {
		return fmt.Errorf("it sent wrong bytes before")
	}
	most := mostPeers
	if s.have.full() {
		most = mostAtOrigin
	}
	if len(s.peers) >= most {
		return fmt.Errorf("there are %d peers already", most)
	}
	from := 0
	for other := range s.peers {
		if other.address.Addr() == p.address.Addr() {
			from++
		}
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
	if from >= mostOfOne && !p.address.Addr().IsLoopback() {
		return fmt.Errorf("%d peers of its address are connected already", from)
	}
	s.peers[p] = struct{}{}
	s.talks.Add(1)
	s.greet(p) // before anybody tells it of a piece
	return nil
}

// refused forgets that the listener of a peer that was not taken in is connected, unless it is by another connection.
func (s *swarm) refused(p *peer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.listen.IsValid() && !s.listensAt(p.listen) {
		s.contacts.taken(p.listen, false)
	}
}

// left takes a peer out, and tells whether both had everything.
func (s *swarm) left(p *peer) (done bool) {
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
	if p.listen.IsValid() && !s.listensAt(p.listen) {
		s.contacts.taken(p.listen, false)
	}
	return s.have.full() && p.has.full()
}

// listensAt tells whether a peer that takes connections there is connected.
func (s *swarm) listensAt(a netip.AddrPort) bool {
	for p := range s.peers {
		if p.listen == a {
			return true
		}
	}
	return false
}
