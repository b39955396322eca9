package operation

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"aula/appliance/catalog"
)

// tickInterval is how often the rules look at the clock and progress is stored.
const tickInterval = 2 * time.Second

// An outbox holds the effects that wait to be carried out: in order for each PC, and independently of the other PCs, so that one whose
// connection is stuck holds nobody up. The Manager's lock guards it.
type outbox struct {
	waiting map[string][]errand // by computer
	working map[string]bool
	open    bool // Run runs
	workers sync.WaitGroup
	work    func(computerID string)
}

// An errand is one effect for one PC.
type errand struct {
	effect      effect
	computer    string
	instruction string
	seat        *seat // of the instruction, whose state only the Manager's lock makes readable; nil when nobody knows the instruction
}

func (o *outbox) init() {
	o.waiting = make(map[string][]errand)
	o.working = make(map[string]bool)
}

func (o *outbox) put(e errand) {
	o.waiting[e.computer] = append(o.waiting[e.computer], e)
	o.start(e.computer)
}

// start sees that somebody works on a PC's errands. A worker ends when there are none left.
func (o *outbox) start(computerID string) {
	if !o.open || o.working[computerID] || len(o.waiting[computerID]) == 0 {
		return
	}
	o.working[computerID] = true
	o.workers.Go(func() { o.work(computerID) })
}

// next takes the oldest errand for a PC, while Run runs.
func (o *outbox) next(computerID string) (errand, bool) {
	if !o.open {
		return errand{}, false
	}
	return o.take(computerID)
}

func (o *outbox) take(computerID string) (errand, bool) {
	queue := o.waiting[computerID]
	if len(queue) == 0 {
		delete(o.waiting, computerID)
		return errand{}, false
	}
	o.waiting[computerID] = queue[1:]
	return queue[0], true
}

// Run carries out the effects, watches the clock and stores progress until ctx ends; then it stores what is left and
// returns nil. Operations go on where they are when the next Manager is made from the same store.
func (m *Manager) Run(ctx context.Context) error {
	m.mu.Lock()
	m.outbox.open, m.outbox.work = true, m.deliver
	for computerID := range m.outbox.waiting {
		m.outbox.start(computerID)
	}
	m.mu.Unlock()

	ticker := time.NewTicker(tickInterval)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			m.tick()
		case <-ctx.Done():
			m.mu.Lock()
			m.outbox.open = false
			m.mu.Unlock()
			m.outbox.workers.Wait()
			m.flush()
			return nil
		}
	}
}

// deliver carries out a PC's errands until there are none left, or Run ends.
func (m *Manager) deliver(computerID string) {
	for {
		m.mu.Lock()
		next, ok := m.outbox.next(computerID)
		if !ok {
			delete(m.outbox.working, computerID)
			m.mu.Unlock()
			return
		}
		m.mu.Unlock()
		m.carryOut(next)
	}
}

// carryOut does one effect. Only an instruction has a result; a cancel or a settle that does not arrive is said again when the PC
// comes back and speaks of the instruction.
func (m *Manager) carryOut(e errand) {
	var err error
	switch e.effect {
	case instruct:
		err = m.sendInstruction(e.seat)
		m.mu.Lock()
		changed := m.advance([]*seat{e.seat}, func(*seat) event { return sendResult{err} })
		m.mu.Unlock()
		m.tell(changed)
	case cancel:
		err = m.cfg.Agents.Cancel(e.computer, e.instruction)
	case settle:
		err = m.cfg.Agents.Settle(e.computer, e.instruction)
	case prepare:
		m.prepare(e.seat)
	case wake:
		err = m.wake(e.computer)
	case resetBoot:
		err = m.cfg.Computers.SetNextBoot(e.computer, "")
	}
	if err != nil {
		m.cfg.Log.Debug("message not delivered", "computer", e.computer, "instruction", e.instruction, "error", err)
	}
}

