package operation

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"sync"
	"time"

	"aula/appliance/catalog"
	"aula/clientos/protocol"
	"aula/imagestore"
)

// Agents is what the Manager needs of the roster.
type Agents interface {
	// Instruct sends an instruction to a connected PC. When it answers nil the PC will report, or lose contact.
	Instruct(computerID string, in protocol.Instruct) error
	Cancel(computerID, instructionID string) error
	// Settle tells the PC that the verdict on an instruction is stored.
	Settle(computerID, instructionID string) error
	Connected(computerID string) bool
}

// Store is where the records are kept; catalog.Catalog is one. What PutRecords and DeleteRecords did is on stable storage when they
// return, all or none of it.
type Store interface {
	PutRecords(kind catalog.RecordKind, data map[string][]byte) error
	DeleteRecords(kind catalog.RecordKind, ids ...string) error
	EachRecord(kind catalog.RecordKind, f func(id string, data []byte) error) error
}

// Computers is what the Manager needs of the catalog.
type Computers interface {
	Computer(id string) (catalog.Computer, error)
	SetNextBoot(id, target string) error
}

// Images is what the Manager needs of the repositories; imagestore.Library is one, and says what an empty repository means.
type Images interface {
	Image(repository, name string) (imagestore.Image, error)
	Revision(repository, name string, revision int) (imagestore.Image, error)
	// Hold refuses a damaged revision with an error wrapping imagestore.ErrDamaged.
	Hold(repository, name string, revision int, holder string) (release func(), err error)
	Layout(repository, name string, revision int) ([]byte, error)
	// Set returns the images of a set, or imagestore.ErrNotFound.
	Set(repository, set string) ([]imagestore.Image, error)
	Standings() []imagestore.Standing
	Free(repository string) (int64, error)
}

// A Config gives a Manager what it works with. (The concrete stores are appliance/catalog and imagestore.)
type Config struct {
	Agents    Agents
	Store     Store
	Computers Computers
	Images    Images
	// Locate tells the name of a repository, the first one's for "", and the address of this machine at which PCs fetch its images, empty
	// for the one that they know. When nil every name is as it should be and no repository has an address of its own.
	Locate func(repository string) (name, address string, err error)
	// Network is that of the appliance, of which the group address is made when a program does not tell it.
	Network netip.Prefix
	// Wake sends a magic packet to a PC, by its addresses; nil: PCs cannot be woken.
	Wake func(macs []string) error
	// Parameters are those that PCs' classroom has for Multicast or Torrent, when a program does not tell them; empty, or nil, for the usual ones.
	Parameters func(protocol string, pcs []catalog.Computer) string
	// Scripts are those to run on a PC after the restore of the named images; nil for none.
	Scripts func(pc catalog.Computer, images []string) []protocol.Script
	// Classroom is the name of a classroom, for scripts; nil: none is told.
	Classroom func(id string) string
	Changed   func(id string) // called after each change of an operation; must not block; may be nil
	Log       *slog.Logger
	// LostAfter is how long a silent PC stays LostContact before its target ends Incomplete, and is told to stop should it come
	// back after all; 20 min when zero.
	LostAfter time.Duration
	Now       func() time.Time // time.Now when nil
	// Keep is how many operations are remembered; the oldest that have ended are forgotten. 1000 when zero.
	Keep int
}

// defaultLostAfter is longer than the 15 minutes for which an agent goes on without a byte from the server (patience in
// clientos/clone/fetch.go), with time to connect again and to say how it ended: a PC that still works on its own must not
// be given up here, or a switch that is off for that long costs a whole room its half-written disks.
const defaultLostAfter = 20 * time.Minute

