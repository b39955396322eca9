package multicast

import (
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"time"
)

// A network is a classroom's switch in memory, for the engine's tests in bubbles of testing/synctest: it delivers at once, and loses,
// doubles and reorders as its wires say.
type network struct {
	mu    sync.Mutex
	ports map[netip.AddrPort][]*port // a group has several
	rng   *rand.Rand
	next  uint16
	// pass, when set, sees each datagram and tells how many times it arrives. from is the sending port.
	pass func(from, to *port, b []byte) int
}

func newNetwork(seed uint64) *network {
	return &network{ports: map[netip.AddrPort][]*port{}, rng: rand.New(rand.NewPCG(seed, 1))}
}

// A port is a socket of the network.
type port struct {
	net     *network
	addr    netip.AddrPort
	host    *host
	mu      sync.Mutex
	queue   []datagrams
	arrived chan struct{}
	closed  bool
}

// A host is a machine of the network, with what its cable does to what comes in.
type host struct {
	addr netip.Addr
	loss float64 // part of the datagrams that come in
	deaf bool    // the group does not reach it
	dead bool    // nothing reaches it, and nothing leaves it
}

type datagrams struct {
	b    [][]byte
	from netip.AddrPort
}

func (n *network) host(loss float64) *host {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.next++
	return &host{addr: netip.AddrFrom4([4]byte{10, 0, byte(n.next >> 8), byte(n.next)}), loss: loss}
}

func (n *network) open(h *host, addr netip.AddrPort) *port {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := &port{net: n, addr: addr, host: h, arrived: make(chan struct{}, 1)}
	n.ports[addr] = append(n.ports[addr], p)
	return p
}

func (p *port) Write(b []byte, size int, to netip.AddrPort) error {
	b = append([]byte(nil), b...)
	n := p.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if p.host.dead {
		return nil
	}
	for _, dst := range n.ports[to] {
		if dst.host.dead || dst.host.deaf && to.Addr().IsMulticast() {
			continue
		}
		d := datagrams{from: p.addr}
		for rest := b; len(rest) > 0; rest = rest[min(size, len(rest)):] {
			datagram := rest[:min(size, len(rest))]
			times := 1
			if dst.host.loss > 0 && n.rng.Float64() < dst.host.loss {
				times = 0
			}
			if n.pass != nil && times > 0 {
				times = n.pass(p, dst, datagram)
			}
			for range times {
				d.b = append(d.b, datagram)
			}
		}
		dst.mu.Lock()
		if len(d.b) > 0 && !dst.closed {
			dst.queue = append(dst.queue, d)
		}
		dst.mu.Unlock()
		signal(dst.arrived)
	}
	return nil
}

func (p *port) Read(wait time.Duration, take func(b []byte, from netip.AddrPort)) error {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		p.mu.Lock()
		queue, closed := p.queue, p.closed
		p.queue = nil
		p.mu.Unlock()
		if closed {
			return net.ErrClosed
		}
		for _, d := range queue {
			for _, b := range d.b {
				take(b, d.from)
			}
		}
		if len(queue) > 0 {
			return nil
		}
		select {
		case <-p.arrived:
		case <-timer.C:
			return nil
		}
	}
}

func (p *port) Close() error {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	signal(p.arrived)
	p.net.mu.Lock()
	defer p.net.mu.Unlock()
	list := p.net.ports[p.addr]
	for i := range list {
		if list[i] == p {
			p.net.ports[p.addr] = append(list[:i:i], list[i+1:]...)
			break
		}
	}
	return nil
}

func (p *port) Interface() string    { return "eth0" }
func (p *port) Prefix() netip.Prefix { return netip.PrefixFrom(p.host.addr, 16) }
func (p *port) Speed() int64         { return 0 }
