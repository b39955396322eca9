package operation

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"aula/appliance/catalog"
	"aula/clientos/disk"
	"aula/clientos/instruction"
	"aula/clientos/protocol"
)

// A Request asks that PCs carry out a program of instructions.
type Request struct {
	ComputerIDs []string
	Program     instruction.Program
	// Late is for how long PCs that are not connected may still come in; DefaultLate when 0, negative: not at all.
	Late time.Duration
	// Note is why, for people: the name of the procedure or of the schedule that asks.
	Note string
}

// DefaultLate is for how long a Request waits for PCs that are not connected.
const DefaultLate = 30 * time.Minute

func (r Request) late() time.Duration {
	switch {
	case r.Late < 0:
		return 0
	case r.Late == 0:
		return DefaultLate
	}
	return r.Late
}

// steps finds out what the program means now.
func (m *Manager) steps(program instruction.Program) ([]Step, error) {
	if len(program.Statements) == 0 {
		return nil, refused(errors.New("the program has no instructions (write one, such as deployImage)"))
	}
	var steps []Step
	for _, s := range program.Statements {
		step, err := m.resolve(s)
		if err != nil {
			return nil, refused(fmt.Errorf("line %d: %s: %w", s.Line, s.Word, err))
		}
		steps = append(steps, step)
	}
	return steps, nil
}

