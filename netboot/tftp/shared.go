package tftp

import (
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// shared is the conn of a transfer that answers from the port of all.
type shared struct {
	port   conn
	peer   netip.AddrPort
	inbox  chan []byte
	closed chan struct{}
	once   sync.Once
	until  time.Time // of the goroutine that reads
}

// longestNews bounds what is kept of a packet from a PC: an ACK has 4 bytes, the text of an ERROR may be longer than it is worth.
const longestNews = 128

func newShared(port conn, peer netip.AddrPort) *shared {
	return &shared{port: port, peer: peer, inbox: make(chan []byte, maxWindow), closed: make(chan struct{})}
}

// put hands over a packet; what does not fit is lost, as on the network.
func (c *shared) put(b []byte) {
	select {
	case c.inbox <- append([]byte(nil), b[:min(len(b), longestNews)]...):
	default:
	}
}

func (c *shared) ReadFromUDPAddrPort(b []byte) (int, netip.AddrPort, error) {
	timer := time.NewTimer(time.Until(c.until))
	defer timer.Stop()
	select {
	case <-c.closed:
		return 0, netip.AddrPort{}, net.ErrClosed
	case p := <-c.inbox:
		return copy(b, p), c.peer, nil
	case <-timer.C:
		return 0, netip.AddrPort{}, os.ErrDeadlineExceeded
	}
}

func (c *shared) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	return c.port.WriteToUDPAddrPort(b, to)
}

func (c *shared) SetReadDeadline(t time.Time) error {
	c.until = t
	return nil
}

func (c *shared) Close() error {
	c.once.Do(func() { close(c.closed) })
	return nil
}
