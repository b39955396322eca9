package rate

import (
	"fmt"
	"math"
	"testing"
	"time"
)

func TestCongestionIsFoundWithinThreeSeconds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name      string
		limit     int64
		line      float64 // what the sender's own NIC does
		capacity  float64
		receivers int
		random    float64
		loss      float64 // that is allowed at the bottleneck
	}{
		{"10 Gbit/s server, 1 Gbit/s ports, one computer", 10 * gbit, 10 * gbit, gbit, 1, 0, 0.03},
		{"10 Gbit/s server, 1 Gbit/s ports, 16 computers", 10 * gbit, 10 * gbit, gbit, 16, 0, 0.03},
		{"10 Gbit/s server, 1 Gbit/s ports, 300 computers", 10 * gbit, 10 * gbit, gbit, 300, 0, 0.03},
		{"and 1 % random loss", 10 * gbit, 10 * gbit, gbit, 16, 0.01, 0.03},
		{"and 3 % random loss", 10 * gbit, 10 * gbit, gbit, 16, 0.03, 0.03},
		{"10 Gbit/s server without a limit", 0, 10 * gbit, gbit, 16, 0, 0.03},
		{"10 Gbit/s server, 100 Mbit/s ports: coarse steps", 10 * gbit, 10 * gbit, 100 * mbit, 16, 0, 0.05},
		{"limit a little above the link", 103 * mbit, gbit, 100 * mbit, 16, 0, 0.03},
		{"limit that the NIC does not do", 10 * gbit, 2 * gbit, gbit, 16, 0, 0.03},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			n := newNet(c.capacity, c.receivers, c.random)
			s := n.add(c.limit, c.line)
			n.run(3 * time.Second)
			n.run(20 * time.Second)
			wantGoodput(t, s, c.capacity, 0.9)
			if got := s.loss(); got > c.loss {
				t.Errorf("the bottleneck dropped %.1f %%, want at most %.0f %%", 100*got, 100*c.loss)
			}
		})
	}
}

func TestLossThatALowerRateDoesNotMend(t *testing.T) {
	t.Parallel()
	for _, receivers := range []int{1, 16, 300} {
		for _, random := range []float64{0, 0.01, 0.03, 0.05, 0.2} {
			for _, limit := range []int64{100 * mbit, gbit, 0} {
				t.Run(fmt.Sprintf("%d computers lose %.0f %% at %d bit/s", receivers, 100*random, limit), func(t *testing.T) {
					t.Parallel()
					n := newNet(gbit, receivers, random)
					s := n.add(limit, gbit)
					n.run(2 * time.Second)
					n.run(2 * time.Minute)
					want := limit
					if limit == 0 {
						want = gbit
					}
					if got := s.rate(); got < 0.99*float64(want) {
						t.Errorf("sent %.0f bit/s, want 99 %% of %d", got, want)
					}
				})
			}
		}
	}
}

// An image of a few hundred megabytes over 100 Mbit/s takes half a minute: what looking for congestion costs it is to be little.
func TestExperimentCostsLittle(t *testing.T) {
	t.Parallel()
	for _, random := range []float64{0.01, 0.03} {
		n := newNet(100*mbit, 16, random)
		s := n.add(100*mbit, 100*mbit)
		n.run(10 * time.Second)
		if got := s.rate(); got < 0.995*100*mbit {
			t.Errorf("at %.0f %% loss: sent %.0f bit/s in the first 10 s, want 99.5 %% of 100 Mbit/s", 100*random, got)
		}
	}
}

func TestOneBadCableChangesNothing(t *testing.T) {
	t.Parallel()
	for _, receivers := range []int{2, 16} {
		n := newNet(gbit, receivers, 0)
		n.cables[0] = 0.3
		s := n.add(gbit, gbit)
		n.each = func() {
			if got := s.governor.Rate(); got != gbit {
				t.Fatalf("%d computers: rate %d at %v, want the limit", receivers, got, n.elapsed)
			}
		}
		n.run(time.Minute)
	}
}

func TestBottleneckComesAndGoes(t *testing.T) {
	t.Parallel()
	for _, random := range []float64{0, 0.01} {
		n := newNet(gbit, 16, random)
		s := n.add(gbit, gbit)
		n.run(5 * time.Second)
		wantGoodput(t, s, gbit, 0.99)
		n.capacity = 300 * mbit // another's traffic through the same uplink
		n.run(3 * time.Second)
		n.run(20 * time.Second)
		wantGoodput(t, s, 300*mbit, 0.9)
		n.capacity = gbit
		n.run(8 * time.Second)
		n.run(5 * time.Second)
		wantGoodput(t, s, gbit, 0.99)
	}
}

