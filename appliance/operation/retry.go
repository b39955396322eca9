package operation

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"aula/clientos/instruction"
	"aula/clientos/protocol"
)

// Retry starts an operation like the one given on those of its PCs that did not end Done, from the statement at which they ended; when all are Done, what
// is repeated is the configuration of those that have warnings.
func (m *Manager) Retry(ctx context.Context, actor, id string) (Operation, error) {
	before, err := m.Operation(id)
	if err != nil {
		return Operation{}, err
	}
	if before.State == Running {
		return Operation{}, refused(errors.New("the operation is not over (wait for it, or cancel it)"))
	}
	if len(before.Steps) == 0 {
		return Operation{}, refused(errors.New("the operation is from an older version, which did not record what can be repeated (start it anew)"))
	}
	from := make(map[string]int)
	var ids, warned []string
	var since error
	for _, t := range before.Targets {
		if later, ok := m.doneSince(before, t.ComputerID); ok {
			since = fmt.Errorf("%s was done by operation %s since then: what it holds now is not overwritten by a retry (start a new operation)", t.Name, later)
			continue
		}
		switch {
		case t.State != Done:
			ids, from[t.ComputerID] = append(ids, t.ComputerID), t.Step
		case len(t.Warnings) > 0:
			warned = append(warned, t.ComputerID)
		}
	}
	switch {
	case len(ids) > 0:
		return m.repeat(ctx, actor, before, ids, from)
	case len(warned) > 0:
		return m.configureAgain(ctx, actor, before, warned)
	}
	if since != nil {
		return Operation{}, refused(since)
	}
	return Operation{}, refused(errors.New("every computer is done: there is nothing to repeat"))
}

// doneSince tells which later operation has changed the PC's disk and ended well on it.
func (m *Manager) doneSince(before Operation, computerID string) (id string, ok bool) {
	for _, op := range m.Operations(0) { // the newest first
		if op.ID == before.ID {
			break
		}
		for _, t := range op.Targets {
			if t.ComputerID == computerID && t.State == Done && op.writes() {
				return op.ID, true
			}
		}
	}
	return "", false
}

// writes tells whether a statement of the operation changes disks, apart from the cache.
func (op Operation) writes() bool {
	if len(op.Steps) == 0 {
		return protocol.Instruct{Kind: op.Kind}.Writes()
	}
	return slices.ContainsFunc(op.Steps, func(s Step) bool { return protocol.Instruct{Kind: s.Kind}.Writes() })
}

// repeat has PCs go on at the steps at which they ended.
func (m *Manager) repeat(ctx context.Context, actor string, before Operation, ids []string, from map[string]int) (Operation, error) {
	late := before.Late
	if late == 0 {
		late = DefaultLate
	}
	op, err := m.plan(ctx, actor, ids, m.anew(before), late)
	if err != nil {
		return Operation{}, err
	}
	op.Text, op.Note = before.Text, "retry of "+before.ID
	for i := range op.Targets {
		t := &op.Targets[i]
		if step := from[t.ComputerID]; step > 0 { // it is looked at when its turn comes
			*t = Target{ComputerID: t.ComputerID, Name: t.Name, State: Waiting, Step: step}
		}
	}
	return m.start(op, passBusy)
}

// anew are the steps of an operation, with the parameters of their sessions to be found again: they are for fewer PCs now.
func (m *Manager) anew(before Operation) []Step {
	steps := slices.Clone(before.Steps)
	for i := range steps {
		if steps[i].Assumed {
			steps[i].Statement.Delivery.Parameters = ""
		}
	}
	return steps
}

// configureAgain repeats the configuration after the last restore.
func (m *Manager) configureAgain(ctx context.Context, actor string, before Operation, ids []string) (Operation, error) {
	for i := len(before.Steps) - 1; i >= 0; i-- {
		step := before.Steps[i]
		if step.Kind != RestoreImage && step.Kind != ConfigureOS {
			continue
		}
		s := instruction.Statement{Word: instruction.ConfigureOS, Disk: step.Statement.Disk, Partition: step.Statement.Partition, Images: step.Statement.Images}
		for _, p := range step.Parts {
			s.Images = append(s.Images, p.Image.Name)
		}
		op, err := m.plan(ctx, actor, ids, []Step{{Kind: ConfigureOS, Statement: s, Partitions: step.restored()}}, DefaultLate)
		if err != nil {
			return Operation{}, err
		}
		op.Text, op.Note = instruction.Program{Statements: []instruction.Statement{s}}.String(), "retry of "+before.ID
		return m.start(op, passBusy)
	}
	return Operation{}, refused(errors.New("the operation has configured nothing that could be repeated"))
}

// StartNow stops waiting for PCs that are not there: they end as NeverCame.
func (m *Manager) StartNow(ctx context.Context, id string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	choose := func() []*seat {
		if j, ok := m.jobs[id]; ok {
			return j.unended()
		}
		return nil
	}
	if _, err := m.Operation(id); err != nil {
		return err
	}
	online := m.online(choose)
	m.mu.Lock()
	changed := m.advance(choose(), func(s *seat) event { return unawaited{online: online[s.ComputerID]} })
	m.mu.Unlock()
	m.tell(changed)
	return nil
}
