package netboot

import (
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Bounds of connections. A PC that loads has one or two; one that is refused asks again.
const (
	mostConnections      = 4096
	mostConnectionsOfOne = 32
	// goneTime is after how long without an answer a PC is taken for switched off (TCP_USER_TIMEOUT), where TCP alone takes a quarter of an hour.
	// A PC that unpacks what it has loaded may be silent for some seconds.
	goneTime = 2 * time.Minute
	// crowdNews is how often it is logged that connections are refused.
	crowdNews = time.Minute
)

// A crowd is a listener that bounds the connections there are, in all and with one address, so that nobody can keep the others from booting.
type crowd struct {
	net.Listener
	log *slog.Logger

	mu     sync.Mutex
	by     map[netip.Addr]int
	total  int
	logged time.Time
}

func newCrowd(l net.Listener, log *slog.Logger) *crowd {
	return &crowd{Listener: l, log: log, by: map[netip.Addr]int{}}
}

// Accept returns the next connection that there is room for. The others it resets.
func (c *crowd) Accept() (net.Conn, error) {
	for {
		conn, err := c.Listener.Accept()
		if err != nil {
			return nil, err
		}
		tcp, ok := conn.(*net.TCPConn)
		if !ok {
			return conn, nil
		}
		peer := tcp.RemoteAddr().(*net.TCPAddr).AddrPort().Addr().Unmap()
		if !c.enter(peer) {
			_ = tcp.SetLinger(0) // or the closed ones would wait here in their turn
			_ = tcp.Close()
			continue
		}
		_ = control(tcp, func(fd int) error {
			return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(goneTime.Milliseconds()))
		})
		return &member{TCPConn: tcp, leave: sync.OnceFunc(func() { c.leave(peer) })}, nil
	}
}

// member is a connection that gives its place back. It has all of a TCPConn, of which net/http needs ReadFrom for sendfile(2).
type member struct {
	*net.TCPConn
	leave func()
}

func (m *member) Close() error {
	m.leave()
	return m.TCPConn.Close()
}

func (c *crowd) enter(peer netip.Addr) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.total >= mostConnections || c.by[peer] >= mostConnectionsOfOne {
		if now := time.Now(); now.Sub(c.logged) >= crowdNews {
			c.logged = now
			c.log.Warn("http connections are refused: there are too many", "address", peer, "its", c.by[peer], "all", c.total)
		}
		return false
	}
	c.total++
	c.by[peer]++
	return true
}

func (c *crowd) leave(peer netip.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.total--
	if c.by[peer]--; c.by[peer] == 0 {
		delete(c.by, peer)
	}
}
