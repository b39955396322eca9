package fetch

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"aula/imagestore/torrent"
)

// A Sharing is a PC that gives what it has fetched to others, in the background: until its seconds are over, the context of Files ends, or it is ended.
// Whoever has it waits for it or closes it: until then the port of BitTorrent is taken. A nil
// one is over.
type Sharing struct {
	client *torrent.Client // nil of one that never began
	log    *slog.Logger
	ctx    context.Context // of the tasks; its cause is what failed first
	end    context.CancelCauseFunc
	tasks  sync.WaitGroup
	ran    chan error // answers when the client has ended
	over   chan struct{}
}

// errOver is the cause of the end when all tasks have ended as they should.
var errOver = errors.New("everything was shared for long enough")

// overSharing is one that is over.
func overSharing() *Sharing {
	s := &Sharing{over: make(chan struct{}), end: func(error) {}}
	close(s.over)
	return s
}

// newSharing runs the client, for tasks that are added until keep is called.
func newSharing(ctx context.Context, client *torrent.Client, log *slog.Logger) *Sharing {
	s := &Sharing{client: client, log: log, ran: make(chan error, 1), over: make(chan struct{})}
	s.ctx, s.end = context.WithCancelCause(ctx)
	go func() { s.ran <- client.Run(s.ctx) }()
	return s
}

// keep lets the client run until the last task has ended.
func (s *Sharing) keep() {
	go func() {
		s.tasks.Wait()
		s.end(errOver)
		if err := <-s.ran; err != nil {
			s.log.Warn("BitTorrent peers could not be taken any more", "error", err)
		}
		close(s.over)
	}()
}

// Left is for how long it still shares; 0 when it is over.
func (s *Sharing) Left() time.Duration {
	if s == nil || s.client == nil {
		return 0
	}
	var left time.Duration
	for _, status := range s.client.Status() {
		left = max(left, status.Left)
	}
	return left
}

// Wait waits until it is over, or ctx ends, which ends it, with the cause of ctx.
func (s *Sharing) Wait(ctx context.Context) error {
	if s == nil {
		return nil
	}
	select {
	case <-s.over:
		return nil
	case <-ctx.Done():
		_ = s.Close()
		return context.Cause(ctx)
	}
}

// Close ends it. It never fails.
func (s *Sharing) Close() error {
	if s == nil {
		return nil
	}
	s.end(nil)
	<-s.over
	return nil
}
