package torrent

import (
	"context"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// ahead is how many bytes a torrent may be given more of the uplink than another that wants it.
const ahead = 4 << 20

// An upload shares the uplink among torrents: none is given much more than another that has blocks to send, however many peers each has. It keeps the
// limit of them all.
type upload struct {
	limiter *rate.Limiter // nil for none

	mu      sync.Mutex
	turns   map[*swarm]*turn
	changed chan struct{} // closed and made anew when somebody may go on
}

// A turn is what a torrent has been given.
type turn struct {
	given   int64     // bytes, on a scale on which torrents that want something stand about level
	recent  time.Time // when it was given something last
	waiting int       // blocks that wait for the others, or for the limit
}

// contends tells whether the torrent wants the uplink.
func (t *turn) contends(now time.Time) bool { return t.waiting > 0 || now.Sub(t.recent) < contending }

// contending is how long a torrent counts as one that wants the uplink after it was given some of it.
const contending = 200 * time.Millisecond

func newUpload(limit int64) *upload {
	u := &upload{turns: map[*swarm]*turn{}, changed: make(chan struct{})}
	if limit > 0 {
		u.limiter = rate.NewLimiter(rate.Limit(limit), largestAsked)
	}
	return u
}

// wait waits until the torrent may send that many bytes, at most largestAsked.
func (u *upload) wait(ctx context.Context, s *swarm, n int) error {
	u.enter(s)
	defer u.done(s)
	for {
		wait := u.take(s, int64(n))
		if wait == nil {
			break
		}
		timer := time.NewTimer(contending)
		select {
		case <-ctx.Done():
			timer.Stop()
			return ctx.Err()
		case <-wait:
		case <-timer.C: // the others do not want it any more
		}
		timer.Stop()
	}
	if u.limiter == nil {
		return nil
	}
	return u.limiter.WaitN(ctx, n)
}

// enter notes that a block of the torrent's waits.
func (u *upload) enter(s *swarm) {
	u.mu.Lock()
	defer u.mu.Unlock()
	least, others := u.least(s)
	t, ok := u.turns[s]
	if !ok {
		t = &turn{}
		u.turns[s] = t
	}
	if others && !t.contends(time.Now()) {
		t.given = max(t.given, least) // what it did not want before it does not get now
	}
	t.waiting++
}

func (u *upload) done(s *swarm) {
	u.mu.Lock()
	defer u.mu.Unlock()
	t := u.turns[s]
	t.waiting--
	t.recent = time.Now()
}

// least is what the torrent was given that was given the least of the others that want the uplink, if there is one.
func (u *upload) least(s *swarm) (given int64, others bool) {
	now := time.Now()
	for other, t := range u.turns {
		if other != s && t.contends(now) && (!others || t.given < given) {
			given, others = t.given, true
		}
	}
	return given, others
}

// take gives the torrent its bytes, or answers what to wait for.
func (u *upload) take(s *swarm, n int64) <-chan struct{} {
	u.mu.Lock()
	defer u.mu.Unlock()
	least, others := u.least(s)
	t := u.turns[s]
	if others && t.given > least+ahead {
		return u.changed
	}
	t.given += n
	close(u.changed)
	u.changed = make(chan struct{})
	return nil
}

// leave forgets a torrent.
func (u *upload) leave(s *swarm) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.turns, s)
}
