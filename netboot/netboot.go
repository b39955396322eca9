// Package netboot brings a PC from power-on to the client OS: DHCP with persistent leases, TFTP for the boot
// loaders, HTTP for their configuration, the kernel and the initramfs.
//
// It knows addresses and firmware, not computers or classrooms: what a PC shall boot it asks of a Decider, which the
// appliance gives it, and what it saw it tells an Observer. Boot is not authenticated (firmware cannot); nothing
// that is served here is secret, except the one-use ticket of a boot, which expires.
package netboot

import (
	"context"
	"io"
	"log/slog"
	"net/netip"
	"time"
)

// A Firmware is what a PC boots with, as it tells in DHCP option 93 (RFC 4578 2.1) or by asking for a script.
type Firmware string

// Firmware kinds that reach the client OS.
const (
	BIOS    Firmware = "bios"
	UEFIx64 Firmware = "uefi"
)

// A Client is a PC that asks what to boot.
type Client struct {
	MAC      string // lower case with colons
	Address  netip.Addr
	Firmware Firmware
	UUID     string // SMBIOS, when the loader tells it
	Serial   string
}

// What a PC shall boot.
const (
	BootClientOS = "client" // kernel and initramfs from here
	BootDisk     = "disk"   // its own disk
)

// A Boot is the answer to a Client.
type Boot struct {
	Target string // BootClientOS or BootDisk
	Ticket string // with BootClientOS: goes on the kernel's command line
}

// A Decider says what a PC boots. It is called when the loader asks for its script, once per boot.
type Decider interface {
	Decide(ctx context.Context, c Client) (Boot, error)
}

// An Event is one step of a PC's boot.
type Event struct {
	Time    time.Time
	MAC     string
	Address netip.Addr
	Step    string // dhcp, tftp, script, kernel, initramfs
	Detail  string // what was asked and answered, for people
}

// An Observer is told of each step. It must not block.
type Observer interface {
	Observe(Event)
}

// Files are the parts of the client OS. Each call opens the part anew.
type Files interface {
	Kernel() (io.ReadSeekCloser, error)
	Initramfs() (io.ReadSeekCloser, error)
}

// A Config says what to serve and where. The zero value of a field is its default where one is named.
type Config struct {
	Interface string       // NIC, required: only it is served
	Address   netip.Prefix // of this appliance on it; read from the NIC when zero
	PoolFirst netip.Addr   // first and last address to lease; when zero, the upper half of the subnet
	PoolLast  netip.Addr
	LeaseTime time.Duration // 1 h when zero
	Gateway   netip.Addr    // none when zero
	DNS       []netip.Addr
	Leases    string // path of the lease database (bbolt)
	HTTPPort  int    // 80 when zero
	AgentPort int    // of the agents' TLS listener, for the kernel's command line
	Overlay   []byte // uncompressed cpio appended to the initramfs: the server's pin
	Extra     string // more kernel parameters, such as console=ttyS0
	Files     Files
	Decider   Decider
	Observer  Observer // nil for none
	Log       *slog.Logger
}

// A Server is the boot services on one NIC.
type Server struct{}

// New checks the configuration, opens the lease database and binds every port, so that what is wrong (port in use, missing
// privilege, absent interface) is said here, in one line that says what to do.
func New(cfg Config) (*Server, error) { return nil, nil }

// Address returns the appliance's own address on the NIC.
func (s *Server) Address() netip.Addr { return netip.Addr{} }

// Run serves until ctx ends, then closes everything and returns nil; it returns an error when a service breaks.
func (s *Server) Run(ctx context.Context) error { return nil }
