// Package igmp asks a network's hosts which multicast groups they want, when no router does: switches that filter multicast by IGMP
// snooping go on forwarding only while somebody asks.
//
// A Querier is that of IGMPv2 (RFC 2236), whose queries every snooping switch and every host understands; hosts that speak IGMPv3
// answer them in kind (RFC 3376 section 7.2.1). It gives way to any querier with a lower address, whichever version that one speaks,
// and takes over when it ends. It keeps no list of members and forwards nothing: the switches do, it only keeps them informed.
package igmp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"
)

// Defaults of a Querier's timing. It asks twice as often as RFC 2236 section 8.2 has it, so that a switch which heard nothing of
// a group's members for its usual 260 s has missed four queries, not two.
const (
	DefaultInterval      = 60 * time.Second
	DefaultResponse      = 10 * time.Second
	DefaultOtherInterval = 125 * time.Second
)

// Waiting for the interface: how often it is looked at, and tried again when it could not be used.
const (
	watchInterval = 5 * time.Second
	retryInterval = 5 * time.Second
)

// A Querier asks on one interface. Its fields must not be changed once Run was called.
type Querier struct {
	Interface string
	Log       *slog.Logger // nil for nobody

	// Interval is the time between two general queries; zero for DefaultInterval.
	Interval time.Duration
	// Response is the time within which hosts answer a query, from 100 ms to 25.5 s and shorter than Interval; zero for
	// DefaultResponse. Each waits for a random part of it, so that a room does not answer at once.
	Response time.Duration
	// OtherInterval is how often another querier is taken to ask when it does not say, as those of IGMPv2 do not; zero for
	// DefaultOtherInterval, that of RFC 2236.
	OtherInterval time.Duration

	open func(context.Context, string) (wire, error) // nil for the kernel's

	mu     sync.Mutex
	status Status
}

// A Status is what a Querier knows of the network.
type Status struct {
	// Active is whether this querier is the one that asks. When it is false and Other is not valid, nobody is known to ask: switches
	// with IGMP snooping may stop forwarding to computers that joined minutes ago.
	Active bool
	// Address is the interface's, from which it asks; not valid while the interface cannot be used.
	Address netip.Addr
	// Asked is when it last sent a general query; zero if it never did.
	Asked time.Time
	// Other is the querier that asks instead, because its address is lower; not valid if there is none.
	Other netip.Addr
	// Heard is when Other last asked; zero if there is none.
	Heard time.Time
	// Trouble is why the querier does not run although it was started, such as an interface that is down; nil if it does.
	Trouble error
}

// Status returns what the querier knows now. It may be called at any time, from any goroutine.
func (q *Querier) Status() Status {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.status
}

// A wire is the IGMP of one interface, from one address of it.
type wire interface {
	// Address is the interface's IPv4 address when the wire was opened.
	Address() netip.Addr
	// Receive waits for the next datagram, with its IPv4 header, and writes it into buf. It fails when the wire was closed.
	Receive(buf []byte) (int, error)
	// Send sends a query to its group, or to all hosts for 0.0.0.0, with TTL 1 and Router Alert.
	Send(ask) error
	// Check fails when the interface went away, is down or has another address.
	Check() error
	Close() error
}

// Run asks until ctx ends and then returns nil, and keeps silent while another querier with a lower address does (RFC 2236 section 3,
// RFC 3376 section 6.6.2). An interface that is absent, down or without an IPv4 address is waited for. Run fails at once when the
// process may not do this, or when the timing is impossible.
func (q *Querier) Run(ctx context.Context) error {
	t, err := q.timing()
	if err != nil {
		return err
	}
	log := q.Log
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	log = log.With("interface", q.Interface)
	open := q.open
	if open == nil {
		open = openSocket
	}
	var trouble string
	for {
		w, err := open(ctx, q.Interface)
		if err == nil {
			trouble = ""
			err = q.serve(ctx, w, t, log)
		}
		if ctx.Err() != nil {
			q.publish(Status{})
			return nil
		}
		q.publish(Status{Trouble: err})
		if errors.Is(err, errNotAllowed) {
			return err
		}
		if err.Error() != trouble {
			trouble = err.Error()
			log.Warn("IGMP querier waits for the interface", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(retryInterval):
		}
	}
}

func (q *Querier) timing() (timing, error) {
	t := timing{
		interval: cmp.Or(q.Interval, DefaultInterval),
		response: cmp.Or(q.Response, DefaultResponse),
		others:   cmp.Or(q.OtherInterval, DefaultOtherInterval),
	}
	if t.response < tenths(1) || t.response > tenths(255) || t.response >= t.interval || t.others <= 0 {
		return timing{}, fmt.Errorf("the IGMP querier cannot give hosts %s to answer every %s (others: %s): give from 100ms to 25.5s, and less than the interval",
			t.response, t.interval, t.others)
	}
	return t, nil
}

func (q *Querier) publish(s Status) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.status = s
}

// serve runs the election on a wire until ctx ends or the wire fails, and closes it. It returns why.
func (q *Querier) serve(ctx context.Context, w wire, t timing, log *slog.Logger) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	heard, failed := make(chan message), make(chan error, 1)
	var reader sync.WaitGroup
	reader.Go(func() { failed <- receive(ctx, w, heard) })
	defer func() {
		cancel()
		err = errors.Join(err, w.Close())
		reader.Wait()
	}()

	e := newElection(t, w.Address(), time.Now())
	r := reporter{log: log.With("address", w.Address())}
	status := Status{Address: w.Address()}
	watch := time.NewTicker(watchInterval)
	defer watch.Stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		now := time.Now()
		for _, a := range e.tick(now) {
			if err := w.Send(a); err != nil {
				return err
			}
			if a.group.IsUnspecified() {
				status.Asked = now
			}
		}
		status.Active, status.Other, status.Heard = e.active(), e.other, e.heard
		q.publish(status)
		r.turn(status)

		timer.Reset(time.Until(e.next()))
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-failed:
			return err
		case m := <-heard:
			r.version(m, time.Now())
			e.hear(m, time.Now())
		case <-watch.C:
			if err := w.Check(); err != nil {
				return err
			}
		case <-timer.C:
		}
	}
}

// receive passes on what a querier must hear. What is damaged, hostile or meant for others is dropped: whoever is on the network can
// send it.
func receive(ctx context.Context, w wire, heard chan<- message) error {
	buf := make([]byte, 2048)
	for {
		n, err := w.Receive(buf)
		if err != nil {
			return err
		}
		m, err := decode(buf[:n])
		if err != nil {
			continue
		}
		select {
		case heard <- m:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
