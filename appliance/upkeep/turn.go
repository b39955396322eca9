package upkeep

import (
	"context"
	"slices"
	"sync"
)

// turns let one piece of work at a time use a repository, in the order in which they ask. The zero value is ready.
type turns struct {
	mu    sync.Mutex
	queue []*turn // those who have their turn and those who wait, oldest first
}

// A turn is a piece of work's place in the queue.
type turn struct {
	title        string
	repositories []string
	granted      chan struct{}
	has          bool // granted is closed
}

// take waits until no older piece of work uses or awaits one of the repositories; then they are taken until release is called.
// waiting is told once for whom it waits, if it does. It answers ctx's error when that ends before.
func (q *turns) take(ctx context.Context, title string, repositories []string, waiting func(title string)) (release func(), err error) {
	mine := &turn{title: title, repositories: repositories, granted: make(chan struct{})}
	q.mu.Lock()
	blocker := q.blocker(mine, q.queue)
	q.queue = append(q.queue, mine)
	q.grant()
	q.mu.Unlock()
	if blocker != nil {
		waiting(blocker.title)
	}
	select {
	case <-mine.granted:
		return sync.OnceFunc(func() { q.leave(mine) }), nil
	case <-ctx.Done():
		q.leave(mine)
		return nil, ctx.Err()
	}
}

// leave ends a turn, or the waiting for it.
func (q *turns) leave(t *turn) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.queue = slices.DeleteFunc(q.queue, func(other *turn) bool { return other == t })
	q.grant()
}

// grant gives those their turn who wait for nobody. mu is held.
func (q *turns) grant() {
	for i, t := range q.queue {
		if !t.has && q.blocker(t, q.queue[:i]) == nil {
			t.has = true
			close(t.granted)
		}
	}
}

// blocker returns the youngest of the older ones that uses or awaits a repository of t. mu is held.
func (q *turns) blocker(t *turn, older []*turn) *turn {
	for _, other := range slices.Backward(older) {
		if slices.ContainsFunc(other.repositories, func(r string) bool { return slices.Contains(t.repositories, r) }) {
			return other
		}
	}
	return nil
}
