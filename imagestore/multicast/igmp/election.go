package igmp

import (
	"net/netip"
	"time"
)

// robustness is how many queries may be lost on the way before it is noticed (RFC 2236 section 8.1), and so the number of queries at
// the start (8.7) and of last calls for a group (8.9).
const robustness = 2

// Bounds on what others can make this querier do.
const (
	// longestSilence bounds the silence that one query can ask for. IGMPv3 can announce an interval of eight hours, and by then
	// switches have forgotten every group; a querier that truly asks so seldom silences this one again each time.
	longestSilence = 10 * time.Minute
	// lastCalls is for how many groups at most a last call is in progress. Those left beyond it age out in the switches.
	lastCalls = 64
	// lastCallResponse is within which the other members of a left group answer, and the time between the calls (RFC 2236 8.8).
	lastCallResponse = time.Second
)

// An ask is a query to be sent: to the group, or to all hosts when it is 0.0.0.0.
type ask struct {
	group    netip.Addr
	response time.Duration
}

// timing is how often to ask (RFC 2236 section 8).
type timing struct {
	interval time.Duration // between general queries
	response time.Duration // within which hosts answer them
	others   time.Duration // between the queries of another querier that does not tell
}

// An election is the querier's state machine on one network (RFC 2236 section 7): it asks, or it keeps silent because another with a
// lower address asks. It does nothing by itself: it is told what was heard and what time it is, and answers what to send.
type election struct {
	timing
	self    netip.Addr
	startup int       // quick queries that are still to be sent
	due     time.Time // of the next general query; of the end of the silence while another is obeyed

	other netip.Addr // is obeyed; zero while this one asks
	heard time.Time  // when other last asked

	left map[netip.Addr]lastCall // groups that somebody left
}

// A lastCall asks whether a group has members left. When nobody answers, switches stop forwarding to the port.
type lastCall struct {
	queries int // still to be sent
	due     time.Time
}

func newElection(t timing, self netip.Addr, now time.Time) *election {
	return &election{timing: t, self: self, startup: robustness, due: now, left: make(map[netip.Addr]lastCall)}
}

// active reports whether this querier is the one that asks.
func (e *election) active() bool { return !e.other.IsValid() }

// hear takes in a message of the network.
func (e *election) hear(m message, now time.Time) {
	switch {
	case m.from == e.self: // looped back
	case m.kind == leave:
		e.callLast(m.group, now)
	case m.kind == queryV1: // its routers hold no election (RFC 2236 section 4)
	case !m.general() || m.from.IsUnspecified(): // a snooping switch speaks from 0.0.0.0 for the querier (RFC 4541 section 2.1.1)
	case m.from.Less(e.self):
		e.obey(m, now)
	}
}

// obey keeps silent for the other-querier-present interval (RFC 2236 section 8.5, RFC 3376 section 8.5).
func (e *election) obey(m message, now time.Time) {
	times, interval := m.robustness, m.interval
	if times == 0 {
		times = robustness
	}
	if interval == 0 {
		interval = e.others
	}
	e.other, e.heard = m.from, now
	e.due = now.Add(min(time.Duration(times)*interval+m.response/2, longestSilence))
	clear(e.left)
}

func (e *election) callLast(group netip.Addr, now time.Time) {
	_, calling := e.left[group]
	// Switches forward 224.0.0.0/24 whether or not anybody asked for it (RFC 4541 section 2.1.2).
	if e.active() && !calling && len(e.left) < lastCalls && !group.IsLinkLocalMulticast() {
		e.left[group] = lastCall{queries: robustness, due: now}
	}
}

// next is when tick has something to do.
func (e *election) next() time.Time {
	next := e.due
	for _, call := range e.left {
		if call.due.Before(next) {
			next = call.due
		}
	}
	return next
}

// tick answers which queries are to be sent now. A silence that has ended is ended by it.
func (e *election) tick(now time.Time) []ask {
	var asks []ask
	if !e.due.After(now) {
		e.other, e.heard = netip.Addr{}, time.Time{}
		asks = append(asks, ask{netip.IPv4Unspecified(), e.response})
		wait := e.interval
		if e.startup = max(e.startup-1, 0); e.startup > 0 {
			wait = e.interval / 4 // RFC 2236 section 8.6
		}
		e.due = now.Add(wait)
	}
	for group, call := range e.left {
		switch {
		case call.due.After(now):
		case call.queries == 0:
			delete(e.left, group)
		default:
			asks = append(asks, ask{group, lastCallResponse})
			e.left[group] = lastCall{queries: call.queries - 1, due: now.Add(lastCallResponse)}
		}
	}
	return asks
}
