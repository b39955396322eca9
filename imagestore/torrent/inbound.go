package torrent

import (
	"errors"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// wakeBytes is how much of a block there should be before this program is woken for it.
const wakeBytes = 64 << 10

// An inbound is what is read from a connection. Of the bytes of a block it waits for many at once (SO_RCVLOWAT), so that a room of slow
// connections does not wake this program for every packet.
type inbound struct {
	net.Conn
	raw   syscall.RawConn // nil of connections that are not TCP
	left  int             // bytes of the block being read that have not come
	until time.Time       // when all of it must be there
	low   int             // bytes that the kernel waits for
}

func newInbound(conn net.Conn) *inbound {
	in := &inbound{Conn: conn, low: 1}
	if tcp, ok := conn.(*net.TCPConn); ok {
		in.raw, _ = tcp.SyscallConn() // without, it is as any connection
	}
	return in
}

// expect tells that a block comes, of which so many bytes have not been read.
func (in *inbound) expect(bytes int) {
	in.left, in.until = bytes, time.Now().Add(slowTime)
}

// Read implements io.Reader. In the middle of a block, a peer that says nothing for twice stalledTime is gone: others can send it.
func (in *inbound) Read(b []byte) (int, error) {
	if in.left <= 0 {
		in.await(1)
		return in.Conn.Read(b)
	}
	in.await(min(len(b), in.left, wakeBytes))
	n, err := in.readSoon(b)
	if errors.Is(err, os.ErrDeadlineExceeded) && in.low > 1 {
		in.await(1) // slow, perhaps: something may be there
		n, err = in.readSoon(b)
	}
	in.left -= n
	return n, err
}

func (in *inbound) readSoon(b []byte) (int, error) {
	deadline := time.Now().Add(stalledTime)
	if deadline.After(in.until) {
		deadline = in.until
	}
	if err := in.Conn.SetReadDeadline(deadline); err != nil {
		return 0, err
	}
	return in.Conn.Read(b)
}

// await makes the kernel wait for that many bytes.
func (in *inbound) await(low int) {
	if low == in.low || in.raw == nil {
		return
	}
	in.low = low
	_ = in.raw.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVLOWAT, low) // it makes it cheaper only
	})
}
