package torrent

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// tmpfs makes a disk of that many bytes, which lives in the mount namespace of a thread and ends with it.
func tmpfs(t *testing.T, size int64) string {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: needs root, to mount a tmpfs")
	}
	path := t.TempDir()
	started, end, ended := make(chan error), make(chan struct{}), make(chan struct{})
	var thread int
	go func() {
		defer close(ended)
		runtime.LockOSThread() // for good: the thread ends with this goroutine, and the namespace with the thread
		thread = unix.Gettid()
		started <- errors.Join(unix.Unshare(unix.CLONE_NEWNS), unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
			unix.Mount("tmpfs", path, "tmpfs", 0, fmt.Sprintf("size=%d", size)))
		<-end
	}()
	t.Cleanup(func() {
		close(end)
		<-ended
	})
	if err := <-started; err != nil {
		t.Fatalf("a tmpfs of its own: %v", err)
	}
	return fmt.Sprintf("/proc/%d/task/%d/root%s", os.Getpid(), thread, path)
}

func TestDiskThatIsTooSmallIsToldBeforeTheFirstByte(t *testing.T) {
	t.Parallel()
	dir := tmpfs(t, 4<<20)
	c := newContent(100, 5<<20, 64<<10)
	_, err := OpenFile(t.Context(), dir, c.Torrent, FileOptions{})
	if !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), fmt.Sprint(1<<20, " too few")) {
		t.Errorf("got %v, want ENOSPC of %d bytes too few", err, 1<<20)
	}
	checkNames(t, dir)
}

func TestDiskThatHasJustEnough(t *testing.T) {
	t.Parallel()
	dir := tmpfs(t, 4<<20)
	c := newContent(101, 4<<20-64<<10, 64<<10) // the rest is for the journal
	s := openFile(t, dir, c, FileOptions{})
	if err := os.WriteFile(filepath.Join(dir, "other"), make([]byte, 1<<20), 0o644); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("another took the room: %v", err)
	}
	if err := os.Remove(filepath.Join(dir, "other")); err != nil {
		t.Fatal(err)
	}
	c.give(t, s, 3, 7)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openFile(t, dir, c, FileOptions{}) // what it has taken already needs no room
	checkHave(t, s, 3, 7)
	c.complete(t, s)
	checkNames(t, dir, "win.img")
}

func TestDiskThatBecomesFullKeepsWhatWasFetched(t *testing.T) {
	t.Parallel()
	dir := tmpfs(t, 4<<20)
	c := newContent(102, 3<<20, 64<<10)
	s := openFile(t, dir, c, FileOptions{})
	c.give(t, s, 0, 1, 2)
	s.journalled(t)
	punch(t, s.partialPath(), c.Offset(3), c.Length-c.Offset(3)) // as on a filesystem that does not preallocate
	other := filepath.Join(dir, "other")
	if err := os.WriteFile(other, make([]byte, 4<<20), 0o644); !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("the disk is not full: %v", err)
	}
	err := s.WritePiece(7, c.piece(7))
	if !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), "make room") {
		t.Errorf("got %v, want ENOSPC, and what to do", err)
	}
	if err := s.Finish(); err == nil {
		t.Error("it is finished")
	}
	_ = s.Close() // there is no room for its journal, either
	checkNames(t, dir, "other", "win.img.partial", "win.img.torrent.bf")
	if _, err := OpenFile(t.Context(), dir, c.Torrent, FileOptions{}); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("opened again: %v, want ENOSPC", err)
	}
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
	s = openFile(t, dir, c, FileOptions{})
	checkHave(t, s, 0, 1, 2)
	c.complete(t, s)
	checkNames(t, dir, "win.img")
}
