package multicast

import (
	"net/netip"
	"testing"
	"time"
)

// A machine that was suspended, or a virtual one that stood still, could hear nobody meanwhile.
func TestASenderThatStoodStillWaitsForReports(t *testing.T) {
	now := time.Unix(1e9, 0)
	s := schedule{phase: Waiting, linger: 30 * time.Second, sources: func(int64) int { return sourceSymbols }, size: 10 * BlockSize, total: 10, readable: 10}
	tell := func(counter uint32, r report) {
		r.group, r.room, r.upTo, r.pass = true, 100, 10, s.pass.number
		s.report(now, receiverID{1}, counter, netip.MustParseAddrPort("10.0.0.2:4000"), r)
	}
	everything := []deficit{{0, 10, sourceSymbols}}
	tell(1, report{missing: everything})
	for s.phase == Waiting {
		now = now.Add(time.Millisecond)
		s.next(now, most)
	}
	tell(2, report{missing: everything})
	for sent := 0; sent < 10*sourceSymbols; {
		st := s.next(now, most)
		sent += st.count
		now = now.Add(time.Millisecond)
	}
	now = now.Add(34 * time.Second)
	for range 100 {
		s.next(now, most)
		now = now.Add(time.Millisecond)
	}
	if s.phase == Ended {
		t.Fatalf("the session ended: %q, %q", s.audience.list[0].reason, s.reason)
	}
	tell(3, report{heard: uint32(s.sequence), received: uint32(s.sequence), done: 10, complete: true})
	for range 100 {
		s.next(now, most)
		now = now.Add(time.Millisecond)
	}
	if l := s.audience.list[0]; s.phase != Ended || !l.report.complete || l.given {
		t.Errorf("it is %q, complete %t, given up %t: want that it ended well", s.phase, l.report.complete, l.given)
	}
}
