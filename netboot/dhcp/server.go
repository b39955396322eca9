// Package dhcp leases addresses to the PCs on one NIC, and behind relay agents, and tells those that boot from the network what to load.
//
// A packet is decoded into a Request; a Responder, which does no input or output, decides; the Server around it does the rest: it
// probes an address before it is first offered, has the leases on disk before the reply leaves, and sends. Packets that
// wait at the same time share one write to disk, so a classroom that starts at once costs a few writes.
//
// It implements the full DHCP of RFC 2131, and the PXE options of RFC 4578. Where another server leases addresses, it is a ProxyDHCP, which
// only says what to boot. It does not know IPv6: no socket for DHCPv6 is opened anywhere.
package dhcp

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"aula/netboot/lease"
)

// A Conn is a port of the server on a NIC.
type Conn interface {
	// Receive waits for a packet and copies it to buf.
	Receive(buf []byte) (n int, from Arrival, err error)
	// Send sends a packet from the NIC that Receive listens on.
	Send(packet []byte, to netip.AddrPort) error
	// SendFrame sends a packet to a PC that does not have the address of to yet, or broadcasts it when that is not possible.
	SendFrame(packet []byte, to netip.AddrPort, mac lease.MAC) error
	// Close makes Receive return an error.
	Close() error
}

// An Arrival says how a packet came.
type Arrival struct {
	From    netip.AddrPort
	Unicast bool // to this machine alone
}

// A Prober finds out whether something on the link answers at an address.
type Prober interface {
	// Probe returns the MAC that answers, or zero when nothing does within a fraction of a second.
	Probe(ctx context.Context, a netip.Addr) (lease.MAC, error)
}

// A Pinger finds out whether something behind a router answers at an address.
type Pinger interface {
	// Ping says whether something answers within a fraction of a second.
	Ping(ctx context.Context, a netip.Addr) (bool, error)
}

// A Config is what a Server works with.
type Config struct {
	Network  Network
	Role     Role     // Full when empty
	Register Register // nil: every PC is one of the appliance's own, and loads
	Store    *lease.Store
	Conn     Conn   // port 67
	Boot     Conn   // port 4011; may be nil
	Prober   Prober // nil for none: addresses of the NIC's own network are offered unprobed
	Pinger   Pinger // nil for none: addresses behind relay agents are offered unprobed
	// Observe is told of each decision that people want to know of: of all about PCs that boot, of what went wrong, and, with a Key, of the
	// network, for which the Request may be empty. It must not block. May be nil.
	Observe func(r Request, d Decision)
	Log     *slog.Logger
}

// A Server answers the packets of its Conns.
type Server struct {
	cfg     Config
	clock   lease.Clock
	packets chan Request
	probes  chan probeResult
	probing map[lease.MAC]Request // the newest request of each PC for which a probe is under way
	written chan batch
	writing bool       // a write is under way
	waiting []answered // for the next write
	ready   []answered // to be sent
	sent    int        // of the burst that began at
	began   time.Time
	pause   <-chan time.Time // until the next burst; nil when nothing is ready for it
	unsaved bool             // the last write failed, and people have been told
	// writeAnyway says that it is time to try again after a write that failed.
	writeAnyway bool
	malformed   atomic.Uint64

	state     sync.Mutex // of what follows; only answer changes leases
	book      *lease.Book
	responder *Responder
	proxy     *ProxyResponder
	role      Role

	mu      sync.RWMutex
	holders map[netip.Addr]lease.MAC // of bound addresses on disk
}

type probeResult struct {
	mac     lease.MAC // of the PC that asked; zero when nobody did
	address netip.Addr
	found   Found
	err     error
}

const (
	packetSize = 4096
	// roundSize is the largest number of packets that share a write.
	roundSize = 256
	// probesAtOnce bounds the goroutines that probe; beyond it, addresses are offered unprobed.
	probesAtOnce = 1024
	// Replies leave in bursts, 16,000 in a second at the most: those of a school behind a relay agent go to its one socket, and would be lost there.
	burst      = 16
	burstPause = time.Millisecond
	// mostUnsent is after how many replies that wait nothing more is read: packets then wait in the socket.
	mostUnsent = 4096
	// tick is how often is looked for what is over.
	tick = time.Second
)

