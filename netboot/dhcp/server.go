// Package dhcp leases addresses to the PCs on one NIC and tells those that boot from the network what to load.
//
// A packet is decoded into a Request; a Responder, which does no input or output, decides; the Server around it does the rest: it
// probes an address before it is first offered, has the leases on disk before the reply leaves, and sends. Packets that
// wait at the same time share one write to disk, so a classroom that starts at once costs a few writes.
//
// It implements the full DHCP of RFC 2131 for one subnet, and the PXE options of RFC 4578. It is meant to be the only DHCP server of its
// network. It is not a ProxyDHCP, and serves no other networks: what a relay sends from one is dropped.
package dhcp

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"

	"golang.org/x/sync/errgroup"

	"aula/netboot/lease"
)

// A Conn is the server's port on a NIC.
type Conn interface {
	// Receive waits for a packet and copies it to buf.
	Receive(buf []byte) (int, error)
	// Send sends a packet from the NIC that Receive listens on.
	Send(packet []byte, to netip.AddrPort) error
	// Close makes Receive return an error.
	Close() error
}

// A Prober finds out whether something answers at an address.
type Prober interface {
	// Probe returns the MAC that answers, or zero when nothing does within a fraction of a second.
	Probe(ctx context.Context, a netip.Addr) (lease.MAC, error)
}

// A Config is what a Server works with.
type Config struct {
	Network Network
	Pool    lease.Pool
	Store   *lease.Store
	Conn    Conn
	Prober  Prober // nil for none: addresses are offered unprobed
	// Observe is told of each reply that people want to know of. It must not block. May be nil.
	Observe func(mac lease.MAC, a netip.Addr, note string)
	Log     *slog.Logger
}

// A Server answers the packets of a Conn.
type Server struct {
	cfg       Config
	clock     lease.Clock
	book      *lease.Book
	responder *Responder
	packets   chan Request
	probes    chan probeResult
	probing   map[lease.MAC]Request // the newest request of each PC for which a probe is under way
	unsaved   bool                  // the last write failed, and people have been told

	mu      sync.RWMutex
	holders map[netip.Addr]lease.MAC // of bound addresses on disk
}

type probeResult struct {
	mac     lease.MAC // of the PC that asked
	address netip.Addr
	found   lease.MAC
	err     error
}

const (
	packetSize = 4096
	// roundSize is the largest number of packets that share a write.
	roundSize = 256
	// probesAtOnce bounds the goroutines that probe; beyond it, addresses are offered unprobed.
	probesAtOnce = 64
)

// New loads the leases.
func New(cfg Config) (*Server, error) {
	leases, highWater, err := cfg.Store.Load()
	if err != nil {
		return nil, err
	}
	book := lease.NewBook(cfg.Pool, leases)
	s := &Server{
		cfg: cfg, clock: lease.NewClock(highWater), book: book, responder: NewResponder(cfg.Network, book),
		packets: make(chan Request, roundSize), probes: make(chan probeResult),
		probing: map[lease.MAC]Request{}, holders: map[netip.Addr]lease.MAC{},
	}
	for _, l := range leases {
		s.hold(l.Address, &l)
	}
	return s, nil
}

// Holder returns the PC to which an address is leased, or was last.
func (s *Server) Holder(a netip.Addr) (lease.MAC, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	mac, ok := s.holders[a]
	return mac, ok
}

func (s *Server) hold(a netip.Addr, l *lease.Lease) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if l == nil || l.State == lease.Quarantined {
		delete(s.holders, a)
		return
	}
	s.holders[a] = l.MAC
}

// Run answers until ctx ends, then closes the Conn and returns nil.
func (s *Server) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		<-ctx.Done()
		return s.cfg.Conn.Close()
	})
	group.Go(func() error { return s.receive(ctx) })
	group.Go(func() error { return s.answer(ctx, group) })
	return group.Wait()
}

