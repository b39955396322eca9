package imagestore

import (
	"bytes"
	"errors"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestReserve(t *testing.T) {
	t.Parallel()
	r := openRepository(t, t.TempDir())
	free, err := r.Free()
	if err != nil || free <= 0 {
		t.Fatalf("free = %d, %v", free, err)
	}
	s, err := r.Stage("lab", Source{})
	if err != nil {
		t.Fatal(err)
	}
	r.opt.Reserve = math.MaxInt64 / 2
	if free, err := r.Free(); free != 0 || err != nil {
		t.Errorf("free below the reserve = %d, %v, want 0", free, err)
	}
	_, err = io.Copy(s, bytes.NewReader(make([]byte, 3*spaceCheck)))
	if !errors.Is(err, ErrNoSpace) || !strings.Contains(err.Error(), "remove images") {
		t.Errorf("writing into the reserve: %v", err)
	}
	if s.Size() > spaceCheck {
		t.Errorf("%d bytes were written before it was noticed", s.Size())
	}
	if _, err := r.Stage("other", Source{}); !errors.Is(err, ErrNoSpace) {
		t.Errorf("staging without room: %v", err)
	}
	if err := s.Abort(); err != nil {
		t.Error(err)
	}
	checkClean(t, r)
}

// TestFullDisk fills a real volume of 16 MiB, in a mount namespace of its own.
func TestFullDisk(t *testing.T) {
	const child = "AULA_TEST_FULL_DISK"
	if os.Getenv(child) == "" {
		t.Parallel()
		if os.Geteuid() != 0 {
			t.Skip("SKIPPED: only root can mount the small volume")
		}
		cmd := exec.CommandContext(t.Context(), "unshare", "-m", os.Args[0], "-test.run", "^TestFullDisk$", "-test.v")
		cmd.Env = append(os.Environ(), child+"="+t.TempDir())
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "--- PASS: TestFullDisk") {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	dir := os.Getenv(child)
	if err := unix.Mount("none", dir, "tmpfs", 0, "size=16m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(dir, unix.MNT_DETACH) })
	r, err := Open(dir, Options{Name: "main", Announce: tracker})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	file := imageFile(t, 1)
	publishFile(t, r, "lab", file)

	t.Run("image larger than the disk", func(t *testing.T) {
		s, err := r.Stage("lab", Source{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = io.Copy(s, io.LimitReader(zeros{}, 64<<20))
		if !errors.Is(err, ErrNoSpace) {
			t.Errorf("got %v", err)
		}
		if err := s.Abort(); err != nil {
			t.Error(err)
		}
		checkClean(t, r, "lab")
		checkImage(t, r, "lab", 1, file)
	})
	t.Run("no room for the sidecars", func(t *testing.T) {
		other := imageFile(t, 2)
		s := stageFile(t, r, "lab", other)
		ballast := filepath.Join(dir, ".ballast")
		fill(t, ballast)
		_, err := s.Publish(t.Context(), digest(other), nil)
		if !errors.Is(err, ErrNoSpace) {
			t.Errorf("got %v", err)
		}
		checkClean(t, r, "lab")
		checkImage(t, r, "lab", 1, file)
		os.Remove(ballast)
		if img := publishFile(t, r, "lab", other); img.Revision != 2 {
			t.Errorf("with room again: revision %d", img.Revision)
		}
	})
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// fill writes a file until the volume is full.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := io.CopyBuffer(struct{ io.Writer }{f}, struct{ io.Reader }{zeros{}}, make([]byte, 4096)); !errors.Is(err, unix.ENOSPC) {
		t.Fatal(err)
	}
}
