package rate

import (
	"math"
	"slices"
	"time"
)

const (
	// tolerable is the median loss that is left alone: to mend it costs less than a lower rate.
	tolerable = 0.035
	// hopeless is the loss that is never left alone: half of what is sent is wasted.
	hopeless = 0.5
	// forget is how long loss that a lower rate did not mend is left alone before it is looked at again.
	forget = 30 * time.Second
	// margin is how far below what was delivered an experiment goes, so that full queues drain and the loss of congestion ends.
	margin = 0.95
	// climb is by what part of the rate it rises first when it has room; step n is n² of it: slow where loss was, then ever faster.
	climb = 0.0003
	// doubtful is the largest n while there is loss that is left alone. Senders who take each other's congestion for bad cables would
	// otherwise fill the room that the experiment of one of them makes, and stay congested.
	doubtful = 2
	// floor is the lowest rate, in bit/s: below it a session makes no progress that a person would wait for.
	floor = 1_000_000
	// ceiling is above the rate of every network, in bit/s, and far from what an int64 holds.
	ceiling = 1 << 50
)

// A Governor finds the rate that the network takes: it backs off when the loss of most receivers falls with the rate, and not for one bad
// cable, nor for loss that a lower rate does not mend.
//
// It looks at the median loss of the receivers. When that is above 2 % twice in a row it makes an experiment: it lowers the rate to a
// little less than what was delivered, and looks again. Congestion is then gone, whatever the bottleneck, and the rate stays and climbs
// anew until there is loss again. Loss that is still there has other causes (a NIC, a cable, the air): the former rate is
// restored, and about that much loss is left alone for half a minute. An experiment lasts two observations.
//
// Steps grow with the square root of the rate and cuts with the rate, so that of several senders at one bottleneck the slower gain on
// the faster (Bansal and Balakrishnan, Binomial Congestion Control Algorithms, INFOCOM 2001). It is made for a few of them, not for
// networks shared with many others.
type Governor struct {
	limit int64 // 0 for none
	rate  int64 // 0 for no limit
	most  int64 // that was ever sent, in bit/s

	lossy     bool        // the last observation had too much loss
	steps     int         // by which the rate has climbed since it was last lowered
	trial     *experiment // nil for none
	incurable float64     // loss that a lower rate did not mend
	until     time.Time   // when that is forgotten
}

// NewGovernor returns a governor that starts at, and never exceeds, that many bit/s; 0 for no limit.
func NewGovernor(limit int64) *Governor {
	limit = min(max(limit, 0), ceiling)
	return &Governor{limit: limit, rate: limit}
}

// Rate is the rate to send at; 0 for no limit.
func (g *Governor) Rate() int64 { return g.rate }

// Observe tells the governor what happened since it was last told: the bit/s that were really sent, and what part (0 to 1) of the datagrams
// of that time each receiver lost. It is called every 200 ms or so, with enough datagrams to tell. It ignores losses that are
// not from 0 to 1, and observations in which nothing was sent or nobody told a loss.
func (g *Governor) Observe(now time.Time, sent int64, losses []float64) {
	loss, ok := median(losses)
	if sent <= 0 || !ok {
		return
	}
	g.most = max(g.most, min(sent, ceiling))
	if !now.Before(g.until) {
		g.incurable = 0
	}
	tooMuch := loss > min(g.incurable*1.25+tolerable, hopeless)
	switch {
	case loss == 1: // nothing arrives: a switch that restarts, say. That tells nothing of the rate.
		g.lossy = false
	case g.trial != nil && !g.trial.settled: // part of what was observed is of the time before
		g.trial.settled = true
	case g.trial != nil:
		g.judge(now, loss)
	case tooMuch && !g.lossy: // once may be chance
		g.lossy = true
	case tooMuch:
		g.try(sent, loss)
	default:
		g.lossy = false
		g.raise(sent, loss)
	}
}

// An experiment is a rate that was lowered to see what becomes of the loss.
type experiment struct {
	rate    int64   // before it
	loss    float64 // before it
	settled bool    // what is observed from now on is of the lower rate only
}

// try begins an experiment, unless the rate is at the floor already.
func (g *Governor) try(sent int64, loss float64) {
	if g.rate > 0 {
		sent = min(sent, g.rate)
	}
	lower := max(int64(float64(sent)*(1-loss)*margin), floor)
	if lower >= sent {
		return
	}
	g.trial = &experiment{rate: g.rate, loss: loss}
	g.rate, g.steps, g.lossy = lower, 0, false
}

// judge ends an experiment: the loss at the lower rate is known.
func (g *Governor) judge(now time.Time, loss float64) {
	if !g.trial.mended(loss, g.incurable) {
		g.rate = g.trial.rate
		g.incurable, g.until = loss, now.Add(forget)
	}
	g.trial = nil
}

// mended tells whether the loss was congestion's: more than half is gone of what is not incurable or, where others congest the
// bottleneck too, clearly more of what is sent arrives.
func (e *experiment) mended(loss, incurable float64) bool {
	return loss-incurable < (e.loss-incurable)/2 || 1-loss > (1-e.loss)*1.06
}

// raise lets the rate climb by a step. A rate that is not made use of is not raised: nothing is known of whether there is room.
func (g *Governor) raise(sent int64, loss float64) {
	if g.rate == g.limit || sent < g.rate/2 {
		return
	}
	g.steps++
	if loss > tolerable {
		g.steps = min(g.steps, doubtful)
	}
	top, scale := g.limit, g.limit
	if g.limit == 0 {
		top, scale = ceiling, g.most
	}
	step := climb * float64(g.steps*g.steps) * math.Sqrt(float64(g.rate)*float64(scale))
	g.rate = int64(min(float64(g.rate)+step, float64(top)))
}

// median returns the loss that half of the receivers do not exceed, and whether anybody told one. Of two receivers it is the better one's: the
// other may have a bad cable.
func median(losses []float64) (float64, bool) {
	var told []float64
	for _, l := range losses {
		if l >= 0 && l <= 1 { // and no NaN
			told = append(told, l)
		}
	}
	if len(told) == 0 {
		return 0, false
	}
	slices.Sort(told)
	return told[(len(told)-1)/2], true
}
