package torrent

import (
	"maps"
	"net/netip"
	"slices"
	"time"
)

// complete tells whether every piece is stored.
func (s *swarm) complete() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.have.full()
}

// haveBytes returns the bytes of the pieces that are stored; the mutex is held.
func (s *swarm) haveBytes() int64 {
	n := int64(s.have.count) * s.meta.PieceLength
	if last := s.meta.Count() - 1; last >= 0 && s.have.has(last) {
		n += s.meta.Size(last) - s.meta.PieceLength
	}
	return n
}

// status tells how it stands.
func (s *swarm) status() Status {
	s.mu.Lock()
	defer s.mu.Unlock()
	told := Status{
		Hash: s.meta.Hash, Name: s.meta.Name, Mode: s.task.Mode, State: s.state, Size: s.meta.Length, Pieces: s.meta.Count(),
		Have: s.haveBytes(), Downloaded: s.down.total, Uploaded: s.up.total, Wasted: s.wasted,
		DownRate: int64(s.down.rate), UpRate: int64(s.up.rate), Banned: slices.SortedFunc(maps.Keys(s.banned), netip.Addr.Compare),
	}
	if !s.ends.IsZero() {
		told.Left = max(0, time.Until(s.ends))
	}
	for _, a := range s.trackers {
		told.Trackers = append(told.Trackers, TrackerStatus{URL: a.url, Err: a.err, Next: a.next})
	}
	for p := range s.peers {
		told.Peers = append(told.Peers, p.status())
	}
	slices.SortFunc(told.Peers, func(a, b PeerStatus) int { return a.Address.Compare(b.Address) })
	return told
}

func (p *peer) status() PeerStatus {
	client := p.says.Client
	if client == "" {
		client = p.id.Client()
	}
	return PeerStatus{
		Address: p.address, Client: client, Have: p.has.count, Downloaded: p.down.total, Uploaded: p.up.total,
		DownRate: int64(p.down.rate), UpRate: int64(p.up.rate), Since: p.since,
	}
}
