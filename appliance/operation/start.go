package operation

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"

	"aula/appliance/catalog"
	"aula/clientos/instruction"
	"aula/clientos/protocol"
	"aula/imagestore"
)

// refused wraps the reason for which an operation is not begun.
func refused(reason error) error { return fmt.Errorf("%w: %w", ErrRefused, reason) }

// PreflightRestore tells what Restore would do, and does nothing.
func (m *Manager) PreflightRestore(ctx context.Context, r RestoreRequest) ([]Preflight, error) {
	plan, err := m.planRestore(r)
	if err != nil {
		return nil, refused(err)
	}
	computers, err := m.computers(ctx, r.ComputerIDs)
	if err != nil {
		return nil, err
	}
	results := make([]Preflight, len(computers))
	for i, pc := range computers {
		results[i], _ = plan.check(pc, m.cfg.Agents.Connected(pc.ID))
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range results {
		if results[i].Failure == nil {
			results[i].Failure = m.busy(results[i].ComputerID, results[i].Name, RestoreImage)
		}
	}
	return results, nil
}

// Capture starts a CreateImage operation.
func (m *Manager) Capture(ctx context.Context, actor string, r CaptureRequest) (Operation, error) {
	if err := imagestore.CheckName(r.Image); err != nil {
		return Operation{}, refused(err)
	}
	if err := checkCompressor(r.Compressor, r.Level); err != nil {
		return Operation{}, refused(err)
	}
	step, err := m.resolve(instruction.Statement{
		Word: instruction.CreateImage, Disk: r.Disk, Partition: r.Partition, Repository: r.Repository, Image: r.Image,
		Compressor: r.Compressor, Level: r.Level,
	})
	if err != nil {
		return Operation{}, refused(err)
	}
	op, err := m.plan(ctx, actor, []string{r.ComputerID}, []Step{step}, 0)
	if err != nil {
		return Operation{}, err
	}
	if f := op.Targets[0].Failure; f != nil {
		return Operation{}, refused(f)
	}
	return m.start(op, refuseBusy)
}

// Restore starts a RestoreImage operation; PCs that fail the pre-flight are in it as Failed and are not touched. A PC
// that another operation has refuses the whole.
func (m *Manager) Restore(ctx context.Context, actor string, r RestoreRequest) (Operation, error) {
	plan, err := m.planRestore(r)
	if err != nil {
		return Operation{}, refused(err)
	}
	op, err := m.plan(ctx, actor, r.ComputerIDs, []Step{plan.step(statementOf(r))}, 0)
	if err != nil {
		return Operation{}, err
	}
	return m.start(op, refuseBusy)
}

// statementOf says a request in the language of instructions: straight to the disk, which is left as it is in the image.
func statementOf(r RestoreRequest) instruction.Statement {
	word := instruction.RestoreImage
	if r.Whole {
		word = instruction.RestoreDiskImage
	}
	return instruction.Statement{
		Word: word, Disk: r.Disk, Partition: r.Partition, Repository: r.Repository, Image: r.Image, Revision: r.Revision,
		Layout: r.Layout, SetDisk: r.SetDisk, Delivery: protocol.Delivery{Direct: true}, Plain: true,
	}
}

// Power starts a Reboot, BootDisk or PowerOff operation; PCs that are not connected are in it as Failed.
func (m *Manager) Power(ctx context.Context, actor, kind string, computerIDs []string) (Operation, error) {
	if !isPower(kind) {
		return Operation{}, refused(fmt.Errorf("%q is not one of %s, %s and %s", kind, Reboot, BootDisk, PowerOff))
	}
	op, err := m.plan(ctx, actor, computerIDs, []Step{{Kind: kind, Statement: instruction.Statement{Word: kind}}}, 0)
	if err != nil {
		return Operation{}, err
	}
	return m.start(op, refuseBusy)
}

// Cancel asks every PC of an operation that has not ended to stop. Those that have the instruction already end when they
// say that they stopped.
func (m *Manager) Cancel(ctx context.Context, id string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	m.mu.Lock()
	j, ok := m.jobs[id]
	if !ok {
		m.mu.Unlock()
		return fmt.Errorf("operation %q: %w", id, ErrNotFound)
	}
	changed := m.advance(j.unended(), func(*seat) event { return cancelAsked{} })
	m.mu.Unlock()
	m.tell(changed)
	return nil
}

// computers looks the PCs of a request up.
func (m *Manager) computers(ctx context.Context, ids []string) ([]catalog.Computer, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if len(ids) == 0 {
		return nil, refused(errors.New("no computers were chosen (choose at least one)"))
	}
	computers := make([]catalog.Computer, len(ids))
	for i, id := range ids {
		if slices.Contains(ids[:i], id) {
			return nil, refused(fmt.Errorf("computer %s was chosen twice", id))
		}
		pc, err := m.cfg.Computers.Computer(id)
		if err != nil {
			return nil, refused(err)
		}
		computers[i] = pc
	}
	return computers, nil
}

// busy tells what else has a PC that is wanted for a kind of operation. The caller holds the lock.
func (m *Manager) busy(computerID, name, kind string) *protocol.Failure {
	if s, ok := m.active[computerID]; ok && s.waitedFor() {
		return refusal(protocol.ErrLocked, fmt.Sprintf("%s is not there and is waited for: %s", name, s.describe()),
			"switch it on, or start that operation without those that are not there, or cancel it")
	} else if ok {
		return refusal(protocol.ErrLocked, fmt.Sprintf("%s is busy: %s", name, s.describe()), "wait for it, or cancel that operation")
	}
	if _, ok := m.held[computerID]; ok && !isPower(kind) {
		return refusal(protocol.ErrLocked, name+" still works on an earlier operation, and has been told to stop", "try again in a minute")
	}
	return nil
}

// What becomes of an operation of which some PCs are busy.
const (
	refuseBusy = false // none begins
	passBusy   = true  // those are Failed, and the others begin
)

// start stores the plan and sends the instructions, or refuses and does neither.
func (m *Manager) start(op Operation, pass bool) (Operation, error) {
	m.mu.Lock()
	j, err := m.begin(op, pass)
	m.mu.Unlock()
	if err != nil {
		return Operation{}, err
	}
	m.cfg.Changed(j.ID)
	return j, nil
}

// passOver ends the targets whose PCs are busy. It refuses when no other is left, or when none may be passed over.
func (m *Manager) passOver(op *Operation, pass bool) error {
	var first *protocol.Failure
	able := 0
	for i := range op.Targets {
		t := &op.Targets[i]
		if ended(t.State) {
			continue
		}
		f := m.busy(t.ComputerID, t.Name, op.kindOf(t.Step))
		if f == nil {
			able++
			continue
		}
		if first == nil {
			first = f
		}
		t.State, t.Failure = Failed, f
	}
	if first != nil && (able == 0 || !pass) {
		return refused(first)
	}
	return nil
}

func (m *Manager) begin(op Operation, pass bool) (Operation, error) {
	if err := m.passOver(&op, pass); err != nil {
		return Operation{}, err
	}
	if err := m.capturedElsewhere(op); err != nil {
		return Operation{}, refused(err)
	}
	// Before a PC is given to another operation, the record must say that the one before has left it.
	if err := m.settleUp(); err != nil {
		return Operation{}, fmt.Errorf("operation not begun: %w", err)
	}
	m.identify(&op)
	if err := op.checkInstructions(); err != nil {
		return Operation{}, refused(err)
	}
	j := &job{op: op}
	for _, t := range op.Targets {
		j.seats = append(j.seats, j.newSeat(t))
	}
	if m.summarise(j); j.op.State == Running {
		if err := m.hold(j); err != nil {
			j.letGo()
			return Operation{}, refused(unusable(op.Image, err))
		}
	}
	if err := m.storePlan(j.op); err != nil {
		j.letGo()
		return Operation{}, fmt.Errorf("operation not begun: %w", err)
	}
	m.forgetNextBoots(j)
	m.add(j)
	m.advance(j.unended(), func(s *seat) event { return ticked{ready: !s.memory.Unprepared} })
	m.prune()
	m.cfg.Log.Info("operation begun", "operation", op.ID, "kind", op.Kind, "actor", op.Actor, "image", op.Image,
		"computers", len(op.Targets), "unfit", len(op.Targets)-len(j.unended()))
	return j.snapshot(), nil
}

// forgetNextBoots lets the PCs of an operation boot the client OS, whatever they were to boot once: who gives a PC work wants that first.
func (m *Manager) forgetNextBoots(j *job) {
	for _, s := range j.unended() {
		pc, err := m.cfg.Computers.Computer(s.ComputerID)
		if err == nil && pc.NextBoot != "" {
			err = m.cfg.Computers.SetNextBoot(s.ComputerID, "")
		}
		if err != nil {
			m.cfg.Log.Error("what a PC was to boot once goes before its work", "computer", s.ComputerID, "error", err)
		}
	}
}

// checkInstructions refuses an operation of which no record could be read again, and no PC would begin.
func (op Operation) checkInstructions() error {
	for _, t := range op.Targets {
		if err := op.checkInstruct(t); err != nil {
			return fmt.Errorf("%s: %w", t.Name, err)
		}
	}
	return nil
}

func (m *Manager) storePlan(op Operation) error {
	data, err := encodePlan(op)
	if err != nil {
		return err
	}
	return m.cfg.Store.PutRecords(catalog.Operations, map[string][]byte{op.ID: data})
}

// identify gives the operation and its instructions their identifiers and times.
func (m *Manager) identify(op *Operation) {
	now := m.cfg.Now()
	last := ""
	if len(m.order) > 0 {
		last = m.order[len(m.order)-1]
	}
	var random [2]byte
	rand.Read(random[:]) // never fails
	op.ID, op.Created = newID(now, last, hex.EncodeToString(random[:])), now
	for i := range op.Targets {
		t := &op.Targets[i]
		t.Instruct.ID = instructionID(op.ID, t.ComputerID)
		if t.Instruct.Kind != "" { // it was looked at
			t.Instruct.Issued = now
			t.Instruct.Delivery = t.Instruct.Delivery.In(sessionID(op.ID, t.Step))
		}
		if ended(t.State) {
			t.Ended = now
		}
	}
}

// capturedElsewhere refuses a second capture under a name at the same time: which of the two came to be the latest
// would be chance.
func (m *Manager) capturedElsewhere(op Operation) error {
	for _, step := range op.Steps {
		if step.Kind != CreateImage {
			continue
		}
		if len(op.Targets) > 1 {
			return fmt.Errorf("image %s would be captured from %d computers at once (choose one)", step.Image, len(op.Targets))
		}
		for _, s := range m.active {
			if s.captures(step) {
				return fmt.Errorf("image %s is being captured from %s (wait for it, or choose another name)", step.Image, s.Name)
			}
		}
	}
	return nil
}

// captures tells whether the PC captures, or will, what a step captures.
func (s *seat) captures(step Step) bool {
	if len(s.job.op.Steps) == 0 {
		return s.job.op.Kind == CreateImage && s.job.op.Image == step.Image && s.job.op.Repository == step.Repository
	}
	return slices.ContainsFunc(s.job.op.Steps[s.Step:], func(other Step) bool {
		return other.Kind == CreateImage && other.Image == step.Image && other.Repository == step.Repository
	})
}
