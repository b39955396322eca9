package torrent

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func newSeed(t *testing.T, c content) (path string, s *Seed) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "other name.img")
	if err := os.WriteFile(path, c.data, 0o644); err != nil {
		t.Fatal(err)
	}
	s, err := OpenSeed(path, c.Torrent)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return path, s
}

func TestSeedGivesTheFile(t *testing.T) {
	t.Parallel()
	c := newContent(8, 3*4096-7, 4096)
	path, s := newSeed(t, c)
	checkHave(t, s, 0, 1, 2)
	for i := range c.Count() {
		checkReads(t, s, c, i)
	}
	if err := s.WritePiece(0, c.piece(0)); err == nil {
		t.Error("a seed was written")
	}
	if s.File() == nil {
		t.Error("the file must not be read")
	}
	if err := s.Finish(); err != nil {
		t.Error(err)
	}
	checkBytes(t, path, c.data)
}

func TestSeedOfAnotherSizeIsRefused(t *testing.T) {
	t.Parallel()
	c := newContent(9, 3*4096, 4096)
	dir := t.TempDir()
	path := filepath.Join(dir, "win.img")
	if err := os.WriteFile(path, c.data[1:], 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenSeed(path, c.Torrent); err == nil {
		t.Error("a file that is too short is seeded")
	}
	if _, err := OpenSeed(dir, c.Torrent); err == nil {
		t.Error("a folder is seeded")
	}
}

func TestSeedNoticesThatItsFileHasChanged(t *testing.T) {
	t.Parallel()
	changes := map[string]func(path string) error{
		"cut":     func(path string) error { return os.Truncate(path, 4096) },
		"longer":  func(path string) error { return os.Truncate(path, 4*4096) },
		"written": func(path string) error { return os.Chtimes(path, time.Time{}, time.Now().Add(time.Hour)) },
	}
	for name, change := range changes {
		c := newContent(10, 3*4096, 4096)
		path, s := newSeed(t, c)
		if err := change(path); err != nil {
			t.Fatal(err)
		}
		if n, err := s.ReadAt(make([]byte, 100), 0); n > 0 || !errors.Is(err, ErrGone) {
			t.Errorf("%s: read %d bytes, %v, want ErrGone", name, n, err)
		}
		if _, err := s.Have(); !errors.Is(err, ErrGone) {
			t.Errorf("%s: Have says %v, want ErrGone", name, err)
		}
		if s.File() != nil {
			t.Errorf("%s: the file may still be sent", name)
		}
	}
}

func TestSeedOutlivesItsName(t *testing.T) {
	t.Parallel()
	c := newContent(11, 3*4096, 4096)
	path, s := newSeed(t, c)
	next := path + ".new"
	if err := errors.Join(os.WriteFile(next, []byte("a new revision"), 0o644), os.Rename(next, path)); err != nil {
		t.Fatal(err)
	}
	checkReads(t, s, c, 1)
}
