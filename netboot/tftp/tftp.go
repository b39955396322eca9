// Package tftp reads files out to the firmware of PCs (RFC 1350), with the options blksize (RFC 2348), tsize and timeout (RFC 2349) and
// windowsize (RFC 7440).
//
// It is read-only, in mode octet, and made for boot loaders of a few megabytes that many PCs fetch at once; what follows the loader comes by
// HTTP. It is a server for firmware: there is no client in it, no writing, no netascii.
package tftp

import (
	"context"
	"io"
	"net"
	"net/netip"
	"time"
)

// An Opener opens a file by the name that a PC asked for. An error that wraps fs.ErrNotExist is told as "file not found" (error 1), any
// other as an access violation (error 2); its text stays here.
type Opener func(peer netip.AddrPort, name string) (io.ReadSeekCloser, error)

// A Transfer is told when a request has ended.
type Transfer struct {
	Peer        netip.AddrPort
	File        string // as it was asked for
	Size, Sent  int64  // bytes; Sent counts those acknowledged
	BlockSize   int
	Window      int
	Retransmits int
	Began       time.Time
	Took        time.Duration
	// Probe says that the PC wanted the size only and broke off, as PXE ROMs do.
	Probe bool
	Err   error // nil when every byte was acknowledged
}

// A Config says what to serve.
type Config struct {
	Conn     *net.UDPConn // bound to port 69 of one address; the Server closes it
	Open     Opener
	MTU      int // of the NIC: blocks are no longer than it lets pass without fragments
	Sessions int // at once, in all; 1024 when zero
	PerPC    int // at once, by one address; 8 when zero
	// SinglePort answers from port 69, for firewalls that let nothing else pass, in place of a port for each transfer.
	SinglePort bool
	// Ended is called after each transfer, also a refused one. It must not block. May be nil.
	Ended func(Transfer)
}

// A Server serves one address.
type Server struct{ cfg Config }

// New makes a Server.
func New(cfg Config) *Server { return &Server{cfg: cfg} }

// Run serves until ctx ends and the transfers of then have broken off; it returns an error when the socket breaks.
func (s *Server) Run(ctx context.Context) error {
	<-ctx.Done()
	return s.cfg.Conn.Close()
}
