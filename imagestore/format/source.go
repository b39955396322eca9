package format

import (
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

// Read implements io.Reader.
func (s *source) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && err != io.EOF {
		s.mu.Lock()
		s.err = err
		s.mu.Unlock()
	}
	return n, err
}

// failure returns what stopped a decoder that answered err: the source's own error when it had one, else
// damage of the image.
func (s *source) failure(err error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return fmt.Errorf("reading the image: %w", s.err)
	}
	return damaged("%w", err)
}
