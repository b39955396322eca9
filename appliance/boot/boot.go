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
	"sync/atomic"
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
	// generation counts the changes of the catalog, so that what is remembered of it is known to be old.
	generation atomic.Uint64
	errands    chan func() // of Run

	mu      sync.Mutex
	pcs     map[string]*pc // by MAC
	notices map[string]*heldNotice
}

// A pc is what is remembered of one network card.
type pc struct {
	facts   *facts      // nil when the catalog was not asked yet
	boots   []*Boot     // the latest last
	clients []time.Time // when it was given the client OS, within LoopTime
	broken  bool        // it boots over and over, and is sent to its own disk
	idle    bool        // it had no work since it was found to be broken
	once    usedUp
	uuid    string // SMBIOS, of the PC that booted with this card last; empty while it told none that is real
	away    dismissal
	guesses []time.Time // of the menu's password, that were wrong
	menu    time.Time   // when it was given a menu
}

// A usedUp is what a PC was to boot once, and was told: when it asks again in the same boot, it is told the same.
type usedUp struct {
	target string
	at     time.Time
}

// A dismissal is when a PC was told to boot its own disk once, and whether it had work then.
type dismissal struct {
	at   time.Time
	busy bool
}

// Bounds of the journal.
const (
	maxPCs  = 2000 // network cards; beyond it the one that was not heard for longest is forgotten
	history = 8    // boots of one
)

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
	if cfg.Busy == nil {
		cfg.Busy = func(string) bool { return false }
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
	return &Service{cfg: cfg, pcs: map[string]*pc{}, notices: map[string]*heldNotice{}, errands: make(chan func(), maxPCs)}, nil
}

// watchEvery is how often boots are looked at that nothing is heard of.
const watchEvery = 5 * time.Second

// Run tells of boots that have stopped, and follows the catalog, until ctx ends.
func (s *Service) Run(ctx context.Context) error {
	defer s.cfg.Catalog.Watch(func() { s.generation.Add(1) })()
	s.generation.Add(1) // for what changed before
	every := time.NewTicker(watchEvery)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case f := <-s.errands:
			f()
		case <-every.C:
			s.look()
		}
	}
}

// pc returns what is remembered of a network card. mu is held.
func (s *Service) pc(mac string) *pc {
	p, ok := s.pcs[mac]
	if ok {
		return p
	}
	if len(s.pcs) >= maxPCs {
		s.forgetOldest()
	}
	p = &pc{}
	s.pcs[mac] = p
	return p
}

func (s *Service) forgetOldest() {
	var oldest string
	var since time.Time
	for mac, p := range s.pcs {
		if at := p.last(); oldest == "" || at.Before(since) {
			oldest, since = mac, at
		}
	}
	delete(s.pcs, oldest)
}

// last is when the PC was heard last.
func (p *pc) last() time.Time {
	if len(p.boots) == 0 {
		return time.Time{}
	}
	return p.boots[len(p.boots)-1].last()
}

// StepAgent is the last step of a boot that goes to the client OS: the agent has connected.
const StepAgent = "agent"

// States of a Boot.
const (
	Underway = "underway" // the next step is awaited
	Arrived  = "arrived"  // at the client OS, at its own disk, or at the menu
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

	lastHeard   time.Time
	clientAsked bool // the client OS has asked for an address
	onlyShim    bool // of the loaders, nothing but shim was fetched
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
