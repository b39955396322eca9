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
// Where another server leases addresses it only tells PCs what to boot (ProxyDHCP); it looks for such servers by itself.
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

	"aula/netboot/advert"
	"aula/netboot/dhcp"
	"aula/netboot/lease"
	"aula/netboot/neighbour"
	"aula/netboot/quirk"
	"aula/netboot/script"
)

// A Firmware is what a PC boots with, as it tells in DHCP option 93 (RFC 4578 2.1) or by asking for a script.
type Firmware string

// Firmware kinds. Only BIOS and UEFIx64 reach the client OS; the others are known by name and refused politely.
const (
	BIOS      Firmware = "bios"
	UEFIx64   Firmware = "uefi"
	UEFIia32  Firmware = "uefi-ia32"
	UEFIARM64 Firmware = "uefi-arm64"
)

// A Client is a PC that asks what to boot. Nothing of it is proven.
type Client struct {
	MAC      string // lower case with colons
	Address  netip.Addr
	Firmware Firmware // another value names, for people, one that is not known
	HTTP     bool     // UEFI HTTP Boot
	UUID     string   // SMBIOS, when the loader tells it
	Serial   string
	// Choice is the id of the menu's entry that somebody chose, with the password that was typed for it.
	Choice, Password string
	// Again says that the PC has asked before in this boot, and what it got could not be carried out.
	Again bool
	// PasswordChecked says that the loader has checked the password itself, as GRUB does.
	PasswordChecked bool
}

// What a PC shall boot.
const (
	BootClientOS = "client" // kernel and initramfs from here
	BootDisk     = "disk"   // its own disk
	BootMenu     = "menu"   // what somebody chooses at the PC
	BootNothing  = "none"   // it is left alone: no boot loader is named to it
)

// A Plan is what a PC is told by DHCP, before it has loaded anything.
type Plan struct {
	Target string // BootClientOS, BootDisk, BootMenu or BootNothing
	Quirks quirk.Set
	Why    string // for people; may be empty
	// Assumed says that nobody chose it: it is what PCs boot of which nobody has said anything.
	Assumed bool
}

// A Boot is the answer to a loader.
type Boot struct {
	Target string      // BootClientOS, BootDisk or BootMenu
	Ticket string      // with BootClientOS: goes on the kernel's command line; letters, digits and ,._:=/@+%- only
	Menu   script.Menu // with BootMenu
	Quirks quirk.Set
}

// A Decider says what a PC boots. Known, Plan, Told and Learn are called for each DHCP packet, from one goroutine: they must be fast.
type Decider interface {
	// Known tells whether the PC is one of the appliance's own.
	Known(mac string) bool
	// Plan tells what the PC is going to boot. It changes nothing and may be called any number of times for one boot.
	Plan(c Client) Plan
	// Told says that the PC has been told the plan, which for BootDisk is the end of its boot: no loader will ask.
	Told(c Client, p Plan)
	// Learn says that the PC was found to need a quirk.
	Learn(mac string, q quirk.Quirk, why string)
	// Decide is called when the loader asks for its script, once per boot, and once more when something was chosen from a menu; a PC whose
	// boot failed asks again. Of an error the PC shows the text, and asks again.
	Decide(ctx context.Context, c Client) (Boot, error)
}

// Steps of a boot, in the order in which they come.
const (
	StepDHCP      = "dhcp"
	StepLoader    = "loader" // by TFTP or HTTP
	StepScript    = "script"
	StepKernel    = "kernel"
	StepInitramfs = "initramfs"
)

// Phases of a step.
const (
	Asked    = "asked"    // the PC wants something
	Answered = "answered" // it has it
	Failed   = "failed"   // it does not get it, or broke off
)

// An Event is something that a PC asked or got while it boots.
type Event struct {
	Time     time.Time
	MAC      string // empty when the address is not known
	Address  netip.Addr
	Step     string
	Phase    string
	Detail   string   // what was asked and answered, for people
	Firmware Firmware // at StepDHCP and StepScript
	HTTP     bool     // UEFI HTTP Boot, at StepDHCP
	IPXE     bool     // it is iPXE that asks, at StepDHCP
	Target   string   // at the end of StepDHCP and StepScript: what it was told to boot
	Relay    netip.Addr
	File     string        // that was asked for
	Bytes    int64         // that were sent of it
	Size     int64         // that it has
	Took     time.Duration // from asking to the last byte
}

// Levels of a Notice.
const (
	Info    = "info"    // worth knowing
	Warning = "warning" // somebody should look
	Alarm   = "alarm"   // PCs do not boot, or somebody is harmed
)

// A Notice is something that the operator should know of the network. One with the Key of another replaces it.
type Notice struct {
	Key   string
	Level string
	Text  string // what happened, and what to do
	MAC   string // when it is about one PC
	Gone  bool   // it is over
}

