package webui

import (
	"net/netip"
	"sync"
	"time"

	"aula/imagestore/torrent/metainfo"
)

const (
	leftFor = 10 * time.Minute // how long what is over is still shown
	maxLeft = 4096             // peers of a torrent that are remembered
)

// leavers remembers for a while who left a torrent, how far it was, and what the appliance gave: who comes to look after a lesson sees which
// PCs got the image.
type leavers struct {
	mu   sync.Mutex
	past map[metainfo.Hash]*pastSwarm
}

type pastSwarm struct {
	swarm                   // as it is when it is over
	here          time.Time // when it was last there
	before, given int64     // bytes that the appliance gave: when it had it open before, and the last time
	peers         map[netip.AddrPort]pastPeer
}

type pastPeer struct {
	swarmPeer
	here time.Time // when it was last there
}

// look notes who is in the swarm, and adds to it those that left. A PC that came back has not left.
func (l *leavers) look(w *swarm, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.past == nil {
		l.past = map[metainfo.Hash]*pastSwarm{}
	}
	past := l.past[w.Hash]
	if past == nil {
		past = &pastSwarm{peers: map[netip.AddrPort]pastPeer{}}
		l.past[w.Hash] = past
	}
	present, back := map[netip.AddrPort]bool{}, map[netip.Addr]bool{}
	for _, p := range w.Peers {
		present[p.Address], back[p.Address.Addr()] = true, true
		if _, known := past.peers[p.Address]; known || len(past.peers) < maxLeft {
			past.peers[p.Address] = pastPeer{p, now}
		}
	}
	if w.open {
		if w.Uploaded < past.given { // it was closed when nobody wanted it, and opened again
			past.before += past.given
		}
		past.given = w.Uploaded
	}
	w.Uploaded = past.before + past.given
	if !w.over {
		past.here = now
	}
	past.swarm = swarm{Hash: w.Hash, Name: w.Name, Size: w.Size, Err: w.Err, over: true}
	for at, p := range past.peers {
		switch {
		case present[at]:
		case back[at.Addr()] || now.Sub(p.here) > leftFor:
			delete(past.peers, at)
		default:
			p.State, p.Gone = peerLeft, p.here
			w.Peers = append(w.Peers, p.swarmPeer)
		}
	}
}

// over returns the torrents that nobody is there for any more, and forgets the old ones.
func (l *leavers) over(there func(metainfo.Hash) bool, now time.Time) []swarm {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []swarm
	for hash, past := range l.past {
		switch {
		case there(hash):
		case now.Sub(past.here) > leftFor:
			delete(l.past, hash)
		default:
			all = append(all, past.swarm)
		}
	}
	return all
}
