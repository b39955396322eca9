package tracker

import (
	"bytes"
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"

	"aula/imagestore/torrent/metainfo"
)

// Bounds of what is kept in memory and of what is told.
const (
	maxTold         = 50      // peers in an answer
	maxPeers        = 1 << 16 // of all torrents
	maxPeersTorrent = 4096
	// maxPeersAddress is of one address in a torrent, loopback excepted: a machine that announces ever new peers takes the place of its own,
	// never of others'.
	maxPeersAddress = 4
	// silentIntervals is after how many intervals without a word a peer is gone.
	silentIntervals = 3
	// forget is after how long without peers a torrent's count of completions is forgotten.
	forget = 24 * time.Hour
)

// An asker is who announces, as far as it is not said by itself.
type asker struct {
	addr  netip.Addr // the source of its packets
	local netip.Addr // of this machine, at which the asker found it; the zero Addr if not known
	agent string     // its User-Agent; empty by UDP
}

// A swarm is a torrent and its peers.
type swarm struct {
	torrent   Torrent
	peers     map[netip.AddrPort]*member
	completed int
	active    time.Time // when it last had a peer
}

// A member is a peer of a swarm.
type member struct {
	Peer
	id       [20]byte
	told     int  // how many times others were told of it
	finished bool // it has said that it completed
	// Rates are measured from here.
	mark                 time.Time
	markedUp, markedDown int64
}

// A refused announce is an error for whom it concerns. Of its words, kind is what stays the same when it repeats. They are logged, and so name no
// info-hash.
type refused struct{ kind, words string }

func (r refused) Error() string { return r.words }

func refuse(kind, format string, args ...any) error {
	return refused{kind, fmt.Sprintf(format, args...)}
}

// An answer is what the peer is told; Want was cut to what it may have.
type answer struct {
	interval          time.Duration
	seeders, leechers int
	peers             []netip.AddrPort
}

