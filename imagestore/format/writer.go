package format

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"
)

// NewWriter returns a writer that compresses into w for the compressor Zstd (as NewFrameWriter does), Lzop, Gzip or None. The level is the
// compressor's own: 1 to 19 for Zstd, 1 to 9 for Gzip, 1 to 6 for Lzop (where lzop makes as good as no difference, and this none
// at all); 0 is its default, and all that None has.
//
// The tools zstd, lzop and gzip read the result, and so does every program that reads their files. Data is compressed side by side
// on all cores, in bounded memory, and written in order by a goroutine that Close ends; so Close must be called, after an error as
// well. It does not close w. Write and Close belong to one goroutine at a time.
func NewWriter(w io.Writer, compressor string, level int) (io.WriteCloser, error) {
	if err := CheckCompressor(compressor, level); err != nil {
		return nil, err
	}
	switch compressor {
	case Zstd:
		return NewFrameWriter(w, level)
	case Lzop:
		return newPieceWriter(w, lzopPacker()), nil
	case Gzip:
		return newPieceWriter(w, gzipPacker(level)), nil
	default:
		return plainWriter{w}, nil
	}
}

// CheckCompressor refuses a compressor that NewWriter does not have, and a level that the compressor does not have.
func CheckCompressor(compressor string, level int) error {
	highest := map[string]int{Zstd: maxZstdLevel, Lzop: maxLzopLevel, Gzip: maxGzipLevel, None: 0}
	most, ok := highest[compressor]
	switch {
	case !ok:
		return fmt.Errorf("images cannot be written with compressor %q: use %s, %s, %s or %s", compressor, Zstd, Lzop, Gzip, None)
	case level < 0 || level > most:
		return fmt.Errorf("level %d for compressor %s is not between 0, its default, and %d", level, compressor, most)
	}
	return nil
}

// A plainWriter writes bytes as they are.
type plainWriter struct{ io.Writer }

// Close implements io.Closer.
func (plainWriter) Close() error { return nil }

// A packer is a file format whose pieces are compressed without one another.
type packer struct {
	size  int                            // plain bytes of a piece; the last may have less
	begin []byte                         // what the file begins with
	pack  func(dst, plain []byte) []byte // appends a packed piece to dst; called in several goroutines
	wrote func(plain, packed int)        // nil, or told the size of each piece, in order
	end   func() []byte                  // what the file ends with
	close func()                         // nil, or called in the end
}

// A pieceWriter cuts a stream into pieces and packs them side by side.
type pieceWriter struct {
	w      io.Writer
	packer packer
	free   chan *piece // pieces nobody uses
	order  chan *piece // pieces to be written, in order
	done   chan struct{}
	cur    *piece // being filled
	err    error  // of Write and Close

	mu     sync.Mutex
	failed error // of the writing goroutine
}

// A piece is a part of the stream on its way.
type piece struct {
	plain, packed []byte
	ready         chan struct{} // gets one value when packed is there
}

func newPieceWriter(w io.Writer, p packer) *pieceWriter {
	pieces := 2*min(runtime.GOMAXPROCS(0), 8) + 1
	f := &pieceWriter{
		w:      w,
		packer: p,
		free:   make(chan *piece, pieces),
		order:  make(chan *piece, pieces),
		done:   make(chan struct{}),
	}
	for range pieces {
		f.free <- &piece{ready: make(chan struct{}, 1)}
	}
	go f.write()
	return f
}

// Write implements io.Writer. An error of the underlying writer may come some pieces late.
func (f *pieceWriter) Write(p []byte) (int, error) {
	total := len(p)
	for len(p) > 0 {
		if f.err == nil {
			f.err = f.failure()
		}
		if f.err != nil {
			return total - len(p), f.err
		}
		if f.cur == nil {
			f.cur = <-f.free
			if f.cur.plain == nil {
				f.cur.plain = make([]byte, 0, f.packer.size)
			}
			f.cur.plain = f.cur.plain[:0]
		}
		n := min(len(p), f.packer.size-len(f.cur.plain))
		f.cur.plain = append(f.cur.plain, p[:n]...)
		p = p[n:]
		if len(f.cur.plain) == f.packer.size {
			f.flush()
		}
	}
	return total, nil
}

// Close writes the last piece and what the file ends with; it does not close the underlying writer.
func (f *pieceWriter) Close() error {
	if f.order == nil {
		return nil
	}
	if f.cur != nil && len(f.cur.plain) > 0 {
		f.flush()
	}
	close(f.order)
	<-f.done
	f.order = nil
	if f.packer.close != nil {
		f.packer.close()
	}
	if f.err == nil {
		f.err = f.failure()
	}
	if f.err == nil {
		_, f.err = f.w.Write(f.packer.end())
	}
	err := f.err
	if f.err == nil {
		f.err = errors.New("image writer is closed")
	}
	return err
}

// flush sends the current piece on its way.
func (f *pieceWriter) flush() {
	c := f.cur
	f.cur = nil
	f.order <- c
	go func() {
		c.packed = f.packer.pack(c.packed[:0], c.plain)
		c.ready <- struct{}{}
	}()
}

// write is the goroutine that writes pieces in order. After an error it goes on taking pieces, so that
// nobody waits for it.
func (f *pieceWriter) write() {
	defer close(f.done)
	failed := f.put(f.packer.begin)
	for c := range f.order {
		<-c.ready
		if failed == nil {
			failed = f.put(c.packed)
		}
		if f.packer.wrote != nil {
			f.packer.wrote(len(c.plain), len(c.packed))
		}
		f.free <- c
	}
}

// put writes b, if there is any, and keeps the error for Write and Close.
func (f *pieceWriter) put(b []byte) error {
	if len(b) == 0 {
		return nil
	}
	_, err := f.w.Write(b)
	if err != nil {
		f.mu.Lock()
		f.failed = err
		f.mu.Unlock()
	}
	return err
}

func (f *pieceWriter) failure() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failed
}
