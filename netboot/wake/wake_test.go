package wake

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// A sent is a magic packet that a fake wire got.
type sent struct {
	at  time.Duration
	mac string
}

// run runs a Waker on a fake wire, in the bubble of synctest, until the returned function is called, which tells what was sent.
func run(t *testing.T, fail error) (w *Waker, stop func() []sent) {
	var all []sent
	start := time.Now()
	w = newWaker(Config{NIC: &net.Interface{Name: "lan"}, Log: slog.New(slog.NewTextHandler(t.Output(), nil))}, func(mac net.HardwareAddr) error {
		all = append(all, sent{time.Since(start), mac.String()})
		return fail
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- w.Run(ctx) }()
	return w, func() []sent {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		return all
	}
}

func macOf(i int) string { return fmt.Sprintf("52:54:00:00:%02x:%02x", i>>8, i&255) }

// A campus of 500 PCs is switched on in 50 s, in order, ten a second, and each PC hears four packets in ten seconds.
func TestStaggering(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const pcs = 500
		w, stop := run(t, nil)
		for i := range pcs {
			if err := w.Wake([]string{macOf(i)}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(2 * time.Minute)
		all := stop()
		if len(all) != pcs*len(repeats) {
			t.Fatalf("%d packets, want %d for each of %d PCs", len(all), len(repeats), pcs)
		}
		heard := map[string][]time.Duration{}
		var order []string
		for i, s := range all {
			if i > 0 && s.at-all[i-1].at < gap {
				t.Fatalf("packets %s apart at %s", s.at-all[i-1].at, s.at)
			}
			if heard[s.mac] == nil {
				order = append(order, s.mac)
			}
			heard[s.mac] = append(heard[s.mac], s.at)
		}
		for i, mac := range order {
			if first := heard[mac][0]; mac != macOf(i) || first != time.Duration(i)*spacing {
				t.Fatalf("turn %d is that of %s after %s, want %s after %s", i, mac, first, macOf(i), time.Duration(i)*spacing)
			}
			if took := heard[mac][3] - heard[mac][0]; took < 9*time.Second || took > 11*time.Second {
				t.Fatalf("%s heard its packets within %s", mac, took)
			}
		}
		if last, want := all[len(all)-1].at, 59875*time.Millisecond; last != want {
			t.Errorf("the last packet was sent after %s, want %s", last, want)
		}
	})
}

func TestArrivedPCHearsNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, stop := run(t, nil)
		for _, macs := range [][]string{{macOf(1)}, {macOf(2), macOf(3)}, {macOf(4)}} {
			if err := w.Wake(macs); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Second)
		w.Arrived(strings.ToUpper(macOf(3))) // by one of its cards
		w.Arrived("nonsense")
		w.Arrived(macOf(99))
		time.Sleep(time.Minute)
		count := map[string]int{}
		for _, s := range stop() {
			count[s.mac]++
		}
		if count[macOf(1)] != 4 || count[macOf(2)] != 1 || count[macOf(3)] != 1 || count[macOf(4)] != 4 {
			t.Errorf("packets: %v", count)
		}
		if len(w.of) != 0 || len(w.queue) != 0 {
			t.Errorf("queued still: %v", w.of)
		}
	})
}

func TestQueuedPCIsNotQueuedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, stop := run(t, nil)
		for _, macs := range [][]string{{macOf(1)}, {macOf(1)}, {macOf(2), macOf(1)}} { // then a card of it that was not known
			if err := w.Wake(macs); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		if err := w.Wake([]string{macOf(1)}); err != nil { // but when it is no more
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		all := stop()
		if n := len(slices.DeleteFunc(all, func(s sent) bool { return s.mac != macOf(1) })); n != 5 {
			t.Errorf("%d packets, want 5", n)
		}
	})
}

// What was held up, as by a machine that was suspended, does not come all at once.
func TestNoBurstAfterDelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		var at []time.Duration
		w := newWaker(Config{NIC: &net.Interface{Name: "lan"}, Log: slog.New(slog.DiscardHandler)}, func(net.HardwareAddr) error {
			at = append(at, time.Since(start))
			return nil
		})
		for i := range 100 {
			if err := w.Wake([]string{macOf(i)}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute) // nobody sends yet
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := w.Run(ctx); err != nil {
			t.Fatal(err)
		}
		for i := range at[1:] {
			if at[i+1]-at[i] < gap {
				t.Fatalf("packets %s apart", at[i+1]-at[i])
			}
		}
	})
}

func TestBoundsAndRefusals(t *testing.T) {
	w := newWaker(Config{NIC: &net.Interface{Name: "lan"}, Log: slog.New(slog.DiscardHandler)}, nil)
	for _, macs := range [][]string{nil, {""}, {"52:54:00"}, {"02:00:5e:10:00:00:00:01"}} {
		if err := w.Wake(macs); err == nil {
			t.Errorf("%q was queued", macs)
		}
	}
	for i := range capacity {
		if err := w.Wake([]string{macOf(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Wake([]string{macOf(capacity)}); err == nil || !strings.Contains(err.Error(), "4096 PCs") {
		t.Errorf("one more than there is room for: %v", err)
	}
	if err := w.Wake([]string{macOf(7)}); err != nil {
		t.Errorf("a PC that is queued already: %v", err)
	}
}

func TestFailureIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, stop := run(t, errors.New("network is down"))
		if err := w.Wake([]string{macOf(1)}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if all := stop(); len(all) != 4 {
			t.Errorf("tried %d times", len(all))
		}
	})
}