// errWithdrawn keeps an instruction from leaving after it was cancelled.
var errWithdrawn = errors.New("cancelled before it was sent")

func (m *Manager) sendInstruction(s *seat) error {
	m.mu.Lock()
	in, withdrawn, step, computerID := s.Instruct, s.memory.CancelAsked || ended(s.State) || s.memory.Unprepared, s.Step, s.ComputerID
	wantsLayout := s.wantsLayout()
	layout := s.job.layouts[step]
	images, configures := s.scripted()
	m.mu.Unlock()
	if withdrawn {
		return errWithdrawn
	}
	if wantsLayout && layout == nil { // after a restart of the server
		var err error
		img := in.Parts[0].Image // all parts have the same layout beside them
		if layout, err = m.cfg.Images.Layout(img.Repository, img.Name, img.Revision); err != nil {
			return fmt.Errorf("layout of image %s revision %d: %w", img.Name, img.Revision, err)
		}
		m.mu.Lock()
		s.job.keepLayout(step, layout)
		m.mu.Unlock()
	}
	if wantsLayout {
		in.Layout = layout
	}
	if configures {
		var err error
		if in.Configuration, err = m.withScripts(*in.Configuration, computerID, images); err != nil {
			return err
		}
	}
	if in.Kind == BootDisk {
		if err := m.cfg.Computers.SetNextBoot(computerID, catalog.BootDisk); err != nil {
			return err
		}
	}
	return m.cfg.Agents.Instruct(computerID, in)
}

// wantsLayout tells whether the layout beside the images goes with the instruction.
func (s *seat) wantsLayout() bool {
	if len(s.job.op.Steps) == 0 {
		return s.job.op.Layout
	}
	return s.job.op.Steps[s.Step].Layout
}

func (j *job) keepLayout(step int, layout []byte) {
	if j.layouts == nil {
		j.layouts = make(map[int][]byte)
	}
	j.layouts[step] = layout
}

// tick lets time pass for everything under way.
func (m *Manager) tick() {
	online := m.online(m.unended)
	m.mu.Lock()
	changed := m.advance(m.unended(), func(s *seat) event {
		return ticked{ready: online[s.ComputerID] && m.free(s)}
	})
	m.mu.Unlock()
	m.tell(changed)
	m.flush()
}

// online tells which PCs of seats are connected. The roster is asked without the lock, under which the seats are chosen.
func (m *Manager) online(choose func() []*seat) map[string]bool {
	online := make(map[string]bool)
	m.mu.Lock()
	for _, s := range choose() {
		online[s.ComputerID] = false
	}
	m.mu.Unlock()
	for id := range online {
		online[id] = m.cfg.Agents.Connected(id)
	}
	return online
}

// free tells whether the PC can take the seat's instruction: it holds none, or this one. A power instruction is for a PC in any
// condition.
func (m *Manager) free(s *seat) bool {
	held, ok := m.held[s.ComputerID]
	return !ok || held == s.Instruct.ID || isPower(s.Instruct.Kind)
}

// unended returns what is under way. It is in the order of the operations, so that a run can be repeated.
func (m *Manager) unended() []*seat {
	var seats []*seat
	for _, id := range m.order {
		if j := m.jobs[id]; j.op.State == Running {
			seats = append(seats, j.unended()...)
		}
	}
	return seats
}

// flush stores progress, and what could not be stored before, whose effects then go.
func (m *Manager) flush() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.settleUp(); err != nil {
		m.cfg.Log.Error("operation records not stored, will be tried again", "error", err)
	}
}

// settleUp is flush under the lock.
func (m *Manager) settleUp() error {
	var unsaved []*seat
	for _, id := range m.order {
		for _, s := range m.jobs[id].seats {
			if s.unsaved {
				unsaved = append(unsaved, s)
			}
		}
	}
	err := m.save(unsaved)
	for _, s := range unsaved {
		m.pay(s)
	}
	return err
}
