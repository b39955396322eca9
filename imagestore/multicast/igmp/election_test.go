package igmp

import (
	"net/netip"
	"slices"
	"testing"
	"time"
)

var usual = timing{interval: DefaultInterval, response: DefaultResponse, others: DefaultOtherInterval}

// A trial is an election that plays by itself: sent notes which groups were asked at which second.
type trial struct {
	*election
	start, now time.Time
	sent       []sent
}

type sent struct {
	second float64
	group  netip.Addr
}

func newTrial(self netip.Addr) *trial {
	start := time.Unix(1_000_000, 0)
	return &trial{election: newElection(usual, self, start), start: start, now: start}
}

// until lets time pass, up to a second after the start.
func (tr *trial) until(second float64) {
	end := tr.start.Add(time.Duration(second * float64(time.Second)))
	for !tr.next().After(end) {
		tr.now = tr.next()
		for _, a := range tr.tick(tr.now) {
			tr.sent = append(tr.sent, sent{tr.now.Sub(tr.start).Seconds(), a.group})
		}
	}
	tr.now = end
}

func (tr *trial) hears(m message) { tr.hear(m, tr.now) }

func (tr *trial) want(t *testing.T, want ...sent) {
	t.Helper()
	if !slices.Equal(tr.sent, want) {
		t.Errorf("queries sent: got %v, want %v", tr.sent, want)
	}
}

func general(seconds ...float64) (want []sent) {
	for _, s := range seconds {
		want = append(want, sent{s, nobody})
	}
	return want
}

func queryOf(from netip.Addr) message {
	return message{kind: queryV2, from: from, group: nobody, response: 10 * time.Second}
}

func TestAloneItAsksQuicklyTwiceAndThenEveryMinute(t *testing.T) {
	tr := newTrial(middle)
	tr.until(200)
	tr.want(t, general(0, 15, 75, 135, 195)...)
	if !tr.active() {
		t.Error("does not think that it asks")
	}
}

func TestWhoSilencesWhom(t *testing.T) {
	v3 := message{kind: queryV3, from: low, group: nobody, response: 20 * time.Second, robustness: 3, interval: 30 * time.Second}
	for _, c := range []struct {
		name string
		hear message
		want []sent // until second 400, heard at second 20
	}{
		{"lower address, IGMPv2: 2 x 125 s + 5 s", queryOf(low), general(0, 15, 275, 335, 395)},
		{"lower address, IGMPv3 that says how often: 3 x 30 s + 10 s", v3, general(0, 15, 120, 180, 240, 300, 360)},
		{"lower address, IGMPv3 that does not say", message{kind: queryV3, from: low, group: nobody, response: 10 * time.Second}, general(0, 15, 275, 335, 395)},
		{"higher address", queryOf(high), general(0, 15, 75, 135, 195, 255, 315, 375)},
		{"its own query, looped back", queryOf(middle), general(0, 15, 75, 135, 195, 255, 315, 375)},
		{"a switch that asks from 0.0.0.0", queryOf(nobody), general(0, 15, 75, 135, 195, 255, 315, 375)},
		{"IGMPv1", message{kind: queryV1, from: low, group: nobody, response: 10 * time.Second}, general(0, 15, 75, 135, 195, 255, 315, 375)},
		{"a query of one group", message{kind: queryV2, from: low, group: session, response: time.Second}, general(0, 15, 75, 135, 195, 255, 315, 375)},
	} {
		t.Run(c.name, func(t *testing.T) {
			tr := newTrial(middle)
			tr.until(20)
			tr.hears(c.hear)
			tr.until(400)
			tr.want(t, c.want...)
		})
	}
}

func TestQuerierThatAsksOnStaysInChargeUntilItEnds(t *testing.T) {
	tr := newTrial(middle)
	for second := 5.0; second < 1000; second += 125 {
		tr.until(second)
		tr.hears(queryOf(low))
		if tr.active() || tr.other != low || tr.heard != tr.now {
			t.Fatalf("at %.0f s: active %t, other %s heard at %s", second, tr.active(), tr.other, tr.heard)
		}
	}
	tr.until(1000)
	tr.want(t, general(0)...) // before the other was heard
	tr.until(1200)
	tr.want(t, general(0, 1135, 1195)...) // last heard at 880, and 255 s later
	if !tr.active() || tr.other.IsValid() {
		t.Errorf("has not taken over: active %t, other %s", tr.active(), tr.other)
	}
}

func TestNobodyIsSilencedForHours(t *testing.T) {
	tr := newTrial(middle)
	tr.until(20)
	tr.hears(message{kind: queryV3, from: low, group: nobody, response: time.Hour, robustness: 7, interval: 31744 * time.Second})
	if got, want := tr.next(), tr.now.Add(longestSilence); !got.Equal(want) {
		t.Errorf("silent until %s, want %s", got, want)
	}
}

func TestLeftGroupIsCalledTwice(t *testing.T) {
	goodbye := message{kind: leave, from: high, group: session}
	t.Run("by the one who asks", func(t *testing.T) {
		tr := newTrial(middle)
		tr.until(20)
		tr.hears(goodbye)
		tr.hears(goodbye) // another member, or the same again
		tr.until(70)
		tr.want(t, append(general(0, 15), sent{20, session}, sent{21, session})...)
		tr.hears(goodbye)
		tr.until(70)
		if last := tr.sent[len(tr.sent)-1]; last != (sent{70, session}) {
			t.Errorf("left again: the last query is %v", last)
		}
	})
	t.Run("not by the silent one", func(t *testing.T) {
		tr := newTrial(middle)
		tr.until(20)
		tr.hears(queryOf(low))
		tr.hears(goodbye)
		tr.until(70)
		tr.want(t, general(0, 15)...)
	})
	t.Run("no longer when another takes over", func(t *testing.T) {
		tr := newTrial(middle)
		tr.until(20)
		tr.hears(goodbye)
		tr.hears(queryOf(low))
		tr.until(70)
		tr.want(t, general(0, 15)...)
	})
	t.Run("never a group that switches always forward", func(t *testing.T) {
		tr := newTrial(middle)
		tr.until(20)
		tr.hears(message{kind: leave, from: high, group: netip.MustParseAddr("224.0.0.251")})
		tr.until(70)
		tr.want(t, general(0, 15)...)
	})
}

func TestFloodOfLeavesIsBounded(t *testing.T) {
	tr := newTrial(middle)
	tr.until(20)
	for i := range 10_000 {
		tr.hears(message{kind: leave, from: high, group: netip.AddrFrom4([4]byte{239, 1, byte(i >> 8), byte(i)})})
	}
	tr.until(70)
	if got, want := len(tr.sent), 2+2*lastCalls; got != want {
		t.Errorf("sent %d queries, want %d", got, want)
	}
	if len(tr.left) != 0 {
		t.Errorf("%d groups are still being called", len(tr.left))
	}
}