func (c *Config) complete() error {
	if c.Agents == nil || c.Store == nil || c.Computers == nil || c.Images == nil || c.Log == nil {
		return errors.New("operation: Agents, Store, Computers, Images and Log are needed")
	}
	if c.LostAfter < 0 || c.Keep < 0 {
		return errors.New("operation: LostAfter and Keep cannot be negative")
	}
	if c.Locate == nil {
		c.Locate = func(repository string) (string, string, error) { return repository, "", nil }
	}
	if c.Changed == nil {
		c.Changed = func(string) {}
	}
	if c.LostAfter == 0 {
		c.LostAfter = defaultLostAfter
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Keep == 0 {
		c.Keep = 1000
	}
	return nil
}

// A Manager runs operations. Its methods are safe for concurrent use. It never calls Agents or Changed while it holds its lock.
type Manager struct {
	cfg   Config
	rules rules

	mu      sync.Mutex
	jobs    map[string]*job   // by operation
	order   []string          // operations, oldest first
	seats   map[string]*seat  // by the first instruction
	active  map[string]*seat  // by computer: the one that has not ended; changed by occupy and leave only
	working working           // the computers of active
	held    map[string]string // by computer: the running instruction that its agent says it holds
	outbox  outbox
}

// New makes a Manager and takes up what the records say was being done. PCs that were at work are LostContact until they
// return; nothing is sent before Run.
func New(cfg Config) (*Manager, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	m := &Manager{
		cfg:     cfg,
		rules:   rules{lostAfter: cfg.LostAfter},
		jobs:    make(map[string]*job),
		seats:   make(map[string]*seat),
		active:  make(map[string]*seat),
		working: working{ids: map[string]bool{}},
		held:    make(map[string]string),
	}
	m.outbox.init()
	if err := m.load(); err != nil {
		return nil, fmt.Errorf("operations: %w", err)
	}
	return m, nil
}

// load reads the records. One that is damaged is said and passed over: the history of one operation is not worth the
// start of the appliance, and its PCs are told to stop when they speak of it.
func (m *Manager) load() error {
	all, unreadable, err := readRecords(m.cfg.Store)
	if err != nil {
		return err
	}
	for id, err := range unreadable {
		m.cfg.Log.Error("operation record cannot be read", "record", id, "error", err)
	}
	var unfinished []*seat
	for _, s := range all {
		j := &job{op: s.op}
		for _, planned := range s.op.Targets {
			seat := j.newSeat(planned)
			if data, ok := s.standings[seat.record]; ok {
				seat.recall(data, m.cfg)
			}
			j.seats = append(j.seats, seat)
		}
		m.add(j)
		if m.summarise(j); j.op.State == Running {
			if err := m.hold(j); err != nil { // its PCs will say so, each for itself, when they ask for it
				m.cfg.Log.Warn("images of an operation cannot be held", "operation", j.op.ID, "image", j.op.Image, "error", err)
			}
		}
		for _, s := range j.seats {
			if !ended(s.State) {
				unfinished = append(unfinished, s)
			}
		}
	}
	m.advance(unfinished, func(*seat) event { return restarted{} })
	m.prune()
	return nil
}

// recall takes up what the record says.
func (s *seat) recall(data []byte, cfg Config) {
	p, err := decodeStanding(s.Target, data)
	if err == nil {
		err = s.checkStep(p)
	}
	if err != nil {
		cfg.Log.Error("operation record cannot be read", "record", s.record, "error", err)
		s.part, _ = s.end(Incomplete, s.unreadable(err), cfg.Now())
		return
	}
	s.Target, s.memory = p.Target, p.memory
}

// checkStep refuses a standing at a statement that the program does not have.
func (s *seat) checkStep(p part) error {
	switch steps := len(s.kinds); {
	case p.Step < 0 || p.Step >= max(steps, 1), p.memory.Unprepared && steps == 0:
		return fmt.Errorf("it is at instruction %d of %d", p.Step+1, steps)
	case p.Instruct.ID != nextID(s.record, p.Step) && !p.memory.Unprepared:
		return fmt.Errorf("instruction %d is called %q", p.Step+1, p.Instruct.ID)
	}
	return nil
}

// add puts a job in the indexes.
func (m *Manager) add(j *job) {
	m.jobs[j.op.ID] = j
	m.order = append(m.order, j.op.ID)
	for _, s := range j.seats {
		m.seats[s.record] = s
		if !ended(s.State) {
			m.occupy(s)
		}
	}
}

// prune forgets the oldest ended operations beyond the bound.
func (m *Manager) prune() {
	var gone []string
	m.order = slices.DeleteFunc(m.order, func(id string) bool {
		j := m.jobs[id]
		if len(m.jobs) <= m.cfg.Keep || j.op.State == Running {
			return false
		}
		delete(m.jobs, id)
		gone = append(gone, id)
		for _, s := range j.seats {
			delete(m.seats, s.record)
			gone = append(gone, s.record)
		}
		return true
	})
	if len(gone) == 0 {
		return
	}
	if err := m.cfg.Store.DeleteRecords(catalog.Operations, gone...); err != nil {
		m.cfg.Log.Warn("old operation records not removed", "records", len(gone), "error", err)
	}
}

// Operation returns one, or ErrNotFound. What its pointers lead to must not be changed.
func (m *Manager) Operation(id string) (Operation, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	j, ok := m.jobs[id]
	if !ok {
		return Operation{}, fmt.Errorf("operation %q: %w", id, ErrNotFound)
	}
	return j.snapshot(), nil
}

// Operations returns the newest first, at most limit of them; all when limit is not positive.
func (m *Manager) Operations(limit int) []Operation {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := []Operation{}
	for _, id := range slices.Backward(m.order) {
		if limit > 0 && len(all) == limit {
			break
		}
		all = append(all, m.jobs[id].snapshot())
	}
	return all
}

// Current returns the operation that has the PC now, if any.
func (m *Manager) Current(computerID string) (Operation, Target, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.active[computerID]
	if !ok {
		return Operation{}, Target{}, false
	}
	return s.job.snapshot(), s.Target, true
}

// working are the computers that operations have. It has a lock of its own, because the Manager's is held while records are stored.
type working struct {
	sync.RWMutex
	ids map[string]bool
}

// occupy gives a PC to an operation. The caller holds the lock.
func (m *Manager) occupy(s *seat) {
	m.active[s.ComputerID] = s
	m.working.Lock()
	m.working.ids[s.ComputerID] = true
	m.working.Unlock()
}

// leave takes a PC from its operation. The caller holds the lock.
func (m *Manager) leave(computerID string) {
	delete(m.active, computerID)
	m.working.Lock()
	delete(m.working.ids, computerID)
	m.working.Unlock()
}

// Busy tells whether an operation has the PC now: it works, or is waited for. It never waits for the disk: DHCP asks it for each packet.
func (m *Manager) Busy(computerID string) bool {
	m.working.RLock()
	defer m.working.RUnlock()
	return m.working.ids[computerID]
}

// tell calls Changed for each operation; the caller does not hold the lock.
func (m *Manager) tell(changed []string) {
	for _, id := range changed {
		m.cfg.Changed(id)
	}
}