// Check is the pre-flight of a request: what would become of each PC. It does nothing.
func (m *Manager) Check(ctx context.Context, r Request) ([]Preflight, error) {
	steps, err := m.steps(r.Program)
	if err != nil {
		return nil, err
	}
	computers, err := m.computers(ctx, r.ComputerIDs)
	if err != nil {
		return nil, err
	}
	if err := m.parametrise(steps, computers); err != nil {
		return nil, refused(err)
	}
	plans, err := m.plans(steps)
	if err != nil {
		return nil, err
	}
	results := make([]Preflight, len(computers))
	for i, pc := range computers {
		online := m.cfg.Agents.Connected(pc.ID)
		results[i] = foresee(pc, plans, online, r.late() > 0)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range results {
		if results[i].Failure == nil {
			results[i].Failure = m.busy(results[i].ComputerID, results[i].Name, steps[0].Kind)
		}
	}
	return results, nil
}

func (m *Manager) plans(steps []Step) ([]stepPlan, error) {
	plans := make([]stepPlan, len(steps))
	for i, step := range steps {
		var err error
		if plans[i], err = m.planOf(step); err != nil {
			return nil, refused(err)
		}
	}
	return plans, nil
}

// foresee puts all steps to a PC as it would be by then. One that is not connected and may come late is judged by what is known of it.
func foresee(pc catalog.Computer, plans []stepPlan, online, mayCome bool) Preflight {
	all := Preflight{ComputerID: pc.ID, Name: pc.Name, Loses: []string{}, Online: online}
	there := online || mayCome
	var ways []string
	for _, p := range plans {
		one, in := p.check(pc, there)
		there = there || in.Kind == WakeUp
		if all.Failure = one.Failure; all.Failure != nil {
			return all
		}
		if all.Disk == "" {
			all.Disk = one.Disk
		}
		if one.Way != "" && !slices.Contains(ways, one.Way) {
			ways = append(ways, one.Way)
		}
		for _, lost := range one.Loses {
			if !slices.Contains(all.Loses, lost) {
				all.Loses = append(all.Loses, lost)
			}
		}
		all.Notes = append(all.Notes, one.Notes...)
		pc = afterwards(pc, p, in)
	}
	all.Way = strings.Join(ways, "; then ")
	return all
}

// afterwards is a PC as it will be when it has carried the instruction out, as far as the pre-flight of the next one must know.
func afterwards(pc catalog.Computer, p stepPlan, in protocol.Instruct) catalog.Computer {
	switch {
	case in.Kind == UpdateCache, in.Kind == RestoreImage && in.Delivery != nil && !in.Delivery.Direct && room(pc, in.Parts) == nil:
		pc.Inventory.Cache = withImages(pc.Inventory.Cache, in.Parts)
	case in.Kind == DeleteCached:
		pc.Inventory.Cache = withoutImages(pc.Inventory.Cache, in.Cached)
	}
	i := slices.IndexFunc(pc.Inventory.Disks, func(d disk.Disk) bool { return d.Number == in.Disk.Number })
	if i < 0 {
		return pc
	}
	pc.Inventory.Disks = slices.Clone(pc.Inventory.Disks)
	d := &pc.Inventory.Disks[i]
	if restore, ok := p.(restorePlan); ok && restore.layout != nil {
		*d = restore.restored(*d)
	}
	if in.Scheme == nil {
		return pc
	}
	layout, err := in.Scheme.Plan(*d)
	if err != nil {
		return pc
	}
	if d.Partitions, err = layout.Partitions(); err != nil {
		return pc
	}
	made, partition, found := disk.FindCache(pc.Inventory.Disks)
	switch {
	case !found:
		pc.Inventory.Cache = nil
	case in.Scheme.Cache > 0:
		pc.Inventory.Cache = &protocol.CacheState{Disk: made.Number, Partition: partition.Number, Bytes: partition.Bytes, Free: partition.Bytes}
	}
	return pc
}

// Begin starts an operation. PCs that fail the pre-flight or are busy, are in it as Failed and are not touched; those that are not connected are
// Waiting, for as long as the request says. It is refused, with ErrLocked in the failure, when only busy ones could begin.
func (m *Manager) Begin(ctx context.Context, actor string, r Request) (Operation, error) {
	steps, err := m.steps(r.Program)
	if err != nil {
		return Operation{}, err
	}
	op, err := m.plan(ctx, actor, r.ComputerIDs, steps, r.late())
	if err != nil {
		return Operation{}, err
	}
	op.Text, op.Note = r.Program.String(), r.Note
	return m.start(op, passBusy)
}

// plan puts the first of the steps to the PCs.
func (m *Manager) plan(ctx context.Context, actor string, computerIDs []string, steps []Step, late time.Duration) (Operation, error) {
	computers, err := m.computers(ctx, computerIDs)
	if err != nil {
		return Operation{}, err
	}
	if err := m.parametrise(steps, computers); err != nil {
		return Operation{}, refused(err)
	}
	plans, err := m.plans(steps)
	if err != nil {
		return Operation{}, err
	}
	op := Operation{Actor: actor, Steps: steps, Late: late}
	op.describe()
	for _, pc := range computers {
		op.Targets = append(op.Targets, m.firstTarget(pc, plans, m.cfg.Agents.Connected(pc.ID), late > 0))
	}
	return op, nil
}

// describe says of the operation what its main step is: the first that is about an image, or else the first.
func (op *Operation) describe() {
	i := max(slices.IndexFunc(op.Steps, func(s Step) bool { return s.Image != "" }), 0)
	main := op.Steps[i]
	op.Kind, op.Repository, op.Image, op.Revision = main.Kind, main.Repository, main.Image, main.Revision
	op.Layout, op.Whole = main.Layout, main.Whole
}

// firstTarget is a PC's part at the beginning: with its first instruction, unless it is not there and may come late.
func (m *Manager) firstTarget(pc catalog.Computer, plans []stepPlan, online, mayCome bool) Target {
	t := Target{ComputerID: pc.ID, Name: pc.Name, State: Waiting}
	if wakes := plans[0] == (powerPlan{kind: WakeUp}); !online && (mayCome || wakes) && pc.State == catalog.Accepted {
		return t
	}
	all := foresee(pc, plans, online, mayCome)
	first, in := m.check(plans[0], pc, online)
	t.Instruct, t.Notes = in, first.Notes
	if all.Failure != nil {
		t.State, t.Failure = Failed, all.Failure
	}
	return t
}

// prepare looks at a PC for the statement that is next.
func (m *Manager) prepare(s *seat) {
	m.mu.Lock()
	step, computerID, record, job, wanted := s.Step, s.ComputerID, s.record, s.job, s.memory.Unprepared && !ended(s.State)
	m.mu.Unlock()
	if !wanted {
		return
	}
	ev := prepared{online: m.cfg.Agents.Connected(computerID)}
	ev.instruct, ev.notes, ev.failure = m.instructFor(job, step, computerID, ev.online)
	ev.instruct.ID, ev.instruct.Issued = nextID(record, step), m.cfg.Now()
	ev.instruct.Delivery = ev.instruct.Delivery.In(sessionID(job.op.ID, step))
	if ev.instruct.Kind == WakeUp {
		ev.within = time.Duration(job.op.Steps[step].Statement.Seconds) * time.Second
	} else if ev.failure == nil && ev.online {
		if err := ev.instruct.Check(); err != nil {
			ev.failure = refusal(protocol.ErrFormat, err.Error(), "this is a mistake in Aula: report it")
		}
	}
	m.mu.Lock()
	_, holds := m.held[computerID]
	ev.free = ev.online && (!holds || isPower(ev.instruct.Kind))
	changed := m.advance([]*seat{s}, func(*seat) event { return ev })
	m.mu.Unlock()
	m.tell(changed)
}

// instructFor is a step on a PC as the PC is now.
func (m *Manager) instructFor(j *job, step int, computerID string, online bool) (protocol.Instruct, []string, *protocol.Failure) {
	pc, err := m.cfg.Computers.Computer(computerID)
	if err != nil {
		return protocol.Instruct{}, nil, refusal(protocol.ErrGeneric, fmt.Sprintf("the PC is not known any more: %v", err), "accept it again")
	}
	if !online && j.op.Steps[step].Kind != WakeUp {
		return protocol.Instruct{}, nil, nil // it is looked at when it is there
	}
	p, err := m.planFor(j, step)
	if err != nil {
		return protocol.Instruct{}, nil, refusal(protocol.ErrImage, err.Error(), "look at the image in the list, then retry")
	}
	result, in := m.check(p, pc, online)
	return in, result.Notes, result.Failure
}

// check puts a plan to a PC, and adds what the instruction says of the PC itself.
func (m *Manager) check(p stepPlan, pc catalog.Computer, online bool) (Preflight, protocol.Instruct) {
	result, in := p.check(pc, online)
	if in.Computer = pc.Name; m.cfg.Classroom != nil {
		in.Classroom = m.cfg.Classroom(pc.ClassroomID)
	}
	return result, in
}

// planFor makes a step ready, once for all PCs.
func (m *Manager) planFor(j *job, step int) (stepPlan, error) {
	m.mu.Lock()
	p := j.plans[step]
	m.mu.Unlock()
	if p != nil {
		return p, nil
	}
	p, err := m.planOf(j.op.Steps[step])
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if j.op.State == Running { // else nobody would let go of it
		if j.plans == nil {
			j.plans = make(map[int]stepPlan)
		}
		j.plans[step] = p
	}
	return p, nil
}

// wake sends a PC a magic packet.
func (m *Manager) wake(computerID string) error {
	pc, err := m.cfg.Computers.Computer(computerID)
	if err != nil || m.cfg.Wake == nil {
		return err
	}
	return m.cfg.Wake(pc.MACs)
}
