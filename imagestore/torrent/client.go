package torrent

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"aula/imagestore/torrent/metainfo"
	"aula/imagestore/torrent/wire"
)

// A Client talks to peers. Run it, then Do tasks.
type Client struct {
	listener net.Listener
	from     netip.Addr // that connections are made from; the zero Addr for any
	dial     func(context.Context, netip.AddrPort) (net.Conn, error)
	id       wire.PeerID
	name     string
	serves   func(netip.Addr) bool
	open     func(metainfo.Hash) (*Task, error)
	known    iter.Seq[metainfo.Hash]
	idle     time.Duration
	encrypt  bool
	upload   *upload
	log      *slog.Logger

	work sync.WaitGroup // connections, and tasks that were opened on demand

	mu     sync.Mutex
	ctx    context.Context // of Run; nil before
	swarms map[metainfo.Hash]*swarm
	opened map[metainfo.Hash]chan struct{} // being opened
	taken  map[netip.Addr]int              // connections, by who made them
	failed map[metainfo.Hash]Status        // of torrents that failed and were not opened again
}

// ErrBusy says that a torrent is being worked at already.
var ErrBusy = errors.New("the torrent is open already")

// NewClient opens the port. Run closes it.
func NewClient(c Config) (*Client, error) {
	listener, err := net.Listen("tcp", c.Listen)
	if err != nil {
		return nil, fmt.Errorf("take connections of BitTorrent peers: %w", err)
	}
	dialer := net.Dialer{Timeout: dialTime}
	own := addressOf(listener.Addr()).Addr()
	if !own.IsUnspecified() {
		dialer.LocalAddr = &net.TCPAddr{IP: own.AsSlice()} // of several NICs, the one that listens
	}
	client := newClient(c, listener)
	if !own.IsUnspecified() && !own.IsLoopback() {
		client.from = own
	}
	client.dial = func(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
		return dialer.DialContext(ctx, "tcp", to.String())
	}
	return client, nil
}

func newClient(c Config, listener net.Listener) *Client {
	id := wire.NewPeerID()
	client := &Client{
		listener: listener, id: id, name: id.Client(), serves: c.Serves, open: c.Open, known: c.Known, idle: c.Idle, encrypt: c.Encrypt,
		upload: newUpload(c.UploadLimit), log: c.Log, swarms: map[metainfo.Hash]*swarm{}, opened: map[metainfo.Hash]chan struct{}{}, taken: map[netip.Addr]int{}, failed: map[metainfo.Hash]Status{},
	}
	if client.idle == 0 {
		client.idle = time.Minute
	}
	if client.log == nil {
		client.log = slog.New(slog.DiscardHandler)
	}
	return client
}

// Port is the TCP port that it listens at.
func (c *Client) Port() uint16 { return addressOf(c.listener.Addr()).Port() }

// Run takes connections until the context ends.
func (c *Client) Run(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c.mu.Lock()
	c.ctx = ctx
	c.mu.Unlock()
	stop := context.AfterFunc(ctx, func() { _ = c.listener.Close() })
	defer stop()
	defer c.work.Wait()
	for failures := 0; ; {
		conn, err := c.listener.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return err
			}
			if failures++; failures == 1 {
				c.log.Warn("BitTorrent peers cannot be taken; too many open files, perhaps", "err", err)
			}
			pause(ctx, 100*time.Millisecond)
			continue
		}
		failures = 0
		from := addressOf(conn.RemoteAddr()).Addr()
		if !c.admit(from) {
			_ = conn.Close()
			continue
		}
		c.work.Go(func() {
			defer c.dismiss(from)
			if err := c.take(ctx, conn); err != nil && ctx.Err() == nil {
				c.log.Debug("a BitTorrent peer was let go", "peer", conn.RemoteAddr(), "err", err)
			}
		})
	}
}

// mostFromOne is how many connections of one address are taken, for all torrents, those that say nothing included.
const mostFromOne = 64

