package torrent

import (
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"time"
)

// A simulation is a network in memory whose hosts have cables of a rate to both sides. Packets wait for their sender's cable, in turn with those of
// its other connections, and then for the receiver's. It is for testing/synctest, where time costs nothing.
type simulation struct {
	rate float64 // bytes a second of each cable, each way
	work sync.WaitGroup

	mu    sync.Mutex
	hosts map[netip.AddrPort]*host
}

const (
	simPacket = 16 << 10  // bytes that go at once
	simWindow = 256 << 10 // bytes of a connection that may be on their way
)

// A host has a cable, and takes connections.
type host struct {
	sim     *simulation
	address netip.AddrPort
	accepts chan net.Conn
	up      chan *flow  // with something to send, in turn
	down    chan packet // in the order of arrival
	sent    int64       // bytes; read when all is over
	gone    context.Context
}

type packet struct {
	flow *flow
	b    []byte
}

// A flow is one direction of a connection.
type flow struct {
	from, to *host

	mu     sync.Mutex
	change *sync.Cond
	unsent []byte // waits for the sender's cable
	ready  []byte // may be read
	under  int    // bytes written and not read
	closed bool
}

func newSimulation(rate float64) *simulation {
	return &simulation{rate: rate, hosts: map[netip.AddrPort]*host{}}
}

// plug makes a host; its cable is cut when the context ends.
func (s *simulation) plug(ctx context.Context, address netip.AddrPort) *host {
	const many = 1 << 16 // packets and connections; what is under way is bounded by windows
	h := &host{sim: s, address: address, accepts: make(chan net.Conn, 1024), up: make(chan *flow, many), down: make(chan packet, many), gone: ctx}
	s.mu.Lock()
	s.hosts[address] = h
	s.mu.Unlock()
	s.work.Go(h.send)
	s.work.Go(h.receive)
	return h
}

func (h *host) pass(n int) {
	time.Sleep(time.Duration(float64(n) / h.sim.rate * float64(time.Second)))
}

// send carries packets to other hosts, one connection's after another's.
func (h *host) send() {
	for {
		select {
		case <-h.gone.Done():
			return
		case f := <-h.up:
			f.mu.Lock()
			n := min(len(f.unsent), simPacket)
			b := f.unsent[:n:n]
			f.unsent = f.unsent[n:]
			again := len(f.unsent) > 0
			f.mu.Unlock()
			h.pass(n)
			h.sent += int64(n)
			f.to.down <- packet{f, b}
			if again {
				h.up <- f
			}
		}
	}
}

func (h *host) receive() {
	for {
		select {
		case <-h.gone.Done():
			return
		case p := <-h.down:
			h.pass(len(p.b))
			p.flow.mu.Lock()
			p.flow.ready = append(p.flow.ready, p.b...)
			p.flow.mu.Unlock()
			p.flow.change.Broadcast()
		}
	}
}

// Accept, Close and Addr make it a net.Listener.
func (h *host) Accept() (net.Conn, error) {
	select {
	case <-h.gone.Done():
		return nil, net.ErrClosed
	case c := <-h.accepts:
		return c, nil
	}
}

func (h *host) Close() error   { return nil }
func (h *host) Addr() net.Addr { return net.TCPAddrFromAddrPort(h.address) }

// dial connects to another host.
func (h *host) dial(_ context.Context, to netip.AddrPort) (net.Conn, error) {
	h.sim.mu.Lock()
	other := h.sim.hosts[to]
	h.sim.mu.Unlock()
	if other == nil || other.gone.Err() != nil {
		return nil, errors.New("nobody listens there")
	}
	there, back := newFlow(h, other), newFlow(other, h)
	other.accepts <- &simConn{in: there, out: back}
	return &simConn{in: back, out: there}, nil
}

func newFlow(from, to *host) *flow {
	f := &flow{from: from, to: to}
	f.change = sync.NewCond(&f.mu)
	return f
}

// A simConn is an end of a connection. It has no deadlines.
type simConn struct{ in, out *flow }

func (c *simConn) Read(b []byte) (int, error) {
	f := c.in
	f.mu.Lock()
	defer f.mu.Unlock()
	for len(f.ready) == 0 {
		if f.closed {
			return 0, io.EOF
		}
		f.change.Wait()
	}
	n := copy(b, f.ready)
	f.ready = f.ready[n:]
	f.under -= n
	f.change.Broadcast()
	return n, nil
}

func (c *simConn) Write(b []byte) (int, error) {
	f := c.out
	f.mu.Lock()
	defer f.mu.Unlock()
	for written := 0; written < len(b); {
		for f.under >= simWindow && !f.closed {
			f.change.Wait()
		}
		if f.closed {
			return written, net.ErrClosed
		}
		n := min(len(b)-written, simWindow-f.under)
		if len(f.unsent) == 0 {
			f.from.up <- f
		}
		f.unsent = append(f.unsent, b[written:written+n]...)
		f.under += n
		written += n
	}
	return len(b), nil
}

func (c *simConn) Close() error {
	for _, f := range []*flow{c.in, c.out} {
		f.mu.Lock()
		f.closed = true
		f.mu.Unlock()
		f.change.Broadcast()
	}
	return nil
}

func (c *simConn) LocalAddr() net.Addr              { return net.TCPAddrFromAddrPort(c.out.from.address) }
func (c *simConn) RemoteAddr() net.Addr             { return net.TCPAddrFromAddrPort(c.out.to.address) }
func (c *simConn) SetDeadline(time.Time) error      { return nil }
func (c *simConn) SetReadDeadline(time.Time) error  { return nil }
func (c *simConn) SetWriteDeadline(time.Time) error { return nil }
