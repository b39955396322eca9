package rate

import (
	"math/rand/v2"
	"testing"
	"time"
)

const (
	wire  = 1514 // bytes of a datagram
	mbit  = 1_000_000
	gbit  = 1000 * mbit
	epoch = 1_700_000_000
)

func TestBatch(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name            string
		rate            int64
		wire, most, got int
	}{
		{"100 Mbit/s", 100 * mbit, wire, 44, 4},
		{"1 Gbit/s", gbit, wire, 44, 41},
		{"10 Gbit/s", 10 * gbit, wire, 44, 44},
		{"slower than one in half a millisecond", mbit, wire, 44, 1},
		{"without segmentation offload", gbit, wire, 8, 8},
		{"no limit", 0, wire, 44, 44},
		{"no limit, negative", -5, wire, 44, 44},
		{"fastest there is", 1<<63 - 1, wire, 44, 44},
		{"senseless sizes", gbit, 0, -3, 1},
		{"senseless most without limit", 0, wire, 0, 1},
	} {
		if got := NewPacer(c.rate).Batch(c.wire, c.most); got != c.got {
			t.Errorf("%s: batch of %d datagrams, want %d", c.name, got, c.got)
		}
	}
}

// send is a sender that has something to send for that long: it sleeps as the pacer says, and oversleeps by what late answers.
// It returns the bit/s that left.
func send(p *Pacer, now time.Time, d time.Duration, late func() time.Duration) float64 {
	bits, end := 0, now.Add(d)
	for now.Before(end) {
		if w := p.Wait(now); w > 0 {
			now = now.Add(w + late())
			continue
		}
		n := p.Batch(wire, 44)
		p.Sent(now, n*wire)
		bits += n * wire * 8
	}
	return float64(bits) / d.Seconds()
}

func TestRateIsKept(t *testing.T) {
	t.Parallel()
	rnd := rand.New(rand.NewPCG(4, 4))
	sleepers := map[string]func() time.Duration{
		"on time":                func() time.Duration { return 0 },
		"0.1 ms late":            func() time.Duration { return 100 * time.Microsecond },
		"up to 1.9 ms late":      func() time.Duration { return time.Duration(rnd.Int64N(int64(1900 * time.Microsecond))) },
		"now and then 1 ms late": func() time.Duration { return time.Duration(rnd.IntN(10)/9) * time.Millisecond },
	}
	for name, late := range sleepers {
		for _, rate := range []int64{mbit, 100 * mbit, 900 * mbit, 10 * gbit} {
			got := send(NewPacer(rate), time.Unix(epoch, 0), 5*time.Second, late)
			if want := float64(rate); got < want*0.99 || got > want*1.01 {
				t.Errorf("%s: sent %.0f bit/s, want %.0f within 1 %%", name, got, want)
			}
		}
	}
}

// atOnce counts the batches that leave without waiting.
func atOnce(p *Pacer, now time.Time) (batches int) {
	for p.Wait(now) == 0 {
		p.Sent(now, p.Batch(wire, 44)*wire)
		batches++
	}
	return batches
}

func TestIdlenessEarnsNothing(t *testing.T) {
	t.Parallel()
	p, now := NewPacer(100*mbit), time.Unix(epoch, 0)
	for _, idle := range []time.Duration{0, 3 * time.Millisecond, time.Second, 24 * time.Hour} {
		now = now.Add(time.Second)
		p.Sent(now, 4*wire) // the last there was
		now = now.Add(4*wire*8*10 + idle)
		if got := atOnce(p, now); got != 1 {
			t.Errorf("after %v without anything to send %d batches left at once, want 1", idle, got)
		}
	}
}

func TestLatenessIsMadeGoodUpToAShortBurst(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		rate int64
		late time.Duration
		got  int // batches: of 4 datagrams, which take 0.484 ms, at 100 Mbit/s; of 41, which take 0.497 ms, at 1 Gbit/s
	}{
		{100 * mbit, 0, 1}, {100 * mbit, time.Millisecond, 3}, {100 * mbit, 2 * time.Millisecond, 5}, {100 * mbit, time.Second, 22},
		{1000 * mbit, 2 * time.Millisecond, 5}, {1000 * mbit, time.Second, 5},
	} {
		p, now := NewPacer(c.rate), time.Unix(epoch, 0)
		atOnce(p, now)
		if got := atOnce(p, now.Add(p.Wait(now)+c.late)); got != c.got {
			t.Errorf("%d bit/s, %v late: %d batches left at once, want %d", c.rate, c.late, got, c.got)
		}
	}
}

func TestNoLimitNeverWaits(t *testing.T) {
	t.Parallel()
	p, now := NewPacer(0), time.Unix(epoch, 0)
	for range 1000 {
		if w := p.Wait(now); w != 0 {
			t.Fatalf("waited %v, want no wait", w)
		}
		p.Sent(now, 44*wire)
	}
	p.SetRate(mbit)
	if got := atOnce(p, now); got != 1 {
		t.Errorf("after a limit was set %d batches left at once, want 1", got)
	}
}

func TestSetRateHoldsFromNowOn(t *testing.T) {
	t.Parallel()
	p, now := NewPacer(100*mbit), time.Unix(epoch, 0)
	for _, rate := range []int64{100 * mbit, 10 * mbit, 500 * mbit} {
		p.SetRate(rate)
		got := send(p, now, time.Second, func() time.Duration { return 0 })
		if want := float64(rate); got < want*0.99 || got > want*1.01 {
			t.Errorf("sent %.0f bit/s, want %.0f within 1 %%", got, want)
		}
		now = now.Add(time.Second)
	}
}

func TestNothingSentCostsNothing(t *testing.T) {
	t.Parallel()
	p, now := NewPacer(mbit), time.Unix(epoch, 0)
	p.Sent(now, 0)
	p.Sent(now, -wire)
	if w := p.Wait(now); w != 0 {
		t.Errorf("waits %v after nothing was sent, want 0", w)
	}
}
