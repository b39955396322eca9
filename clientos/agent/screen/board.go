package screen

import (
	"context"
	"io"
	"sync"
	"time"
)

const (
	// paintPause is the shortest time between two paintings.
	paintPause = 250 * time.Millisecond
	// backlog is the number of lines that may wait for a slow serial line before the oldest are dropped.
	backlog = 256
)

// A Board holds the State that is to be seen and takes it to terminals and logs, each at its own speed: one that does not take what
// is written to it (a console under Scroll Lock) holds nobody up. Its methods are safe for concurrent use.
type Board struct {
	mu       sync.Mutex
	state    State
	changed  chan struct{} // closed and replaced at each change
	journals []chan string
	last     string
}

// NewBoard starts with s.
func NewBoard(s State) *Board {
	return &Board{state: s, changed: make(chan struct{}), last: Line(s)}
}

// State returns what is to be seen.
func (b *Board) State() State {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.state
}

// Changed returns a channel that is closed at the next change.
func (b *Board) Changed() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.changed
}

// Update changes what is to be seen.
func (b *Board) Update(change func(s *State)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	before := b.state
	change(&b.state)
	if b.state == before {
		return
	}
	close(b.changed)
	b.changed = make(chan struct{})
	line := Line(b.state)
	if line == b.last {
		return
	}
	b.last = line
	for _, j := range b.journals {
		push(j, line)
	}
}

func push(j chan string, line string) {
	for {
		select {
		case j <- line:
			return
		default:
		}
		select {
		case <-j:
		default:
		}
	}
}

// Journal writes the Line of the State, now and at each change of it, to out until ctx ends or out fails.
func (b *Board) Journal(ctx context.Context, out io.Writer) error {
	lines := make(chan string, backlog)
	b.mu.Lock()
	lines <- b.last
	b.journals = append(b.journals, lines)
	b.mu.Unlock()
	for {
		select {
		case line := <-lines:
			// The carriage return is for serial terminals.
			if _, err := io.WriteString(out, line+"\r\n"); err != nil {
				return err
			}
		case <-ctx.Done():
			return drain(lines, out)
		}
	}
}

// drain writes the last lines, so that a restart is seen to be meant.
func drain(lines chan string, out io.Writer) error {
	for {
		select {
		case line := <-lines:
			if _, err := io.WriteString(out, line+"\r\n"); err != nil {
				return err
			}
		default:
			return nil
		}
	}
}

// Paint keeps a terminal in step with the State until ctx ends or the terminal fails.
func (b *Board) Paint(ctx context.Context, p *Painter) error {
	for {
		b.mu.Lock()
		state, changed := b.state, b.changed
		b.mu.Unlock()
		if err := p.Paint(state, time.Now()); err != nil {
			return err
		}
		pause := time.NewTimer(paintPause)
		select {
		case <-pause.C:
		case <-ctx.Done():
			pause.Stop()
			return p.Paint(b.State(), time.Now())
		}
		again := time.NewTimer(repaintAll)
		select {
		case <-changed:
		case <-again.C:
		case <-ctx.Done():
		}
		again.Stop()
	}
}
