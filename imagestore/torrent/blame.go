package torrent

import (
	"crypto/sha1"
	"slices"
	"time"
)

// A contribution is what a peer sent of a piece that came wrong.
type contribution struct {
	from *peer
	sum  [sha1.Size]byte // of the unit
}

// wrong takes a piece that does not have its sum. If one peer sent it all, that peer is banned. Otherwise the piece is fetched again from one peer
// that had no part in it: then it shows who sent which wrong bytes.
func (s *swarm) wrong(b *piece) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wasted += int64(len(b.buf))
	suspects := map[*peer]struct{}{}
	for _, u := range b.units {
		suspects[u.from] = struct{}{}
	}
	again := s.picker.newPiece(b.index)
	again.wrong = b.wrong
	if len(suspects) == 1 {
		for p := range suspects {
			s.ban(p, b.index)
		}
	} else if b.wrong == nil {
		again.wrong = contributions(b)
	}
	again.single, again.since = again.wrong != nil, time.Now()
	s.picker.letGo(b)
	s.picker.held += int64(len(again.buf))
	s.picker.begun = append(s.picker.begun, again)
	s.fillAll()
}

func contributions(b *piece) []contribution {
	all := make([]contribution, len(b.units))
	for i, u := range b.units {
		all[i] = contribution{u.from, sha1.Sum(b.bytes(i))}
	}
	return all
}

// bytes are those of a unit.
func (b *piece) bytes(unit int) []byte {
	return b.buf[unit*unitSize : min((unit+1)*unitSize, len(b.buf))]
}

// suspects tells whether the peer had a part in the piece when it came wrong, or did not give it when it was asked alone.
func (b *piece) suspects(p *peer) bool {
	if slices.Contains(b.tried, p) {
		return true
	}
	for _, c := range b.wrong {
		if c.from == p {
			return true
		}
	}
	return false
}

// excuse takes a peer off a piece that it alone was to be asked for: it does not give it.
func (s *swarm) excuse(p *peer, b *piece) {
	if b.alone == p {
		b.alone = nil
		b.tried = append(b.tried, p)
	}
}

// acquit bans those who sent wrong units of a piece that is right now.
func (s *swarm) acquit(b *piece) {
	if b.wrong == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, c := range b.wrong {
		if c.sum != sha1.Sum(b.bytes(i)) {
			s.ban(c.from, b.index)
		}
	}
}

// ban ends all connections with the peer's address, for as long as the torrent is open. On the loopback, where all peers have one address, it
// ends those of the peer alone.
func (s *swarm) ban(liar *peer, index int) {
	a := liar.address.Addr()
	if !a.IsLoopback() {
		s.banned[a] = struct{}{}
	}
	s.log.Warn("peer sent wrong bytes and is not listened to any more", "peer", liar.address, "client", liar.says.Client, "piece", index)
	for p := range s.peers {
		if p == liar || p.address.Addr() == a && !a.IsLoopback() {
			s.close(p)
		}
	}
}
