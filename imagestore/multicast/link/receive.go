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

	// Read pauses after a batch that was short, so that the next one is longer: to wake for each datagram costs many times the processor
	// time. The pause is such that hundreds of datagrams come meanwhile, of which the receive buffer holds thousands.
	shortestPause = 500 * time.Microsecond
	longestPause  = 4 * time.Millisecond
	fewDatagrams  = 400
	manyDatagrams = 1200
	// flowing is for how long after a datagram Read pauses instead of waiting for the next one: to wait in the kernel, where Go has to
	// reckon with the thread's staying there, costs as much as to receive.
	flowing = 50 * time.Millisecond
)

// A receiveBatch is the memory of Read.
type receiveBatch struct {
	messages []message
	parts    []unix.Iovec
	buffers  [][]byte
	from     []sockaddr
	control  [][24]byte // UDP_GRO
	short    bool       // the last one was
	at       time.Time  // of the last one
	pause    time.Duration
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
// After Close it answers net.ErrClosed. Datagrams that come one by one may be handed out some milliseconds late, many at once.
func (c *Conn) Read(wait time.Duration, take func(b []byte, from netip.AddrPort)) error {
	if c.in == nil {
		if c.coalesce {
			c.in = newReceiveBatch(joinedMessages, joinedSize)
		} else {
			c.in = newReceiveBatch(plainMessages, MaxSize)
		}
	}
	n, err := c.receive(wait)
	if err != nil {
		return err
	}
	// The socket is free by now: take may write, or close.
	datagrams := 0
	for i := range n {
		datagrams += c.in.split(i, take)
	}
	c.in.reset(n)
	c.in.adapt(datagrams)
	return nil
}

// adapt chooses the pause by how many datagrams came after the last one.
func (r *receiveBatch) adapt(datagrams int) {
	switch {
	case datagrams > manyDatagrams:
		r.pause = max(r.pause/2, shortestPause)
	case datagrams > 0 && datagrams < fewDatagrams:
		r.pause = min(r.pause*2, longestPause)
	}
}

// receive fills the batch and returns how many messages it has.
func (c *Conn) receive(wait time.Duration) (int, error) {
	if err := c.enter(); err != nil {
		return 0, err
	}
	defer c.leave()
	deadline := time.Now().Add(wait)
	if c.in.short && wait > c.in.pause {
		time.Sleep(c.in.pause)
	}
	for {
		n, errno := recvmmsg(c.fd, c.in.messages)
		switch {
		case errno == 0 && n > 0:
			c.in.short, c.in.at = n < len(c.in.messages)/2, time.Now()
			return n, nil
		case c.closed.Load():
			return 0, net.ErrClosed
		case errno != 0 && errno != unix.EAGAIN && errno != unix.EINTR && !lost(errno):
			return 0, fmt.Errorf("receive on %s: %w", c.local, os.NewSyscallError("recvmmsg", errno))
		}
		now := time.Now()
		left := deadline.Sub(now)
		if left <= 0 {
			return 0, nil
		}
		if now.Sub(c.in.at) < flowing && left > c.in.pause {
			time.Sleep(c.in.pause)
			continue
		}
		c.in.short = false
		timeout := unix.NsecToTimespec(int64(left))
		ready := []unix.PollFd{{Fd: int32(c.fd), Events: unix.POLLIN}}
		if _, err := unix.Ppoll(ready, &timeout, nil); err != nil && err != unix.EINTR {
			return 0, fmt.Errorf("wait on %s: %w", c.local, os.NewSyscallError("ppoll", err))
		}
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
