package torrent

import (
	"testing"
	"time"

	"aula/imagestore/torrent/wire"
)

// A ban is of an address, and of nobody else's.
func TestBan(t *testing.T) {
	s := still(t, 4, 64<<10, Peer, false)
	liar, other := guest(t, s, 1), guest(t, s, 2)
	s.mu.Lock()
	s.ban(liar, 0)
	s.mu.Unlock()
	if !liar.closed || other.closed {
		t.Errorf("closed: the liar %t, the other %t", liar.closed, other.closed)
	}
	if b := s.status().Banned; len(b) != 1 || b[0] != liar.address.Addr() {
		t.Errorf("banned: %v", b)
	}
	again := s.newPeer(liar.conn, wire.Handshake{Peer: wire.NewPeerID()})
	again.address = liar.address
	if s.joined(again) == nil {
		t.Error("it is taken in again")
	}
}

// A peer that a piece is to be fetched from alone, and that stands still, holds nobody up for ever.
func TestAloneStandsStill(t *testing.T) {
	for _, test := range []struct {
		name  string
		fails func(s *swarm, p *peer)
	}{
		{"stands still", func(s *swarm, p *peer) { p.heard = time.Now().Add(-time.Hour) }},
		{"chokes", func(s *swarm, p *peer) {
			p.fast = false
			_ = p.obey(wire.Message{Kind: wire.Choke})
		}},
		{"rejects", func(s *swarm, p *peer) {
			for _, r := range append([]request(nil), p.requests...) {
				_ = p.obey(wire.Message{Kind: wire.Reject, Piece: 0, Begin: uint32(r.begin()), Length: uint32(r.length())})
			}
			_ = p.obey(wire.Message{Kind: wire.Choke})
		}},
		{"forgets", func(s *swarm, p *peer) {
			_ = p.obey(wire.Message{Kind: wire.Extended, Number: dontHaveNumber, Body: wire.AppendDontHave(nil, 0)})
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := still(t, 1, 64<<10, Peer, false)
			bad := guest(t, s, 1)
			_ = bad.obey(wire.Message{Kind: wire.HaveAll})
			if len(bad.requests) == 0 {
				t.Fatal("it is asked for nothing")
			}
			b := bad.requests[0].piece
			b.single, b.alone, b.since = true, bad, time.Now()
			b.wrong = []contribution{{}}
			other := guest(t, s, 2)
			_ = other.obey(wire.Message{Kind: wire.HaveAll})
			if len(other.requests) > 0 {
				t.Fatal("a second peer is asked for a piece that is fetched from one alone")
			}
			test.fails(s, bad)
			for i := range 3 {
				s.look(time.Now().Add(time.Duration(i) * tick))
			}
			if len(other.requests) == 0 {
				t.Error("nobody else is asked for the piece")
			}
		})
	}
}
