package lab

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"aula/imagestore/format"
)

// The disk of the native tests' model PC.
const (
	mib       = 1 << 20
	extNumber = 1
	extStart  = 1 * mib
	extSize   = 48 * mib
	ntfNumber = 2
	ntfStart  = extStart + extSize
	ntfSize   = 32 * mib
	diskSize  = 96 * mib
)

func need(t testing.TB, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("SKIPPED, NOT TESTED: %s is not installed", tool)
		}
	}
}

func tool(t testing.TB, stdin, name string, args ...string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Stdin = strings.NewReader(stdin)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", name, args, err, out)
	}
}

// modelDisk makes a disk with an ext4 and an NTFS partition, boot code and files in both; payload is how many bytes of files that do
// not compress are in the first.
func modelDisk(t *testing.T, payload int64) string {
	t.Helper()
	return modelDiskWith(t, payload, nil)
}

// modelDiskWith is modelDisk with files of certain contents in the first partition, named by their paths.
func modelDiskWith(t *testing.T, payload int64, contents map[string]string) string {
	t.Helper()
	need(t, "sfdisk", "mkfs.ext4", "mkntfs", "ntfscp")
	dir := t.TempDir()
	disk, part := filepath.Join(dir, "disk"), filepath.Join(dir, "part")
	f, err := os.Create(disk)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(diskSize); err != nil {
		t.Fatal(err)
	}
	tool(t, fmt.Sprintf("label: dos\nlabel-id: 0xa01a7e57\nstart=%d, size=%d, type=83, bootable\nstart=%d, size=%d, type=7\n",
		extStart/512, extSize/512, ntfStart/512, ntfSize/512), "sfdisk", "--quiet", disk)
	if _, err := f.WriteAt(bytes.Repeat([]byte{0xEB, 0xFE}, 64), 0); err != nil {
		t.Fatal(err)
	}

	files := filepath.Join(dir, "files")
	if err := os.Mkdir(files, 0o755); err != nil {
		t.Fatal(err)
	}
	noise := filepath.Join(files, "noise")
	writeNoise(t, noise, payload)
	for name, content := range contents {
		path := filepath.Join(files, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	tool(t, "", "mkfs.ext4", "-q", "-d", files, part, fmt.Sprintf("%dK", extSize>>10))
	place(t, f, extStart, part)

	writeBlank(t, part, ntfSize)
	tool(t, "", "mkntfs", "-q", "-F", "-Q", "-p", fmt.Sprint(ntfStart/512), "-H", "255", "-S", "63", part)
	writeNoise(t, noise, 5*mib)
	tool(t, "", "ntfscp", "-q", "-f", part, noise, "noise")
	place(t, f, ntfStart, part)
	return disk
}

// writeNoise makes a file of bytes that do not compress, the same at each run.
func writeNoise(t testing.TB, path string, size int64) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.CopyN(f, rand.NewChaCha8([32]byte{1}), size)
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

func writeBlank(t *testing.T, path string, size int64) {
	t.Helper()
	if err := os.Remove(path); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	if err := (DiskSpec{Bytes: size}).create(path); err != nil {
		t.Fatal(err)
	}
}

// place copies the file at path to an offset of the disk.
func place(t testing.TB, disk *os.File, at int64, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := disk.WriteAt(data, at); err != nil {
		t.Fatal(err)
	}
}

// A reference is what partclone.restore makes of an image.
type reference struct {
	path string
	used []format.Extent
}

// restoredByPartclone restores the image of the repository to a file with partclone.
func (c *classroom) restoredByPartclone(image string) reference {
	t := c.t
	t.Helper()
	need(t, "partclone.restore", "zstd")
	dir := t.TempDir()
	published := filepath.Join(c.Images(), image+".img")
	plain := filepath.Join(dir, "plain")
	tool(t, "", "zstd", "-q", "-d", published, "-o", plain)
	r := reference{path: filepath.Join(dir, "restored")}
	tool(t, "", "partclone.restore", "-q", "-f", "1", "-W", "-C", "-s", plain, "-o", r.path, "-L", filepath.Join(dir, "log"))

	r.used = usedBy(t, published)
	return r
}

// usedBy are the bytes of its partition that an image has.
func usedBy(t testing.TB, image string) (used []format.Extent) {
	t.Helper()
	f, err := os.Open(image)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	decoded, err := format.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	defer decoded.Close()
	for {
		off, run, err := decoded.Next()
		if err == io.EOF {
			return used
		}
		if err != nil {
			t.Fatal(err)
		}
		used = append(used, format.Extent{Offset: off, Length: int64(len(run))})
	}
}

// differences compares a partition, which begins at an offset of the disk, with the reference, over the used blocks.
func (r reference) differences(disk string, start int64) error {
	want, err := os.Open(r.path)
	if err != nil {
		return err
	}
	defer want.Close()
	got, err := os.Open(disk)
	if err != nil {
		return err
	}
	defer got.Close()
	if len(r.used) == 0 {
		return errors.New("the image uses no block at all")
	}
	a, b := make([]byte, format.MaxRun), make([]byte, format.MaxRun)
	for _, e := range r.used {
		if _, err := want.ReadAt(a[:e.Length], e.Offset); err != nil {
			return err
		}
		if _, err := got.ReadAt(b[:e.Length], start+e.Offset); err != nil {
			return err
		}
		if !bytes.Equal(a[:e.Length], b[:e.Length]) {
			return fmt.Errorf("bytes %d to %d of the partition differ from what partclone.restore writes", e.Offset, e.Offset+e.Length)
		}
	}
	return nil
}