// Whatever the moments at which they look, and with loss of other causes besides.
func TestTwoSendersShareABottleneck(t *testing.T) {
	t.Parallel()
	for _, limit := range []int64{gbit, 10 * gbit, 0} {
		for _, random := range []float64{0, 0.03} {
			for phase := time.Duration(0); phase < interval; phase += 5 * tick {
				n := newNet(gbit, 16, random)
				first := n.add(limit, 10*gbit)
				n.run(20 * time.Second)
				second := n.add(limit, 10*gbit) // comes in with all its limit
				second.phase = phase
				n.run(time.Minute)
				n.run(time.Minute)
				name := fmt.Sprintf("limit %d, %.0f %% random loss, %v apart", limit, 100*random, phase)
				a, b := first.goodput(), second.goodput()
				if min(a, b) < 0.25*(a+b) {
					t.Errorf("%s: senders deliver %.0f and %.0f bit/s, want at least a quarter each", name, a, b)
				}
				if a+b < 0.9*gbit {
					t.Errorf("%s: together they deliver %.0f bit/s, want 90 %% of the bottleneck", name, a+b)
				}
				if got := first.loss(); got > 0.03 {
					t.Errorf("%s: the bottleneck dropped %.1f %%, want at most 3 %%", name, 100*got)
				}
			}
		}
	}
}

func TestSwitchRestarts(t *testing.T) {
	t.Parallel()
	n := newNet(gbit, 16, 0)
	s := n.add(gbit, gbit)
	n.run(time.Second + 70*time.Millisecond)
	n.capacity = 0
	n.run(3 * time.Second)
	n.capacity = gbit
	n.run(2 * time.Second)
	n.run(2 * time.Second)
	if got := s.governor.Rate(); got != gbit {
		t.Errorf("rate %d after an outage, want the limit", got)
	}
}

func TestVerdict(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name                     string
		before, after, incurable float64
		mended                   bool
	}{
		{"congestion is gone", 0.9, 0, 0, true},
		{"bad air, as before", 0.2, 0.2, 0, false},
		{"bad air, a little less by chance", 0.03, 0.02, 0, false},
		{"congestion on top of bad air that is known", 0.06, 0.03, 0.03, true},
		{"one of three senders at a bottleneck", 0.3, 0.21, 0, true},
		{"one of two without a limit", 0.95, 0.9, 0, true},
		{"worse than before", 0.1, 0.4, 0, false},
	} {
		e := experiment{loss: c.before}
		if got := e.mended(c.after, c.incurable); got != c.mended {
			t.Errorf("%s: mended %t, want %t", c.name, got, c.mended)
		}
	}
}

func TestOneBurstOfLossIsChance(t *testing.T) {
	t.Parallel()
	g, now := NewGovernor(gbit), time.Unix(epoch, 0)
	for i := range 100 {
		loss := 0.0
		if i%10 == 5 {
			loss = 0.3
		}
		g.Observe(now.Add(time.Duration(i)*interval), gbit, []float64{loss})
		if got := g.Rate(); got != gbit {
			t.Fatalf("rate %d after observation %d, want the limit", got, i)
		}
	}
}

func TestRateThatIsNotMadeUseOfIsNotRaised(t *testing.T) {
	t.Parallel()
	n := newNet(300*mbit, 16, 0)
	s := n.add(gbit, gbit)
	n.run(5 * time.Second)
	before := s.governor.Rate()
	s.line = 50 * mbit // a master whose disk is slow
	n.run(time.Minute)
	if got := s.governor.Rate(); got > before*11/10 {
		t.Errorf("rate rose from %d to %d bit/s while 50 Mbit/s were sent, want it to stay", before, got)
	}
}

func TestWhatTellsNothingIsIgnored(t *testing.T) {
	t.Parallel()
	now := time.Unix(epoch, 0)
	for _, c := range []struct {
		name   string
		sent   int64
		losses []float64
	}{
		{"nothing sent", 0, []float64{0.5}},
		{"negative rate", -gbit, []float64{0.5}},
		{"no receivers", gbit, nil},
		{"no number", gbit, []float64{math.NaN(), math.NaN()}},
		{"negative loss", gbit, []float64{-0.5, math.Inf(-1)}},
		{"loss above 1", gbit, []float64{1.5, math.Inf(1)}},
		{"nothing arrives", gbit, []float64{1, 1}},
	} {
		for _, limit := range []int64{gbit, 0} {
			g := NewGovernor(limit)
			for i := range 20 {
				g.Observe(now.Add(time.Duration(i)*interval), c.sent, c.losses)
			}
			if got := g.Rate(); got != limit {
				t.Errorf("%s: rate %d, want %d still", c.name, got, limit)
			}
		}
	}
}

func TestRateStaysInItsBounds(t *testing.T) {
	t.Parallel()
	for _, limit := range []int64{-1, 0, 1, floor, gbit, math.MaxInt64} {
		g, now := NewGovernor(limit), time.Unix(epoch, 0)
		lowest := min(max(limit, 0), floor)
		for i := range 5000 {
			now = now.Add(interval)
			sent := g.Rate()
			if sent == 0 {
				sent = math.MaxInt64
			}
			loss := 0.999
			if i/100%2 == 0 { // congestion that comes and goes
				loss = 0
			} else if i%3 == 0 {
				loss = 0.01
			}
			g.Observe(now, sent, []float64{loss})
			if r := g.Rate(); r < lowest || limit > 0 && r > limit {
				t.Fatalf("rate %d with limit %d, want from %d to the limit", r, limit, lowest)
			}
		}
	}
}
