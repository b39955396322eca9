// Package ping finds out whether something uses an IPv4 address behind a router, by ICMP echo (RFC 792). It is what is left where ARP does
// not reach.
//
// Silence proves little: hosts may be told not to answer, and routers not to let it through.
package ping

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
)

// Timing: an answer is waited for half a second in all.
const (
	requests = 2
	spacing  = 250 * time.Millisecond
)

// A Pinger asks from one address of this machine. Any number of pings may run at once: they share a socket, which is open only while there
// are any.
type Pinger struct {
	source netip.Addr

	mu      sync.Mutex
	conn    *icmp.PacketConn // nil while nobody pings
	pings   int
	last    uint32
	waiting map[uint32]waiter
}

type waiter struct {
	address  netip.Addr
	answered chan struct{}
}

// New makes a Pinger. It fails when the process may not open raw sockets (CAP_NET_RAW).
func New(source netip.Addr) (*Pinger, error) {
	p := &Pinger{source: source, waiting: map[uint32]waiter{}}
	c, err := p.open()
	if err != nil {
		return nil, err
	}
	return p, c.Close()
}

func (p *Pinger) open() (*icmp.PacketConn, error) {
	c, err := icmp.ListenPacket("ip4:icmp", p.source.String())
	if err != nil {
		return nil, fmt.Errorf("socket for pings from %s: %w", p.source, err)
	}
	return c, nil
}

// Ping says whether something answers at address a.
func (p *Pinger) Ping(ctx context.Context, a netip.Addr) (bool, error) {
	id, w, conn, err := p.begin(a)
	if err != nil {
		return false, err
	}
	defer p.end(id)
	question, err := echo(id)
	if err != nil {
		return false, fmt.Errorf("ping of %s: %w", a, err)
	}
	for range requests {
		if _, err := conn.WriteTo(question, &net.IPAddr{IP: a.AsSlice()}); err != nil {
			return false, fmt.Errorf("ping of %s: %w", a, err)
		}
		select {
		case <-w.answered:
			return true, nil
		case <-ctx.Done():
			return false, nil
		case <-time.After(spacing):
		}
	}
	return false, nil
}

func (p *Pinger) begin(a netip.Addr) (uint32, waiter, *icmp.PacketConn, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conn == nil {
		c, err := p.open()
		if err != nil {
			return 0, waiter{}, nil, err
		}
		p.conn = c
		go p.hear(c)
	}
	p.last++
	p.pings++
	w := waiter{a, make(chan struct{})}
	p.waiting[p.last] = w
	return p.last, w, p.conn, nil
}

func (p *Pinger) end(id uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.waiting, id)
	if p.pings--; p.pings == 0 {
		_ = p.conn.Close() // hear ends by it
		p.conn = nil
	}
}

// hear tells the answers to those who wait for them, until the socket is closed.
func (p *Pinger) hear(c *icmp.PacketConn) {
	buf := make([]byte, 1500)
	for {
		n, from, err := c.ReadFrom(buf)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue
		}
		id, ok := parse(buf[:n])
		sender, is := from.(*net.IPAddr)
		if !ok || !is {
			continue
		}
		a, _ := netip.AddrFromSlice(sender.IP)
		p.mu.Lock()
		if w, ok := p.waiting[id]; ok && w.address == a.Unmap() {
			delete(p.waiting, id)
			close(w.answered)
		}
		p.mu.Unlock()
	}
}

// mark begins the data of our echo requests, so that another program's are not taken for ours.
const mark = "aula-ping-"

// echo makes an echo request that can be told from others.
func echo(id uint32) ([]byte, error) {
	m := icmp.Message{Type: ipv4.ICMPTypeEcho, Body: &icmp.Echo{
		ID: int(id >> 16), Seq: int(id & 0xffff), Data: binary.BigEndian.AppendUint32([]byte(mark), id),
	}}
	return m.Marshal(nil)
}

// parse returns which of our requests an ICMP message answers.
func parse(b []byte) (id uint32, ok bool) {
	m, err := icmp.ParseMessage(1, b) // protocol 1: ICMP for IPv4
	if err != nil || m.Type != ipv4.ICMPTypeEchoReply {
		return 0, false
	}
	e, is := m.Body.(*icmp.Echo)
	if !is || len(e.Data) != len(mark)+4 || string(e.Data[:len(mark)]) != mark {
		return 0, false
	}
	return binary.BigEndian.Uint32(e.Data[len(mark):]), true
}