// announce notes what the peer says of itself, and chooses whom it is told of. want is how many peers it wants to know; negative for the
// tracker's choice.
func (s *Server) announce(from asker, r Request, want int) (answer, error) {
	if err := s.admit(from.addr); err != nil {
		return answer{}, err
	}
	t, ok := s.lookup(r.Hash)
	switch {
	case !ok:
		return answer{}, refuse("unknown", "no torrent with this info-hash is here: take its .torrent anew from where the image is")
	case r.Port == 0 && r.Event != Stopped:
		return answer{}, refuse("port", "port is 0: set in the client the TCP port at which it takes connections")
	case r.Left < 0 || r.Uploaded < 0 || r.Downloaded < 0:
		return answer{}, refuse("negative", "uploaded, downloaded or left is negative: these are bytes")
	}
	if t.Size > 0 {
		r.Left = min(r.Left, t.Size)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	s.sweepAll(now)
	w := s.swarm(r.Hash, t, now)
	s.sweep(w, now)
	a := answer{interval: s.interval}
	if r.Event == Stopped {
		s.leave(w, netip.AddrPortFrom(from.addr, r.Port), r, now)
		a.seeders, a.leechers = w.count()
		return a, nil
	}
	p, err := s.note(w, from, r, now)
	if err != nil {
		return answer{}, err
	}
	a.seeders, a.leechers = w.count()
	if want < 0 || want > maxTold {
		want = maxTold
	}
	a.peers = w.choose(p, from, want)
	return a, nil
}

// admit refuses those whom the tracker does not serve.
func (s *Server) admit(a netip.Addr) error {
	if !a.IsValid() || !s.serves(a) {
		return refuse("unserved", "this tracker does not serve the address %s: add its network to those that are served, or ask from one that is", a)
	}
	return nil
}

func (s *Server) swarm(h metainfo.Hash, t Torrent, now time.Time) *swarm {
	w := s.swarms[h]
	if w == nil {
		w = &swarm{peers: map[netip.AddrPort]*member{}, active: now}
		s.swarms[h] = w
	}
	w.torrent = t
	return w
}

// note makes the peer a member, or the member what it says now. A program that was started anew at the same port takes the place of the former.
func (s *Server) note(w *swarm, from asker, r Request, now time.Time) (*member, error) {
	at := netip.AddrPortFrom(from.addr, r.Port)
	p := w.peers[at]
	if p == nil || p.id != r.Peer {
		s.drop(w, at)
		if err := s.room(w, from.addr, r.Peer); err != nil {
			return nil, err
		}
		p = &member{id: r.Peer, mark: now, markedUp: r.Uploaded, markedDown: r.Downloaded}
		p.Address, p.Since, p.Client = at, now, clientName(r.Peer, from.agent)
		w.peers[at] = p
		s.peers++
	}
	w.hear(p, r, now)
	w.active = now
	return p, nil
}

// hear takes what a member says of itself.
func (w *swarm) hear(p *member, r Request, now time.Time) {
	ended := r.Event == Completed || p.Left > 0 && r.Left == 0 // some say it once later than that they lack nothing, and a word may be lost
	p.measure(r, now)
	p.Uploaded, p.Downloaded, p.Left, p.Seen = r.Uploaded, r.Downloaded, r.Left, now
	if ended && !p.finished {
		p.finished = true
		w.completed++
	}
}

// measure computes the rates between announces; those that follow one another at once, as a completed one does, are taken together.
func (p *member) measure(r Request, now time.Time) {
	if r.Uploaded < p.markedUp || r.Downloaded < p.markedDown { // it counts anew
		p.mark, p.markedUp, p.markedDown = now, r.Uploaded, r.Downloaded
		p.UpRate, p.DownRate = 0, 0
		return
	}
	d := now.Sub(p.mark)
	if d < time.Second {
		return
	}
	p.UpRate = perSecond(r.Uploaded-p.markedUp, d)
	p.DownRate = perSecond(r.Downloaded-p.markedDown, d)
	p.mark, p.markedUp, p.markedDown = now, r.Uploaded, r.Downloaded
}

func perSecond(n int64, d time.Duration) int64 { return int64(float64(n) / d.Seconds()) }

// room makes room for one more peer of that address: what the same program announced at another port is gone, and of too many of an
// address the one that is silent for longest.
func (s *Server) room(w *swarm, a netip.Addr, id [20]byte) error {
	var own []*member
	for at, p := range w.peers {
		if at.Addr() != a {
			continue
		}
		if p.id == id {
			s.drop(w, at)
			continue
		}
		own = append(own, p)
	}
	if len(own) >= maxPeersAddress && !a.IsLoopback() {
		oldest := slices.MinFunc(own, func(a, b *member) int { return a.Seen.Compare(b.Seen) })
		s.drop(w, oldest.Address)
	}
	if len(w.peers) >= maxPeersTorrent || s.peers >= maxPeers {
		return refuse("full", "this tracker knows %d peers already, %d of this torrent, and takes no more: wait until some have ended", s.peers, len(w.peers))
	}
	return nil
}

// leave removes a peer that says it stopped; a program that has taken its place since stays. Who shares nothing once it lacks nothing may say only
// now that it completed.
func (s *Server) leave(w *swarm, at netip.AddrPort, r Request, now time.Time) {
	if p := w.peers[at]; p != nil && p.id == r.Peer {
		w.hear(p, r, now)
		s.drop(w, at)
	}
}

func (s *Server) drop(w *swarm, at netip.AddrPort) {
	if _, ok := w.peers[at]; ok {
		delete(w.peers, at)
		s.peers--
	}
}

// sweep drops the peers that are silent.
func (s *Server) sweep(w *swarm, now time.Time) {
	for at, p := range w.peers {
		if now.Sub(p.Seen) > silentIntervals*s.interval {
			s.drop(w, at)
		}
	}
}

// sweepAll sweeps every torrent, once in an interval: the memory of those that nobody asks for is freed too.
func (s *Server) sweepAll(now time.Time) {
	if now.Sub(s.swept) < s.interval {
		return
	}
	s.swept = now
	for h, w := range s.swarms {
		s.sweep(w, now)
		if len(w.peers) == 0 && now.Sub(w.active) > forget {
			delete(s.swarms, h)
		}
	}
}

// count counts the members, and the seeders that do not announce themselves.
func (w *swarm) count() (seeders, leechers int) {
	for _, p := range w.peers {
		if p.Left > 0 {
			leechers++
		} else {
			seeders++
		}
	}
	for _, a := range w.torrent.Seeders {
		if w.peers[a] == nil {
			seeders++
		}
	}
	return seeders, leechers
}

// choose returns whom the member is told of: those who always seed, then others at random, a seeder no seeders. Of twice as many as are
// wanted, drawn at random, those are taken that others were told of least: so the room is one web in which none has a crowd of
// connections, and those who have just come are soon known as well as the first.
func (w *swarm) choose(p *member, from asker, want int) []netip.AddrPort {
	var told []netip.AddrPort
	if p.Left > 0 {
		for _, a := range w.torrent.Seeders {
			if at := seenFrom(a, from); len(told) < want && at != p.Address && !slices.Contains(told, at) {
				told = append(told, at)
			}
		}
		if o := w.origin(); o != nil && o.id != p.id && len(told) == 0 && want > 0 {
			told = append(told, seenFrom(o.Address, from))
		}
	}
	others := make([]*member, 0, len(w.peers))
	for _, o := range w.peers {
		if o != p && o.id != p.id && (o.Left > 0 || p.Left > 0) && !slices.Contains(told, seenFrom(o.Address, from)) {
			others = append(others, o)
		}
	}
	n := min(want-len(told), len(others))
	drawn := min(2*n, len(others))
	for i := range drawn {
		j := i + rand.IntN(len(others)-i)
		others[i], others[j] = others[j], others[i]
	}
	others = others[:drawn]
	slices.SortStableFunc(others, func(a, b *member) int { return cmp.Compare(a.told, b.told) })
	for _, o := range others[:n] {
		o.told++
		told = append(told, seenFrom(o.Address, from))
	}
	return told
}

// origin is the peer that has had everything the longest: who gives it to the room, most likely. nil if nobody has everything.
func (w *swarm) origin() (oldest *member) {
	for _, o := range w.peers {
		if o.Left == 0 && (oldest == nil || o.Since.Before(oldest.Since)) {
			oldest = o
		}
	}
	return oldest
}

// seenFrom is the peer's address as the asker reaches it: one on the tracker's own machine, which announced itself by loopback, is where
// the asker found the tracker.
func seenFrom(a netip.AddrPort, from asker) netip.AddrPort {
	here := a.Addr().IsLoopback() || a.Addr().IsUnspecified()
	if here && !from.addr.IsLoopback() && from.local.IsValid() {
		return netip.AddrPortFrom(from.local, a.Port())
	}
	if a.Addr().IsUnspecified() && from.addr.IsLoopback() {
		return netip.AddrPortFrom(from.addr, a.Port())
	}
	return a
}

// A count is what a scrape tells of a torrent.
type count struct{ seeders, completed, leechers int }

// scrape counts the peers of a torrent; false if there is none of that info-hash.
func (s *Server) scrape(h metainfo.Hash) (count, bool) {
	t, ok := s.lookup(h)
	if !ok {
		return count{}, false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	w := s.swarms[h]
	if w == nil {
		return count{seeders: len(t.Seeders)}, true
	}
	w.torrent = t
	s.sweep(w, time.Now())
	c := count{completed: w.completed}
	c.seeders, c.leechers = w.count()
	return c, true
}

// Swarms returns every torrent that has peers, by name.
func (s *Server) Swarms() []Swarm {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	var all []Swarm
	for h, w := range s.swarms {
		s.sweep(w, now)
		if len(w.peers) == 0 {
			continue
		}
		one := Swarm{Hash: h, Name: w.torrent.Name, Size: w.torrent.Size}
		for _, p := range w.peers {
			one.Peers = append(one.Peers, p.Peer)
		}
		slices.SortFunc(one.Peers, func(a, b Peer) int { return a.Address.Compare(b.Address) })
		all = append(all, one)
	}
	slices.SortFunc(all, func(a, b Swarm) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), bytes.Compare(a.Hash[:], b.Hash[:]))
	})
	return all
}
