package tftp

import (
	"hash/maphash"
	"net/netip"
	"time"
)

// A sieve tells in a flood of requests those that come again: a PC that gets no answer asks again after some seconds, a forged address rarely
// comes twice. It takes 2 MB once it is used, whatever comes; some addresses pass at once because others look like them to it.
type sieve struct {
	seed    maphash.Seed
	seen    [2][]uint64 // bits by hash: of this turn and of the one before
	turned  time.Time
	since   time.Time // when evictions were counted from
	evicted int
	until   time.Time // it is a flood
}

const (
	sieveBits = 1 << 23
	sieveTurn = 8 * time.Second // longer than any client waits before it asks again
	floodTime = time.Second
)

// evict counts a transfer that had to make room: as many as most within a second are a flood.
func (s *sieve) evict(now time.Time, most int) {
	if now.Sub(s.since) >= floodTime {
		s.since, s.evicted = now, 0
	}
	if s.evicted++; s.evicted >= most {
		s.until = now.Add(floodTime)
	}
}

// stops tells whether a request is left unanswered: in a flood, the first of its address.
func (s *sieve) stops(pc netip.Addr, now time.Time) bool {
	if now.After(s.until) {
		return false
	}
	late := now.Sub(s.turned) >= 2*sieveTurn
	switch {
	case s.seen[0] == nil:
		s.seed, s.turned = maphash.MakeSeed(), now
		s.seen = [2][]uint64{make([]uint64, sieveBits/64), make([]uint64, sieveBits/64)}
	case now.Sub(s.turned) >= sieveTurn:
		s.seen[0], s.seen[1], s.turned = s.seen[1], s.seen[0], now
		clear(s.seen[0])
		if late {
			clear(s.seen[1])
		}
	}
	bit := maphash.Comparable(s.seed, pc) % sieveBits
	at, mask := bit/64, uint64(1)<<(bit%64)
	again := (s.seen[0][at]|s.seen[1][at])&mask != 0
	s.seen[0][at] |= mask
	return !again
}
