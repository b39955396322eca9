package tftp

import (
	"container/list"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"time"
)

// A conn is a UDP socket, or what stands for one in tests and at a shared port.
type conn interface {
	ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error)
	WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error)
	SetReadDeadline(time.Time) error
	Close() error
}

// A Server serves one address.
type Server struct {
	cfg      Config
	port     conn
	open     func() (conn, error) // a socket with a port of its own
	maxBlock int

	mu      sync.Mutex
	all     map[*transfer]struct{}
	byPeer  map[netip.AddrPort]*transfer // the newest of each
	perPC   map[netip.Addr]int
	unheard list.List // transfers whose PC has not answered yet, the oldest first
	sieve   sieve
	group   sync.WaitGroup
}

func newServer(cfg Config, port conn, open func() (conn, error)) *Server {
	for _, d := range []struct {
		value    *int
		fallback int
	}{{&cfg.Sessions, sessions}, {&cfg.PerPC, perPC}, {&cfg.MTU, ethernet}} {
		if *d.value == 0 {
			*d.value = d.fallback
		}
	}
	return &Server{cfg: cfg, port: port, open: open, maxBlock: cfg.MTU - overhead,
		all: map[*transfer]struct{}{}, byPeer: map[netip.AddrPort]*transfer{}, perPC: map[netip.Addr]int{}}
}

// Run serves until ctx ends and the transfers of then have broken off; it returns an error when the socket breaks.
func (s *Server) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { s.port.Close() })
	err := s.listen()
	stop()
	s.mu.Lock()
	for t := range s.all {
		s.end(t, errStopped)
	}
	s.mu.Unlock()
	s.group.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return errors.Join(fmt.Errorf("tftp: read from port 69: %w", err), s.port.Close())
}

func (s *Server) listen() error {
	buffer := make([]byte, 2048) // a request has 512 at most
	for {
		n, from, err := s.port.ReadFromUDPAddrPort(buffer)
		if err != nil {
			return err
		}
		from = netip.AddrPortFrom(from.Addr().Unmap(), from.Port())
		if n < 2 || from.Port() == 0 {
			continue
		}
		switch binary.BigEndian.Uint16(buffer) {
		case opRead:
			s.request(buffer[2:n], from)
		case opWrite:
			r, _ := parseRequest(buffer[2:n])
			s.refuse(r, from, errAccess, "read-only", errors.New("wanted to write"))
		case opError:
			s.deliver(buffer[:n], from)
		case opACK:
			// At a shared port it may be the echo of a transfer that has ended, from a PC that asks for the next file from the same port.
			if !s.deliver(buffer[:n], from) && !s.cfg.SinglePort {
				s.tell(from, errUnknownTID, "unknown transfer ID")
			}
		default:
			s.tell(from, errIllegal, "illegal operation")
		}
	}
}

// request begins a transfer.
func (s *Server) request(b []byte, from netip.AddrPort) {
	if s.flooded(from.Addr()) {
		return
	}
	r, err := parseRequest(b)
	if err != nil {
		s.refuse(r, from, errIllegal, err.Error(), err)
		return
	}
	s.mu.Lock()
	if s.repeated(r, from) {
		s.mu.Unlock()
		return
	}
	if !s.room(from.Addr()) {
		s.mu.Unlock()
		s.ended(Transfer{Peer: from, File: r.file, Began: time.Now(), Err: errBusy}) // no error is told: a PC asks again
		return
	}
	defer s.mu.Unlock()
	t := &transfer{server: s, peer: from, req: r, tell: Transfer{Peer: from, File: r.file, Began: time.Now()}}
	if s.cfg.SinglePort {
		t.conn = newShared(s.port, from)
	} else if t.conn, err = s.open(); err != nil {
		s.ended(Transfer{Peer: from, File: r.file, Began: time.Now(), Err: fmt.Errorf("no port for the transfer: %w", err)})
		return
	}
	t.place = s.unheard.PushBack(t)
	s.all[t], s.byPeer[from] = struct{}{}, t
	s.perPC[from.Addr()]++
	s.group.Go(func() {
		t.run()
		s.forget(t)
	})
}

