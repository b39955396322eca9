package igmp

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A cable carries what is sent to all who are plugged in, the sender too.
type cable struct {
	mu    sync.Mutex
	plugs map[*plug]bool
	seen  []netip.Addr // who asked, in order
}

// A plug is a wire in memory.
type plug struct {
	*cable
	address netip.Addr
	arrived chan []byte
	closed  chan struct{}
	broken  error // of Check and Send; guarded by cable.mu
}

func (c *cable) plug(address netip.Addr) *plug {
	c.mu.Lock()
	defer c.mu.Unlock()
	p := &plug{cable: c, address: address, arrived: make(chan []byte, 16), closed: make(chan struct{})}
	if c.plugs == nil {
		c.plugs = make(map[*plug]bool)
	}
	c.plugs[p] = true
	return p
}

func (c *cable) put(b []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for p := range c.plugs {
		p.arrived <- b
	}
}

func (c *cable) asked() []netip.Addr {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]netip.Addr(nil), c.seen...)
}

func (p *plug) Address() netip.Addr { return p.address }

func (p *plug) Receive(buf []byte) (int, error) {
	select {
	case b := <-p.arrived:
		return copy(buf, b), nil
	case <-p.closed:
		return 0, net.ErrClosed
	}
}

func (p *plug) Send(a ask) error {
	if err := p.Check(); err != nil {
		return err
	}
	p.mu.Lock()
	p.seen = append(p.seen, p.address)
	p.mu.Unlock()
	p.put(datagram(p.address, allHosts, encode(a.group, a.response)))
	return nil
}

func (p *plug) Check() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.broken
}

func (p *plug) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.plugs, p)
	close(p.closed)
	return nil
}

// start runs a querier on the cable until the returned function is called.
func start(t *testing.T, c *cable, address netip.Addr, log *slog.Logger) (*Querier, func()) {
	t.Helper()
	q := &Querier{Interface: "eth0", Log: log, open: func(context.Context, string) (wire, error) { return c.plug(address), nil }}
	return q, runQuerier(t, q)
}

// runQuerier runs q until the returned function is called, or the test ends.
func runQuerier(t *testing.T, q *Querier) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- q.Run(ctx) }()
	end = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	t.Cleanup(end)
	return end
}

func TestTheLowerAddressAsksAndTheHigherTakesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c cable
		upper, _ := start(t, &c, high, nil)
		synctest.Wait()
		if s := upper.Status(); !s.Active || s.Address != high || s.Asked.IsZero() {
			t.Fatalf("alone: got %+v, want it to ask", s)
		}
		lower, endLower := start(t, &c, low, nil)
		synctest.Wait()
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if s := lower.Status(); !s.Active {
			t.Errorf("the lower one: got %+v, want it to ask", s)
		}
		if s := upper.Status(); s.Active || s.Other != low || time.Since(s.Heard) > DefaultInterval {
			t.Errorf("the higher one: got %+v, want it silent because of %s", s, low)
		}
		asked := c.asked()
		if asked[0] != high {
			t.Errorf("the first to ask was %s, want %s", asked[0], high)
		}
		for _, by := range asked[1:] {
			if by != low {
				t.Errorf("%s asked while %s did", by, low)
			}
		}

		endLower()
		time.Sleep(robustness*DefaultOtherInterval + DefaultResponse/2)
		synctest.Wait()
		if s := upper.Status(); !s.Active || s.Other.IsValid() {
			t.Errorf("after the lower one's end: got %+v, want the higher one to ask", s)
		}
		if s := lower.Status(); s != (Status{}) {
			t.Errorf("the one that ended says %+v", s)
		}
	})
}

// A flood of garbage neither stops the querier nor makes it talk.
func TestGarbageOnTheNetworkChangesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c cable
		q, _ := start(t, &c, middle, nil)
		synctest.Wait()
		time.Sleep(DefaultInterval)
		before := len(c.asked())
		for range 1000 {
			c.put(datagram(low, allHosts, changed(encode(nobody, time.Second), 2, 0)))
			c.put(changed(datagram(low, allHosts, encode(nobody, time.Second)), 8, 64))
			c.put(nil)
			synctest.Wait()
		}
		if s, after := q.Status(), len(c.asked()); !s.Active || after != before {
			t.Errorf("asks %t, sent %d queries meanwhile", s.Active, after-before)
		}
	})
}

func TestInterfaceThatGoesAwayIsWaitedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c cable
		var said bytes.Buffer
		gone := errors.New("interface eth0 is down")
		addresses := []netip.Addr{middle, {}, {}, high} // one for each time it is opened; none: it cannot be
		var first *plug
		q := &Querier{Interface: "eth0", Log: slog.New(slog.NewTextHandler(&said, nil)), open: func(context.Context, string) (wire, error) {
			a := addresses[0]
			addresses = addresses[1:]
			if !a.IsValid() {
				return nil, gone
			}
			p := c.plug(a)
			if first == nil {
				first = p
			}
			return p, nil
		}}
		runQuerier(t, q)
		synctest.Wait()
		if s := q.Status(); !s.Active || s.Address != middle {
			t.Fatalf("got %+v, want it to ask from %s", s, middle)
		}
		c.mu.Lock()
		first.broken = gone
		c.mu.Unlock()
		time.Sleep(watchInterval + time.Second)
		synctest.Wait()
		if s := q.Status(); s.Active || s.Address.IsValid() || !errors.Is(s.Trouble, gone) {
			t.Errorf("without its interface: got %+v, want the trouble %q", s, gone)
		}
		time.Sleep(3 * retryInterval)
		synctest.Wait()
		if s := q.Status(); !s.Active || s.Address != high || s.Trouble != nil {
			t.Errorf("with an interface again: got %+v, want it to ask from %s", s, high)
		}
		if n := strings.Count(said.String(), "waits for the interface"); n != 1 {
			t.Errorf("the log says it %d times, want once:\n%s", n, said.String())
		}
	})
}

func TestIGMPv1QuerierIsWarnedOfOnceAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c cable
		var said bytes.Buffer
		q, end := start(t, &c, middle, slog.New(slog.NewTextHandler(&said, nil)))
		for range 100 { // minutes
			c.put(datagram(low, allHosts, summed(0x11, 0, 0, 0, 0, 0, 0, 0)))
			time.Sleep(time.Minute)
		}
		if !q.Status().Active {
			t.Error("it silenced the querier")
		}
		end()
		if n := strings.Count(said.String(), "speaks IGMPv1"); n != 2 {
			t.Errorf("the log warns %d times, want 2:\n%s", n, said.String())
		}
	})
}

func TestMissingRightEndsTheQuerier(t *testing.T) {
	q := &Querier{Interface: "eth0", open: func(context.Context, string) (wire, error) { return nil, errNotAllowed }}
	if err := q.Run(t.Context()); !errors.Is(err, errNotAllowed) {
		t.Errorf("got %v, want %v", err, errNotAllowed)
	}
	if s := q.Status(); !errors.Is(s.Trouble, errNotAllowed) {
		t.Errorf("got %+v, want the trouble %q", s, errNotAllowed)
	}
}

func TestImpossibleTimingIsRefused(t *testing.T) {
	for _, c := range []struct{ interval, response time.Duration }{
		{time.Second, time.Second},
		{5 * time.Second, 0},
		{time.Hour, time.Minute},
		{time.Hour, time.Millisecond},
		{-time.Second, time.Second},
	} {
		q := &Querier{Interface: "eth0", Interval: c.interval, Response: c.response}
		if err := q.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "less than the interval") {
			t.Errorf("every %s, answers within %s: got error %v", c.interval, c.response, err)
		}
	}
}