// An Observer is told of each step, and of what the operator should know. Its methods must not block.
type Observer interface {
	Observe(Event)
	Notify(Notice)
}

// Files are the parts of the client OS. Each call opens the part anew. New copies them into memory; of an error the PC shows the text, and the part
// is opened again for the next one.
type Files interface {
	Kernel() (io.ReadSeekCloser, error)
	Initramfs() (io.ReadSeekCloser, error)
}

// A Mode says how the appliance finds its role on the network.
type Mode string

// Modes.
const (
	ModeAuto  Mode = "auto"  // leases addresses when no other server does and the operator agreed, else ProxyDHCP
	ModeFull  Mode = "full"  // leases addresses
	ModeProxy Mode = "proxy" // never leases addresses
)

// Check returns an error for people when there is no such mode.
func (m Mode) Check() error {
	switch m {
	case ModeAuto, ModeFull, ModeProxy:
		return nil
	default:
		return fmt.Errorf("DHCP mode %q: give %q, %q or %q", m, ModeAuto, ModeFull, ModeProxy)
	}
}

// A Consent remembers whether the operator has agreed that addresses are leased in ModeAuto. It is asked once.
type Consent interface {
	// Given tells whether the operator has agreed.
	Given() bool
	// Withdraw forgets it: another DHCP server has answered since.
	Withdraw() error
}

// A Subnet is a network behind a relay agent.
type Subnet struct {
	Network netip.Prefix
	First   netip.Addr // of the addresses to lease there
	Last    netip.Addr
	Gateway netip.Addr // given to its PCs; the relay's own address when zero
	DNS     []netip.Addr
}

// A Config says what to serve and where. The zero value of a field is its default where one is named.
type Config struct {
	Interface string       // NIC, required: only it is served
	Address   netip.Prefix // of this appliance on it; read from the NIC when zero
	Mode      Mode         // ModeAuto when empty
	Consent   Consent      // nil: never given
	PoolFirst netip.Addr   // first and last address to lease; when zero, the upper half of the subnet
	PoolLast  netip.Addr
	LeaseTime time.Duration // 1 h when zero, at least 2 min
	// StrangerTime is the lease time of PCs that the Decider does not know: 10 min when zero.
	StrangerTime time.Duration
	Gateway      netip.Addr // none when zero
	DNS          []netip.Addr
	Subnets      []Subnet // behind relay agents
	Leases       string   // path of the lease database (bbolt)
	Name         string   // of this appliance, for other Aulas; its host name when empty
	HTTPPort     int      // 80 when zero
	SinglePort   bool     // TFTP answers from port 69 only
	AgentPort    int      // of the agents' TLS listener, for the kernel's command line
	Overlay      []byte   // uncompressed cpio appended to the initramfs: the server's pin
	Extra        string   // more kernel parameters, such as console=ttyS0; letters, digits, spaces and ,._:=/@+%- only
	Files        Files
	Loaders      fs.FS // boot loaders by file name; nil for those built into the program
	Extras       fs.FS // the operator's files for firmware, beside the boot loaders, such as revocations_sku.efi; nil for none
	Decider      Decider
	Observer     Observer // nil for none
	Log          *slog.Logger
}

// A Pool tells how full a range of addresses is.
type Pool struct {
	Network     netip.Prefix
	First, Last netip.Addr
	Size        int // addresses that may be leased
	Leased      int
	Quarantined int // something answers at them without a lease
	Reserved    int
}

// A Status tells what the boot services do.
type Status struct {
	Interface string
	Address   netip.Prefix
	Mode      Mode
	Role      dhcp.Role
	// Asking says that the operator is asked whether addresses may be leased, because no other server does.
	Asking bool
	Probed time.Time          // when other servers were looked for last; zero when it was not possible
	Others []neighbour.Server // that were heard of
	Pools  []Pool             // of this network first
	Drops  dhcp.Drops         // what was not answered since the start
}

// A Server is the boot services on one NIC. Its methods are safe for concurrent use.
type Server struct {
	plan    *plan
	store   *lease.Store
	ports   *ports
	link    *link
	lookout *neighbour.Lookout // nil when not permitted
	keeper  *keeper
	watch   *watch
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
	s = &Server{plan: plan, watch: newWatch(cfg.Observer)}
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
	s.link = newLink(plan, s.watch.to.Notify)
	s.keeper = s.newKeeper()
	s.link.back = s.keeper.relinked
	register := newRegister(cfg.Decider, time.Now)
	register.rivals = s.keeper.rivals
	if s.dhcp, err = newDHCP(plan, s.store, s.ports, register, s.keeper.state().role, s.watch); err != nil {
		return s, err
	}
	s.watch.leased, s.watch.planned = s.dhcp.Holder, register.target
	s.watch.proxy = func() bool { return s.dhcp.Role() == dhcp.Proxy }
	s.tftp = newTFTP(plan, s.ports, loaders, s.watch)
	s.http = newHTTP(plan, s.ports, loaders, s.watch)
	return s, nil
}

