// Package link carries the datagrams of a multicast session over UDP: it chooses NICs, joins groups, and sends and receives in batches,
// with the kernel's segmentation offloads where there are any. It knows nothing of what the datagrams hold.
package link

import (
	"errors"
	"net/netip"
	"time"
)

// Options say how to open a Conn.
type Options struct {
	// Interface is the NIC; empty: for Listen the only one that is up and has an IPv4 address, for Join every one that is up.
	Interface string
	TTL       int  // of multicast datagrams; 1 when 0
	NoOffload bool // neither GSO nor GRO
}

// A Conn sends and receives datagrams. Write, Read and Close may be called at the same time; Read from one goroutine at a time.
type Conn struct{}

// Listen opens a socket on the port (0 for any), for datagrams to this machine's addresses, broadcasts included. What it writes to a
// multicast group leaves by the interface. A port that is in use is an error that says so (errors.Is EADDRINUSE).
func Listen(port int, opt Options) (*Conn, error) { return nil, errors.New("not written") }

// Join opens a socket for the datagrams that come to the group's port: those to the group itself, and broadcasts.
// Several sockets of one machine may join the same group.
func Join(group netip.AddrPort, opt Options) (*Conn, error) { return nil, errors.New("not written") }

// Write sends the datagrams that stand in b one after another, each of size bytes but for the last, which may be shorter. It waits while the
// NIC's queue is full. One that the kernel refuses for the moment (ENOBUFS, a NIC without carrier) is as lost as one on the wire: no error.
func (c *Conn) Write(b []byte, size int, to netip.AddrPort) error { return nil }

// Read waits until datagrams come, or for as long as wait says, and calls take for each. The bytes are take's only during the call.
// After Close it answers net.ErrClosed.
func (c *Conn) Read(wait time.Duration, take func(b []byte, from netip.AddrPort)) error { return nil }

// Close ends Read.
func (c *Conn) Close() error { return nil }

// Addr is the local address: the interface's, for a Conn of Listen, and the port.
func (c *Conn) Addr() netip.AddrPort { return netip.AddrPort{} }

// Prefix is the interface's IPv4 network, with the address.
func (c *Conn) Prefix() netip.Prefix { return netip.Prefix{} }

// Speed is the interface's line rate in bit/s; 0 when the kernel does not know.
func (c *Conn) Speed() int64 { return 0 }
