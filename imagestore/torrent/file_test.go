package torrent

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func openFile(t *testing.T, dir string, c content, o FileOptions) *FileStorage {
	t.Helper()
	s, err := OpenFile(t.Context(), dir, c.Torrent, o)
	if err != nil {
		t.Fatalf("OpenFile: %v", err)
	}
	t.Cleanup(func() { s.file.Close() }) // beside Close, harmless
	return s
}

// complete gives what is missing, finishes and closes.
func (c content) complete(t *testing.T, s *FileStorage) {
	t.Helper()
	have, err := s.Have()
	if err != nil {
		t.Fatal(err)
	}
	for i, has := range have {
		if !has {
			c.give(t, s, i)
		}
	}
	if err := errors.Join(s.Finish(), s.Close()); err != nil {
		t.Fatalf("Finish: %v", err)
	}
	checkBytes(t, s.Path(), c.data)
}

// checking makes options that count the bytes to be hashed.
func checking(total *int64) FileOptions {
	return FileOptions{Checking: func(_, n int64) { *total = n }}
}

func TestFileOfAnotherName(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := newContent(20, 3*4096-5, 4096)
	s := openFile(t, dir, c, FileOptions{Name: "cached"})
	checkNames(t, dir, "cached.partial", "cached.torrent.bf")
	c.complete(t, s)
	checkNames(t, dir, "cached")
	for _, name := range []string{"../cached", "a/b", "..", "/etc/passwd"} {
		if _, err := OpenFile(t.Context(), dir, c.Torrent, FileOptions{Name: name}); err == nil {
			t.Errorf("%q was taken for the name of a file", name)
		}
	}
}

func TestFileHasItsNameOnlyWhenItIsComplete(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := newContent(20, 3*4096-5, 4096)
	s := openFile(t, dir, c, FileOptions{})
	checkNames(t, dir, "win.img.partial", "win.img.torrent.bf")
	c.give(t, s, 0, 2)
	if err := s.Finish(); err == nil {
		t.Error("finished without piece 1")
	}
	checkNames(t, dir, "win.img.partial", "win.img.torrent.bf")
	c.complete(t, s)
	checkNames(t, dir, "win.img")
}

func TestFileGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := newContent(21, 9*4096-5, 4096)
	s := openFile(t, dir, c, FileOptions{})
	c.give(t, s, 8, 3, 5)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	checkNames(t, dir, "win.img.partial", "win.img.torrent.bf")
	var hashed int64
	s = openFile(t, dir, c, checking(&hashed))
	checkHave(t, s, 3, 5, 8)
	if hashed > 0 {
		t.Errorf("after an orderly end, %d bytes were hashed", hashed)
	}
	c.complete(t, s)
	checkNames(t, dir, "win.img")
}

func TestFileOfWhichNothingCameLeavesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := openFile(t, dir, newContent(22, 9*4096, 4096), FileOptions{})
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	checkNames(t, dir)
}

func TestFileThatIsThereAndRight(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := newContent(23, 9*4096-5, 4096)
	c.complete(t, openFile(t, dir, c, FileOptions{}))
	for _, stale := range []string{"win.img.partial", "win.img.torrent.bf"} {
		if err := os.WriteFile(filepath.Join(dir, stale), []byte("stale"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	before, err := os.Stat(filepath.Join(dir, "win.img"))
	if err != nil {
		t.Fatal(err)
	}
	var hashed int64
	s := openFile(t, dir, c, checking(&hashed))
	checkNames(t, dir, "win.img")
	checkHave(t, s, 0, 1, 2, 3, 4, 5, 6, 7, 8)
	checkReads(t, s, c, 8)
	if hashed != c.Length {
		t.Errorf("%d bytes were hashed, want all %d", hashed, c.Length)
	}
	if err := errors.Join(s.Finish(), s.Close()); err != nil {
		t.Error(err)
	}
	if after, err := os.Stat(s.Path()); err != nil || !os.SameFile(before, after) || !after.ModTime().Equal(before.ModTime()) {
		t.Errorf("the file was written: %v", err)
	}
}

func TestFileThatIsThereAndAnotherIsReplacedOnlyWhenAllowed(t *testing.T) {
	t.Parallel()
	c := newContent(24, 9*4096-5, 4096)
	changed := append([]byte(nil), c.data...)
	changed[4*4096+1] ^= 1
	for name, other := range map[string][]byte{"empty": nil, "shorter": c.data[:4096], "longer": append(changed, 0), "changed": changed} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := filepath.Join(dir, "win.img")
			if err := os.WriteFile(path, other, 0o644); err != nil {
				t.Fatal(err)
			}
			if _, err := OpenFile(t.Context(), dir, c.Torrent, FileOptions{}); !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), path) {
				t.Errorf("got %v, want fs.ErrExist of %s", err, path)
			}
			checkNames(t, dir, "win.img")
			s := openFile(t, dir, c, FileOptions{Replace: true})
			checkHave(t, s)
			c.give(t, s, 0)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			checkBytes(t, path, other)
			c.complete(t, openFile(t, dir, c, FileOptions{Replace: true}))
			checkNames(t, dir, "win.img")
		})
	}
}

