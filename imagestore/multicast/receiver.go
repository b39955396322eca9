package multicast

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"time"
)

// A ReceiverConfig says where to listen and what to do with what comes.
type ReceiverConfig struct {
	Port  int        // the session's, even
	Group netip.Addr // the session's
	Key   Key
	Sink  Sink
	// Name is told to the sender's operator; the host's name when empty.
	Name string
	// Interface is the NIC to listen on; empty: every one that is up.
	Interface string
	// Server is the sender's address, if known: with it a receiver that the group does not reach is served all the same.
	Server netip.Addr
	// StartTimeout is for how long to wait for the sender, and for its first block; 0 for ever.
	StartTimeout time.Duration
	// ReceiveTimeout is for how long to wait when the sender has fallen silent; 0 for ever.
	ReceiveTimeout time.Duration
	// Memory bounds the bytes of incomplete and unwritten blocks; 64 MiB when 0.
	Memory    int64
	NoOffload bool
	Log       *slog.Logger // nil for nobody
}

// A Receiver receives one content.
type Receiver struct{}

// NewReceiver opens the sockets.
func NewReceiver(cfg ReceiverConfig) (*Receiver, error) {
	return nil, errors.New("receiver: not written")
}

// Run receives until the content is complete, and answers why when it is not. What has been written stays: a later session of the same
// content goes on with it. Errors: ErrNoSender, ErrSilence, and what the Sink answered.
func (r *Receiver) Run(ctx context.Context) error { return nil }

// Status tells how far it is.
func (r *Receiver) Status() ReceptionStatus { return ReceptionStatus{} }

// Errors of receivers and sources.
var (
	// ErrNoSender is answered when no sender was heard, or none began, for the StartTimeout.
	ErrNoSender = errors.New("no sender")
	// ErrSilence is answered when the sender was not heard for the ReceiveTimeout.
	ErrSilence = errors.New("the sender fell silent")
	// ErrGone is answered when what is missing was a stream's and is no longer to be had.
	ErrGone = errors.New("the stream has passed")
)

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
