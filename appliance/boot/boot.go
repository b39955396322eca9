// Package boot says what each PC boots, and remembers how its boots went.
//
// It is the appliance's answer to netboot's questions: who has work boots the client OS; the others what the operator chose for them, their group, their
// classroom or all, which is their own disk unless said otherwise. It notices PCs that boot over and over and lets them go to their disk, keeps the journal of
// every boot step by step, and tells where one stopped and what the reason may be.
//
// It commands no PC and knows nothing of DHCP or of packets. The journal is in memory: a restart of the server begins an empty one.
package boot

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"aula/appliance/catalog"
	"aula/netboot"
)

// A Config gives a Service what it works with. Catalog and Tickets are required.
type Config struct {
	Catalog *catalog.Catalog
	Tickets Tickets
	// Busy tells whether a computer has work that waits for it or is under way; nil: none has.
	Busy func(computerID string) bool
	// StartSystem has a computer boot the system on a partition, once its client OS runs. Nil: menus of BIOS PCs have no such entries.
	StartSystem func(computerID string, disk, partition int) error
	// Changed is called after the journal of a PC has changed, and with "" after the notices have. It must not block. May be nil.
	Changed func(mac string)
	// LoopBoots and LoopTime: a PC that is given the client OS so many times within that time, and has no work, boots its own disk. 6 in 10 min when zero.
	LoopBoots int
	LoopTime  time.Duration
	Log       *slog.Logger
	Now       func() time.Time // time.Now when nil
}

// Tickets gives out the ticket with which a PC's agent enrols; *roster.Roster is one.
type Tickets interface {
	IssueTicket(mac string, addr netip.Addr) (string, error)
}

// A Service implements netboot.Decider, netboot.Observer and netboot.Consent. Its methods are safe for concurrent use.
type Service struct {
	cfg Config

	mu      sync.Mutex
	pcs     map[string]*pc // by MAC
	notices map[string]Notice
	known   *known // nil when the catalog has changed
}

// New makes a Service.
func New(cfg Config) (*Service, error) {
	if cfg.Catalog == nil || cfg.Tickets == nil {
		return nil, errors.New("boot: Catalog and Tickets are required")
	}
	if cfg.LoopBoots == 0 {
		cfg.LoopBoots = 6
	}
	if cfg.LoopTime == 0 {
		cfg.LoopTime = 10 * time.Minute
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Changed == nil {
		cfg.Changed = func(string) {}
	}
	return &Service{cfg: cfg, pcs: map[string]*pc{}, notices: map[string]Notice{}}, nil
}

// Run follows the catalog and tells of boots that have stopped, until ctx ends.
func (s *Service) Run(ctx context.Context) error { <-ctx.Done(); return nil }

// StepAgent is the last step of a boot that goes to the client OS: the agent has connected.
const StepAgent = "agent"

// States of a Boot.
const (
	Underway = "underway" // the next step is awaited
	Arrived  = "arrived"  // at the client OS, or at its own disk
	Stopped  = "stopped"  // it said so, or nothing came for too long
)

// A Boot is one boot of a PC, from its first DHCP packet on.
type Boot struct {
	MAC        string
	ComputerID string // of the catalog; empty of a PC that nobody knows
	Name       string // of the computer
	Classroom  string // name
	Address    netip.Addr
	Relay      netip.Addr
	Firmware   netboot.Firmware
	HTTP       bool
	IPXE       bool   // in the ROM
	Target     string // netboot.BootClientOS, BootDisk or BootMenu; empty while not known
	Why        string // it is that target
	State      string
	Began      time.Time
	Ended      time.Time // of arrived and stopped boots
	Steps      []Step    // those that were seen, in their order; at most one of a kind
	// Reason says where a stopped boot stopped, why it may be, and what to do.
	Reason string
}

// A Step is one step of a Boot.
type Step struct {
	Name   string // netboot.StepDHCP ... StepAgent
	Phase  string // netboot.Asked, Answered or Failed
	Detail string // what was asked and answered last
	Began  time.Time
	Last   time.Time // of what was seen of it
	Bytes  int64
	Size   int64
	Times  int // how often it was asked for
}

// Took is how long the step took, so far.
func (s Step) Took() time.Duration { return s.Last.Sub(s.Began) }

// A Notice is a netboot.Notice with its time.
type Notice struct {
	netboot.Notice
	Since time.Time
	Times int // it was told
}

// Boots returns the last boot of each PC, the latest first.
func (s *Service) Boots() []Boot { return nil }

// History returns the boots of a PC that are remembered, the latest first.
func (s *Service) History(mac string) []Boot { return nil }

// Notices returns what the operator should know now, alarms first and then the latest first.
func (s *Service) Notices() []Notice { return nil }

// Dismiss takes a notice away until it is told again.
func (s *Service) Dismiss(key string) {}

// Forgive lets a PC boot the client OS again that was found to boot over and over.
func (s *Service) Forgive(mac string) {}

// Arrived says that the agent of a PC has connected.
func (s *Service) Arrived(mac string) {}

type pc struct{}

type known struct{}
