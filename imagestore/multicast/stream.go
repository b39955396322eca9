package multicast

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"sync"
)

// streamBlocks is how many blocks of a stream are kept for those who lost some: 96 MiB.
const streamBlocks = 96 << 20 / BlockSize

// A Stream is a Source of bytes that can be read only once, of a length that is known at their end: a partition that a PC reads and
// packs, say. It keeps the last 96 MiB. Receivers hold the reading up while they lack some of those; one that comes when the first bytes
// are no longer kept, or falls so far behind, cannot be served.
type Stream struct {
	r  io.Reader
	id [32]byte

	name string

	mu    sync.Mutex
	kept  map[int64][]byte // blocks
	first int64            // that is kept
	next  int64            // to be read
	limit int64            // block at which reading waits
	size  int64
	err   error
	moved chan struct{} // the limit has
}

// NewStream makes a Source of what r reads. Every stream is another content. At the session's end r is closed when it is an io.Closer;
// another has to answer its last Read before the sender's Run returns.
func NewStream(r io.Reader, name string) *Stream {
	s := &Stream{r: r, name: name, kept: map[int64][]byte{}, size: Unknown, limit: streamBlocks, moved: make(chan struct{}, 1)}
	rand.Read(s.id[:])
	return s
}

// Content tells what the stream is. Its size becomes known at its end.
func (s *Stream) Content() Content {
	s.mu.Lock()
	defer s.mu.Unlock()
	return Content{ID: s.id, Name: s.name, Size: s.size}
}

// ReadAt reads bytes of one block that was read and is kept; it answers ErrGone when it is not.
func (s *Stream) ReadAt(b []byte, offset int64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept, ok := s.kept[offset/BlockSize]
	if !ok {
		return 0, fmt.Errorf("block %d of %s: %w", offset/BlockSize, s.name, ErrGone)
	}
	at := int(offset % BlockSize)
	n := copy(b, kept[min(at, len(kept)):])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// fill reads the stream until it ends, and calls changed for every block and at the end.
func (s *Stream) fill(ctx context.Context, changed func()) {
	for {
		b := make([]byte, BlockSize)
		n, err := readUpTo(s.r, b)
		ended := err == io.EOF
		s.mu.Lock()
		if n > 0 && (err == nil || ended) {
			s.kept[s.next] = b[:n]
			s.next++
		}
		switch {
		case ended:
			s.size = max(s.next-1, 0)*BlockSize + int64(n)
			if n == 0 {
				s.size = s.next * BlockSize
			}
		case err != nil:
			s.err = fmt.Errorf("read %s: %w", s.name, err)
		}
		full := s.next >= s.limit
		s.mu.Unlock()
		changed()
		if err != nil {
			return
		}
		for full {
			select {
			case <-ctx.Done():
				return
			case <-s.moved:
			}
			s.mu.Lock()
			full = s.next >= s.limit
			s.mu.Unlock()
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// readUpTo fills b as far as r goes. Other than of io.ReadFull, its error is always the reader's own: a reader that unpacks tells with
// io.ErrUnexpectedEOF that something is missing.
func readUpTo(r io.Reader, b []byte) (n int, err error) {
	for n < len(b) && err == nil {
		var more int
		more, err = r.Read(b[n:])
		n += more
	}
	return n, err
}

// close ends a reading that is under way, of a reader that can be closed.
func (s *Stream) close() {
	if c, ok := s.r.(io.Closer); ok {
		_ = c.Close() // whether it was read to its end is known already
	}
}

// progress tells how many blocks have been read, and what went wrong.
func (s *Stream) progress() (blocks int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.next, s.err
}

// release makes room for the next block to be read, when base has come far enough, and returns the first block that is kept. Half of those
// that are kept lie before base: for receivers that are back after a moment.
func (s *Stream) release(base int64) (first int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.first < base-streamBlocks/2 && s.next-s.first >= streamBlocks {
		delete(s.kept, s.first)
		s.first++
	}
	if limit := s.first + streamBlocks; limit != s.limit {
		s.limit = limit
		signal(s.moved)
	}
	return s.first
}
