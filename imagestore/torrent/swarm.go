package torrent

import (
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"aula/imagestore/torrent/metainfo"
	"aula/imagestore/torrent/wire"
)

const (
	begunBytes  = 64 << 20               // of pieces that are begun or being checked, at most, unless one alone is larger
	tick        = 250 * time.Millisecond // between looks at what stands still
	stalledTime = 8 * time.Second        // after which what a peer was asked for is asked of others
	slowTime    = 60 * time.Second       // the same of a peer that is asked for little, as it is slow
)

// A swarm is one torrent at work: its pieces, its peers, and what goes between them.
type swarm struct {
	client   *Client
	task     *Task
	meta     *metainfo.Torrent
	storage  Storage
	log      *slog.Logger
	onDemand bool

	checks chan *piece // whole, to be checked
	stores chan *piece // right, to be stored
	whole  chan struct{}
	failed chan error    // holds one when the content cannot be read
	enough chan struct{} // closed when it should end for want of peers

	dials sync.WaitGroup // connections that we make or made; added to by keep only
	talks sync.WaitGroup // connections; added to while not ended

	mu       sync.Mutex
	state    State
	ended    bool
	ends     time.Time // of Sharing, when it is for a time
	have     bitset    // verified and stored
	readable bitset    // of those, which can be given to others
	picker   *picker
	peers    map[*peer]struct{}
	dialling int // dials that are under way, and connections that came of them
	banned   map[netip.Addr]struct{}
	contacts *contacts
	giving   *giving // nil unless this is the origin of a complete file
	trackers []*announcer
	wasted   int64
	down, up meter
	lonely   time.Time // since when no peer has wanted anything
}

func newSwarm(c *Client, t *Task, have []bool, onDemand bool) *swarm {
	waiting := min(int(begunBytes/t.Torrent.PieceLength), t.Torrent.Count()) + 2 // never more pieces wait than may be begun
	s := &swarm{
		client: c, task: t, onDemand: onDemand, meta: t.Torrent, storage: t.Storage, state: Fetching,
		log:    c.log.With("torrent", t.Torrent.Name),
		checks: make(chan *piece, waiting), stores: make(chan *piece, waiting), whole: make(chan struct{}), enough: make(chan struct{}), failed: make(chan error, 1),
		have: newBitset(t.Torrent.Count()), readable: newBitset(t.Torrent.Count()),
		picker: newPicker(t.Torrent, have, begunBytes),
		peers:  map[*peer]struct{}{}, banned: map[netip.Addr]struct{}{},
		contacts: newContacts(), lonely: time.Now(),
	}
	for i, here := range have {
		if here {
			s.have.set(i)
			s.readable.set(i)
		}
	}
	if s.forgets() {
		s.readable = newBitset(t.Torrent.Count())
	}
	if s.have.full() {
		close(s.whole)
		if t.Mode == Seeder && s.readable.full() {
			s.giving = newGiving(s)
		}
	}
	s.contacts.learn(t.Peers)
	return s
}

// run works until the torrent is complete and has lingered, fails, or the context ends.
func (s *swarm) run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	work, ctx := errgroup.WithContext(ctx)
	for range runtime.GOMAXPROCS(0) {
		work.Go(func() error { return s.check(ctx) })
	}
	work.Go(func() error { return s.store(ctx) })
	work.Go(func() error { return s.keep(ctx) })
	for _, a := range s.announcers() {
		work.Go(func() error { return a.run(ctx) })
	}
	var ended error
	work.Go(func() error {
		ended = s.follow(ctx)
		cancel()
		return nil
	})
	err := work.Wait()
	s.hangUp()
	if errors.Is(err, context.Canceled) || err == nil {
		err = ended
	}
	return err
}

// follow waits for the end of fetching, and then of sharing.
func (s *swarm) follow(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case err := <-s.failed:
		return err
	case <-s.whole:
	}
	if err := s.storage.Finish(); err != nil {
		return err
	}
	s.share()
	var over <-chan time.Time
	if s.task.Linger >= 0 {
		timer := time.NewTimer(s.task.Linger)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case err := <-s.failed:
		return err
	case <-over:
	case <-s.enough:
	}
	return nil
}