// New loads the leases. It refuses networks that overlap.
func New(cfg Config) (*Server, error) {
	if err := cfg.Network.Check(); err != nil {
		return nil, err
	}
	leases, highWater, err := cfg.Store.Load()
	if err != nil {
		return nil, err
	}
	if cfg.Role == "" {
		cfg.Role = Full
	}
	if cfg.Register == nil {
		cfg.Register = everybody{}
	}
	book := lease.NewBook(cfg.Network.pools(), leases)
	s := &Server{
		cfg: cfg, clock: lease.NewClock(highWater), book: book, role: cfg.Role,
		responder: NewResponder(cfg.Network, book, cfg.Register), proxy: NewProxyResponder(cfg.Network, cfg.Register),
		packets: make(chan Request, roundSize), probes: make(chan probeResult), written: make(chan batch),
		probing: map[lease.MAC]Request{}, holders: map[netip.Addr]lease.MAC{},
	}
	for _, l := range leases {
		s.hold(l.Address, &l)
	}
	return s, nil
}

// Run answers until ctx ends, then closes the Conns and returns nil.
func (s *Server) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, c := range []Conn{s.cfg.Conn, s.cfg.Boot} {
		if c == nil {
			continue
		}
		group.Go(func() error {
			<-ctx.Done()
			return c.Close()
		})
		group.Go(func() error { return s.receive(ctx, c, c != s.cfg.Conn) })
	}
	group.Go(func() error { return s.answer(ctx, group) })
	if s.cfg.Prober != nil {
		group.Go(func() error { return s.sweep(ctx) })
	}
	return group.Wait()
}

// receive decodes packets. When answer falls behind, packets wait in the socket, and those beyond its buffer are lost: clients repeat them.
func (s *Server) receive(ctx context.Context, c Conn, boot bool) error {
	buf := make([]byte, packetSize)
	for {
		n, from, err := c.Receive(buf)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("dhcp: receive: %w", err)
		}
		r, err := Decode(append([]byte(nil), buf[:n]...))
		if err != nil {
			s.malformed.Add(1)
			s.cfg.Log.Debug("dhcp packet dropped", "from", from.From, "reason", err)
			continue
		}
		r.Peer, r.Unicast, r.BootServer = from.From, from.Unicast, boot
		select {
		case s.packets <- r:
		case <-ctx.Done():
			return nil
		}
	}
}

// answer owns the book. It works in rounds: what has arrived meanwhile is decided, and answered at once when the answer does not depend on the disk.
// The rest waits for one write, while the next rounds are decided.
func (s *Server) answer(ctx context.Context, group *errgroup.Group) error {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		var round []answered
		packets := s.packets
		if len(s.waiting)+len(s.ready) >= mostUnsent {
			packets = nil
		}
		select {
		case <-ctx.Done():
			return nil
		case r := <-packets:
			round = s.decide(s.gather(r))
		case p := <-s.probes:
			round = s.probed(p)
		case b := <-s.written:
			s.finish(b)
		case <-s.pause:
			s.pause = nil
		case <-ticker.C:
			s.writeAnyway = true
		}
		for i := range round {
			s.probe(ctx, group, &round[i])
		}
		s.settle(round)
		s.release()
		s.write(ctx, group)
		s.tellOver()
	}
}

// gather takes what waits, as far as one write shall reach.
func (s *Server) gather(first Request) []Request {
	round := []Request{first}
	for len(round) < roundSize {
		select {
		case r := <-s.packets:
			round = append(round, r)
		default:
			return round
		}
	}
	return round
}

type answered struct {
	Request
	Decision
}

func (s *Server) decide(round []Request) []answered {
	s.state.Lock()
	defer s.state.Unlock()
	now := s.clock.Now()
	all := make([]answered, len(round))
	for i, r := range round {
		all[i] = answered{r, s.decideOne(now, r)}
	}
	return all
}

