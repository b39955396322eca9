package upkeep

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

// A worker asks for a turn in a goroutine of its own.
type worker struct {
	got     chan func() // gets release
	waits   string      // for whom
	err     error
	release func()
}

func (w *worker) has() bool {
	select {
	case w.release = <-w.got:
		return w.release != nil
	default:
		return false
	}
}

// ask begins to wait; it returns when the goroutine has its turn or is blocked.
func ask(ctx context.Context, q *turns, title string, repositories ...string) *worker {
	w := &worker{got: make(chan func(), 1)}
	go func() {
		release, err := q.take(ctx, title, repositories, func(title string) { w.waits = title })
		w.err = err
		w.got <- release
	}()
	synctest.Wait()
	return w
}

func TestTurnsComeInOrder(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var q turns
		first := ask(t.Context(), &q, "first", "main")
		second := ask(t.Context(), &q, "second", "main", "attic")
		third := ask(t.Context(), &q, "third", "attic")
		elsewhere := ask(t.Context(), &q, "elsewhere", "cellar")
		if !first.has() || second.has() || third.has() || !elsewhere.has() {
			t.Fatal("not exactly those who wait for nobody have their turn")
		}
		if second.waits != "first" || third.waits != "second" || elsewhere.waits != "" {
			t.Errorf("second waits for %q, third for %q, the last for %q", second.waits, third.waits, elsewhere.waits)
		}
		first.release()
		synctest.Wait()
		if !second.has() || third.has() {
			t.Fatal("the second has no turn after the first, or the third does not wait for it")
		}
		second.release()
		second.release()
		synctest.Wait()
		if !third.has() {
			t.Fatal("the third has no turn")
		}
		third.release()
		elsewhere.release()
		if len(q.queue) > 0 {
			t.Errorf("%d are left in the queue", len(q.queue))
		}
	})
}

func TestWhoGivesUpIsInNobodysWay(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var q turns
		first := ask(t.Context(), &q, "first", "main")
		ctx, cancel := context.WithCancel(t.Context())
		second := ask(ctx, &q, "second", "main", "attic")
		third := ask(t.Context(), &q, "third", "attic")
		cancel()
		synctest.Wait()
		if second.has() || !errors.Is(second.err, context.Canceled) {
			t.Errorf("who gave up got %v", second.err)
		}
		if !third.has() {
			t.Error("the third still waits for the second")
		}
		if !first.has() {
			t.Error("the first has lost its turn")
		}
	})
}
