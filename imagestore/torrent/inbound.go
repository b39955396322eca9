package torrent

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// wakeBytes is how much of a block there should be before this program is woken for it.
const wakeBytes = 64 << 10

// An inbound is what is read from a connection. Of the bytes of a block it waits for many at once (SO_RCVLOWAT), so that a room of slow
// connections does not wake this program for every packet.
type inbound struct {
	net.Conn
	raw  syscall.RawConn // nil of connections that are not TCP
	left int             // bytes of the block being read that have not come
	low  int             // bytes that the kernel waits for
}

func newInbound(conn net.Conn) *inbound {
	in := &inbound{Conn: conn, low: 1}
	if tcp, ok := conn.(*net.TCPConn); ok {
		in.raw, _ = tcp.SyscallConn() // without, it is as any connection
	}
	return in
}

// Read implements io.Reader.
func (in *inbound) Read(b []byte) (int, error) {
	low := max(1, min(len(b), in.left, wakeBytes))
	if low != in.low && in.raw != nil {
		in.low = low
		_ = in.raw.Control(func(fd uintptr) {
			_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVLOWAT, low) // it makes it cheaper only
		})
	}
	n, err := in.Conn.Read(b)
	in.left -= n
	return n, err
}
