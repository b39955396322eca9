package operation

import (
	"context"
	"errors"
	"time"

	"aula/clientos/instruction"
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

// Check is the pre-flight of a request: what would become of each PC. It does nothing.
func (m *Manager) Check(ctx context.Context, r Request) ([]Preflight, error) {
	return nil, errors.New("not built yet")
}

// Begin starts an operation. PCs that fail the pre-flight are in it as Failed and are not touched; those that are not connected are Waiting, for as long
// as the request says.
func (m *Manager) Begin(ctx context.Context, actor string, r Request) (Operation, error) {
	return Operation{}, errors.New("not built yet")
}

// Retry starts an operation like the one given on those of its PCs that did not end Done, from the statement at which they ended; of those that are
// Done with warnings it repeats what failed.
func (m *Manager) Retry(ctx context.Context, actor, id string) (Operation, error) {
	return Operation{}, errors.New("not built yet")
}

// StartNow stops waiting for PCs that are not there: they end as NeverCame, and a multicast session begins with those that have joined.
func (m *Manager) StartNow(ctx context.Context, id string) error {
	return errors.New("not built yet")
}
