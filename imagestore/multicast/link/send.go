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
	sendMessages = 64    // of one sendmmsg
	maxSegments  = 64    // of one message, in all kernels that know UDP_SEGMENT
	maxPayload   = 65507 // bytes of a UDP datagram, headers of IPv4 deducted
	// While a NIC's queue is full, without the kernel's telling when it no longer is.
	queuePause = 200 * time.Microsecond
)

// A sendBatch is the memory of Write.
type sendBatch struct {
	messages [sendMessages]message
	parts    [sendMessages]unix.Iovec
	to       sockaddr
	control  [64]byte // UDP_SEGMENT and IP_PKTINFO: 24 and 32 bytes
}

// Write sends the datagrams that stand in b one after another, each of size bytes but for the last, which may be shorter. It waits while the
// NIC's queue is full. One that the kernel refuses for the moment (ENOBUFS, a NIC without carrier) is as lost as one on the wire: no error.
func (c *Conn) Write(b []byte, size int, to netip.AddrPort) error {
	if size < 1 || size > MaxSize {
		return fmt.Errorf("datagrams of %d bytes: want 1 to %d", size, MaxSize)
	}
	if !to.Addr().Is4() || to.Port() == 0 {
		return fmt.Errorf("send to %s: want an IPv4 address and a port", to)
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	if err := c.enter(); err != nil {
		return err
	}
	defer c.leave()

	c.out.to = sockaddrOf(to)
	segments, refused := 1, false
	if c.segment.Load() && len(b) > size {
		segments = min(maxSegments, maxPayload/size)
	}
	for len(b) > 0 {
		chunk := segments * size
		messages := c.out.fill(b, chunk, c.control(size, segments, to.Addr()))
		n, errno := sendmmsg(c.fd, messages)
		switch {
		case errno == 0:
			b = b[min(n*chunk, len(b)):]
			if refused {
				c.segment.Store(false) // it was the segments that it disliked
			}
		case c.closed.Load():
			return net.ErrClosed
		case errno == unix.EINTR:
		case lost(errno):
			b = b[min(chunk, len(b)):]
			if errno == unix.ENOBUFS {
				time.Sleep(queuePause)
			}
		case segments > 1 && refusesSegments(errno):
			segments, refused = 1, true
		default:
			return fmt.Errorf("send to %s: %w", to, os.NewSyscallError("sendmmsg", errno))
		}
	}
	return nil
}

// fill cuts b into messages of chunk bytes, as many as there is memory for.
func (o *sendBatch) fill(b []byte, chunk int, control int) []message {
	n := 0
	for ; n < sendMessages && len(b) > 0; n++ {
		part := b[:min(chunk, len(b))]
		b = b[len(part):]
		o.parts[n] = unix.Iovec{Base: &part[0]}
		o.parts[n].SetLen(len(part))
		h := &o.messages[n].Msghdr
		h.Name, h.Namelen = &o.to[0], uint32(len(o.to))
		h.Iov = &o.parts[n]
		h.SetIovlen(1)
		h.Control = nil
		h.SetControllen(control)
		if control > 0 {
			h.Control = &o.control[0]
		}
	}
	return o.messages[:n]
}

// control writes the control messages of a Write, and returns their size.
func (c *Conn) control(size, segments int, to netip.Addr) int {
	n := 0
	if segments > 1 {
		var b [2]byte
		binary.NativeEndian.PutUint16(b[:], uint16(size))
		n += putControl(c.out.control[n:], unix.SOL_UDP, unix.UDP_SEGMENT, b[:])
	}
	// The address of all networks at once has no route of its own: the NIC that was chosen is the one that is meant.
	if c.nic.index != 0 && to == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		var b [unix.SizeofInet4Pktinfo]byte
		binary.NativeEndian.PutUint32(b[:], uint32(c.nic.index))
		n += putControl(c.out.control[n:], unix.IPPROTO_IP, unix.IP_PKTINFO, b[:])
	}
	return n
}

// lost says whether an error is of the moment: of a full queue, a pulled cable, a firewall, or somebody who is not there.
func lost(errno unix.Errno) bool {
	switch errno {
	case unix.ENOBUFS, unix.EAGAIN, unix.ENOMEM, unix.ENETDOWN, unix.ENETUNREACH, unix.EHOSTDOWN, unix.EHOSTUNREACH, unix.EPERM, unix.ECONNREFUSED:
		return true
	}
	return false
}

// refusesSegments says whether an error may be of UDP_SEGMENT: EIO of a NIC that computes no checksums, EINVAL and EMSGSIZE of
// datagrams that do not fit into a packet.
func refusesSegments(errno unix.Errno) bool {
	switch errno {
	case unix.EIO, unix.EINVAL, unix.EMSGSIZE, unix.EOPNOTSUPP:
		return true
	}
	return false
}
