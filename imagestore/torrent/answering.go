package torrent

import (
	"errors"
	"fmt"
	"time"

	"aula/imagestore/torrent/wire"
)

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

// unsaid takes what is to be said to a peer.
func (s *swarm) unsaid(p *peer, b []byte) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	b = append(b, p.control...)
	p.control = p.control[:0]
	return b
}

// next is the block to be sent to a peer next, if it waits for one.
func (s *swarm) next(p *peer) (wire.Message, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(p.serves) > 0 {
		m := p.serves[0]
		p.serves = p.serves[1:]
		if s.readable.has(int(m.Piece)) {
			return m, true
		}
		s.reject(p, m) // it was forgotten meanwhile
	}
	p.serves = nil
	return wire.Message{}, false
}

// unreadable takes that a block cannot be read: one that was forgotten meanwhile is refused, anything else ends the torrent.
func (s *swarm) unreadable(p *peer, m wire.Message, err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.forgets() && errors.Is(err, ErrGone) {
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
	p.took = time.Now()
	s.up.add(n)
}
