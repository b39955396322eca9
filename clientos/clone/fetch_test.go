package clone

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"testing"
	"testing/synctest"
	"time"

	"aula/clientos/protocol"
)

// An opener answers OpenImage from memory; next decides what the n-th connection is like.
type opener struct {
	data []byte
	n    int
	next func(n int, rest io.Reader) (io.Reader, error)
}

func (o *opener) open(ctx context.Context, offset int64) (io.ReadCloser, error) {
	o.n++
	r, err := o.next(o.n, bytes.NewReader(o.data[offset:]))
	if err != nil {
		return nil, err
	}
	return io.NopCloser(waiting{ctx, r}), nil
}

// waiting is a connection whose reads end with its context, as those of net/http do.
type waiting struct {
	ctx context.Context
	r   io.Reader
}

func (w waiting) Read(p []byte) (int, error) {
	if _, silent := w.r.(silence); silent {
		<-w.ctx.Done()
		return 0, w.ctx.Err()
	}
	return w.r.Read(p)
}

// silence is a connection over which nothing comes, because the other end has lost its power.
type silence struct{ io.Reader }

func resume(ctx context.Context, o *opener) ([]byte, error) {
	r := newResumer(ctx, slog.New(slog.DiscardHandler), int64(len(o.data)), o.open)
	defer r.hangUp()
	return io.ReadAll(r)
}

func TestResumer(t *testing.T) {
	data := bytes.Repeat([]byte("image bytes "), 1000)
	broken := func(r io.Reader, n int64) io.Reader { return io.MultiReader(io.LimitReader(r, n), brokenReader{}) }
	for name, test := range map[string]struct {
		next   func(n int, rest io.Reader) (io.Reader, error)
		opens  int
		within time.Duration
	}{
		"unbroken": {func(n int, rest io.Reader) (io.Reader, error) { return rest, nil }, 1, 0},
		"broken nine times": {func(n int, rest io.Reader) (io.Reader, error) {
			if n < 10 {
				return broken(rest, 700), nil
			}
			return rest, nil
		}, 10, 10 * time.Second},
		"ends early without an error": {func(n int, rest io.Reader) (io.Reader, error) {
			if n < 3 {
				return io.LimitReader(rest, 100), nil
			}
			return rest, nil
		}, 3, 10 * time.Second},
		"silent once": {func(n int, rest io.Reader) (io.Reader, error) {
			if n == 1 {
				return silence{}, nil
			}
			return rest, nil
		}, 2, stallLimit + time.Second},
		"server restarts for five minutes": {func(n int, rest io.Reader) (io.Reader, error) {
			switch {
			case n == 1:
				return broken(rest, 5000), nil
			case n < 35:
				return nil, errors.New("connection refused")
			}
			return rest, nil
		}, 35, 6 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				o := &opener{data: data, next: test.next}
				got, err := resume(t.Context(), o)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got, data) {
					t.Errorf("got %d bytes that differ from the %d of the image", len(got), len(data))
				}
				if o.n != test.opens {
					t.Errorf("got %d connections, want %d", o.n, test.opens)
				}
				if took := time.Since(start); took > test.within {
					t.Errorf("took %s, want at most %s", took, test.within)
				}
			})
		})
	}
}

func TestResumerGivesUp(t *testing.T) {
	refused := func(int, io.Reader) (io.Reader, error) { return nil, errors.New("connection refused") }
	t.Run("when the server stays away", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			start := time.Now()
			_, err := resume(t.Context(), &opener{data: []byte("x"), next: refused})
			wantFailure(t, explain(err, protocol.StageWriting), protocol.ErrRepository, "15m")
			if took := time.Since(start); took < patience || took > patience+maxPause {
				t.Errorf("gave up after %s, want about %s", took, patience)
			}
		})
	})
	t.Run("when the server's answer is final", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			final := &protocol.Failure{Code: protocol.ErrNotFound, Problem: "no such image"}
			o := &opener{data: []byte("x"), next: func(int, io.Reader) (io.Reader, error) { return nil, final }}
			if _, err := resume(t.Context(), o); !errors.Is(err, final) || o.n != 1 {
				t.Errorf("got %v after %d attempts, want %v after 1", err, o.n, final)
			}
		})
	})
	t.Run("when cancelled", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			start := time.Now()
			if _, err := resume(ctx, &opener{data: []byte("x"), next: refused}); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v, want context.DeadlineExceeded", err)
			}
			if took := time.Since(start); took != time.Minute {
				t.Errorf("took %s, want %s", took, time.Minute)
			}
		})
	})
	t.Run("when cancelled in a silent read", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			o := &opener{data: []byte("x"), next: func(int, io.Reader) (io.Reader, error) { return silence{}, nil }}
			start := time.Now()
			if _, err := resume(ctx, o); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
				t.Errorf("got %v after %s, want context.DeadlineExceeded after 1s", err, time.Since(start))
			}
		})
	})
}
