package multicast

import (
	"cmp"
	"fmt"
	"math"
	"net/netip"
	"strings"
	"time"
)

// A Phase is what a Sender is doing.
type Phase string

// The phases, in their order.
const (
	Waiting    Phase = "waiting"     // for receivers
	Sending    Phase = "sending"     // every block, once
	CatchingUp Phase = "catching up" // what slow and late receivers miss
	Ended      Phase = "ended"
)

// A SenderStatus is how far a sender is, at one moment.
type SenderStatus struct {
	Phase     Phase            `json:"phase"`
	Name      string           `json:"name"`
	Size      int64            `json:"size"`      // bytes; Unknown of a stream that has not ended
	Sent      int64            `json:"sent"`      // bytes of the content that were sent a first time
	Datagrams int64            `json:"datagrams"` // of source and repair symbols
	Repairs   int64            `json:"repairs"`   // of them repair symbols, and source symbols that were sent again
	WireBytes int64            `json:"wireBytes"` // with Ethernet's headers, of all that was sent
	Rate      int64            `json:"rate"`      // bit/s on the wire, now
	Elapsed   time.Duration    `json:"elapsed"`   // nanoseconds since the first block
	Slowest   string           `json:"slowest"`   // name of the receiver that is furthest behind
	Receivers []ReceiverStatus `json:"receivers"`
}

// A ReceiverState is what a sender knows of a receiver.
type ReceiverState string

// The states of a receiver.
const (
	Joined    ReceiverState = "joined"      // waits for the start
	Receiving ReceiverState = "receiving"   // with the others
	Behind    ReceiverState = "catching up" // slow, late, or silent for a while: it holds nobody
	Alone     ReceiverState = "unicast"     // the group does not reach it
	Silent    ReceiverState = "silent"
	Complete  ReceiverState = "complete"
	Failed    ReceiverState = "failed" // it said so itself, or was given up
)

// A ReceiverStatus is what a sender knows of one receiver.
type ReceiverStatus struct {
	Name    string        `json:"name"`
	Address netip.Addr    `json:"address"`
	State   ReceiverState `json:"state"`
	Done    int64         `json:"done"` // bytes of the content it has
	Percent float64       `json:"percent"`
	Loss    float64       `json:"loss"`   // part of the datagrams that it lost, 0 to 1
	Rate    int64         `json:"rate"`   // byte/s of the content, lately
	Reason  string        `json:"reason"` // why it is behind, served alone, silent or failed, and what to look at
}

// An IncompleteError tells which receivers did not get all.
type IncompleteError struct{ Receivers []ReceiverStatus }

func (e *IncompleteError) Error() string {
	var b strings.Builder
	b.WriteString("not complete:")
	for i, r := range e.Receivers {
		if i == 10 {
			fmt.Fprintf(&b, " and %d more", len(e.Receivers)-i)
			break
		}
		fmt.Fprintf(&b, " %s at %.0f %% (%s);", r.Name, r.Percent, r.Reason)
	}
	return strings.TrimSuffix(b.String(), ";")
}

// Status tells how far it is.
func (s *Sender) Status() SenderStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	p := &s.plan
	c := s.cfg.Source.Content()
	status := SenderStatus{
		Phase: p.phase, Name: c.Name, Size: c.Size, Sent: p.bytes(p.once.Len()),
		Datagrams: p.symbols, Repairs: p.repairs, WireBytes: s.wire, Rate: int64(s.actual.value),
		Receivers: []ReceiverStatus{},
	}
	if !p.beganAt.IsZero() {
		until := now
		if !s.ended.IsZero() {
			until = s.ended
		}
		status.Elapsed = until.Sub(p.beganAt)
	}
	slowest := int64(math.MaxInt64)
	for _, l := range p.audience.list {
		r := s.describe(l, now)
		status.Receivers = append(status.Receivers, r)
		if !l.finished() && r.Done < slowest {
			slowest, status.Slowest = r.Done, r.Name
		}
	}
	return status
}

