package multicast

import (
	"cmp"
	"fmt"
	"net/netip"
	"time"
)

// When a receiver holds the others up.
const (
	hurry      = 300 * time.Millisecond // a receiver that gates the flow and has not been heard for it is silent
	hurryHalf  = 3 * time.Second        // in half-duplex
	absent     = 5 * time.Second        // any that has not been heard for it is
	appraisal  = time.Second            // how often receivers are looked at
	slowFor    = 3                      // appraisals, after which a slow or lossy one is behind
	betterFor  = 3                      // appraisals, after which one that was behind is back with the others
	heldPart   = 0.5                    // of the time, for which a slow one alone keeps the others waiting
	lossyPart  = 0.10                   // of the datagrams, that a lossy one loses
	lossyTimes = 3                      // as many as the others
)

const (
	reasonSilent = "fell silent: is it switched off, or its cable out?"
	reasonBack   = "was silent for a while"
	reasonLate   = "came late"
	// While its own packets arrive, and those of the sender do not.
	reasonDeaf    = "its packets arrive here, and nothing arrives there: its firewall, its network card, or a switch between"
	reasonNothing = "it has been sent all that it lacks for a minute, and nothing arrives: its firewall, its network card, or a switch between"
)

// A listener is a receiver, as the sender knows it.
type listener struct {
	id      receiverID
	name    string
	addr    netip.AddrPort
	came    time.Time
	last    time.Time // when it last reported
	asked   time.Time // when it last asked for a session, because it heard none
	group   bool      // the group reaches it
	counter uint32    // of its last report

	report report // the last
	heard  int64  // sequence up to which all has come to it, or is lost
	active bool   // gates the pass
	ready  bool   // has reported since the pass began
	since  int64  // what was sent up to this sequence is no business of this pass
	low    int64  // the first block of the pass that it lacks

	turns     int  // passes for it alone
	demoted   bool // behind: it gates nothing
	demotions int
	reason    string
	hopeless  string        // why it does not get on with a block, in words for its operator
	given     bool          // it was given up, because it is silent
	stuck     bool          // it was given up, because it does not get on
	idle      time.Duration // for which it was served and did not get on

	held      time.Duration // for which it alone kept the others waiting, since the last appraisal
	slow      int           // appraisals in a row
	lossy     int
	better    int
	loss      float64                          // of the datagrams, lately
	rate      float64                          // byte/s, lately
	appraised report                           // at the last appraisal
	mark      struct{ heard, received uint32 } // when losses were last asked for
}

// finished tells whether a receiver needs nothing any more.
func (l *listener) finished() bool { return l.report.complete || l.report.failed }

// out tells whether a receiver is no longer served: it needs nothing, or was given up.
func (l *listener) out() bool { return l.finished() || l.given || l.stuck }

// finishing tells whether a receiver has all, but has not written it.
func (l *listener) finishing(total int64) bool {
	return int64(l.report.done)+int64(l.report.queued) >= total
}

func (l *listener) silent(now time.Time, d time.Duration) bool { return now.Sub(l.last) > d }

// activate lets a receiver gate the pass, from what is sent after sequence on.
func (l *listener) activate(sequence int64) {
	l.active, l.ready, l.demoted = true, false, false
	l.since, l.low = sequence, 0
	l.heard = max(l.heard, int64(l.report.heard))
	l.held, l.slow, l.lossy, l.better = 0, 0, 0, 0
	// What was sent to others alone was not lost.
	l.appraised.heard, l.appraised.received = l.report.heard, l.report.received
	l.mark.heard, l.mark.received = l.report.heard, l.report.received
}

// demote lets a receiver gate nothing until it keeps up again, or the next pass.
func (l *listener) demote(reason string) {
	l.active, l.demoted, l.reason = false, true, reason
	l.demotions++
	l.better = 0
}

// measure brings loss and rate up to date.
func (l *listener) measure(elapsed time.Duration) {
	r, before := &l.report, &l.appraised
	if heard := r.heard - before.heard; l.active && heard > 20 && heard < 1<<31 {
		lost := 1 - float64(r.received-before.received)/float64(heard)
		l.loss += (min(max(lost, 0), 1) - l.loss) / 2
	}
	l.watch(elapsed, r.done != before.done)
	l.rate += (float64(r.done-before.done)*BlockSize/elapsed.Seconds() - l.rate) / 2
	l.appraised = *r
}

// When a receiver does not get on, and is given up.
const (
	stuckServed  = time.Minute     // while it is served
	stuckWriting = 4 * time.Minute // while it writes the last blocks, or waits for its disk to have them
)

// watch gives a receiver up that does not get on, although all is done for it, and takes it back when it does.
func (l *listener) watch(elapsed time.Duration, gotOn bool) {
	writing := l.report.queued > 0 || len(l.report.missing) == 0
	switch {
	case gotOn:
		l.idle, l.stuck = 0, false
	case l.active || writing:
		l.idle += elapsed
	}
	switch {
	case l.finished() || l.stuck:
	case writing && l.idle > stuckWriting:
		l.stuck, l.reason = true, "its disk has not taken in anything for 4 minutes"
	case !writing && l.idle > stuckServed:
		l.stuck, l.reason = true, cmp.Or(l.hopeless, reasonNothing)
	}
}

// behind tells whether an active receiver has held the others up for too long, and why.
func (l *listener) behind(elapsed time.Duration, usual float64) bool {
	l.slow, l.lossy = l.slow+1, l.lossy+1
	if l.held < time.Duration(heldPart*float64(elapsed)) {
		l.slow = 0
	}
	if l.loss < lossyPart || l.loss < lossyTimes*usual {
		l.lossy = 0
	}
	switch {
	case l.slow >= slowFor && l.report.queued > l.report.room:
		l.reason = "its disk is slower than the others'"
	case l.slow >= slowFor:
		l.reason = "it takes in less than the others: its network card, or its processor"
	case l.lossy >= slowFor:
		l.reason = fmt.Sprintf("it loses %.0f %% of the datagrams, the others %.0f %%: its cable, or its port of the switch", 100*l.loss, 100*usual)
	default:
		return false
	}
	return true
}

// fit tells whether a receiver that was behind has kept up for long enough: the longer, the more often it fell behind.
func (l *listener) fit(prompt bool, sequence int64, usual float64) bool {
	fit := prompt && sequence-l.heard < window && l.report.room >= minBlocks/2 &&
		(l.loss < lossyPart/2 || l.loss < lossyTimes*usual)
	if l.better++; !fit {
		l.better = 0
	}
	return l.better >= betterFor<<min(l.demotions-1, 6)
}