// decideOne gives a request to who answers it in the server's role. Port 4011 belongs to ProxyDHCP in any.
func (s *Server) decideOne(now time.Time, r Request) Decision {
	if s.role == Proxy || r.BootServer {
		return s.proxy.Decide(now, r)
	}
	return s.responder.Decide(now, r)
}

// settle has the replies of a round sent, but for those that must wait until the leases are on disk.
func (s *Server) settle(round []answered) {
	for _, a := range round {
		if a.Durable {
			s.waiting = append(s.waiting, a)
			continue
		}
		s.ready = append(s.ready, a)
	}
}

// release sends what is ready, as far as the burst goes.
func (s *Server) release() {
	if now := time.Now(); now.Sub(s.began) >= burstPause {
		s.began, s.sent = now, 0
	}
	n := min(len(s.ready), burst-s.sent)
	for _, a := range s.ready[:n] {
		s.deliver(a)
	}
	s.sent += n
	if s.ready = s.ready[n:]; len(s.ready) == 0 {
		s.ready, s.pause = nil, nil
	} else if s.pause == nil {
		s.pause = time.After(burstPause)
	}
}

func (s *Server) deliver(a answered) {
	sent := s.send(a)
	s.tell(a.Request, a.Decision)
	if sent && a.Told {
		s.cfg.Register.Told(a.Request, a.Advice)
	}
}

// A batch is what one write puts on disk, and the replies that wait for it.
type batch struct {
	changes []lease.Change
	replies []answered
	err     error
}

// write begins to save what has changed, unless a write is under way: then the next one takes it. Several rounds so share a write.
func (s *Server) write(ctx context.Context, group *errgroup.Group) {
	if s.writing || s.unsaved && len(s.waiting) == 0 && !s.writeAnyway {
		return
	}
	s.writeAnyway = false
	s.state.Lock()
	b := batch{changes: s.book.Changes(), replies: s.waiting}
	s.book.Saved()
	s.state.Unlock()
	if len(b.changes) == 0 && len(b.replies) == 0 {
		return
	}
	s.waiting, s.writing = nil, true
	group.Go(func() error {
		b.err = s.cfg.Store.Save(b.changes, s.clock.Now())
		select {
		case s.written <- b:
		case <-ctx.Done():
		}
		return nil
	})
}

// finish sends what waited for a write. When the disk failed, it is not sent: the PCs ask again.
func (s *Server) finish(b batch) {
	s.writing = false
	if b.err != nil {
		if !s.unsaved {
			s.cfg.Log.Error("leases cannot be saved, so PCs get no address until they can: is the disk full?", "error", b.err)
		}
		s.unsaved = true
		s.state.Lock()
		s.book.Unsaved(b.changes)
		s.state.Unlock()
		return
	}
	if s.unsaved {
		s.cfg.Log.Info("leases can be saved again")
	}
	s.unsaved = false
	for _, c := range b.changes {
		s.hold(c.Address, c.Lease)
	}
	s.ready = append(s.ready, b.replies...)
}

// send says whether a reply left.
func (s *Server) send(a answered) bool {
	if a.Reply == nil {
		return false
	}
	conn := s.cfg.Conn
	if a.BootServer {
		conn = s.cfg.Boot
	}
	packet, err := encode(a.Reply), error(nil)
	if a.Frame {
		err = conn.SendFrame(packet, a.To, a.MAC)
	} else {
		err = conn.Send(packet, a.To)
	}
	if err != nil {
		s.cfg.Log.Warn("dhcp reply not sent", "mac", a.MAC, "to", a.To, "error", err)
	}
	return err == nil
}

func (s *Server) tell(r Request, d Decision) {
	if d.Note == "" {
		return
	}
	s.cfg.Log.Log(context.Background(), d.Level, "dhcp", "mac", r.MAC, "request", r.Kind, "outcome", d.Note)
	if s.cfg.Observe != nil && (d.Level >= slog.LevelInfo || d.Key != "" || r.Firmware != NoFirmware) {
		s.cfg.Observe(r, d)
	}
}

// tellOver tells what is over.
func (s *Server) tellOver() {
	s.state.Lock()
	over := s.responder.board.take(s.clock.Now())
	s.state.Unlock()
	for _, d := range over {
		s.tell(Request{}, d)
	}
}
