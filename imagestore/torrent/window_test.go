package torrent

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// A sinkFile is a PieceSink in memory.
type sinkFile struct {
	data   []byte
	calls  int
	synced bool
	err    error
}

func (s *sinkFile) WriteBlock(offset int64, b []byte) error {
	copy(s.data[offset:], b)
	s.calls++
	return s.err
}

func (s *sinkFile) Sync() error {
	s.synced = true
	return s.err
}

func TestWindowKeepsTheLastPieces(t *testing.T) {
	t.Parallel()
	c := newContent(5, 5*4096-1, 4096)
	sink := &sinkFile{data: make([]byte, len(c.data))}
	w, err := NewWindow(sink, c.Torrent, 2*4096+4095)
	if err != nil {
		t.Fatal(err)
	}
	reused := make([]byte, 4096) // what is given is not kept
	steps := []struct {
		write           int
		kept, forgotten []int
	}{
		{3, []int{3}, nil},
		{0, []int{3, 0}, nil},
		{2, []int{0, 2}, []int{3}},
		{4, []int{0, 2, 4}, nil}, // the last one is shorter
		{0, []int{0, 2, 4}, nil}, // it was there
		{1, []int{2, 4, 1}, []int{0}},
	}
	for _, step := range steps {
		n := copy(reused, c.piece(step.write))
		if err := w.WritePiece(step.write, reused[:n]); err != nil {
			t.Fatal(err)
		}
		clear(reused)
		if got := w.Forgotten(); !slices.Equal(got, step.forgotten) {
			t.Errorf("after piece %d, it forgot %v, want %v", step.write, got, step.forgotten)
		}
		for _, i := range step.kept {
			checkReads(t, w, c, i)
		}
		for _, i := range step.forgotten {
			if n, err := w.ReadAt(make([]byte, 10), c.Offset(i)+5); n > 0 || !errors.Is(err, ErrGone) {
				t.Errorf("forgotten piece %d: %d bytes, %v, want ErrGone", i, n, err)
			}
		}
	}
	if err := w.Finish(); err != nil || !sink.synced {
		t.Errorf("finished: %v, brought to the disk: %t", err, sink.synced)
	}
	if !bytes.Equal(sink.data, c.data) || sink.calls != c.Count() {
		t.Errorf("the sink was called %d times for %d pieces, or has other bytes", sink.calls, c.Count())
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
	if _, err := w.ReadAt(make([]byte, 10), c.Offset(4)); !errors.Is(err, ErrGone) {
		t.Errorf("after Close: %v, want ErrGone", err)
	}
}

func TestWindowWithoutMemoryForgetsAtOnce(t *testing.T) {
	t.Parallel()
	c := newContent(6, 3*4096, 4096)
	w, err := NewWindow(&sinkFile{data: make([]byte, len(c.data))}, c.Torrent, 4095)
	if err != nil {
		t.Fatal(err)
	}
	c.give(t, w, 1, 0, 2)
	if got := w.Forgotten(); !slices.Equal(got, []int{0, 1, 2}) {
		t.Errorf("it forgot %v", got)
	}
	if err := w.Finish(); err != nil {
		t.Error(err)
	}
}

func TestWindowSaysWhatTheSinkSays(t *testing.T) {
	t.Parallel()
	c := newContent(7, 2*4096, 4096)
	sink := &sinkFile{data: make([]byte, len(c.data)), err: unix.EIO}
	w, err := NewWindow(sink, c.Torrent, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.WritePiece(1, c.piece(1)); !errors.Is(err, unix.EIO) {
		t.Errorf("the sink failed, and the window says %v", err)
	}
	if _, err := w.ReadAt(make([]byte, 1), c.Offset(1)); err == nil {
		t.Error("a piece that the sink did not take is given to others")
	}
	sink.err = nil
	c.give(t, w, 0, 1)
	sink.err = unix.EIO
	if err := w.Finish(); !errors.Is(err, unix.EIO) {
		t.Errorf("what was written did not get to the disk, and the window says %v", err)
	}
}