// share begins to share what is complete and on the disk.
func (s *swarm) share() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = Sharing
	if s.task.Linger >= 0 {
		s.ends = time.Now().Add(s.task.Linger)
	}
	for _, a := range s.trackers {
		a.hurry()
	}
	for p := range s.peers {
		if p.interested {
			p.interested = false
			p.say(wire.Message{Kind: wire.NotInterested})
		}
		s.leaveIfDone(p)
		if s.task.Mode == Leecher && s.mayTell(p) {
			for i := range s.readable.all {
				s.tell(p, i)
			}
		}
		s.unchoke(p)
	}
}

// sharing tells whether peers are given anything.
func (s *swarm) sharing() bool { return s.state == Sharing || s.task.Mode != Leecher }

// leaveIfDone ends a connection over which neither side wants anything any more.
func (s *swarm) leaveIfDone(p *peer) {
	if s.state == Sharing && (p.has.full() || p.says.UploadOnly) {
		s.close(p)
	}
}

// check finds out whether pieces are right.
func (s *swarm) check(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case b := <-s.checks:
			if sha1.Sum(b.buf) != s.meta.Sum(b.index) {
				s.wrong(b)
				continue
			}
			s.acquit(b)
			select {
			case <-ctx.Done():
				return nil
			case s.stores <- b:
			}
		}
	}
}

// store stores pieces, one after another, and lets the peers know.
func (s *swarm) store(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case b := <-s.stores:
			if err := s.storage.WritePiece(b.index, b.buf); err != nil {
				return fmt.Errorf("piece %d: %w", b.index, err)
			}
			s.stored(b)
		}
	}
}

func (s *swarm) stored(b *piece) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.picker.letGo(b)
	s.have.set(b.index)
	s.readable.set(b.index)
	for p := range s.peers {
		if s.sharing() && s.mayTell(p) {
			s.tell(p, b.index)
		}
		s.fill(p) // there is room for another piece
	}
	if forgetful, is := s.storage.(Forgetful); is {
		for _, i := range forgetful.Forgotten() {
			s.forget(i)
		}
	}
	if s.have.full() {
		s.picker.spare = nil
		close(s.whole)
	}
}

// tell tells a peer that we have a piece.
func (s *swarm) tell(p *peer, index int) {
	if p.told.set(index) {
		p.say(wire.Message{Kind: wire.Have, Piece: uint32(index)})
	}
}

// forgets tells whether pieces may be gone again.
func (s *swarm) forgets() bool {
	_, is := s.storage.(Forgetful)
	return is
}

// mayTell tells whether the peer may be told of pieces: of those that may be gone again, only if it can be told that, too.
func (s *swarm) mayTell(p *peer) bool { return !s.forgets() || p.says.DontHave != 0 }

// forget takes back that we have a piece.
func (s *swarm) forget(index int) {
	s.readable.clear(index)
	for p := range s.peers {
		if p.told.clear(index) && p.says.DontHave != 0 {
			p.say(wire.Message{Kind: wire.Extended, Number: p.says.DontHave, Body: wire.AppendDontHave(nil, uint32(index))})
		}
	}
}

// keep looks at what stands still, dials, and measures.
func (s *swarm) keep(ctx context.Context) error {
	ticks := time.NewTicker(tick)
	defer ticks.Stop()
	s.dial(ctx)
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-s.contacts.news:
			s.dial(ctx)
		case now := <-ticks.C:
			s.look(now)
			s.dial(ctx)
		}
	}
}

// look goes through the peers at each tick.
func (s *swarm) look(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down.tick(now)
	s.up.tick(now)
	for p := range s.peers {
		p.down.tick(now)
		p.up.tick(now)
		if len(p.requests) > 0 && now.Sub(p.heard) > p.patience() {
			s.stalled(p)
		}
		s.fill(p)
	}
	if s.giving != nil {
		s.giving.look(now)
	}
	if s.onDemand {
		s.idle(now)
	}
}

// idle ends a torrent that was opened on demand when nobody has wanted it for a while.
func (s *swarm) idle(now time.Time) {
	for p := range s.peers {
		if p.wants || now.Sub(p.took) < tick {
			s.lonely = now
		}
	}
	if now.Sub(s.lonely) > s.client.idle {
		s.end()
	}
}

// hangUp ends all connections, and returns when nothing of them is left.
func (s *swarm) hangUp() {
	s.mu.Lock()
	s.ended = true
	for p := range s.peers {
		s.close(p)
	}
	s.mu.Unlock()
	s.dials.Wait()
	s.talks.Wait()
}
