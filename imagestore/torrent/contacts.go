package torrent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"aula/imagestore/torrent/wire"
)

const (
	degree       = 10 // peers that one dials, at most, those who have everything included: about as many dial it
	mostPeers    = 48 // connections of a torrent that is being fetched
	mostOfOne    = 16 // connections of one address, behind which several PCs may be
	mostAtOrigin = 1024
	dialTime     = 5 * time.Second
	greetTime    = 10 * time.Second // for a handshake
	mostContacts = 4096
	lasting      = 10 * time.Second // that a connection must have been good for, to be made again soon
)

// contacts are the addresses at which peers may be had.
type contacts struct {
	news chan struct{} // holds one when there are new ones

	mu  sync.Mutex
	all map[netip.AddrPort]*contact
}

type contact struct {
	tries   int
	after   time.Time // when it may be dialled again
	dialled bool      // by us, and not over
	taken   bool      // connected, by either side
	never   bool      // not to be dialled
	first   bool      // to be dialled before others
}

func newContacts() *contacts {
	return &contacts{news: make(chan struct{}, 1), all: map[netip.AddrPort]*contact{}}
}

// learn takes addresses that a tracker or the caller knows. The first is dialled first: trackers of Aula tell of those who have everything before all others.
func (c *contacts) learn(peers []netip.AddrPort) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, a := range peers {
		if k, known := c.all[a]; known {
			k.first = k.first || i == 0
		} else if len(c.all) < mostContacts {
			c.all[a] = &contact{first: i == 0}
		}
	}
	select {
	case c.news <- struct{}{}:
	default:
	}
}

// taken notes that the peer that listens there is connected, or is no longer: it need not be dialled.
func (c *contacts) taken(a netip.AddrPort, is bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k, known := c.all[a]
	if !known {
		if len(c.all) >= mostContacts {
			return
		}
		k = &contact{}
		c.all[a] = k
	}
	k.taken = is
	k.after = time.Now().Add(k.pause())
}

// pause is how long not to dial after so many tries in vain.
func (c *contact) pause() time.Duration {
	return min(time.Second<<min(c.tries, 5), 30*time.Second)
}

// due takes at most so many that may be dialled now, by chance.
func (c *contacts) due(most int) []netip.AddrPort {
	c.mu.Lock()
	defer c.mu.Unlock()
	if most <= 0 {
		return nil
	}
	now := time.Now()
	var some []netip.AddrPort
	for a, k := range c.all {
		if !k.dialled && !k.taken && !k.never && now.After(k.after) {
			some = append(some, a)
		}
	}
	rand.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
	slices.SortStableFunc(some, func(a, b netip.AddrPort) int { return cmp.Compare(rank(c.all[a]), rank(c.all[b])) })
	some = some[:min(most, len(some))]
	for _, a := range some {
		c.all[a].dialled = true
	}
	return some
}

func rank(c *contact) int {
	if c.first {
		return 0
	}
	return 1
}

// left notes that an address was dialled and that it is over, after so long.
func (c *contacts) left(a netip.AddrPort, lasted time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	k := c.all[a]
	if lasted > lasting {
		k.tries = 0
	}
	k.dialled = false
	k.after = time.Now().Add(k.pause())
	k.tries++
}

// never notes that an address is not to be dialled again.
func (c *contacts) never(a netip.AddrPort) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all[a].never = true
}

// dial dials peers as long as there are too few.
func (s *swarm) dial(ctx context.Context) {
	for _, a := range s.contacts.due(s.dialsWanted()) {
		if s.client.serves != nil && !s.client.serves(a.Addr()) {
			s.contacts.never(a)
			continue
		}
		s.dials.Go(func() {
			if err := s.reach(ctx, a); err != nil && ctx.Err() == nil {
				s.log.Debug("peer cannot be had", "peer", a, "err", err)
			}
		})
	}
}

