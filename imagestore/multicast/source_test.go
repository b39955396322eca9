package multicast

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func writeFile(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
}

func contentOf(t *testing.T, path string) Content {
	t.Helper()
	f, err := OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return f.Content()
}

func TestFileIsKnownAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "win11.img")
	b := counted(3 << 20)
	writeFile(t, path, b)
	then := time.Unix(1700000000, 0)
	touch := func(at time.Time) {
		t.Helper()
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	touch(then)
	first := contentOf(t, path)
	if first.Name != "win11.img" || first.Size != int64(len(b)) {
		t.Errorf("got %v", first)
	}
	if again := contentOf(t, path); again != first {
		t.Errorf("opened again: got %x, want %x", again.ID, first.ID)
	}
	for name, change := range map[string]func(){
		"touched":                func() { touch(then.Add(time.Nanosecond)) },
		"changed at the begin":   func() { writeAt(t, path, 0); touch(then) },
		"changed at the end":     func() { writeAt(t, path, int64(len(b)-1)); touch(then) },
		"a byte longer":          func() { writeFile(t, path, append(bytes.Clone(b), 0)); touch(then) },
		"a byte shorter":         func() { writeFile(t, path, b[:len(b)-1]); touch(then) },
		"changed in the middle":  func() { writeAt(t, path, int64(len(b)/2)) },
		"emptied":                func() { writeFile(t, path, nil); touch(then) },
		"changed, then put back": func() { writeFile(t, path, b) },
	} {
		writeFile(t, path, b)
		touch(then)
		if change(); contentOf(t, path).ID == first.ID {
			t.Errorf("%s: has the same ID", name)
		}
	}
	writeFile(t, path, b)
	touch(then)
	if again := contentOf(t, path); again != first {
		t.Errorf("as it was: got %x, want %x", again.ID, first.ID)
	}
	other := filepath.Join(filepath.Dir(path), "win10.img")
	if err := os.Rename(path, other); err != nil {
		t.Fatal(err)
	}
	if contentOf(t, other).ID == first.ID {
		t.Error("a file of another name has the same ID")
	}
}

func writeAt(t *testing.T, path string, offset int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte{0xee}, offset); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestIdentified(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.img")
	writeFile(t, path, []byte("image"))
	f, err := OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	want := Content{ID: [32]byte{1, 2, 3}, Name: "Windows 11", Size: 5}
	if got := f.Identified(want.Name, want.ID).Content(); got != want {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestEmptyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "empty")
	writeFile(t, path, nil)
	if c := contentOf(t, path); c.Size != 0 {
		t.Errorf("size %d, want 0", c.Size)
	}
}

func TestNotAFileToSend(t *testing.T) {
	dir := t.TempDir()
	pipe := filepath.Join(dir, "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		dir:         "folder",
		pipe:        "stream", // and does not wait for a writer
		"/dev/zero": "stream", // its size is 0, by seeking
	} {
		f, err := OpenFile(path)
		if err == nil {
			f.Close()
			t.Errorf("%s was opened", path)
		} else if !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: got error %q, want one with %q and the path", path, err, want)
		}
	}
	if _, err := OpenFile(filepath.Join(dir, "nothing")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no such file: got %v", err)
	}
}

func TestBlockDeviceToSend(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("NOT TESTED: loop devices need root")
	}
	path := filepath.Join(t.TempDir(), "disk")
	b := counted(2<<20 + 512)
	writeFile(t, path, b)
	out, err := exec.CommandContext(t.Context(), "losetup", "--find", "--show", "--read-only", path).Output()
	if err != nil {
		t.Skipf("NOT TESTED: no loop device: %v", err)
	}
	device := strings.TrimSpace(string(out))
	t.Cleanup(func() {
		if err := exec.Command("losetup", "--detach", device).Run(); err != nil {
			t.Errorf("detach %s: %v", device, err)
		}
	})
	f, err := OpenFile(device)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if got := f.Content(); got.Size != int64(len(b)) || got.Name != filepath.Base(device) {
		t.Errorf("got %v, want %d bytes of %s", got, len(b), filepath.Base(device))
	}
	if again := contentOf(t, device); again != f.Content() {
		t.Error("opened again, it has another ID")
	}
	got := make([]byte, len(b))
	if _, err := f.ReadAt(got, 0); err != nil || !bytes.Equal(got, b) {
		t.Errorf("read: %v, or other bytes", err)
	}
}
