package tracker

import (
	"net"
	"net/netip"
	"sync"
)

// Connections that are kept open at once; one more is closed at once, so that no machine takes the tracker from the others.
const (
	maxConns        = 4096
	maxConnsAddress = 64 // from one address; loopback may have all
)

// A limited listener bounds the connections.
type limited struct {
	net.Listener
	mu   sync.Mutex
	from map[netip.Addr]int
	all  int
}

func newLimited(l net.Listener) *limited { return &limited{Listener: l, from: map[netip.Addr]int{}} }

func (l *limited) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		addr := addrPort(c.RemoteAddr()).Addr()
		if l.take(addr) {
			return &limitedConn{Conn: c, free: sync.OnceFunc(func() { l.free(addr) })}, nil
		}
		c.Close()
	}
}

func (l *limited) take(a netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all == maxConns || l.from[a] == maxConnsAddress && !a.IsLoopback() {
		return false
	}
	l.all++
	l.from[a]++
	return true
}

func (l *limited) free(a netip.Addr) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all--
	if l.from[a]--; l.from[a] == 0 {
		delete(l.from, a)
	}
}

type limitedConn struct {
	net.Conn
	free func()
}

func (c *limitedConn) Close() error {
	c.free()
	return c.Conn.Close()
}

// plain is the address in the form that names a peer: IPv4 is IPv4, though it came through a socket of both families, and of IPv6 the zone
// is left out, which means something on one machine only.
func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// addrPort returns the plain address; of what is no address of IP the zero AddrPort.
func addrPort(a net.Addr) netip.AddrPort {
	var ap netip.AddrPort
	switch a := a.(type) {
	case *net.TCPAddr:
		ap = a.AddrPort()
	case *net.UDPAddr:
		ap = a.AddrPort()
	}
	return netip.AddrPortFrom(plain(ap.Addr()), ap.Port())
}
