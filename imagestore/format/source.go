package format

import (
	"errors"
	"fmt"
	"io"
	"sync"
)

// A source is the reader that the caller gave. It remembers that reader's own failure, so that a broken
// connection or a bad disk is told as such and not taken for damage of the image.
type source struct {
	r   io.Reader
	mu  sync.Mutex
	err error
}

var errTruncated = errors.New("compressed data ends too early: the file is truncated")

// Read implements io.Reader.
func (s *source) Read(p []byte) (int, error) {
	if err := s.failed(); err != nil {
		return 0, err
	}
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.fail(err)
	}
	return n, err
}

// stop makes every further Read fail, so that a decoder that reads on and on without delivering anything ends.
func (s *source) stop() { s.fail(errClosed) }

func (s *source) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err == nil {
		s.err = err
	}
}

func (s *source) failed() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err
}

// failure returns what stopped a decoder that answered err: the source's own error when it had one, else
// damage of the image.
func (s *source) failure(err error) error {
	if own := s.failed(); own != nil {
		return fmt.Errorf("reading the image: %w", own)
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = errTruncated
	}
	return damaged("%w", err)
}
