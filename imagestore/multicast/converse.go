package multicast

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"time"
)

// converse reports to the sender until all is complete and it knows, or there is nothing more to be had.
func (r *Receiver) converse(ctx context.Context) error {
	started := time.Now()
	var next, completed time.Time
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			r.farewell("it was stopped")
			return ctx.Err()
		case <-timer.C:
		case <-r.wake:
		}
		now := time.Now()
		over, err := r.over(now, started, &completed)
		if err != nil {
			r.farewell(err.Error())
		}
		if over || err != nil {
			return err
		}
		if due, ok := r.answerDue(now); ok {
			next = due
		}
		if !now.Before(next) {
			next = now.Add(r.speak(""))
		}
		timer.Reset(min(next.Sub(now), lookEvery))
	}
}

// answerDue tells when to report before the time: at once when the sender may soon wait for it, and at a moment of its own, so that not
// all speak at once, when the sender asks or was heard the first time.
func (r *Receiver) answerDue(now time.Time) (due time.Time, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.overdue() {
		return now, true
	}
	c := &r.rec.command
	if !r.begun || r.greeted && (!c.half || c.poll == r.answered) {
		return time.Time{}, false
	}
	r.greeted, r.answered = true, c.poll
	spread, err := rand.Int(rand.Reader, big.NewInt(int64(c.interval)+1))
	if err != nil {
		return now, true
	}
	return now.Add(time.Duration(spread.Int64())), true
}

// speak sends a report, or asks for the sender, and tells when to do it again.
func (r *Receiver) speak(failure string) time.Duration {
	r.mu.Lock()
	b, to, again := r.utter(failure)
	r.mu.Unlock()
	for _, addr := range to {
		if err := r.own.Write(b, len(b), addr); err != nil && !errors.Is(err, net.ErrClosed) {
			r.log.Warn("cannot speak to the sender", "address", addr, "error", err)
		}
	}
	return again
}

// utter makes what speak sends.
func (r *Receiver) utter(failure string) (b []byte, to []netip.AddrPort, again time.Duration) {
	r.counter++
	r.reported = r.rec.received
	b = make([]byte, headerSize, packetLimit)
	copy(b[2:8], r.id[:])
	now := time.Now()
	lost := r.begun && !r.complete && now.Sub(r.rec.lastAt) > diedAfter && failure == ""
	if !r.session.from.IsValid() || lost {
		putHeader(b, kindQuery, 0, r.counter)
		b = append(b, make([]byte, saltSize)...)
		rand.Read(b[headerSize:])
		keys, err := newSeals(r.cfg.Key, [saltSize]byte(b[headerSize:]))
		if err != nil {
			return nil, nil, queryEvery
		}
		return seal(keys.receiver, &r.nonce, b, len(b), nil), r.queryTo, queryEvery
	}
	rep := r.rec.report(now)
	rep.complete, rep.failed, rep.reason = r.complete, failure != "", failure
	if r.introduced < introductions || r.counter%8 == 0 || rep.failed {
		rep.name = r.cfg.Name
		r.introduced++
	}
	r.rate.observe(now, r.rec.written*BlockSize)
	putHeader(b, kindReport, r.session.id, r.counter)
	b = seal(r.session.seals.receiver, &r.nonce, b, headerSize, rep.append(nil, symbolSize))
	c := &r.rec.command
	switch {
	case r.complete:
		again = answerAgain
	case c.half:
		again = unaskedAfter
	default:
		again = max(c.interval, time.Millisecond)
	}
	return b, []netip.AddrPort{r.session.from}, again
}

// farewell tells the sender that this receiver gives up.
func (r *Receiver) farewell(why string) {
	r.mu.Lock()
	heard := r.session.from.IsValid()
	r.mu.Unlock()
	for range 3 {
		if heard {
			r.speak(why)
		}
	}
}

// over tells whether there is nothing more to do, or to be had.
func (r *Receiver) over(now, started time.Time, completed *time.Time) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.failure != nil:
		return true, r.failure
	case r.complete:
		if completed.IsZero() {
			*completed = now
			signal(r.wake)
		}
		return r.known || now.Sub(*completed) > knownWithin, nil
	case r.began.IsZero() && !r.rec.full() && r.cfg.StartTimeout > 0 && now.Sub(started) > r.cfg.StartTimeout:
		return true, fmt.Errorf("%w: %s", ErrNoSender, r.unheard())
	case r.begun && !r.rec.full() && r.cfg.ReceiveTimeout > 0 && now.Sub(r.rec.lastAt) > r.cfg.ReceiveTimeout:
		return true, fmt.Errorf("%w for %s: is %s still running, and the cable in? What came is kept: receive again to go on",
			ErrSilence, r.cfg.ReceiveTimeout, r.session.from.Addr())
	}
	return false, nil
}

// unheard tells why nothing has come, as far as can be known.
func (r *Receiver) unheard() string {
	at := fmt.Sprintf("%s, port %d", r.cfg.Group, r.cfg.Port)
	switch c := &r.rec.command; {
	case r.begun && c.phase == Waiting:
		return fmt.Sprintf("the one of %s waits for more receivers: %d of %d have come", at, c.joined, c.wanted)
	case r.begun:
		return fmt.Sprintf("the one of %s sends, but no block came for %s", at, r.cfg.StartTimeout)
	case r.foreign > 0:
		return fmt.Sprintf("the session of %s has another key: use the sender's", at)
	default:
		return fmt.Sprintf("nothing came for %s, in %s: check that the sender runs, with this group and port, and the cable; when the switch filters multicast, say the sender's address", at, r.cfg.StartTimeout)
	}
}
