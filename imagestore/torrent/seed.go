package torrent

import (
	"fmt"
	"io"
	"os"
	"time"

	"aula/imagestore/torrent/metainfo"
)

// A Seed is a Storage of a complete file, which it only reads and takes for what the torrent says: whoever opens it knows. Peers check what
// they get.
//
// A file that is changed underneath is noticed by its size and its modification time, and is gone then. One that is removed, renamed or replaced by
// another of its name is still given as long as the Seed is open: its bytes are there.
type Seed struct {
	torrent *metainfo.Torrent
	still   *stillFile
}

// OpenSeed opens the file of a torrent.
func OpenSeed(path string, t *metainfo.Torrent) (*Seed, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	s, err := SeedOf(f, t)
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return s, nil
}

// SeedOf is the Seed of a file that is open, which it closes in the end.
func SeedOf(f *os.File, t *metainfo.Torrent) (*Seed, error) {
	if err := storable(t); err != nil {
		return nil, err
	}
	still, err := newStillFile(f)
	if err != nil {
		return nil, err
	}
	if still.size != t.Length {
		return nil, fmt.Errorf("%s has %d bytes, and the torrent is of %d: make its torrent anew", f.Name(), still.size, t.Length)
	}
	return &Seed{torrent: t, still: still}, nil
}

// Have tells that every piece is there.
func (s *Seed) Have() ([]bool, error) {
	if err := s.still.check(); err != nil {
		return nil, err
	}
	return whole(s.torrent), nil
}

// WritePiece refuses.
func (s *Seed) WritePiece(piece int, _ []byte) error {
	return fmt.Errorf("%s is only given, not written: piece %d is refused", s.still.name(), piece)
}

// ReadAt reads the file. Its error wraps ErrGone when the file has changed.
func (s *Seed) ReadAt(b []byte, offset int64) (int, error) { return s.still.ReadAt(b, offset) }

// File returns the file, or nil when it has changed.
func (s *Seed) File() *os.File { return s.still.File() }

// Finish has nothing to do.
func (s *Seed) Finish() error { return nil }

// Close closes the file.
func (s *Seed) Close() error { return s.still.file.Close() }

// A stillFile is a file that nobody should write any more, and that is gone when somebody does.
type stillFile struct {
	file    *os.File
	size    int64
	changed time.Time
}

// newStillFile takes a regular file as it is now.
func newStillFile(f *os.File) (*stillFile, error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is not a file", f.Name())
	}
	return &stillFile{file: f, size: info.Size(), changed: info.ModTime()}, nil
}

func (s *stillFile) name() string { return s.file.Name() }

// check tells whether the file is what it was. It costs a system call, which is little beside reading a block.
func (s *stillFile) check() error {
	info, err := s.file.Stat()
	switch {
	case err != nil:
		return err
	case info.Size() != s.size:
		return fmt.Errorf("%s had %d bytes, and has %d: %w", s.name(), s.size, info.Size(), ErrGone)
	case !info.ModTime().Equal(s.changed):
		return fmt.Errorf("%s was written at %s, while it was given: %w", s.name(), info.ModTime().Format(time.DateTime), ErrGone)
	}
	return nil
}

func (s *stillFile) ReadAt(b []byte, offset int64) (int, error) {
	n, err := s.file.ReadAt(b, offset)
	if err != nil && err != io.EOF {
		return n, err
	}
	// Afterwards: so that what changed before the reading is noticed, and what changed during it.
	if err := s.check(); err != nil {
		return 0, err
	}
	return n, err
}

func (s *stillFile) File() *os.File {
	if s.check() != nil {
		return nil
	}
	return s.file
}
