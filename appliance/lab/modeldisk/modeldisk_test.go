package modeldisk

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	clientos "aula/clientos/build"
)

func TestCopySparse(t *testing.T) {
	const hole = 1 << 20
	dir := t.TempDir()
	from := filepath.Join(dir, "from")
	content := append(append([]byte("first"), make([]byte, hole)...), "last"...)
	if err := os.WriteFile(from, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(from, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	for at, text := range map[int64]string{0: "first", int64(len("first") + hole): "last"} {
		if _, err := f.WriteAt([]byte(text), at); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(f.Truncate(4*hole), f.Close()); err != nil {
		t.Fatal(err)
	}
	disk, err := os.Create(filepath.Join(dir, "disk"))
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	if err := disk.Truncate(8 * hole); err != nil {
		t.Fatal(err)
	}
	if err := copySparse(disk, 2*hole, from); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(disk.Name())
	if err != nil {
		t.Fatal(err)
	}
	want := make([]byte, 8*hole)
	copy(want[2*hole:], content)
	if !bytes.Equal(got, want) {
		t.Error("the disk differs from what was copied to it")
	}
}

func TestCachedSaysThatThereIsNone(t *testing.T) {
	if path, err := Cached(t.TempDir()); !errors.Is(err, ErrNotMade) {
		t.Errorf("Cached = %q, %v; want %v", path, err, ErrNotMade)
	}
}

// TestEnsureLeavesNothingHalfMade asks for a disk from a mirror that does not exist.
func TestEnsureLeavesNothingHalfMade(t *testing.T) {
	if _, err := exec.LookPath("mmdebstrap"); err != nil {
		t.Skip("SKIPPED, NOT TESTED: mmdebstrap is not installed")
	}
	cache := t.TempDir()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := Ensure(ctx, Config{Cache: cache, Mirror: "http://127.0.0.1:1/debian", Log: slog.New(slog.DiscardHandler)})
	if err == nil {
		t.Fatal("made a disk from nothing")
	}
	left, err := filepath.Glob(filepath.Join(cache, "model-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left in the cache: %v, %v", left, err)
	}
}

// TestModelDisk looks at the disk from outside; whether it boots is shown by the demonstration's test.
func TestModelDisk(t *testing.T) {
	cache := os.Getenv("AULA_CACHE")
	if cache == "" {
		cache = "../../../.cache"
	}
	if _, err := exec.LookPath("mmdebstrap"); err != nil {
		t.Skip("SKIPPED, NOT TESTED: mmdebstrap is not installed")
	}
	mirrors, err := clientos.MachineMirrors(t.Context())
	if err != nil {
		t.Skipf("SKIPPED, NOT TESTED: nowhere to make the model disk from: %v", err)
	}
	disk, err := Ensure(t.Context(), Config{Cache: filepath.Join(cache, "modeldisk"), Mirror: mirrors.Main, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	for _, look := range []struct {
		name    string
		command []string
		want    string
	}{
		{"partition table", []string{"sfdisk", "--dump", disk}, "label: dos"},
		{"UEFI boot loader", []string{"mdir", "-b", "-i", disk + "@@1M", "::/EFI/BOOT"}, "BOOTX64.EFI"},
		{"root filesystem", []string{"e2fsck", "-f", "-n", disk + "?offset=68157440"}, "aula-model"},
		{"kernel", []string{"debugfs", "-R", "stat /vmlinuz", disk + "?offset=68157440"}, "symlink"},
	} {
		out, err := exec.CommandContext(t.Context(), look.command[0], look.command[1:]...).CombinedOutput()
		if err != nil || !strings.Contains(string(out), look.want) {
			t.Errorf("%s: %v; want %q in\n%s", look.name, err, look.want, out)
		}
	}
}
