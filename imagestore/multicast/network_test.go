package multicast

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"
)

// A network is a classroom's switch in memory, for the engine's tests in bubbles of testing/synctest: it delivers at once, and does to
// the datagrams what its hosts' cables, and pass, do.
type network struct {
	mu    sync.Mutex
	ports map[netip.AddrPort][]*port // a group has several
	rng   *rand.Rand
	hosts uint16
	// pass, when set, sees each datagram that comes to a port, and answers what arrives in its place.
	pass func(to *port, b []byte) [][]byte
}

func newNetwork(seed uint64) *network {
	return &network{ports: map[netip.AddrPort][]*port{}, rng: rand.New(rand.NewPCG(seed, 1))}
}

// filter sets pass, also while datagrams are under way.
func (n *network) filter(pass func(to *port, b []byte) [][]byte) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.pass = pass
}

// A host is a machine of the network, with what its cable and its switch port do. The network's mutex guards it.
type host struct {
	net     *network
	addr    netip.Addr
	sockets uint16
	loss    float64 // part of the datagrams that come in
	deaf    bool    // the group does not reach it
	dead    bool    // nothing reaches it, and nothing leaves it
	numb    bool    // nothing reaches it, but what it says does leave it
	refused bool    // its neighbours cannot send to its own address, and their kernels know
}

func (n *network) host(loss float64) *host {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.hosts++
	return &host{net: n, addr: netip.AddrFrom4([4]byte{10, 0, byte(n.hosts >> 8), byte(n.hosts)}), loss: loss}
}

// set changes what a host's cable does, also while datagrams are under way.
func (h *host) set(change func(h *host)) {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	change(h)
}

func unplug(h *host) { h.dead = true }
func plug(h *host)   { h.dead = false }

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

type datagrams struct {
	b    [][]byte
	from netip.AddrPort
}

// open opens a socket that gets what is sent to addr.
func (n *network) open(h *host, addr netip.AddrPort) *port {
	n.mu.Lock()
	defer n.mu.Unlock()
	p := &port{net: n, addr: addr, host: h, arrived: make(chan struct{}, 1)}
	n.ports[addr] = append(n.ports[addr], p)
	return p
}

// own opens a socket of an address that no other socket of the host has.
func (n *network) own(h *host) *port {
	n.mu.Lock()
	h.sockets++
	addr := netip.AddrPortFrom(h.addr, 4000+h.sockets)
	n.mu.Unlock()
	return n.open(h, addr)
}

func (p *port) Write(b []byte, size int, to netip.AddrPort) error {
	if to.Port() == 0 {
		return fmt.Errorf("send to %s: want an IPv4 address and a port", to) // as a link does
	}
	b = append([]byte(nil), b...)
	n := p.net
	n.mu.Lock()
	defer n.mu.Unlock()
	if p.host.dead {
		return nil
	}
	for _, dst := range n.ports[to] {
		if dst.host.refused && !to.Addr().IsMulticast() {
			return syscall.EHOSTUNREACH
		}
		d := datagrams{from: p.addr}
		for rest := b; len(rest) > 0; rest = rest[min(size, len(rest)):] {
			d.b = append(d.b, n.arrives(dst, rest[:min(size, len(rest))], to.Addr().IsMulticast())...)
		}
		dst.deliver(d)
	}
	return nil
}

// arrives tells what arrives at a port when that datagram was sent to it.
func (n *network) arrives(dst *port, datagram []byte, group bool) [][]byte {
	h := dst.host
	switch {
	case h.dead || h.numb || h.deaf && group:
		return nil
	case h.loss > 0 && n.rng.Float64() < h.loss:
		return nil
	case n.pass != nil:
		return n.pass(dst, datagram)
	default:
		return [][]byte{datagram}
	}
}

func (p *port) deliver(d datagrams) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(d.b) > 0 && !p.closed {
		p.queue = append(p.queue, d)
		signal(p.arrived)
	}
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