// admit tells whether to listen to one more connection from an address; dismiss follows.
func (c *Client) admit(from netip.Addr) bool {
	if c.serves != nil && !c.serves(from) {
		return false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.taken[from] >= mostFromOne && !from.IsLoopback() {
		return false
	}
	c.taken[from]++
	return true
}

func (c *Client) dismiss(from netip.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.taken[from]--; c.taken[from] == 0 {
		delete(c.taken, from)
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// take talks to a peer that has dialled.
func (c *Client) take(ctx context.Context, conn net.Conn) error {
	raw := conn
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	defer stop()
	defer func() { _ = raw.Close() }()
	if err := conn.SetDeadline(time.Now().Add(greetTime)); err != nil {
		return err
	}
	conn, theirs, err := wire.Accept(conn, c.hashes)
	if err != nil {
		return err
	}
	s, err := c.find(ctx, theirs.Hash)
	if err != nil {
		return err
	}
	if _, err := conn.Write(s.handshake().Append(nil)); err != nil {
		return err
	}
	return s.talk(ctx, s.newPeer(conn, theirs))
}

// hashes yields the torrents that are open, and those that can be opened.
func (c *Client) hashes(yield func(metainfo.Hash) bool) {
	c.mu.Lock()
	all := make([]metainfo.Hash, 0, len(c.swarms))
	for h := range c.swarms {
		all = append(all, h)
	}
	c.mu.Unlock()
	for _, h := range all {
		if !yield(h) {
			return
		}
	}
	if c.known != nil {
		c.known(yield)
	}
}

// find finds the torrent, and opens it if it may be.
func (c *Client) find(ctx context.Context, h metainfo.Hash) (*swarm, error) {
	for {
		c.mu.Lock()
		s, ok := c.swarms[h]
		opening, others := c.opened[h]
		mine := !ok && !others && c.open != nil
		if mine {
			opening = make(chan struct{})
			c.opened[h] = opening
		}
		c.mu.Unlock()
		switch {
		case ok:
			return s, nil
		case mine:
			s, err := c.demand(h)
			c.mu.Lock()
			delete(c.opened, h)
			c.mu.Unlock()
			close(opening)
			return s, err
		case !others:
			return nil, fmt.Errorf("there is no torrent %s here", h)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-opening:
		}
	}
}

// demand opens a torrent that a peer asks for.
func (c *Client) demand(h metainfo.Hash) (*swarm, error) {
	task, err := c.open(h)
	if err != nil {
		return nil, err
	}
	s, err := c.begin(task, true)
	if err != nil {
		return nil, errors.Join(err, task.Storage.Close())
	}
	c.work.Go(func() {
		if err := c.finish(c.ctx, s); err != nil && c.ctx.Err() == nil {
			c.log.Warn("a torrent is not seeded any more", "torrent", task.Torrent.Name, "err", err)
		}
	})
	return s, nil
}

// Do works at a task until it is complete and has lingered, or has failed, or the context ends: then its storage has been closed. One torrent
// can be worked at once only; otherwise the error wraps ErrBusy.
func (c *Client) Do(ctx context.Context, t *Task) error {
	s, err := c.begin(t, false)
	if err != nil {
		return errors.Join(err, t.Storage.Close())
	}
	return c.finish(ctx, s)
}

func (c *Client) begin(t *Task, onDemand bool) (*swarm, error) {
	have, err := t.Storage.Have()
	if err != nil {
		return nil, err
	}
	s := newSwarm(c, t, have, onDemand)
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, busy := c.swarms[t.Torrent.Hash]; busy {
		return nil, fmt.Errorf("%s: %w", t.Torrent.Name, ErrBusy)
	}
	c.swarms[t.Torrent.Hash] = s
	delete(c.failed, t.Torrent.Hash)
	return s, nil
}

func (c *Client) finish(ctx context.Context, s *swarm) error {
	err := s.run(ctx)
	last := s.status()
	c.mu.Lock()
	delete(c.swarms, s.meta.Hash)
	if err != nil && ctx.Err() == nil {
		last.State, last.Err, last.Peers = Failed, err, nil
		c.failed[s.meta.Hash] = last
	}
	c.mu.Unlock()
	c.upload.forget(s)
	return errors.Join(err, s.storage.Close())
}

// Status tells of every torrent that is open, or that failed and was not opened again, by name.
func (c *Client) Status() []Status {
	c.mu.Lock()
	all := make([]*swarm, 0, len(c.swarms))
	for _, s := range c.swarms {
		all = append(all, s)
	}
	told := slices.Collect(maps.Values(c.failed))
	c.mu.Unlock()
	for _, s := range all {
		told = append(told, s.status())
	}
	slices.SortFunc(told, func(a, b Status) int { return strings.Compare(a.Name, b.Name) })
	return told
}
