// Package sender runs the multicast sessions of operations: one begins when the first PC asks to join it, sends when all that are awaited have come
// or none came for as long as its parameters say, and serves those that come late.
//
// It decides nothing about operations; it keeps no state across a restart, after which PCs ask again.
package sender

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/netip"

	"aula/clientos/protocol"
	"aula/imagestore/multicast"
)

// Images is where the files that are sent come from; imagestore.Library is one.
type Images interface {
	// OpenImage opens the file of a revision.
	OpenImage(repository, name string, revision int) (io.ReadSeekCloser, error)
}

// A Config gives Senders what they work with.
type Config struct {
	Images    Images
	Interface string
	Address   netip.Addr // of the appliance on Interface
	// Awaited tells how many PCs, that have not asked yet, a session must still expect; negative when the session has ended.
	Awaited func(session string) int
	Log     *slog.Logger
}

// Senders are the sessions that are being sent. Their methods are safe for concurrent use.
type Senders struct{ cfg Config }

// New makes Senders. Nothing is sent before Run.
func New(cfg Config) (*Senders, error) { return nil, errors.New("not built yet") }

// Run sends until ctx ends.
func (s *Senders) Run(ctx context.Context) error { return errors.New("not built yet") }

// Join lets a PC into the session of its instruction, which begins if it has not. Errors are *protocol.Failure.
func (s *Senders) Join(ctx context.Context, computer string, in protocol.Instruct) (protocol.Session, error) {
	return protocol.Session{}, errors.New("not built yet")
}

// Start has a session begin with those that are there.
func (s *Senders) Start(session string) {}

// Status tells how far a session is; false when it is not being sent.
func (s *Senders) Status(session string) (multicast.SenderStatus, bool) {
	return multicast.SenderStatus{}, false
}
