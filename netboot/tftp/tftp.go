// Package tftp reads files out to the firmware of PCs (RFC 1350), with the options blksize (RFC 2348), tsize and timeout (RFC 2349) and
// windowsize (RFC 7440).
//
// It is read-only, in mode octet, and made for boot loaders of a few megabytes that many PCs fetch at once; what follows the loader comes by
// HTTP. It is a server for firmware: there is no client in it, no writing, no netascii.
//
// Requests prove nothing of where they come from. Until somebody has acknowledged something a request is answered with one packet, sent three
// times at most, and its place is given to the next request when places are short; and where that happens a thousand times a second an address must ask
// twice. A flood of forged requests costs no memory, and is no obstacle to PCs, which answer within milliseconds and ask again.
package tftp

import (
	"io"
	"net"
	"net/netip"
	"time"
)

// An Opener opens a file by the name that a PC asked for. An error that wraps fs.ErrNotExist is told as "file not found" (error 1), any
// other as an access violation (error 2); its text stays here. It is called from many goroutines.
type Opener func(peer netip.AddrPort, name string) (io.ReadSeekCloser, error)

// A Transfer is told when a request has ended.
type Transfer struct {
	Peer        netip.AddrPort
	File        string // as it was asked for
	Size, Sent  int64  // bytes; Sent counts those acknowledged
	BlockSize   int
	Window      int
	Retransmits int // packets that were sent again
	Began       time.Time
	Took        time.Duration
	// Heard says that the PC has answered, so that its address is not forged.
	Heard bool
	// Probe says that the PC wanted the size only and broke off, as PXE ROMs and EDK2 do.
	Probe bool
	// Unconfirmed says that the PC fell silent after the end was sent: a loader that has all it wants may start without a last word.
	Unconfirmed bool
	Err         error // nil when every byte was acknowledged, or Unconfirmed
}

// A Config says what to serve.
type Config struct {
	Conn     *net.UDPConn // bound to port 69 of one address; the Server closes it
	Open     Opener
	MTU      int // of the NIC: blocks are no longer than it lets pass without fragments; 1500 when zero
	Sessions int // at once, in all; 1024 when zero
	PerPC    int // at once, by one address; 8 when zero
	// SinglePort answers from port 69, for firewalls that let nothing else pass, in place of a port for each transfer.
	SinglePort bool
	// Began is called when a PC has acknowledged something of a file for the first time. It must not block. May be nil.
	Began func(peer netip.AddrPort, name string, size int64)
	// Ended is called after each transfer, also a refused one. It must not block. May be nil.
	Ended func(Transfer)
}

// readBuffer holds what comes to port 69 while the server is busy, in bytes: some thousand requests.
const readBuffer = 1 << 20

// Bounds of a transfer.
const (
	sessions  = 1024
	perPC     = 8
	overhead  = 32 // bytes of IPv4, UDP and TFTP before the data of a block
	ethernet  = 1500
	blockSize = 512 // without the option
	// maxWindow is the longest burst: 16 full blocks fit the receive ring of every NIC that firmware drives, 64 do not.
	maxWindow = 16

	// wait is how long an answer is waited for at first; it doubles with each time that nothing came. A PC may name another, which does not.
	wait    = 500 * time.Millisecond
	maxWait = 8 * time.Second
	// A block of a window that seems to be missing is waited for so long, depending on how far the PC is.
	minDoubt = 10 * time.Millisecond
	maxDoubt = wait / 2
	retries  = 5 // of a window, before the PC is given up
	// greetings is how often the first packet is sent to somebody who was never heard.
	greetings = 3
	// fresh is how long after a sign of life the same request is taken for a packet that the network has doubled or delayed.
	fresh = time.Second
	// rebukes bounds the error packets to strangers at the port of a transfer.
	rebukes = 4
)

// New makes a Server.
func New(cfg Config) *Server {
	_ = cfg.Conn.SetReadBuffer(readBuffer) // it may get less
	local := *cfg.Conn.LocalAddr().(*net.UDPAddr)
	local.Port = 0
	return newServer(cfg, cfg.Conn, func() (conn, error) { return net.ListenUDP("udp4", &local) })
}
