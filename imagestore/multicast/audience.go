package multicast

import (
	"cmp"
	"net/netip"
	"slices"
	"time"
)

// An audience is the receivers of a session.
type audience struct {
	half bool
	all  map[receiverID]*listener
	list []*listener // as they came

	appraise time.Time   // when to look at them next
	since    time.Time   // of the last look
	blocking []*listener // who kept the sender waiting when it was last asked
	blocked  time.Time
}

// audienceLimit bounds the receivers of a session.
const audienceLimit = maxComputers

// hear takes in a report; nil is the answer to one that is older than the last, or one receiver too many.
func (a *audience) hear(now time.Time, id receiverID, counter uint32, from netip.AddrPort, r report) *listener {
	l := a.all[id]
	if l != nil && counter <= l.counter || l == nil && len(a.list) == audienceLimit {
		return nil
	}
	if l == nil {
		l = &listener{id: id, came: now, appraised: r, heard: int64(r.heard)}
		l.mark.heard, l.mark.received = r.heard, r.received
		if a.all == nil {
			a.all = map[receiverID]*listener{}
		}
		a.all[id] = l
		a.list = append(a.list, l)
	}
	l.last, l.counter, l.addr, l.report, l.group = now, counter, from, r, r.group
	l.heard = max(l.heard, int64(r.heard))
	if r.name != "" {
		l.name = r.name
	}
	l.given = false
	return l
}

// supersede forgets the receivers that failed or fell silent and have come back as another one: they were started anew.
func (a *audience) supersede(now time.Time) {
	everybody := slices.Clone(a.list)
	a.list = slices.DeleteFunc(a.list, func(o *listener) bool {
		gone := !o.report.complete && (o.report.failed || o.silent(now, absent)) && slices.ContainsFunc(everybody, func(l *listener) bool {
			return l.name == o.name && l.addr.Addr() == o.addr.Addr() && l.came.After(o.last)
		})
		if gone {
			delete(a.all, o.id)
		}
		return gone
	})
}

// here counts the receivers that have come, also those that had all already, and tells when the first of them came.
func (a *audience) here(now time.Time) (n int, first time.Time) {
	for _, l := range a.list {
		if l.report.complete || !l.out() && !l.silent(now, absent) {
			if n == 0 {
				first = l.came
			}
			n++
		}
	}
	return n, first
}

// reached tells whether the group is known to reach everybody.
func (a *audience) reached() bool {
	return !slices.ContainsFunc(a.list, func(l *listener) bool { return !l.group && !l.finished() })
}

// anyReached tells whether the group reaches somebody.
func (a *audience) anyReached() bool {
	return slices.ContainsFunc(a.list, func(l *listener) bool { return l.group })
}

// lonely returns the addresses of those whom the group does not reach, and who need commands all the same.
func (a *audience) lonely() (to []netip.AddrPort) {
	for _, l := range a.list {
		if !l.group && !l.finished() && !l.given {
			to = append(to, l.addr)
		}
	}
	return to
}

// summon chooses the receivers of the next pass: all that the group reaches, or one that it does not, which it returns.
func (a *audience) summon(now time.Time, sequence int64) (target *listener) {
	var group, others []*listener
	for _, l := range a.list {
		l.active, l.ready, l.demoted = false, false, false
		switch {
		case l.out() || l.silent(now, absent):
		case l.group:
			group = append(group, l)
		case !l.silent(now, a.prompt()):
			others = append(others, l)
		}
	}
	if len(group) == 0 && len(others) > 0 {
		target = slices.MinFunc(others, func(x, y *listener) int { return cmp.Compare(x.turns, y.turns) })
		target.turns++
		group = []*listener{target}
	}
	for _, l := range group {
		l.activate(sequence)
	}
	a.blocking = nil
	return target
}

// groupWaits tells whether there is somebody whom a pass for a single receiver does not serve.
func (a *audience) groupWaits(now time.Time, total int64) bool {
	return slices.ContainsFunc(a.list, func(l *listener) bool {
		return !l.active && !l.demoted && l.group && !l.out() && !l.silent(now, a.prompt()) && !l.finishing(total)
	})
}

// actives calls yield for those that gate the pass.
func (a *audience) actives(yield func(*listener) bool) {
	for _, l := range a.list {
		if l.active && !l.out() && !yield(l) {
			return
		}
	}
}

// low returns the first block between base and cursor that an active receiver lacks; base while somebody has not told, or nobody is
// active.
func (a *audience) low(base, cursor int64) int64 {
	low, told := cursor, false
	for l := range a.actives {
		if !l.ready {
			return base
		}
		low, told = min(low, l.low), true
	}
	if !told {
		return base
	}
	return low
}

// caughtUp tells whether the active receivers have heard all that was sent, and said what they lack.
func (a *audience) caughtUp(last int64) bool {
	for l := range a.actives {
		if !l.ready || l.heard < last {
			return false
		}
	}
	return true
}

// wanted returns the first block from there on that an active receiver wants, and the most symbols that one needs of it. It is not
// known while somebody has not told, or nobody is active.
func (a *audience) wanted(from, total int64) (block int64, need int, known bool) {
	block = total
	for l := range a.actives {
		known = true
		first, n := l.report.wanted(from, total)
		if !l.ready || first < 0 {
			return 0, 0, false
		}
		if first < block {
			block, need = first, n
		} else if first == block {
			need = max(need, n)
		}
	}
	return block, need, known
}

