// Package link carries the datagrams of a multicast session over UDP: it chooses NICs, joins groups, and sends and receives in batches,
// with the kernel's segmentation offloads where there are any. It knows nothing of what the datagrams hold.
//
// Its sockets are the kernel's own and never known to Go's poller, which would wake for each datagram: who reads looks
// after them from time to time. It promises no delivery and no order. It is for Linux and for IPv4.
package link

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// MaxSize is the size of the largest datagram that a Conn sends or receives, in bytes of UDP payload. Those that do not fit into one
// packet of the network (1472 bytes, usually) travel in fragments; larger ones than this are not received.
const MaxSize = 2048

// Options say how to open a Conn.
type Options struct {
	// Interface is the NIC; empty: for Listen the only one that is up and has an IPv4 address, for Join every one that is up.
	Interface string
	TTL       int  // of multicast datagrams; 1 when 0
	NoOffload bool // neither GSO nor GRO
	// Unbound leaves the NIC of a Listen without Interface to the routing table, for a socket that writes to no group: it may be opened
	// where several NICs are up. Its Addr and Prefix are not known.
	Unbound bool
}

// A Conn sends and receives datagrams. Write, Read and Close may be called at the same time; Read from one goroutine at a time.
//
// Datagrams to a group are also heard by members on this machine. That costs nothing while there are none: the kernel clones a
// packet for its own host only if the host is in the group.
type Conn struct {
	fd    int
	local netip.AddrPort
	nic   nic // zero when there are several

	joined bool // it is one of Join

	inUse  sync.RWMutex // held for reading during system calls on fd, so that Close ends it only when nobody uses it
	closed atomic.Bool

	segment  atomic.Bool // the kernel cuts what Write gives it (GSO)
	coalesce bool        // the kernel joins what Read takes (GRO)

	writing sync.Mutex // guards out
	out     sendBatch
	in      *receiveBatch // of Read; made when it is first called
}

// Close ends the Conn, and the calls of Read and Write that wait. A Read that has datagrams hands them out first. A second Close answers net.ErrClosed.
func (c *Conn) Close() error {
	if c.closed.Swap(true) {
		return net.ErrClosed
	}
	// On an unconnected socket this answers ENOTCONN, and wakes those who sleep in it all the same (inet_shutdown).
	_ = unix.Shutdown(c.fd, unix.SHUT_RDWR)
	c.inUse.Lock()
	defer c.inUse.Unlock()
	return os.NewSyscallError("close", unix.Close(c.fd))
}

// enter holds the socket open until leave.
func (c *Conn) enter() error {
	c.inUse.RLock()
	if c.closed.Load() {
		c.inUse.RUnlock()
		return net.ErrClosed
	}
	return nil
}

func (c *Conn) leave() { c.inUse.RUnlock() }

// Addr is the local address: the interface's, for a Conn of Listen, the group's for one of Join, and the port.
func (c *Conn) Addr() netip.AddrPort { return c.local }

// Interface is the name of the interface that a Conn of Listen sends multicast by; empty when it is Unbound.
func (c *Conn) Interface() string { return c.nic.name }

// Prefix is the interface's IPv4 network, with the address. It is not valid when a Conn has several interfaces or none of its own.
func (c *Conn) Prefix() netip.Prefix { return c.nic.prefix }

// Speed is the interface's line rate in bit/s; 0 when the kernel does not know.
func (c *Conn) Speed() int64 {
	b, err := os.ReadFile(fmt.Sprintf("/sys/class/net/%s/speed", c.nic.name))
	if err != nil {
		return 0 // EINVAL of a NIC without a cable
	}
	megabits, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
	if err != nil || megabits < 0 {
		return 0
	}
	return megabits * 1_000_000
}

// Offload tells whether the kernel cuts what is sent into datagrams (UDP_SEGMENT) and joins those that are received (UDP_GRO). Sending
// by segments ends for good when the kernel refuses it once, for this NIC or for this size of datagrams.
func (c *Conn) Offload() (send, receive bool) { return c.segment.Load(), c.coalesce }

// Dropped is how many datagrams the kernel dropped since the Conn was opened because its receive buffer was full. Datagrams that
// the kernel had joined count as one. 0 after Close.
func (c *Conn) Dropped() uint64 {
	if c.enter() != nil {
		return 0
	}
	defer c.leave()
	n, err := socketDrops(c.fd)
	if err != nil {
		return 0 // kernels before 4.12
	}
	return uint64(n)
}
