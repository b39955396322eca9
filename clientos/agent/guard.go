package agent

import (
	"context"
	"errors"
	"io"
	"time"
)

// errStalled is why a transfer is given up on which nothing moves.
var errStalled = errors.New("the transfer stood still: the network or the server does not answer")

// A guard cancels a transfer when one step of it takes too long. Between steps the disk may take its time.
type guard struct {
	timer *time.Timer
}

func newGuard(cancel context.CancelCauseFunc) *guard {
	g := &guard{timer: time.AfterFunc(time.Hour, func() { cancel(errStalled) })}
	g.timer.Stop()
	return g
}

// watch begins a step, which ends when release is called.
func (g *guard) watch(limit time.Duration) (release func() bool) {
	g.timer.Reset(limit)
	return g.timer.Stop
}

// A guardedBody is the body of an answer.
type guardedBody struct {
	body   io.ReadCloser
	guard  *guard
	cancel context.CancelCauseFunc // ends the request
	cause  func(error) error       // says why the request ended
}

func (b *guardedBody) Read(p []byte) (int, error) {
	defer b.guard.watch(stallLimit)()
	n, err := b.body.Read(p)
	if err != nil && err != io.EOF {
		err = b.cause(err)
	}
	return n, err
}

func (b *guardedBody) Close() error {
	defer b.cancel(nil)
	return b.body.Close()
}

// A guardedWriter watches over each piece until the network has taken it, and remembers how that failed.
type guardedWriter struct {
	to    io.Writer
	guard *guard
	err   error
}

func (w *guardedWriter) Write(p []byte) (int, error) {
	defer w.guard.watch(stallLimit)()
	n, err := w.to.Write(p)
	if err != nil {
		w.err = err
	}
	return n, err
}
