package rate

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

const (
	tick     = 10 * time.Millisecond
	interval = 200 * time.Millisecond // between observations
	lag      = 5                      // ticks until the sender knows what was lost
	buffer   = 1 << 23                // bits that a switch keeps for a port: 1 MiB
)

// A network is a model of one: senders share a bottleneck with a drop-tail queue, behind which each receiver has a cable.
type network struct {
	capacity float64   // bit/s of the bottleneck
	cables   []float64 // what part each receiver's loses, whatever the rate
	senders  []*sender
	each     func() // after every tick
	elapsed  time.Duration
	queue    float64 // bits
	rnd      *rand.Rand
}

// A sender sends at the governor's rate, as far as its line does it, and tells it what happened.
type sender struct {
	governor *Governor
	line     float64
	phase    time.Duration // when it observes
	history  []flow        // of each tick
	from     int           // the first tick that the last run covers
}

// A flow is what a sender sent in a tick and what part of it the bottleneck dropped.
type flow struct{ bits, dropped float64 }

func newNet(capacity float64, receivers int, random float64) *network {
	n := &network{capacity: capacity, cables: make([]float64, receivers), rnd: rand.New(rand.NewPCG(36, 4)), each: func() {}}
	for i := range n.cables {
		n.cables[i] = random
	}
	return n
}

// add lets another sender begin.
func (n *network) add(limit int64, line float64) *sender {
	s := &sender{governor: NewGovernor(limit), line: line, phase: time.Duration(len(n.senders)) * 70 * time.Millisecond}
	n.senders = append(n.senders, s)
	return s
}

// run lets time pass. What senders say afterwards of goodput, rate and loss is of this time only.
func (n *network) run(d time.Duration) {
	for _, s := range n.senders {
		s.from = len(s.history)
	}
	for end := n.elapsed + d; n.elapsed < end; n.elapsed += tick {
		n.pass()
		for _, s := range n.senders {
			if (n.elapsed+s.phase)%interval == 0 && len(s.history) > lag {
				n.observe(s)
			}
		}
		n.each()
	}
}

// pass is one tick: what the bottleneck does not take goes into the queue, and what that does not hold is lost by all alike.
func (n *network) pass() {
	var offered float64
	for _, s := range n.senders {
		rate := s.line
		if r := s.governor.Rate(); r > 0 {
			rate = min(rate, float64(r))
		}
		s.history = append(s.history, flow{bits: rate * tick.Seconds()})
		offered += rate * tick.Seconds()
	}
	backlog := max(n.queue+offered-n.capacity*tick.Seconds(), 0)
	n.queue = min(backlog, buffer)
	dropped := min((backlog-n.queue)/offered, 1)
	for _, s := range n.senders {
		s.history[len(s.history)-1].dropped = dropped
	}
}

// observe tells a sender what its receivers reported: it knows of losses a little later than of what it sent.
func (n *network) observe(s *sender) {
	last := s.history[max(len(s.history)-int(interval/tick), 0):]
	known := s.history[max(len(s.history)-int(interval/tick)-lag, 0) : len(s.history)-lag]
	datagrams := sum(known) / (8 * wire)
	losses := make([]float64, len(n.cables))
	for i, cable := range n.cables {
		part := 1 - (1-dropped(known))*(1-cable)
		if part < 1 { // the normal approximation of the binomial distribution
			part += n.rnd.NormFloat64() * math.Sqrt(part*(1-part)/datagrams)
		}
		losses[i] = min(max(part, 0), 1)
	}
	seconds := time.Duration(len(last)) * tick
	s.governor.Observe(time.Unix(epoch, 0).Add(n.elapsed), int64(sum(last)/seconds.Seconds()), losses)
}

func sum(flows []flow) (bits float64) {
	for _, f := range flows {
		bits += f.bits
	}
	return bits
}

// dropped is what part of the flows the bottleneck dropped.
func dropped(flows []flow) float64 {
	var bits float64
	for _, f := range flows {
		bits += f.bits * f.dropped
	}
	return bits / sum(flows)
}

// rate is the bit/s sent in the last run.
func (s *sender) rate() float64 {
	flows := s.history[s.from:]
	return sum(flows) / (time.Duration(len(flows)) * tick).Seconds()
}

// loss is what part of that the bottleneck dropped.
func (s *sender) loss() float64 { return dropped(s.history[s.from:]) }

// goodput is the bit/s that passed the bottleneck.
func (s *sender) goodput() float64 { return s.rate() * (1 - s.loss()) }

func wantGoodput(t *testing.T, s *sender, capacity, part float64) {
	t.Helper()
	if got := s.goodput(); got < part*capacity {
		t.Errorf("%.0f bit/s passed the bottleneck, want at least %.0f %% of %.0f", got, 100*part, capacity)
	}
}
