package multicast

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"time"
)

// A SenderConfig says what to send and how.
type SenderConfig struct {
	Session Session
	Key     Key
	Source  Source
	// Interface is the NIC to send on; empty: the only one that is up and has an IPv4 address.
	Interface string
	// TTL is how many routers the datagrams pass, less one: 1 when 0, for the network of the interface only.
	TTL int
	// Linger is for how long the sender waits for receivers that fell silent, when the others are complete.
	Linger time.Duration
	// NoOffload sends and receives without the kernel's segmentation offloads.
	NoOffload bool
	Log       *slog.Logger // nil for nobody
}

// A Sender sends one Source to the receivers of one session.
type Sender struct{}

// NewSender opens the session's sockets. It is an error when somebody else sends on the session's port.
func NewSender(ctx context.Context, cfg SenderConfig) (*Sender, error) {
	return nil, errors.New("sender: not written")
}

// Run waits for receivers as the session says, and sends until each is complete or has been given up. It returns nil when all
// that came are complete, an *IncompleteError when some are not, and otherwise why it stopped.
func (s *Sender) Run(ctx context.Context) error { return nil }

// Start sends at once, to those who are there: start now.
func (s *Sender) Start() {}

// Status tells how far it is.
func (s *Sender) Status() SenderStatus { return SenderStatus{} }

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

func (e *IncompleteError) Error() string { return "receivers are incomplete" }