// wanted returns the first block from there on that the receiver lacks, and how many symbols of it: total when it lacks none, and -1
// when the report does not go so far.
func (r *report) wanted(from, total int64) (block int64, need int) {
	i, _ := slices.BinarySearchFunc(r.missing, from, func(m deficit, from int64) int {
		if int64(m.block)+int64(m.count) <= from {
			return -1
		}
		return 1
	})
	switch {
	case i < len(r.missing):
		return min(max(from, int64(r.missing[i].block)), total), int(r.missing[i].need)
	case int64(r.upTo) >= total:
		return total, 0
	default:
		return -1, 0
	}
}

// admits tells whether the active receivers can take more, or another block. It remembers who cannot.
func (a *audience) admits(now time.Time, sequence int64, block bool) bool {
	a.charge(now)
	for l := range a.actives {
		underWay := sequence - l.heard
		if underWay < window && (!block || underWay/sourceSymbols < int64(l.report.room)) {
			continue
		}
		a.blocking = append(a.blocking, l)
	}
	a.blocked = now
	return len(a.blocking) == 0
}

// impatient is called when nothing can be sent before somebody reports: those who do not are silent, once the pass has lasted so long.
func (a *audience) impatient(now, began time.Time) {
	patience := max(a.prompt(), 10*a.interval())
	for l := range a.actives {
		if l.silent(now, patience) && now.Sub(began) > patience {
			l.demote(reasonSilent)
		}
	}
}

// charge puts the time since the last question to the account of those who kept the sender waiting.
func (a *audience) charge(now time.Time) {
	if n := len(a.blocking); n > 0 && n <= max(1, a.gating()/2) {
		for _, l := range a.blocking {
			l.held += now.Sub(a.blocked)
		}
	}
	a.blocking = a.blocking[:0]
}

// gating counts the active receivers.
func (a *audience) gating() (n int) {
	for range a.actives {
		n++
	}
	return n
}

// prompt is for how long a receiver that is there may not be heard.
func (a *audience) prompt() time.Duration {
	if a.half {
		return hurryHalf
	}
	return hurry
}

// unanswered returns the active receivers that have not answered the question that was first asked under that number.
func (a *audience) unanswered(first uint16) (missing []*listener) {
	for l := range a.actives {
		if int16(l.report.poll-first) < 0 {
			missing = append(missing, l)
		}
	}
	return missing
}

const (
	shortestInterval = 5 * time.Millisecond
	longestInterval  = 30 * time.Millisecond
)

// interval is the time between two reports of a receiver: the more there are, the longer.
func (a *audience) interval() time.Duration {
	return min(max(time.Duration(len(a.list))*2*time.Millisecond, shortestInterval), longestInterval)
}

// What is left to do at the end of a pass.
type remainder int

const (
	needsNothing remainder = iota
	needsTime
	needsPass
)

// left tells what the receivers still need. Those that are silent for longer than linger are given up.
func (a *audience) left(now time.Time, total int64, linger time.Duration) remainder {
	left := needsNothing
	for _, l := range a.list {
		switch {
		case l.out():
		case l.silent(now, absent):
			if l.silent(now, linger) {
				l.given, l.reason = true, "not heard for "+now.Sub(l.last).Round(time.Second).String()+": is it switched off, or its cable out?"
				if now.Sub(l.asked) < absent {
					l.reason = reasonDeaf
				}
			} else {
				left = max(left, needsTime)
			}
		case l.finishing(total) || l.silent(now, a.prompt()):
			left = max(left, needsTime)
		default:
			left = max(left, needsPass)
		}
	}
	return left
}

// observe looks at the receivers every now and then: who is slow, lossy, or fit again.
func (a *audience) observe(now time.Time, sequence int64, group bool) {
	if now.Before(a.appraise) {
		return
	}
	elapsed := now.Sub(a.since)
	a.since, a.appraise = now, now.Add(appraisal)
	if elapsed > 10*appraisal {
		return // the first look
	}
	a.supersede(now)
	for _, l := range a.list {
		l.measure(elapsed)
	}
	usual := a.usualLoss()
	many := a.gating() > 1
	for _, l := range a.list {
		switch {
		case l.out() || l.silent(now, absent):
		case l.active && many && l.behind(elapsed, usual):
			l.demote(l.reason)
		case l.demoted && group && l.group && l.fit(!l.silent(now, a.prompt()), sequence, usual):
			l.activate(sequence)
			l.reason = ""
		}
		l.held = 0
	}
}

// usualLoss is the median of the active receivers' losses.
func (a *audience) usualLoss() float64 {
	var losses []float64
	for l := range a.actives {
		losses = append(losses, l.loss)
	}
	if len(losses) == 0 {
		return 0
	}
	slices.Sort(losses)
	return losses[len(losses)/2]
}

// losses returns what part of the datagrams each active receiver has lost since the last time, of those that heard enough to tell.
func (a *audience) losses() (losses []float64) {
	for l := range a.actives {
		heard, received := l.report.heard-l.mark.heard, l.report.received-l.mark.received
		if heard < 20 || heard >= 1<<31 {
			continue
		}
		l.mark.heard, l.mark.received = l.report.heard, l.report.received
		losses = append(losses, min(max(1-float64(received)/float64(heard), 0), 1))
	}
	return losses
}
