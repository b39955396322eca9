package operation

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
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

// Images is what the Manager needs of the repository; imagestore.Repository is one.
type Images interface {
	Image(name string) (imagestore.Image, error)
	Revision(name string, revision int) (imagestore.Image, error)
	Hold(name string, revision int, holder string) (release func(), err error)
	Layout(name string, revision int) ([]byte, error)
	Free() (int64, error)
}

// A Config gives a Manager what it works with. (The concrete stores are appliance/catalog and imagestore.)
type Config struct {
	Agents    Agents
	Store     Store
	Computers Computers
	Images    Images
	Changed   func(id string) // called after each change of an operation; must not block; may be nil
	Log       *slog.Logger
	// LostAfter is how long a silent PC stays LostContact before its target ends Incomplete; 10 min when zero.
	LostAfter time.Duration
	Now       func() time.Time // time.Now when nil
	// Keep is how many operations are remembered; the oldest that have ended are forgotten. 1000 when zero.
	Keep int
}

func (c *Config) complete() error {
	if c.Agents == nil || c.Store == nil || c.Computers == nil || c.Images == nil || c.Log == nil {
		return errors.New("operation: Agents, Store, Computers, Images and Log are needed")
	}
	if c.LostAfter < 0 || c.Keep < 0 {
		return errors.New("operation: LostAfter and Keep cannot be negative")
	}
	if c.Changed == nil {
		c.Changed = func(string) {}
	}
	if c.LostAfter == 0 {
		c.LostAfter = 10 * time.Minute
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

	mu     sync.Mutex
	jobs   map[string]*job   // by operation
	order  []string          // operations, oldest first
	seats  map[string]*seat  // by instruction
	active map[string]*seat  // by computer: the one that has not ended
	held   map[string]string // by computer: the running instruction that its agent says it holds
	outbox outbox
}

// A job is an operation under way or remembered.
type job struct {
	op      Operation // its Targets are in seats
	seats   []*seat
	layout  []byte // JSON of the layout, once read
	release func() // of the image, while the operation runs
}

// A seat is one PC's place in a job.
type seat struct {
	part
	job     *job
	unsaved bool     // part differs from its record
	urgent  bool     // in what matters
	owed    []effect // that wait for the record
}

// New makes a Manager and takes up what the records say was being done. PCs that were at work are LostContact until they
// return; nothing is sent before Run.
func New(cfg Config) (*Manager, error) {
	if err := cfg.complete(); err != nil {
		return nil, err
	}
	m := &Manager{
		cfg:    cfg,
		rules:  rules{lostAfter: cfg.LostAfter},
		jobs:   make(map[string]*job),
		seats:  make(map[string]*seat),
		active: make(map[string]*seat),
		held:   make(map[string]string),
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
			p := part{Target: planned}
			if data, ok := s.standings[planned.Instruct.ID]; ok {
				if p, err = decodeStanding(planned, data); err != nil {
					m.cfg.Log.Error("operation record cannot be read", "record", planned.Instruct.ID, "error", err)
					p = part{Target: planned}
					p, _ = p.end(Incomplete, p.unreadable(err), m.cfg.Now())
				}
			}
			j.seats = append(j.seats, &seat{part: p, job: j})
		}
		m.add(j)
		if m.summarise(j); j.op.State == Running {
			m.hold(j)
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

// add puts a job in the indexes.
func (m *Manager) add(j *job) {
	m.jobs[j.op.ID] = j
	m.order = append(m.order, j.op.ID)
	for _, s := range j.seats {
		m.seats[s.Instruct.ID] = s
		if !ended(s.State) {
			m.active[s.ComputerID] = s
		}
	}
}

// hold keeps the image of a restore in the repository while the job runs.
func (m *Manager) hold(j *job) {
	if j.op.Kind != RestoreImage || j.release != nil {
		return
	}
	release, err := m.cfg.Images.Hold(j.op.Image, j.op.Revision, holder(j.op))
	if err != nil { // its PCs will say so, each for itself, when they ask for it
		m.cfg.Log.Warn("image of an operation cannot be held", "operation", j.op.ID, "image", j.op.Image, "revision", j.op.Revision, "error", err)
		return
	}
	j.release = release
}

func holder(op Operation) string {
	if len(op.Targets) == 1 {
		return "restore on " + op.Targets[0].Name
	}
	return fmt.Sprintf("restore on %d computers", len(op.Targets))
}

// advance gives each seat its event, stores what matters in one write and then lets the effects go. It returns the operations
// that look different now. The caller holds the lock.
func (m *Manager) advance(seats []*seat, events func(*seat) event) (changed []string) {
	now := m.cfg.Now()
	var turned []*job
	for _, s := range seats {
		before := s.part
		after, effects := m.rules.step(before, events(s), now)
		s.part = after
		s.owed = append(s.owed, effects...)
		s.urgent = s.urgent || matters(before, after)
		s.unsaved = s.unsaved || s.urgent || shows(before, after)
		if shows(before, after) && !slices.Contains(changed, s.job.op.ID) {
			changed = append(changed, s.job.op.ID)
		}
		if before.State != after.State {
			m.moved(s, before.State)
		}
		if (before.State != after.State || before.memory.Published != after.memory.Published) && !slices.Contains(turned, s.job) {
			turned = append(turned, s.job)
		}
	}
	urgent := slices.DeleteFunc(slices.Clone(seats), func(s *seat) bool { return !s.urgent })
	if err := m.save(urgent); err != nil {
		m.cfg.Log.Error("operation records not stored, will be tried again", "records", len(urgent), "error", err)
	}
	for _, s := range seats {
		m.pay(s)
	}
	for _, j := range turned {
		m.summarise(j)
	}
	return changed
}

// moved tells the log of a new state and frees the PC of an ended one.
func (m *Manager) moved(s *seat, before string) {
	log := m.cfg.Log.With("operation", s.job.op.ID, "kind", s.job.op.Kind, "computer", s.ComputerID, "name", s.Name)
	if s.Failure != nil {
		log = log.With("code", s.Failure.Code, "problem", s.Failure.Problem)
	}
	log.Info("computer's part changed", "from", before, "to", s.State)
	if ended(s.State) && m.active[s.ComputerID] == s {
		delete(m.active, s.ComputerID)
	}
}

// save writes the records of seats, all or none. Those that could not be written stay marked.
func (m *Manager) save(seats []*seat) error {
	if len(seats) == 0 {
		return nil
	}
	records := make(map[string][]byte, len(seats))
	for _, s := range seats {
		data, err := encodeStanding(s.part)
		if err != nil {
			return fmt.Errorf("record %s: %w", s.Instruct.ID, err)
		}
		records[s.Instruct.ID] = data
	}
	if err := m.cfg.Store.PutRecords(catalog.Operations, records); err != nil {
		return err
	}
	for _, s := range seats {
		s.unsaved, s.urgent = false, false
	}
	return nil
}

// pay lets the effects of a stored state go.
func (m *Manager) pay(s *seat) {
	if s.urgent {
		return
	}
	for _, e := range s.owed {
		m.outbox.put(errand{e, s.ComputerID, s.Instruct.ID, s})
	}
	s.owed = nil
}

// summarise computes what is said of an operation as a whole, and lets go of what an ended one held.
func (m *Manager) summarise(j *job) {
	states := make([]string, len(j.seats))
	last := j.op.Created
	for i, s := range j.seats {
		states[i] = s.State
		if s.Ended.After(last) {
			last = s.Ended
		}
		if s.memory.Published > 0 {
			j.op.Revision = s.memory.Published
		}
	}
	j.op.State = overall(states)
	if j.op.State == Running {
		return
	}
	j.op.Ended, j.layout = last, nil
	if j.release != nil {
		j.release()
		j.release = nil
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
			delete(m.seats, s.Instruct.ID)
			gone = append(gone, s.Instruct.ID)
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

func (j *job) snapshot() Operation {
	op := j.op
	op.Targets = make([]Target, len(j.seats))
	for i, s := range j.seats {
		op.Targets[i] = s.Target
	}
	return op
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

// tell calls Changed for each operation; the caller does not hold the lock.
func (m *Manager) tell(changed []string) {
	for _, id := range changed {
		m.cfg.Changed(id)
	}
}

// describe says who has a PC, for a refusal.
func (s *seat) describe() string {
	words := map[string]string{CreateImage: "capturing " + s.job.op.Image, RestoreImage: "restoring " + s.job.op.Image,
		Reboot: "restarting", BootDisk: "booting its own disk", PowerOff: "switching off"}
	return strings.TrimSpace(fmt.Sprintf("%s, asked for by %s at %s", words[s.job.op.Kind], s.job.op.Actor,
		s.job.op.Created.Local().Format("15:04")))
}
