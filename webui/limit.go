package webui

import (
	"container/list"
	"net"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Pace of attempts to log in or to set up, for each address that tries.
const (
	loginBurst   = 10
	loginEvery   = 5 * time.Second
	loginSources = 1024 // addresses remembered; the one that tried longest ago is forgotten first
)

// A limiter slows down guessing. It counts by source and not by user: else whoever knows a technician's name could lock
// the technician out.
type limiter struct {
	mu      sync.Mutex
	sources map[string]*list.Element
	order   *list.List // of *source, the last to try in front
}

type source struct {
	address string
	bucket  *rate.Limiter
}

func newLimiter() *limiter {
	return &limiter{sources: map[string]*list.Element{}, order: list.New()}
}

// allow takes one attempt, or answers how long to wait for the next.
func (l *limiter) allow(address string, now time.Time) (wait time.Duration, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.sources[address]
	if e == nil {
		if l.order.Len() >= loginSources {
			last := l.order.Back()
			delete(l.sources, last.Value.(*source).address)
			l.order.Remove(last)
		}
		e = l.order.PushFront(&source{address, rate.NewLimiter(rate.Every(loginEvery), loginBurst)})
		l.sources[address] = e
	}
	l.order.MoveToFront(e)
	if e.Value.(*source).bucket.AllowN(now, 1) {
		return 0, true
	}
	return loginEvery, false
}

// sourceOf is the address behind a request's RemoteAddr. The appliance stands behind no proxy, so headers do not count.
func sourceOf(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return remote
	}
	return host
}
