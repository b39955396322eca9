package imagestore

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
)

const (
	teeBlocks   = 8 // in memory at once
	teeBlockLen = 1 << 20
)

// A tee gives the blocks of one file to several readers, which share them and may not run further apart than
// teeBlocks.
type tee struct {
	free chan *teeBlock
	outs []chan *teeBlock
}

// A teeBlock is a piece of the file.
type teeBlock struct {
	buf   []byte
	data  []byte
	users atomic.Int32 // readers that have not finished with it
}

// readOnce reads a file of size bytes once and gives all of it to each of the readers, which work side by side.
func readOnce(ctx context.Context, file io.ReaderAt, size int64, progress func(done, total int64), readers ...func(*teeReader) error) error {
	group, ctx := errgroup.WithContext(ctx)
	tee := newTee(len(readers))
	group.Go(func() error { return tee.feed(ctx, file, size, progress) })
	for i, read := range readers {
		group.Go(func() error { return read(&teeReader{ctx: ctx, tee: tee, in: tee.outs[i]}) })
	}
	return group.Wait()
}

func newTee(readers int) *tee {
	t := &tee{free: make(chan *teeBlock, teeBlocks)}
	for range teeBlocks {
		t.free <- &teeBlock{buf: make([]byte, teeBlockLen)}
	}
	for range readers {
		t.outs = append(t.outs, make(chan *teeBlock, teeBlocks))
	}
	return t
}

// feed reads size bytes of the file, which must end there.
func (t *tee) feed(ctx context.Context, file io.ReaderAt, size int64, progress func(done, total int64)) error {
	in := io.NewSectionReader(file, 0, size+1)
	for done := int64(0); ; {
		var b *teeBlock
		select {
		case b = <-t.free:
		case <-ctx.Done():
			return ctx.Err()
		}
		n, err := io.ReadFull(in, b.buf)
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return &readError{err}
		}
		if n > 0 {
			b.data = b.buf[:n]
			b.users.Store(int32(len(t.outs)))
			for _, out := range t.outs {
				out <- b // has room for every block there is
			}
			done += int64(n)
			if progress != nil {
				progress(min(done, size), size)
			}
		}
		if err == nil {
			continue
		}
		if done != size {
			return fmt.Errorf("reading the image file: %w: %d bytes", errLength, size)
		}
		for _, out := range t.outs {
			close(out)
		}
		return nil
	}
}

var errLength = errors.New("it does not have the length that it should have")

// A readError is what the disk answered instead of data.
type readError struct{ err error }

func (e *readError) Error() string { return "reading the image file: " + e.err.Error() }
func (e *readError) Unwrap() error { return e.err }

// A teeReader is one of a tee's readers.
type teeReader struct {
	ctx  context.Context // of the pass to which it belongs
	tee  *tee
	in   chan *teeBlock
	cur  *teeBlock
	rest []byte
}

// advance gives the current block back and takes the next. It answers io.EOF after the last.
func (r *teeReader) advance() error {
	if r.cur != nil && r.cur.users.Add(-1) == 0 {
		r.tee.free <- r.cur
	}
	r.cur, r.rest = nil, nil
	select {
	case b, ok := <-r.in:
		if !ok {
			return io.EOF
		}
		r.cur, r.rest = b, b.data
		return nil
	case <-r.ctx.Done():
		return r.ctx.Err()
	}
}

// Read implements io.Reader.
func (r *teeReader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		if err := r.advance(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// into returns a reader that writes everything to w.
func into(w io.Writer) func(*teeReader) error {
	return func(r *teeReader) error {
		for {
			err := r.advance()
			if err == io.EOF {
				return nil
			}
			if err != nil {
				return err
			}
			if _, err := w.Write(r.rest); err != nil {
				return err
			}
		}
	}
}
