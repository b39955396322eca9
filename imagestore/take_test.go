package imagestore

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aula/imagestore/format"
)

func TestTake(t *testing.T) {
	t.Parallel()
	r := openRepository(t, t.TempDir())
	file := imageFile(t, 1)
	upload := filepath.Join(r.Dir(), ".uploads")
	if err := os.Mkdir(upload, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(upload, "0")
	write := func(data []byte) fs.FileInfo {
		t.Helper()
		os.Remove(path)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	take := func() (*Staging, error) {
		t.Helper()
		s, err := r.Stage("lab", Source{System: "upload"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Abort() })
		return s, s.Take(path)
	}

	info := write(file)
	s, err := take()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Errorf("before Publish: %v", err)
	}
	if s.Size() != int64(len(file)) {
		t.Errorf("size = %d, want %d", s.Size(), len(file))
	}
	if _, err := s.Publish(t.Context(), "", nil); err != nil {
		t.Fatal(err)
	}
	checkImage(t, r, "lab", 1, file)
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after Publish: %v", err)
	}
	if published, err := os.Stat(filepath.Join(r.Dir(), "lab.img")); err != nil || !os.SameFile(info, published) {
		t.Errorf("the file was copied: %v", err)
	}

	t.Run("no image", func(t *testing.T) {
		write([]byte("hello"))
		s, err := take()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Publish(t.Context(), "", nil); !errors.Is(err, format.ErrNotImage) {
			t.Errorf("got %v", err)
		}
		if data, err := os.ReadFile(path); err != nil || string(data) != "hello" {
			t.Errorf("the file holds %q, %v", data, err)
		}
		checkClean(t, r, "lab")
	})
	t.Run("other digest", func(t *testing.T) {
		write(imageFile(t, 2))
		s, err := take()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Publish(t.Context(), digest(file), nil); err == nil {
			t.Error("no error")
		}
	})
	t.Run("link", func(t *testing.T) {
		os.Remove(path)
		if err := os.Symlink("/etc/passwd", path); err != nil {
			t.Fatal(err)
		}
		if _, err := take(); !errors.Is(err, errNoFile) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("after something was written", func(t *testing.T) {
		write(file)
		s := stageFile(t, r, "lab", file)
		defer s.Abort()
		if err := s.Take(path); err == nil {
			t.Error("no error")
		}
	})
	t.Run("from another volume", func(t *testing.T) {
		dir, err := os.MkdirTemp("/dev/shm", "aula")
		if errors.Is(err, fs.ErrNotExist) {
			t.Skip("SKIPPED: there is no other volume here: /dev/shm is missing")
		}
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { os.RemoveAll(dir) })
		path = filepath.Join(dir, "file")
		write(imageFile(t, 3))
		s, err := take()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Publish(t.Context(), "", nil); err != nil {
			t.Fatal(err)
		}
		checkImage(t, r, "lab", 2, imageFile(t, 3))
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("after Publish: %v", err)
		}
	})
}

// TestExisting does not begin a repository where one should be.
func TestExisting(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	_, err := Open(dir, Options{Name: "usb", Existing: true})
	if !errors.Is(err, ErrNoRepository) || !strings.Contains(err.Error(), "mounted") {
		t.Errorf("empty folder: %v", err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left in it: %v, %v", left, err)
	}
	if _, err := Open(filepath.Join(dir, "none"), Options{Name: "usb", Existing: true}); !errors.Is(err, ErrNoRepository) {
		t.Errorf("no folder: %v", err)
	}
	openRepository(t, dir).Close()
	openWith(t, dir, Options{Existing: true})
}
