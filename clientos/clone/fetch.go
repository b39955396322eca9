package clone

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"time"

	"aula/clientos/protocol"
)

// How patiently the server is tried again. They are far longer than a server needs to restart.
const (
	patience   = 15 * time.Minute // without one byte
	stallLimit = 30 * time.Second // for one Read, before the connection is given up
	firstPause = 250 * time.Millisecond
	maxPause   = 10 * time.Second
)

// A pauser waits between attempts, longer each time, until patience since the first failure in a row is used up.
type pauser struct {
	since time.Time // of the first failure in a row
	pause time.Duration
}

// success starts the count anew.
func (p *pauser) success() { *p = pauser{} }

// wait sleeps before the next attempt, or returns what ended all attempts: ctx, an answer of the server that is final, or patience.
func (p *pauser) wait(ctx context.Context, cause error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var final *protocol.Failure
	if errors.As(cause, &final) {
		return cause
	}
	if p.since.IsZero() {
		p.since = time.Now()
	}
	if time.Since(p.since) > patience {
		return failure(protocol.ErrRepository,
			fmt.Sprintf("the server has not sent anything for %s", patience),
			"check that the server runs and that the network cable is in, then try again").because(cause)
	}
	p.pause = min(max(2*p.pause, firstPause), maxPause)
	timer := time.NewTimer(p.pause/2 + rand.N(p.pause/2)) // a whole room must not return at once
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}

// Retry calls f until it succeeds, ctx ends, the server gives its last word, or it has failed for 15 minutes, with pauses between. Explain tells people of
// its error.
func Retry(ctx context.Context, log *slog.Logger, what string, f func() error) error {
	return retry(ctx, log, what, f)
}

// OpenFile returns bytes of the file of an image, from low to high-1, as one stream, over connections to the server that may break at any time: it goes
// on at the byte that it has reached, for as long as one comes every 15 minutes. ctx ends a Read that waits. Explain tells people of its errors.
func OpenFile(ctx context.Context, log *slog.Logger, server Server, image protocol.Image, low, high int64) io.ReadCloser {
	r := newResumer(ctx, log, high, func(ctx context.Context, offset int64) (io.ReadCloser, error) {
		if s, ok := server.(RangeServer); ok {
			return s.OpenRange(ctx, image, offset, high)
		}
		return server.OpenImage(ctx, image, offset)
	})
	r.offset = low
	return r
}

// retry calls f until it succeeds or a pauser gives up.
func retry(ctx context.Context, log *slog.Logger, what string, f func() error) error {
	var p pauser
	for {
		err := f()
		if err == nil {
			return nil
		}
		if err := p.wait(ctx, err); err != nil {
			return err
		}
		log.Warn("trying again", "what", what, "error", err)
	}
}

// A resumer reads size bytes through connections that may break at any time: it goes on at the byte that it has reached.
// Each byte is delivered once and in order, or Read fails.
type resumer struct {
	ctx    context.Context    // of every connection, because Read has none
	stop   context.CancelFunc // makes Read return, now and from then on
	log    *slog.Logger
	open   func(ctx context.Context, offset int64) (io.ReadCloser, error)
	size   int64
	offset int64
	body   io.ReadCloser
	cancel context.CancelFunc // ends body
	pauser pauser
}

// newResumer returns a resumer that works until ctx ends or stop is called, after which hangUp frees its connection.
func newResumer(ctx context.Context, log *slog.Logger, size int64,
	open func(ctx context.Context, offset int64) (io.ReadCloser, error)) *resumer {
	ctx, stop := context.WithCancel(ctx)
	return &resumer{ctx: ctx, stop: stop, log: log, open: open, size: size}
}

// Read implements io.Reader.
func (r *resumer) Read(p []byte) (int, error) {
	if r.offset >= r.size {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), r.size-r.offset)]
	for {
		n, err := r.try(p)
		if n > 0 {
			r.offset += int64(n)
			r.pauser.success()
			return n, nil
		}
		if len(p) == 0 {
			return 0, nil
		}
		if err == nil {
			continue
		}
		r.hangUp()
		if err := r.pauser.wait(r.ctx, err); err != nil {
			return 0, err
		}
		r.log.Warn("image stream broke, resuming", "offset", r.offset, "error", err)
	}
}

// try opens a connection if there is none and reads once. A Read that takes longer than stallLimit is ended.
func (r *resumer) try(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	if r.body == nil {
		ctx, cancel := context.WithCancel(r.ctx)
		stall := time.AfterFunc(stallLimit, cancel)
		defer stall.Stop()
		body, err := r.open(ctx, r.offset)
		if err != nil {
			cancel()
			return 0, err
		}
		r.body, r.cancel = body, cancel
	}
	stall := time.AfterFunc(stallLimit, r.cancel)
	defer stall.Stop()
	n, err := r.body.Read(p)
	if n == 0 && err == io.EOF {
		err = io.ErrUnexpectedEOF // the size is known: this is a cut
	}
	return n, err
}

// hangUp gives up the connection, if there is one; the next Read makes another.
func (r *resumer) hangUp() {
	if r.body == nil {
		return
	}
	r.cancel()
	r.body.Close() // what it says no longer matters
	r.body, r.cancel = nil, nil
}

// Close ends the stream; no Read may be under way.
func (r *resumer) Close() error {
	r.stop()
	r.hangUp()
	return nil
}
