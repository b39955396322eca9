package incorporation

import (
	"context"
	"fmt"
	"hash"
	"io"
	"os"

	"aula/imagestore/format"
	"aula/imagestore/format/qcow2"
)

// A making is how the files become an image.
type making int

const (
	asIs   making = iota // their bytes, one after the other, packed as they are
	packed               // the same, compressed: they are as large as the disk, and mostly zeros, which every PC would have to fetch
	joined               // partimage volumes: each has a header of its own and is packed by itself
	qemu                 // the disk that a qcow2 file holds, compressed
)

// A source is the files of which an image is made.
type source struct {
	volumes
	how making
}

// bytes is how much is read to make the image.
func (s source) bytes() int64 {
	var n int64
	for _, p := range s.pieces {
		n += p.size
	}
	return n
}

// writeTo writes the image file to w, and tells read of the bytes that have been read. It checks the files' sums.
func (s source) writeTo(ctx context.Context, w io.Writer, read func(n int64)) error {
	readers := make([]*pieceReader, len(s.pieces))
	streams := make([]io.Reader, len(s.pieces))
	for i, p := range s.pieces {
		readers[i] = &pieceReader{ctx: ctx, piece: p, read: read}
		streams[i] = readers[i]
		defer readers[i].Close()
	}
	var err error
	switch s.how {
	case asIs:
		_, err = io.CopyBuffer(writerOnly{w}, readerOnly{io.MultiReader(streams...)}, make([]byte, 1<<20))
	case packed:
		err = pack(w, func(w io.Writer) error {
			_, err := io.CopyBuffer(writerOnly{w}, readerOnly{io.MultiReader(streams...)}, make([]byte, 1<<20))
			return err
		})
	case joined:
		err = pack(w, func(w io.Writer) error { return format.JoinPartimage(w, streams) })
	case qemu:
		return s.writeDisk(ctx, w, readers[0], read)
	}
	if err != nil {
		return err
	}
	for _, r := range readers { // what is behind the end of a packed volume counts for its sum
		if _, err := io.Copy(io.Discard, r); err != nil {
			return err
		}
	}
	return nil
}

// writeDisk writes the disk of a qcow2 file. Its sum is checked first, because it is not read from front to end.
func (s source) writeDisk(ctx context.Context, w io.Writer, r *pieceReader, read func(n int64)) error {
	if r.piece.sum != nil {
		r.read = nil
		if _, err := io.CopyBuffer(io.Discard, readerOnly{r}, make([]byte, 1<<20)); err != nil {
			return err
		}
	}
	f, err := r.piece.open()
	if err != nil {
		return err
	}
	defer f.Close()
	d, err := qcow2.Open(f, r.piece.size)
	if err != nil {
		return fmt.Errorf("%s: %w", r.piece.path(), err)
	}
	var done int64
	return pack(w, func(w io.Writer) error {
		buf := make([]byte, 1<<20)
		for off := int64(0); off < d.Size(); off += int64(len(buf)) {
			if err := ctx.Err(); err != nil {
				return context.Cause(ctx)
			}
			n, err := d.ReadAt(buf[:min(int64(len(buf)), d.Size()-off)], off)
			if err != nil && err != io.EOF {
				return fmt.Errorf("%s: %w", r.piece.path(), err)
			}
			if _, err := w.Write(buf[:n]); err != nil {
				return err
			}
			// The file is usually much smaller than its disk; progress is that of the disk, in bytes of the file.
			now := int64(float64(off+int64(n)) / float64(d.Size()) * float64(r.piece.size))
			read(now - done)
			done = now
		}
		return nil
	})
}

// pack lets fill write into zstd frames.
func pack(w io.Writer, fill func(io.Writer) error) error {
	z, err := format.NewFrameWriter(w, 0)
	if err != nil {
		return err
	}
	if err := fill(z); err != nil {
		z.Close() // ends its goroutine; what it says comes of the first error or does not matter any more
		return err
	}
	return z.Close()
}

// image returns a reader of the image file, for a look at its beginning. Close ends what it started.
func (s source) image(ctx context.Context) io.ReadCloser {
	if s.how == asIs || s.how == packed {
		var readers []io.Reader
		var closers closers
		for _, p := range s.pieces {
			r := &pieceReader{ctx: ctx, piece: p}
			readers, closers = append(readers, r), append(closers, r)
		}
		return struct {
			io.Reader
			io.Closer
		}{io.MultiReader(readers...), closers}
	}
	out, in := io.Pipe()
	done := make(chan struct{})
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		defer close(done)
		in.CloseWithError(s.writeTo(ctx, in, func(int64) {}))
	}()
	return struct {
		io.Reader
		io.Closer
	}{out, closer(func() error {
		cancel()
		out.Close()
		<-done
		return nil
	})}
}

// A pieceReader reads a file from front to end, opening it at the first Read, and at its end checks its length and sum. Errors
// name the file.
type pieceReader struct {
	ctx   context.Context // of the import to which it belongs
	piece piece
	read  func(n int64) // is told what was read; may be nil
	file  *os.File
	done  int64
	sum   hash.Hash
	err   error
}

// Read implements io.Reader.
func (r *pieceReader) Read(p []byte) (int, error) {
	if r.err == nil && r.ctx.Err() != nil {
		r.err = context.Cause(r.ctx)
	}
	if r.err != nil {
		return 0, r.err
	}
	if r.file == nil {
		if r.file, r.err = r.piece.open(); r.err != nil {
			return 0, r.err
		}
		if r.piece.sum != nil {
			r.sum = r.piece.sum.new()
		}
	}
	n, err := r.file.Read(p)
	r.done += int64(n)
	if r.sum != nil {
		r.sum.Write(p[:n])
	}
	if r.read != nil && n > 0 {
		r.read(int64(n))
	}
	switch {
	case err == io.EOF && r.done != r.piece.size, r.done > r.piece.size:
		err = fmt.Errorf("%s has changed while it was being read: import it again when nobody writes to it", r.piece.path())
	case err == io.EOF && r.sum != nil:
		if bad := r.piece.sum.check(r.piece, r.sum); bad != nil {
			err = bad
		}
	}
	r.err = err
	return n, err
}

// Close closes the file.
func (r *pieceReader) Close() error {
	if r.file == nil {
		return nil
	}
	return r.file.Close()
}

// readerOnly and writerOnly keep io.Copy from ways past the buffer.
type (
	readerOnly struct{ io.Reader }
	writerOnly struct{ io.Writer }
)

// A closer is a function that closes something.
type closer func() error

// Close implements io.Closer.
func (c closer) Close() error { return c() }

// closers close one another.
type closers []io.Closer

// Close closes all.
func (c closers) Close() error {
	for _, one := range c {
		one.Close() // read only
	}
	return nil
}