func TestFileInTheWayThatIsNone(t *testing.T) {
	t.Parallel()
	c := newContent(25, 4096, 4096)
	ways := map[string]func(path string) error{
		"a folder": func(path string) error { return os.Mkdir(path, 0o755) },
		"a pipe":   func(path string) error { return unix.Mkfifo(path, 0o644) },
	}
	for way, stand := range ways {
		for _, name := range []string{"win.img", "win.img.partial"} {
			dir := t.TempDir()
			if err := stand(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
			if _, err := OpenFile(t.Context(), dir, c.Torrent, FileOptions{Replace: true}); err == nil {
				t.Errorf("%s at %s was taken for a file", way, name)
			}
			checkNames(t, dir, name)
		}
	}
}

func TestFileNeverReplacesWhatCameMeanwhile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := newContent(26, 3*4096, 4096)
	s := openFile(t, dir, c, FileOptions{})
	c.give(t, s, 0, 1, 2)
	if err := os.WriteFile(s.Path(), []byte("an image"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := s.Finish(); !errors.Is(err, fs.ErrExist) {
		t.Errorf("got %v, want fs.ErrExist", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	checkBytes(t, s.Path(), []byte("an image"))
	if err := os.Remove(s.Path()); err != nil {
		t.Fatal(err)
	}
	s = openFile(t, dir, c, FileOptions{})
	checkHave(t, s, 0, 1, 2)
	c.complete(t, s)
}

func TestFileIsFetchedByOneAtATime(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := newContent(27, 3*4096, 4096)
	first := openFile(t, dir, c, FileOptions{})
	c.give(t, first, 1)
	if _, err := OpenFile(t.Context(), dir, c.Torrent, FileOptions{}); err == nil || !strings.Contains(err.Error(), "another program") {
		t.Errorf("a second one is told %v", err)
	}
	c.complete(t, first)
	second := openFile(t, dir, c, FileOptions{})
	checkHave(t, second, 0, 1, 2)
	if err := second.Close(); err != nil {
		t.Error(err)
	}
}

// Between looking for the file and taking the partial one, another program may have completed it.
func TestFileThatWasCompletedMeanwhileIsLookedAtAgain(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := newContent(32, 3*4096, 4096)
	s := &FileStorage{torrent: c.Torrent, path: filepath.Join(dir, "win.img")}
	if err := os.WriteFile(s.path, c.data, 0o644); err != nil {
		t.Fatal(err)
	}
	if ok, err := s.openPartial(nil); ok || err != nil {
		t.Errorf("it is fetched once more: %t, %v", ok, err)
	}
	checkNames(t, dir, "win.img")
}

func TestFileIsGoneWhenItIsChanged(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := newContent(28, 3*4096, 4096)
	s := openFile(t, dir, c, FileOptions{})
	c.give(t, s, 0, 2)
	if err := os.Truncate(s.partialPath(), 2*4096+5); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ReadAt(make([]byte, 4096), c.Offset(2)); !errors.Is(err, ErrGone) {
		t.Errorf("of a partial file that was cut: %v, want ErrGone", err)
	}
	c.give(t, s, 1)
	if err := s.Finish(); !errors.Is(err, ErrGone) {
		t.Errorf("Finish of a file that was cut: %v, want ErrGone", err)
	}
	checkNames(t, dir, "win.img.partial", "win.img.torrent.bf")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openFile(t, dir, c, FileOptions{})
	checkHave(t, s, 0, 1)
	c.give(t, s, 2)
	if err := s.Finish(); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(s.Path(), 5); err != nil {
		t.Fatal(err)
	}
	if _, err := s.ReadAt(make([]byte, 5), 0); !errors.Is(err, ErrGone) || s.File() != nil {
		t.Errorf("of a finished file that was cut: %v, want ErrGone", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

func TestCheckingEndsWithItsContext(t *testing.T) {
	t.Parallel()
	c := newContent(29, 4<<20, 16<<10)
	for _, name := range []string{"win.img", "win.img.partial"} {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, name), c.data, 0o644); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		o := FileOptions{Checking: func(done, total int64) {
			if cancel(); done > total || total != c.Length {
				t.Errorf("%s: %d of %d bytes are checked", name, done, total)
			}
		}}
		if _, err := OpenFile(ctx, dir, c.Torrent, o); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: got %v, want context.Canceled", name, err)
		}
		c.complete(t, openFile(t, dir, c, FileOptions{}))
	}
}