// receive decodes packets. When answer falls behind, packets wait in the socket, and those beyond its buffer are lost: clients repeat them.
func (s *Server) receive(ctx context.Context) error {
	buf := make([]byte, packetSize)
	for {
		n, err := s.cfg.Conn.Receive(buf)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("dhcp: receive: %w", err)
		}
		r, err := Decode(append([]byte(nil), buf[:n]...))
		if err != nil {
			s.cfg.Log.Debug("dhcp packet dropped", "reason", err)
			continue
		}
		select {
		case s.packets <- r:
		case <-ctx.Done():
			return nil
		}
	}
}

// answer owns the book. It works in rounds: what has arrived meanwhile is decided, then saved at once, then answered.
func (s *Server) answer(ctx context.Context, group *errgroup.Group) error {
	for {
		var round []answered
		select {
		case <-ctx.Done():
			return nil
		case r := <-s.packets:
			round = s.decide(s.gather(r))
		case p := <-s.probes:
			round = s.probed(p)
		}
		for i := range round {
			s.probe(ctx, group, &round[i])
		}
		s.settle(round)
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
	now := s.clock.Now()
	all := make([]answered, len(round))
	for i, r := range round {
		all[i] = answered{r, s.responder.Decide(now, r)}
	}
	return all
}

// probe looks who is at the address that a PC would be offered, if the decision asks for it. The offer waits for that: PXE ROMs
// collect offers for longer than it takes.
func (s *Server) probe(ctx context.Context, group *errgroup.Group, a *answered) {
	if !a.Probe.IsValid() {
		return
	}
	_, underWay := s.probing[a.MAC]
	if s.cfg.Prober == nil || !underWay && len(s.probing) >= probesAtOnce {
		a.Decision = s.responder.Probed(s.clock.Now(), a.Request, a.Probe, lease.MAC{})
		return
	}
	s.probing[a.MAC] = a.Request // a repeated DISCOVER is answered under its own transaction
	if underWay {
		return
	}
	result := probeResult{mac: a.MAC, address: a.Probe}
	group.Go(func() error {
		result.found, result.err = s.cfg.Prober.Probe(ctx, result.address)
		select {
		case s.probes <- result:
		case <-ctx.Done():
		}
		return nil
	})
}

func (s *Server) probed(p probeResult) []answered {
	r, ok := s.probing[p.mac]
	delete(s.probing, p.mac)
	if !ok {
		return nil
	}
	if p.err != nil {
		s.cfg.Log.Warn("address offered unprobed", "address", p.address, "error", p.err)
	}
	return []answered{{r, s.responder.Probed(s.clock.Now(), r, p.address, p.found)}}
}

// settle saves what the round changed, then sends its replies. When the disk fails, what depends on it is not sent: the PCs
// ask again.
func (s *Server) settle(round []answered) {
	saved := s.save()
	for _, a := range round {
		if a.Durable && !saved {
			continue
		}
		s.send(a)
		s.tell(a)
	}
}

func (s *Server) save() bool {
	changes := s.book.Changes()
	if len(changes) == 0 {
		return true
	}
	if err := s.cfg.Store.Save(changes, s.clock.Now()); err != nil {
		if !s.unsaved {
			s.cfg.Log.Error("leases cannot be saved, so PCs get no address until they can: is the disk full?", "error", err)
		}
		s.unsaved = true
		return false
	}
	if s.unsaved {
		s.cfg.Log.Info("leases can be saved again")
	}
	s.unsaved = false
	s.book.Saved()
	for _, c := range changes {
		s.hold(c.Address, c.Lease)
	}
	return true
}

func (s *Server) send(a answered) {
	if a.Reply == nil {
		return
	}
	if err := s.cfg.Conn.Send(a.Reply.ToBytes(), a.To); err != nil {
		s.cfg.Log.Warn("dhcp reply not sent", "mac", a.MAC, "to", a.To, "error", err)
	}
}

func (s *Server) tell(a answered) {
	if a.Note == "" {
		return
	}
	var address netip.Addr
	if a.Reply != nil {
		address, _ = netip.AddrFromSlice(a.Reply.YourIPAddr)
	}
	s.cfg.Log.Log(context.Background(), a.Level, "dhcp", "mac", a.MAC, "request", a.Kind, "outcome", a.Note)
	if s.cfg.Observe != nil && a.Level >= slog.LevelInfo {
		s.cfg.Observe(a.MAC, address, a.Note)
	}
}
