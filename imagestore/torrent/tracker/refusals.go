package tracker

import (
	"log/slog"
	"net/netip"
	"sync"
	"time"
)

// Each refusal is logged once a minute for each address, and no more than this many in all: a PC that is refused asks again and again.
const maxRefusals = 20

type refusal struct {
	from netip.Addr
	why  string
}

// refusals logs whom the tracker refused, and why, without flooding the log.
type refusals struct {
	log   *slog.Logger
	mu    sync.Mutex
	since time.Time
	seen  map[refusal]bool
	more  int // that were not logged
}

func newRefusals(log *slog.Logger) *refusals { return &refusals{log: log, seen: map[refusal]bool{}} }

// note logs that the address was refused by that protocol. Of the reason, kind is the part that repeats.
func (r *refusals) note(from netip.Addr, protocol, kind, why string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := time.Now()
	if now.Sub(r.since) >= time.Minute {
		if r.more > 0 {
			r.log.Warn("tracker refused more, which are not logged", "refusals", r.more)
		}
		r.since, r.more = now, 0
		clear(r.seen)
	}
	k := refusal{from, kind}
	if r.seen[k] || len(r.seen) == maxRefusals {
		r.more++
		return
	}
	r.seen[k] = true
	r.log.Warn("tracker refused", "peer", from, "protocol", protocol, "reason", why)
}