// newKeeper makes what looks for other servers and keeps the role.
func (s *Server) newKeeper() *keeper {
	k := newKeeper(s.plan.Mode, nil, s.plan.Consent, func(r dhcp.Role) { s.dhcp.SetRole(r) }, s.watch.to.Notify, s.plan.Log)
	lookout, err := neighbour.New(neighbour.Config{
		NIC: s.plan.nic, Own: s.link.addresses, Name: s.plan.Name, Leasing: func() bool { return s.dhcp.Role() == dhcp.Full },
		Heard: k.heard, Uses: s.watch.learn, Log: s.plan.Log,
	})
	if err != nil {
		s.plan.Log.Warn("other DHCP servers cannot be looked for", "error", err)
		return k
	}
	s.lookout = lookout
	k.see(lookout)
	return k
}

// Address returns the appliance's own address on the NIC.
func (s *Server) Address() netip.Addr { return s.plan.address.Addr() }

// Status tells what the services do now.
func (s *Server) Status() Status {
	now, probed := s.keeper.status()
	status := Status{
		Interface: s.plan.Interface, Address: s.plan.address, Mode: now.mode, Role: now.role, Asking: now.asking, Probed: probed,
		Drops: s.dhcp.Drops(),
	}
	if s.lookout != nil {
		status.Others = s.lookout.Servers()
	}
	for _, p := range s.dhcp.Pools() {
		status.Pools = append(status.Pools, Pool{
			Network: p.Network, First: p.First, Last: p.Last, Size: p.Size, Leased: p.Leased, Quarantined: p.Quarantined, Reserved: p.Reserved,
		})
	}
	return status
}

// SetMode changes the mode while the services run.
func (s *Server) SetMode(m Mode) { s.keeper.setMode(m) }

// Reconsider looks again at the operator's consent, which may have been given. It is heeded after another look for other servers, which takes 3 s.
func (s *Server) Reconsider() { s.keeper.reconsider() }

// Reserve says which PCs always have the same address, in place of what was said before. The error names each PC whose reservation cannot
// be, and why; those of the others hold.
func (s *Server) Reserve(all []lease.Reservation) error { return s.dhcp.Reserve(all) }

// Leases are those that there are, by address.
func (s *Server) Leases() []lease.Lease { return s.dhcp.Leases() }

// Probe looks for other DHCP servers now, which takes 3 s, and returns those that answered. It needs Run.
func (s *Server) Probe(ctx context.Context) ([]neighbour.Server, error) {
	if s.lookout == nil {
		return nil, errors.New("other DHCP servers cannot be looked for: the program lacks the capability CAP_NET_RAW; run it as root")
	}
	return s.keeper.probe(ctx)
}

// Run serves until ctx ends, then closes everything and returns nil; it returns an error when a service breaks.
func (s *Server) Run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for _, run := range []func(context.Context) error{
		s.dhcp.Run, s.tftp.run, s.http.run, s.keeper.run, s.keeper.follow, s.link.run, s.lookOut, s.advertise,
	} {
		group.Go(func() error { return run(ctx) })
	}
	return errors.Join(group.Wait(), s.Close())
}

// lookOut listens to other servers. PCs boot without it.
func (s *Server) lookOut(ctx context.Context) error {
	if s.lookout == nil {
		return nil
	}
	if err := s.lookout.Run(ctx); err != nil {
		s.plan.Log.Error("other DHCP servers are not heard any more", "error", err)
	}
	return nil
}

// advertise spares booting PCs the wait for a router. They boot without it.
func (s *Server) advertise(ctx context.Context) error {
	a, err := advert.New(advert.Config{NIC: s.plan.nic, Booting: s.watch.isBooting, Log: s.plan.Log})
	if err == nil {
		err = a.Run(ctx)
	}
	if err != nil {
		s.plan.Log.Warn("PCs that boot by iPXE may wait some seconds for an IPv6 router", "error", err)
	}
	return nil
}

// Close closes what New opened. A Server that was run has closed itself.
func (s *Server) Close() error {
	var errs []error
	if s.lookout != nil {
		errs = append(errs, s.lookout.Close())
	}
	if s.ports != nil {
		errs = append(errs, s.ports.Close())
	}
	if s.http != nil {
		errs = append(errs, s.http.Close())
	}
	if s.store != nil {
		errs = append(errs, s.store.Close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("netboot: close: %w", err)
	}
	return nil
}
