package torrent

import (
	"context"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// An upload keeps the limit of what all torrents send together, and shares it among those that have something to send, however many peers each has: the
// next block is that of the torrent that was given the least. Without a limit it is the kernel that shares the uplink, among connections: to hold one
// torrent back for another would leave a part of it empty, as nobody knows how much it carries.
type upload struct {
	limiter *rate.Limiter // nil for none

	mu      sync.Mutex
	given   map[*swarm]int64     // bytes, on a scale on which torrents that want something stand about level
	last    map[*swarm]time.Time // when they were given something
	waiting []*waiter            // in the order in which they came
	pausing bool                 // the limit makes one wait who is no longer among them
	changed chan struct{}        // closed and made anew when another may be the next
}

// wanting is how long a torrent keeps its place after it was given something: its peers ask for more when that has arrived.
const wanting = 500 * time.Millisecond

// A waiter is a block that is to be sent.
type waiter struct {
	swarm *swarm
	bytes int
}

func newUpload(limit int64) *upload {
	u := &upload{given: map[*swarm]int64{}, last: map[*swarm]time.Time{}, changed: make(chan struct{})}
	if limit > 0 {
		u.limiter = rate.NewLimiter(rate.Limit(limit), largestAsked)
	}
	return u
}

// wait waits until the torrent may send that many bytes, at most largestAsked. Whenever news come meanwhile, it calls told.
func (u *upload) wait(ctx context.Context, s *swarm, n int, news <-chan struct{}, told func() error) error {
	if u.limiter == nil {
		return nil
	}
	w := u.enter(s, n)
	for {
		pause, change := u.turn(w)
		if change == nil {
			defer u.next()
			return sleep(ctx, pause, nil, news, told)
		}
		if err := sleep(ctx, time.Hour, change, news, told); err != nil {
			u.leave(w)
			return err
		}
	}
}

// sleep waits so long or for the change, and calls told at news.
func sleep(ctx context.Context, d time.Duration, change, news <-chan struct{}, told func() error) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-timer.C:
			return nil
		case <-change:
			return nil
		case <-news:
			if err := told(); err != nil {
				return err
			}
		}
	}
}

// enter takes a block among those that wait.
func (u *upload) enter(s *swarm, n int) *waiter {
	u.mu.Lock()
	defer u.mu.Unlock()
	w := &waiter{s, n}
	wanted := slices.ContainsFunc(u.waiting, func(other *waiter) bool { return other.swarm == s }) || time.Since(u.last[s]) < wanting
	if !wanted && len(u.waiting) > 0 {
		// What the torrent did not want before it does not get now.
		u.given[s] = max(u.given[s], u.given[u.first().swarm])
	}
	u.waiting = append(u.waiting, w)
	return w
}

// first is the block that is to be sent before all others.
func (u *upload) first() *waiter {
	return slices.MinFunc(u.waiting, func(a, b *waiter) int { return int(u.given[a.swarm] - u.given[b.swarm]) })
}

// turn answers how long to wait for the limit when it is the block's turn, which takes it out, or what to wait for.
func (u *upload) turn(w *waiter) (pause time.Duration, change <-chan struct{}) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.pausing || u.first() != w {
		return 0, u.changed
	}
	u.remove(w)
	u.pausing = true
	u.given[w.swarm] += int64(w.bytes)
	u.last[w.swarm] = time.Now()
	return u.limiter.ReserveN(time.Now(), w.bytes).Delay(), nil
}

// next lets another have its turn.
func (u *upload) next() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.pausing = false
	u.wakeAll()
}

// leave takes out a block that is not to be sent any more.
func (u *upload) leave(w *waiter) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.remove(w)
	u.wakeAll()
}

func (u *upload) remove(w *waiter) {
	u.waiting = slices.DeleteFunc(u.waiting, func(other *waiter) bool { return other == w })
}

func (u *upload) wakeAll() {
	close(u.changed)
	u.changed = make(chan struct{})
}

// forget forgets a torrent.
func (u *upload) forget(s *swarm) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.given, s)
	delete(u.last, s)
}
