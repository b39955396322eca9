package screen

import (
	"context"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A tape is written to by one goroutine and read by another.
type tape struct {
	mu   sync.Mutex
	text strings.Builder
}

func (w *tape) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.Write(p)
}

func (w *tape) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.text.String()
}

func TestJournalMissesNoState(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := NewBoard(State{Phase: Starting})
		ctx, cancel := context.WithCancel(t.Context())
		var out tape
		ended := make(chan error)
		go func() { ended <- b.Journal(ctx, &out) }()
		synctest.Wait()
		for _, p := range []Phase{Pending, Ready, Ready, Done} {
			b.Update(func(s *State) { s.Phase = p })
		}
		b.Update(func(s *State) { s.Rate++ }) // changes nothing of the line
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Journal: %v", err)
		}
		want := "aula-agent: starting\r\naula-agent: pending\r\naula-agent: ready\r\naula-agent: done\r\n"
		if got := out.String(); got != want {
			t.Errorf("journal:\n%q, want\n%q", got, want)
		}
	})
}

// TestBlockedConsole writes to a console that takes nothing, as under Scroll Lock.
func TestBlockedConsoleHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := NewBoard(State{Phase: Starting})
		ctx, cancel := context.WithCancel(t.Context())
		deaf, release := io.Pipe()
		var group sync.WaitGroup
		group.Go(func() { _ = b.Journal(ctx, release) })
		group.Go(func() { _ = b.Paint(ctx, NewPainter(release, 80, 25)) })
		start := time.Now()
		for i := range 10 * backlog {
			b.Update(func(s *State) { s.Phase, s.Rate = Ready, int64(i); s.Computer = strings.Repeat("x", i%7) })
		}
		if passed := time.Since(start); passed > 0 {
			t.Errorf("Update waited %v for a console", passed)
		}
		deaf.Close()
		cancel()
		group.Wait()
	})
}

func TestPaintFollowsTheState(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := NewBoard(State{Phase: Ready})
		ctx, cancel := context.WithCancel(t.Context())
		var out tape
		ended := make(chan error)
		go func() { ended <- b.Paint(ctx, NewPainter(&out, 80, 25)) }()
		time.Sleep(time.Second) // of the bubble's time
		b.Update(func(s *State) { s.Problem = "The cable is out." })
		time.Sleep(time.Second)
		if !strings.Contains(out.String(), "The cable is out.") {
			t.Errorf("painted %q, want the problem", out.String())
		}
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Paint: %v", err)
		}
	})
}