// flooded tells whether a request is left unanswered because there are too many. Nobody is told of it.
func (s *Server) flooded(pc netip.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.sieve.stops(pc, time.Now())
}

// repeated tells whether a request is one that is being answered. A PC that started anew and happens to use the same port is let in.
func (s *Server) repeated(r request, from netip.AddrPort) bool {
	old := s.byPeer[from]
	if old == nil {
		return false
	}
	heard := old.heard.Load()
	lively := heard != 0 && time.Since(time.Unix(0, heard)) < fresh
	switch {
	case old.reason.Load() != nil: // it is ending
		return s.cfg.SinglePort
	case old.req.equal(r):
		if heard == 0 || lively {
			return true
		}
	case !s.cfg.SinglePort:
		return false // it has a port of its own; what is still under way on the other does no harm
	case lively:
		return true
	}
	s.end(old, errAgain)
	return s.cfg.SinglePort // it asks again when the port is free
}

// room makes room for a request of an address, at the cost of the oldest that was never heard. Those that are ending count until they have
// ended, a few more than the limit, so that memory is bounded whatever comes.
func (s *Server) room(pc netip.Addr) bool {
	if s.perPC[pc] >= s.cfg.PerPC {
		if !s.evict(func(t *transfer) bool { return t.peer.Addr() == pc }) {
			return false
		}
	} else if len(s.all) >= s.cfg.Sessions {
		if !s.evict(func(*transfer) bool { return true }) {
			return false
		}
	}
	return len(s.all) < s.cfg.Sessions+s.cfg.Sessions/4+1
}

func (s *Server) evict(mayGo func(*transfer) bool) bool {
	for e := s.unheard.Front(); e != nil; e = e.Next() {
		if t := e.Value.(*transfer); mayGo(t) {
			s.end(t, ErrEvicted)
			s.sieve.evict(time.Now(), s.cfg.Sessions)
			return true
		}
	}
	return false
}

// end makes a transfer end soon.
func (s *Server) end(t *transfer, why error) {
	if t.place != nil {
		s.unheard.Remove(t.place)
		t.place = nil
	}
	t.reason.CompareAndSwap(nil, &why)
	_ = t.conn.Close()
}

// proven takes a transfer off the list of those that may be evicted.
func (s *Server) proven(t *transfer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.place != nil {
		s.unheard.Remove(t.place)
		t.place = nil
	}
}

func (s *Server) forget(t *transfer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.end(t, errStopped)
	delete(s.all, t)
	if s.byPeer[t.peer] == t {
		delete(s.byPeer, t.peer)
	}
	pc := t.peer.Addr()
	if s.perPC[pc]--; s.perPC[pc] <= 0 {
		delete(s.perPC, pc)
	}
}

// deliver gives a packet to the transfer that shares the port.
func (s *Server) deliver(b []byte, from netip.AddrPort) bool {
	if !s.cfg.SinglePort {
		return false
	}
	s.mu.Lock()
	t := s.byPeer[from]
	s.mu.Unlock()
	if t == nil {
		return false
	}
	t.conn.(*shared).put(b)
	return true
}

// refuse answers a request that begins no transfer.
func (s *Server) refuse(r request, to netip.AddrPort, code uint16, text string, why error) {
	s.tell(to, code, text)
	s.ended(Transfer{Peer: to, File: r.file, Began: time.Now(), Err: why})
}

func (s *Server) tell(to netip.AddrPort, code uint16, text string) {
	_, _ = s.port.WriteToUDPAddrPort(errorPacket(code, text), to)
}

func (s *Server) ended(t Transfer) {
	if s.cfg.Ended != nil {
		s.cfg.Ended(t)
	}
}
