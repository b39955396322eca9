package rate

import "time"

const (
	// batchTime is how much may leave at once: short beside the buffers of switches, long beside what waking up costs.
	batchTime = 500 * time.Microsecond
	// Of lateness, as much is made good as is no burst that shallow switches drop: burst bytes, and no less than leastCatchUp, for a
	// sleeping process wakes up to a millisecond late on an idle machine, and many on a busy one.
	burst        = 128 << 10
	leastCatchUp = 2 * time.Millisecond
	mostCatchUp  = 20 * time.Millisecond
)

// A Pacer spreads datagrams evenly over time. It keeps the time at which the next batch is due: each batch moves it by the time that the
// batch takes at the rate, whenever it left, so that callers who wake late still keep the rate.
//
// Of lateness, 128 KiB are made good, from 2 to 20 ms: that much may then leave at once. A caller who comes later than that without having been told to wait
// had nothing to send, and time without anything to send earns nothing: one batch leaves, and the next waits its turn.
type Pacer struct {
	rate    int64
	due     time.Time // when the next batch may leave
	waiting bool      // Wait has last told the caller to wait, so that it is late, not idle, when it comes after due
}

// NewPacer returns a pacer of bits per second on the wire; 0 for no limit.
func NewPacer(rate int64) *Pacer { return &Pacer{rate: rate} }

// SetRate changes the rate; 0 for no limit. It holds for what is sent from now on.
func (p *Pacer) SetRate(rate int64) { p.rate = rate }

// Batch tells how many datagrams of that many wire bytes may leave at once: enough for half a millisecond, from 1 to most.
func (p *Pacer) Batch(wireBytes, most int) int {
	if p.rate <= 0 {
		return max(most, 1)
	}
	fit := float64(p.rate) / 8 * batchTime.Seconds() / float64(max(wireBytes, 1))
	return int(max(min(fit, float64(most)), 1))
}

// Wait tells how long to wait before the next batch may leave; 0 for now. It is to be asked when there is something to send.
func (p *Pacer) Wait(now time.Time) time.Duration {
	if p.rate <= 0 {
		return 0
	}
	if early := p.due.Sub(now); early > 0 {
		p.waiting = true
		return early
	}
	p.forgive(now)
	return 0
}

// Sent tells the pacer what has left.
func (p *Pacer) Sent(now time.Time, wireBytes int) {
	if p.rate <= 0 || wireBytes <= 0 {
		return
	}
	p.forgive(now)
	p.due = p.due.Add(time.Duration(float64(wireBytes) * 8 / float64(p.rate) * float64(time.Second)))
}

// forgive bounds what a caller may make good.
func (p *Pacer) forgive(now time.Time) {
	if made := p.madeGood(); now.Sub(p.due) > made {
		p.due = now
		if p.waiting {
			p.due = now.Add(-made)
		}
	}
	if !p.due.After(now) {
		p.waiting = false
	}
}

// madeGood is how much lateness is made good.
func (p *Pacer) madeGood() time.Duration {
	return min(max(time.Duration(burst*8/float64(p.rate)*float64(time.Second)), leastCatchUp), mostCatchUp)
}