// describe tells of one receiver.
func (s *Sender) describe(l *listener, now time.Time) ReceiverStatus {
	p := &s.plan
	r := ReceiverStatus{
		Name: l.name, Address: l.addr.Addr(), State: p.state(l, now), Done: p.bytes(int64(l.report.done)),
		Loss: l.loss, Rate: int64(l.rate),
	}
	if r.Name == "" {
		r.Name = r.Address.String()
	}
	if p.size > 0 {
		r.Percent = 100 * float64(r.Done) / float64(p.size)
	}
	if l.report.complete {
		r.Percent = 100
	}
	switch r.State {
	case Failed:
		r.Reason = l.report.reason
		if l.given || l.stuck || r.Reason == "" {
			r.Reason = cmp.Or(l.reason, "the session ended before it had all")
		}
	case Silent:
		r.Reason = reasonSilent
		if now.Sub(l.asked) < absent {
			r.Reason = reasonDeaf
		}
	case Alone:
		r.Reason = s.unreached(l)
	case Behind:
		r.Reason = l.reason
		if r.Reason == reasonSilent {
			r.Reason = reasonBack
		}
	}
	return r
}

// unreached tells why the group may not reach a receiver.
func (s *Sender) unreached(l *listener) string {
	const alone = "the group does not reach it, so it is served alone, after the others: "
	switch network := s.conn.Prefix(); {
	case network.IsValid() && !network.Contains(l.addr.Addr()):
		return alone + fmt.Sprintf("it is in another network than %s: the routers between have to pass multicast, and the TTL has to be 2 or more", network.Masked())
	case s.plan.audience.anyReached():
		return alone + "others hear it: look at this PC's port of the switch, its VLAN, and whether it has two network cards"
	default:
		return alone + "nobody hears it: the switch filters multicast (IGMP snooping without a querier), or this machine's cable is in another network"
	}
}

// incomplete returns an error that names the receivers that did not get all.
func (s *Sender) incomplete() error {
	var e IncompleteError
	for _, r := range s.Status().Receivers {
		if r.State != Complete {
			e.Receivers = append(e.Receivers, r)
		}
	}
	if len(e.Receivers) == 0 {
		return nil
	}
	return &e
}

// A ReceptionStatus is how far a receiver is, at one moment.
type ReceptionStatus struct {
	Sender    netip.AddrPort `json:"sender"` // invalid until one was heard
	Name      string         `json:"name"`
	Size      int64          `json:"size"`    // bytes; Unknown of a stream that has not ended
	Done      int64          `json:"done"`    // bytes that the sink has
	Resumed   int64          `json:"resumed"` // of them from earlier sessions
	Rate      int64          `json:"rate"`    // byte/s, lately
	Datagrams int64          `json:"datagrams"`
	Lost      int64          `json:"lost"`     // datagrams
	Useless   int64          `json:"useless"`  // datagrams of symbols that were here or not needed
	Refused   int64          `json:"refused"`  // datagrams that were not the session's, or forged
	Repaired  int64          `json:"repaired"` // blocks that repair symbols completed
	Alone     bool           `json:"alone"`    // served by unicast: the group does not reach this machine
	Started   bool           `json:"started"`
	Elapsed   time.Duration  `json:"elapsed"` // nanoseconds since the first block
}

// Status tells how far it is.
func (r *Receiver) Status() ReceptionStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := ReceptionStatus{
		Sender: r.session.from, Name: r.rec.content.Name, Size: r.rec.content.Size,
		Done: r.bytes(r.rec.written), Resumed: r.bytes(r.rec.resumed), Rate: int64(r.rate.value),
		Datagrams: r.rec.symbols, Lost: r.rec.lost + int64(r.rec.highest-min(r.rec.received, r.rec.highest)),
		Useless: r.rec.useless, Refused: r.refused, Repaired: r.rec.repaired,
		Alone:   r.begun && !r.complete && r.rec.command.phase != Waiting && time.Since(r.rec.groupAt) > groupLasts,
		Started: !r.began.IsZero(),
	}
	switch {
	case s.Started && r.complete:
		s.Elapsed = r.ended.Sub(r.began)
	case s.Started:
		s.Elapsed = time.Since(r.began)
	}
	return s
}

func (r *Receiver) bytes(blocks int64) int64 {
	n := blocks * BlockSize
	if size := r.rec.content.Size; size != Unknown {
		n = min(n, size)
	}
	return n
}
