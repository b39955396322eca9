// Package netboot brings a PC from power-on to the client OS: DHCP with persistent leases, TFTP for the boot
// loaders, HTTP for their configuration, the kernel and the initramfs.
//
// It knows addresses and firmware, not computers or classrooms: what a PC shall boot it asks of a Decider, which the
// appliance gives it, and what it saw it tells an Observer. Boot is not authenticated (firmware cannot); nothing
// that is served here is secret, except the one-use ticket of a boot, which expires.
//
// A PC with BIOS gets iPXE by TFTP (or has it in its ROM), which asks for a script by HTTP; a PC with UEFI gets shim and GRUB by TFTP, which
// asks for a configuration by HTTP. Both then load the kernel and the initramfs by HTTP, or boot the PC's own disk.
//
// It is meant to be the only DHCP server of one subnet. ProxyDHCP, UEFI HTTP Boot and relays are not served.
package netboot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/netip"
	"time"

	"golang.org/x/sync/errgroup"

	"aula/netboot/dhcp"
	"aula/netboot/lease"
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
	Ticket string // with BootClientOS: goes on the kernel's command line; letters, digits and ,._:=/@+%- only
}

// A Decider says what a PC boots. It is called when the loader asks for its script, once per boot; a PC whose boot failed asks again. Of
// an error the PC shows the text, and asks again.
type Decider interface {
	Decide(ctx context.Context, c Client) (Boot, error)
}

// Steps of a boot, in the order in which they come.
const (
	StepDHCP      = "dhcp"
	StepTFTP      = "tftp"
	StepScript    = "script"
	StepKernel    = "kernel"
	StepInitramfs = "initramfs"
)

// An Event is one step of a PC's boot.
type Event struct {
	Time    time.Time
	MAC     string // empty when the address is not of our leases
	Address netip.Addr
	Step    string
	Detail  string // what was asked and answered, for people
}

// An Observer is told of each step. It must not block.
type Observer interface {
	Observe(Event)
}

// Files are the parts of the client OS. Each call opens the part anew. Of an error the PC shows the text.
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
	LeaseTime time.Duration // 1 h when zero, at least 2 min
	Gateway   netip.Addr    // none when zero
	DNS       []netip.Addr
	Leases    string // path of the lease database (bbolt)
	HTTPPort  int    // 80 when zero
	AgentPort int    // of the agents' TLS listener, for the kernel's command line
	Overlay   []byte // uncompressed cpio appended to the initramfs: the server's pin
	Extra     string // more kernel parameters, such as console=ttyS0; letters, digits, spaces and ,._:=/@+%- only
	Files     Files
	Loaders   fs.FS // boot loaders by file name; nil for those built into the program
	Decider   Decider
	Observer  Observer // nil for none
	Log       *slog.Logger
}

// A Server is the boot services on one NIC.
type Server struct {
	address netip.Addr
	store   *lease.Store
	ports   *ports
	dhcp    *dhcp.Server
	tftp    *tftpService
	http    *httpService
}

// New checks the configuration, opens the lease database and binds every port, so that what is wrong (port in use, missing
// privilege, absent interface) is said here, in one line that says what to do. A Server that is not run must be closed.
func New(cfg Config) (s *Server, err error) {
	plan, err := cfg.plan()
	if err != nil {
		return nil, err
	}
	loaders, err := newLoaders(plan)
	if err != nil {
		return nil, err
	}
	s = &Server{address: plan.address.Addr()}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	if s.ports, err = plan.listen(); err != nil {
		return s, err
	}
	if s.store, err = lease.Open(cfg.Leases); err != nil {
		return s, err
	}
	watch := &watch{to: cfg.Observer}
	if s.dhcp, err = newDHCP(plan, s.store, s.ports, watch); err != nil {
		return s, err
	}
	watch.holder = s.dhcp.Holder
	s.tftp = newTFTP(plan, s.ports, loaders, watch)
	s.http = newHTTP(plan, s.ports, loaders, watch)
	return s, nil
}

// Address returns the appliance's own address on the NIC.
func (s *Server) Address() netip.Addr { return s.address }

// Run serves until ctx ends, then closes everything and returns nil; it returns an error when a service breaks.
func (s *Server) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return s.dhcp.Run(ctx) })
	group.Go(func() error { return s.tftp.run(ctx) })
	group.Go(func() error { return s.http.run(ctx) })
	return errors.Join(group.Wait(), s.Close())
}

// Close closes what New opened. A Server that was run has closed itself.
func (s *Server) Close() error {
	var errs []error
	if s.ports != nil {
		errs = append(errs, s.ports.Close())
	}
	if s.store != nil {
		errs = append(errs, s.store.Close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("netboot: close: %w", err)
	}
	return nil
}
