package incorporation

import (
	"bytes"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"aula/clientos/disk/disktest"
	"aula/imagestore"
	"aula/imagestore/format"
)

// Nothing that an import starts may outlive it.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// tool runs a program with input and returns what it printed; a missing one skips the test, loudly.
func tool(t testing.TB, input string, name string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("SKIPPED: %s is not installed", name)
	}
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Stdin = strings.NewReader(input)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s%s", name, strings.Join(args, " "), err, errs.String(), out.String())
	}
	return out.String()
}

// pipe runs programs one behind the other, the first with input from the files in, and writes what comes out to a file; with
// none, the files are joined.
func pipe(t testing.TB, in []string, out string, commands ...[]string) {
	t.Helper()
	var data bytes.Buffer
	for _, path := range in {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		data.Write(b)
	}
	for _, c := range commands {
		disktest.Need(t.(*testing.T), c[0])
		cmd := exec.CommandContext(t.Context(), c[0], c[1:]...)
		cmd.Stdin = bytes.NewReader(data.Bytes())
		var next, errs bytes.Buffer
		cmd.Stdout, cmd.Stderr = &next, &errs
		if err := cmd.Run(); err != nil {
			t.Fatalf("%s: %v\n%s", strings.Join(c, " "), err, errs.String())
		}
		data = next
	}
	if out != "" {
		write(t, out, data.Bytes())
	}
}

func write(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// overwrite writes into a file.
func overwrite(t testing.TB, path string, at int64, data []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(data, at); err != nil {
		t.Fatal(err)
	}
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// openRepository opens an empty repository.
func openRepository(t testing.TB) *imagestore.Repository {
	t.Helper()
	r, err := imagestore.Open(t.TempDir(), imagestore.Options{Name: "main", Keep: 3, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

// examine makes a plan, or fails the test.
func examine(t testing.TB, opt Options, paths ...string) Plan {
	t.Helper()
	p, err := Examine(t.Context(), paths, opt)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// refused makes sure that there is no plan, and why.
func refused(t testing.TB, want string, paths ...string) {
	t.Helper()
	p, err := Examine(t.Context(), paths, Options{})
	if err == nil {
		t.Fatalf("%v: planned %+v, want an error with %q", paths, p, want)
	}
	if !strings.Contains(err.Error(), want) {
		t.Errorf("got %q, want an error with %q", err, want)
	}
}

// take runs a plan to its end and checks what it says of its progress.
func take(t testing.TB, p Plan, repo *imagestore.Repository) []imagestore.Image {
	t.Helper()
	var last Progress
	images, err := p.Run(t.Context(), repo, func(now Progress) {
		if now.Done < last.Done || now.Done > now.Total || now.Image == "" || now.Stage == "" {
			t.Errorf("progress %+v after %+v", now, last)
		}
		last = now
	})
	if err != nil {
		t.Fatal(err)
	}
	if last.Done != last.Total {
		t.Errorf("at the end the progress is %+v", last)
	}
	return images
}

// A partition is a filesystem in a file of the size of its partition.
type partition struct {
	path  string
	clone string // partclone's program
}

// makePartition makes a filesystem with some files in it.
func makePartition(t testing.TB, kind string, size int64) partition {
	t.Helper()
	dir := t.TempDir()
	p := partition{path: filepath.Join(dir, "partition"), clone: "partclone." + kind}
	write(t, p.path, nil)
	if err := os.Truncate(p.path, size); err != nil {
		t.Fatal(err)
	}
	tree := filepath.Join(dir, "tree")
	if err := os.Mkdir(tree, 0o700); err != nil {
		t.Fatal(err)
	}
	noise := make([]byte, 400_000)
	random := rand.New(rand.NewPCG(uint64(size), uint64(len(kind))))
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	write(t, filepath.Join(tree, "noise"), noise)
	switch kind {
	case "ext4":
		tool(t, "", "mke2fs", "-q", "-F", "-t", "ext4", "-d", tree, p.path)
	case "ntfs":
		tool(t, "", "mkfs.ntfs", "-F", "-Q", "-q", p.path)
		tool(t, "", "ntfscp", "-f", p.path, filepath.Join(tree, "noise"), "noise")
	case "vfat":
		tool(t, "", "mkfs.fat", "-F", "16", "-s", "1", p.path)
		p.clone = "partclone.vfat"
	default:
		t.Fatalf("no way to make %s", kind)
	}
	return p
}

// image captures the partition with partclone and returns the image's file.
func (p partition) image(t testing.TB, options ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "image")
	args := append([]string{"-c", "-F", "-q", "-s", p.path, "-O", path, "-L", filepath.Join(t.TempDir(), "log")}, options...)
	tool(t, "", p.clone, args...)
	return path
}

// restored is what partclone.restore makes of an uncompressed image over zeros.
func restored(t testing.TB, image string) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "restored")
	tool(t, "", "partclone.restore", "-q", "-C", "-W", "-s", image, "-o", path, "-L", filepath.Join(t.TempDir(), "log"))
	return read(t, path)
}

// content is what an image in the repository restores to over zeros.
func content(t testing.TB, repo *imagestore.Repository, img imagestore.Image) []byte {
	t.Helper()
	f, err := repo.OpenFile(img.Name, img.Revision)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := format.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var data []byte
	for {
		off, run, err := r.Next()
		if err == io.EOF {
			return data
		}
		if err != nil {
			t.Fatal(err)
		}
		if end := off + int64(len(run)); end > int64(len(data)) {
			data = append(data, make([]byte, end-int64(len(data)))...)
		}
		copy(data[off:], run)
	}
}

// sameContent compares what an image restores to with what it must, which may have more or fewer zeros at its end.
func sameContent(t testing.TB, repo *imagestore.Repository, img imagestore.Image, want []byte) {
	t.Helper()
	got := content(t, repo, img)
	n := max(len(got), len(want))
	pad := func(b []byte) []byte { return append(b, make([]byte, n-len(b))...) }
	if !bytes.Equal(pad(got), pad(bytes.Clone(want))) {
		t.Errorf("%s restores to something else than the original tool makes of it", img.Name)
	}
}

// split splits a file as the program of that name does, and removes it.
func split(t testing.TB, path string, size string, options ...string) {
	t.Helper()
	tool(t, "", "split", append(options, "-b", size, path, path+".")...)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}

// wantWarning makes sure that one of the warnings says something.
func wantWarning(t testing.TB, p Plan, want string) {
	t.Helper()
	for _, w := range p.Warnings {
		if strings.Contains(w, want) {
			return
		}
	}
	t.Errorf("no warning says %q; there are %q", want, p.Warnings)
}

// overwriteNoise puts a file of noise into a FAT filesystem.
func overwriteNoise(t testing.TB, path string) {
	t.Helper()
	noise := make([]byte, 3<<20)
	random := rand.New(rand.NewPCG(7, 8))
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	file := filepath.Join(t.TempDir(), "noise")
	write(t, file, noise)
	tool(t, "", "mcopy", "-i", path, file, "::NOISE")
}

// loopOf makes a block device of a file, for programs that take nothing else.
func loopOf(t *testing.T, path string) string {
	t.Helper()
	disktest.NeedRoot(t)
	loop := strings.TrimSpace(tool(t, "", "losetup", "--find", "--show", path))
	t.Cleanup(func() {
		if out, err := exec.Command("losetup", "--detach", loop).CombinedOutput(); err != nil {
			t.Errorf("losetup --detach %s: %v\n%s", loop, err, out)
		}
	})
	return loop
}