// dialsWanted is how many more peers should be dialled now.
func (s *swarm) dialsWanted() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.have.full() && len(s.task.Peers) == 0 {
		return 0 // who wants something comes
	}
	return min(degree-s.dialling, mostPeers-len(s.peers))
}

// dialled counts connections that are made, or have been.
func (s *swarm) dialled(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.dialling += n
}

// What makes an address one that is not dialled again.
var (
	errSelf = errors.New("it is this program itself")
	errDone = errors.New("both have everything")
)

// reach dials a peer and talks to it to the end.
func (s *swarm) reach(ctx context.Context, a netip.AddrPort) error {
	s.dialled(1)
	defer s.dialled(-1)
	start := time.Now()
	err := s.visit(ctx, a)
	if errors.Is(err, errSelf) || errors.Is(err, errDone) {
		s.contacts.never(a)
	} else {
		s.contacts.left(a, time.Since(start))
	}
	return err
}

func (s *swarm) visit(ctx context.Context, a netip.AddrPort) error {
	conn, err := s.client.dial(ctx, a)
	if err != nil {
		return err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	p, err := s.shake(conn)
	if err != nil {
		return err
	}
	p.listen = a
	s.contacts.taken(a, true)
	return s.talk(ctx, p)
}

// shake introduces us to a peer that was dialled.
func (s *swarm) shake(conn net.Conn) (*peer, error) {
	if err := conn.SetDeadline(time.Now().Add(greetTime)); err != nil {
		return nil, err
	}
	if s.client.encrypt {
		var err error
		if conn, err = wire.Obfuscate(conn, s.meta.Hash); err != nil {
			return nil, err
		}
	}
	if _, err := conn.Write(s.handshake().Append(nil)); err != nil {
		return nil, err
	}
	theirs, err := wire.ReadHandshake(conn)
	if err != nil {
		return nil, err
	}
	if theirs.Hash != s.meta.Hash {
		return nil, fmt.Errorf("%w: it answers for another torrent, %s", errRude, theirs.Hash)
	}
	p := s.newPeer(conn, theirs)
	p.dialled = true
	return p, nil
}

func (s *swarm) handshake() wire.Handshake {
	return wire.Handshake{Hash: s.meta.Hash, Peer: s.client.id, Fast: true, Extended: true}
}

func (s *swarm) newPeer(conn net.Conn, theirs wire.Handshake) *peer {
	return &peer{
		swarm: s, conn: conn, address: addressOf(conn.RemoteAddr()), id: theirs.Peer, fast: theirs.Fast, extended: theirs.Extended, since: time.Now(),
		wake: make(chan struct{}, 1), has: newBitset(s.meta.Count()), told: newBitset(s.meta.Count()), choked: true, choking: true, grew: time.Now(),
	}
}

func addressOf(a net.Addr) netip.AddrPort {
	if tcp, ok := a.(*net.TCPAddr); ok {
		ap := tcp.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	return netip.AddrPort{}
}

// talk exchanges with a peer until the connection ends.
func (s *swarm) talk(ctx context.Context, p *peer) error {
	defer p.conn.Close()
	if p.id == s.client.id {
		return errSelf
	}
	if err := p.conn.SetDeadline(time.Time{}); err != nil {
		return err
	}
	tune(p.conn)
	if err := s.joined(p); err != nil {
		s.refused(p)
		return err
	}
	defer s.talks.Done()
	ctx, cancel := context.WithCancel(ctx)
	wrote := make(chan struct{})
	go func() {
		defer close(wrote)
		defer cancel()
		if err := p.write(ctx); err != nil && ctx.Err() == nil {
			s.log.Debug("peer cannot be told anything", "peer", p.address, "err", err)
		}
		_ = p.conn.Close() // what was half written cannot be gone on with
	}()
	err := p.read()
	cancel()
	done := s.left(p)
	<-wrote
	if done {
		return errDone
	}
	return err
}
