package link

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const (
	joinedMessages = 32       // of one recvmmsg, when the kernel joins datagrams: 2 MiB
	joinedSize     = 64 << 10 // bytes of such a message
	plainMessages  = 256      // when it does not: 512 KiB

	// Read pauses when it has taken what was there, so that more is there the next time: to wake for each datagram costs many times the
	// processor time. The pause is such that hundreds of datagrams come meanwhile, of which the receive buffer holds thousands.
	//
	// It never waits in the kernel, not even when nothing comes: for as long as one thread does, Go's monitor does not rest with the others,
	// but wakes every 20 µs to look after it. For a receiver, one of whose sockets is idle, that was a sixth of its processor time.
	shortestPause = 500 * time.Microsecond
	longestPause  = 4 * time.Millisecond  // while datagrams come: they are answers that a writer to many waits for
	joinedPause   = 10 * time.Millisecond // the same of a Conn of Join, which sends no answers itself
	idlePause     = 32 * time.Millisecond // while none come
	fewDatagrams  = 400
	manyDatagrams = 1200
)

// A receiveBatch is the memory of Read.
type receiveBatch struct {
	messages []message
	parts    []unix.Iovec
	buffers  [][]byte
	from     []sockaddr
	control  [][24]byte // UDP_GRO
	emptied  bool       // the last one took all that was there
	taken    int        // datagrams since the last pause
	pause    time.Duration
	longest  time.Duration // of pauses while datagrams come
}

func newReceiveBatch(count, size int) *receiveBatch {
	r := &receiveBatch{
		messages: make([]message, count),
		parts:    make([]unix.Iovec, count),
		buffers:  make([][]byte, count),
		from:     make([]sockaddr, count),
		control:  make([][24]byte, count),
		pause:    shortestPause,
	}
	memory := make([]byte, count*size)
	for i := range r.messages {
		r.buffers[i] = memory[i*size:][:size:size]
		r.parts[i].Base = &r.buffers[i][0]
		r.parts[i].SetLen(size)
		h := &r.messages[i].Msghdr
		h.Name, h.Control, h.Iov = &r.from[i][0], &r.control[i][0], &r.parts[i]
		h.SetIovlen(1)
	}
	r.reset(count)
	return r
}

// reset gives back to the first n messages the lengths that the kernel has changed.
func (r *receiveBatch) reset(n int) {
	for i := range r.messages[:n] {
		h := &r.messages[i].Msghdr
		h.Namelen = uint32(len(r.from[i]))
		h.SetControllen(len(r.control[i]))
	}
}

// Read waits until datagrams come, or for as long as wait says, and calls take for each. The bytes are take's only during the call.
// After Close it answers net.ErrClosed. Datagrams may be handed out some milliseconds late, many at once, and the first after a silence
// up to 32 ms late.
func (c *Conn) Read(wait time.Duration, take func(b []byte, from netip.AddrPort)) error {
	if c.in == nil {
		if c.coalesce {
			c.in = newReceiveBatch(joinedMessages, joinedSize)
		} else {
			c.in = newReceiveBatch(plainMessages, MaxSize)
		}
		c.in.longest = longestPause
		if c.joined {
			c.in.longest = joinedPause
		}
	}
	n, err := c.receive(wait)
	if err != nil {
		return err
	}
	// The socket is free by now: take may write, or close.
	for i := range n {
		c.in.taken += c.in.split(i, take)
	}
	c.in.reset(n)
	return nil
}

// receive fills the batch and returns how many messages it has.
func (c *Conn) receive(wait time.Duration) (int, error) {
	if err := c.enter(); err != nil {
		return 0, err
	}
	defer c.leave()
	deadline := time.Now().Add(wait)
	if c.in.emptied {
		c.in.rest(wait)
	}
	for {
		n, errno := recvmmsg(c.fd, c.in.messages)
		switch {
		case errno == 0 && n > 0:
			c.in.emptied = n < len(c.in.messages)
			return n, nil
		case c.closed.Load():
			return 0, net.ErrClosed
		case errno != 0 && errno != unix.EAGAIN && errno != unix.EINTR && !lost(errno):
			return 0, fmt.Errorf("receive on %s: %w", c.local, os.NewSyscallError("recvmmsg", errno))
		}
		left := time.Until(deadline)
		if left <= 0 {
			return 0, nil
		}
		c.in.rest(left)
	}
}

// rest pauses, but for no longer than left.
func (r *receiveBatch) rest(left time.Duration) {
	r.adapt()
	r.taken, r.emptied = 0, false
	time.Sleep(min(r.pause, left))
}

// adapt chooses the pause by how many datagrams were taken since the last one.
func (r *receiveBatch) adapt() {
	switch {
	case r.taken > manyDatagrams:
		r.pause = max(min(r.pause, r.longest)/2, shortestPause)
	case r.taken >= fewDatagrams:
		r.pause = min(r.pause, r.longest)
	case r.taken > 0:
		r.pause = min(r.pause*2, r.longest)
	default:
		r.pause = min(r.pause*2, idlePause)
	}
}

// split hands out the datagrams of one message, and counts them.
func (r *receiveBatch) split(i int, take func(b []byte, from netip.AddrPort)) (n int) {
	m := &r.messages[i]
	if m.Flags&unix.MSG_TRUNC != 0 || int(m.Namelen) < len(r.from[i]) {
		return 0
	}
	b := r.buffers[i][:m.length]
	size := segmentSize(r.control[i][:m.Controllen])
	if size == 0 {
		size = len(b)
	}
	if size > MaxSize {
		return 0
	}
	from := r.from[i].addrPort()
	for n = 1; len(b) > size; n++ {
		take(b[:size:size], from)
		b = b[size:]
	}
	take(b, from)
	return n
}

// segmentSize reads the size of the datagrams that the kernel joined, from UDP_GRO's control message; 0 when it joined none.
func segmentSize(control []byte) int {
	if len(control) == 0 {
		return 0
	}
	header, data, _, err := unix.ParseOneSocketControlMessage(control)
	if err != nil || header.Level != unix.SOL_UDP || header.Type != unix.UDP_GRO || len(data) < 4 {
		return 0
	}
	return int(binary.NativeEndian.Uint32(data))
}
