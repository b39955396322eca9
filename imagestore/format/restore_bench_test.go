package format

import (
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A rival is how an image is restored with the tool of its compressor and partclone.
type rival struct {
	name   string
	pack   []string // from standard input to standard output; nil for our own writer
	unpack []string // likewise
	slow   bool     // shown on a smaller image
}

func rivals() []rival {
	return []rival{
		{"ZSTD", []string{"zstd", "-qc", "-3"}, []string{"zstd", "-dcq"}, false},
		{"ZSTD-rsyncable", []string{"zstd", "-qc", "-T0", "-6", "--rsyncable"}, []string{"zstd", "-dcq"}, false},
		{"ZSTD-long", []string{"zstd", "-qc", "-3", "--long=27"}, []string{"zstd", "-dcq"}, false},
		{"ZSTD-frames", nil, []string{"zstd", "-dcq"}, false},
		{"LZOP", []string{"lzop", "-c"}, []string{"lzop", "-dc"}, false},
		{"GZIP", []string{"gzip", "-c"}, []string{"gzip", "-dc"}, false},
		{"LZ4", []string{"lz4", "-qc"}, []string{"lz4", "-dcq"}, false},
		{"XZ", []string{"xz", "-c", "-1"}, []string{"xz", "-dc"}, true},
		{"XZ-blocks", []string{"xz", "-c", "-1", "-T2"}, []string{"xz", "-dc"}, true},
		{"BZIP2", []string{"bzip2", "-c"}, []string{"bzip2", "-dc"}, true},
		{"NONE", []string{"cat"}, []string{"cat"}, false},
	}
}

// A cost is what restoring an image took.
type cost struct{ wall, cpu time.Duration }

func (c *cost) add(d cost) { c.wall, c.cpu = c.wall+d.wall, c.cpu+d.cpu }

// BenchmarkRestore restores partclone images of a filesystem full of programs to a sparse file, natively and with the tools of
// old, in turns, and everything has reached the disk before the clock stops. It tells how many times longer (wall-ratio) and how
// many times more of the processors' time (cpu-ratio) the tool of the same compressor takes, piped into partclone; and what zstd and lzop
// take, piped into partclone, for the same image.
func BenchmarkRestore(b *testing.B) {
	for _, tool := range []string{"mke2fs", "partclone.ext4", "partclone.restore", "zstd", "lzop", "gzip", "lz4", "xz", "bzip2"} {
		if _, err := exec.LookPath(tool); err != nil {
			b.Skipf("SKIPPED: %s is not installed", tool)
		}
	}
	large := newArena(b, 400<<20)
	small := newArena(b, 80<<20)
	for _, r := range rivals() {
		b.Run(r.name, func(b *testing.B) {
			a := large
			if r.slow {
				a = small
			}
			file := a.pack(b, r)
			defer os.Remove(file)
			b.SetBytes(a.used)
			var ours, theirs, zstd, lzop cost
			for b.Loop() {
				ours.add(a.native(b, file))
				b.StopTimer()
				theirs.add(a.piped(b, r.unpack, file))
				zstd.add(a.piped(b, []string{"zstd", "-dcq"}, a.zstd))
				lzop.add(a.piped(b, []string{"lzop", "-dc"}, a.lzop))
				b.StartTimer()
			}
			for _, m := range []struct {
				name string
				cost
			}{{"", theirs}, {"zstd-", zstd}, {"lzop-", lzop}} {
				b.ReportMetric(m.wall.Seconds()/ours.wall.Seconds(), m.name+"wall-ratio")
				b.ReportMetric(m.cpu.Seconds()/ours.cpu.Seconds(), m.name+"cpu-ratio")
			}
		})
	}
}

// An arena is an image and the folder in which it is restored.
type arena struct {
	dir        string
	plain      string // the partclone image
	zstd, lzop string // packed
	used       int64  // bytes of all used blocks
}

// newArena makes an image of a filesystem with about so many bytes of the files of this machine.
func newArena(b *testing.B, bytes int64) arena {
	b.Helper()
	a := arena{dir: b.TempDir()}
	a.plain = filepath.Join(a.dir, "plain")
	tree, partition := filepath.Join(a.dir, "tree"), filepath.Join(a.dir, "partition")
	for _, part := range []string{"/usr/bin", "/usr/lib", "/usr/share"} {
		copySome(b, filepath.Join(tree, filepath.Base(part)), part, bytes/3)
	}
	for _, args := range [][]string{
		{"mke2fs", "-q", "-F", "-t", "ext4", "-b", "4096", "-d", tree, partition, strconv.FormatInt(bytes>>10*3/2, 10)},
		{"partclone.ext4", "-c", "-F", "-q", "-s", partition, "-O", a.plain, "-L", filepath.Join(a.dir, "log")},
	} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			b.Fatalf("%s: %v: %s", args[0], err, out)
		}
	}
	for _, done := range []string{tree, partition} {
		if err := os.RemoveAll(done); err != nil {
			b.Fatal(err)
		}
	}
	info, err := os.Stat(a.plain)
	if err != nil {
		b.Fatal(err)
	}
	a.used = info.Size()
	a.zstd = a.pack(b, rival{name: "ZSTD", pack: []string{"zstd", "-qc", "-3"}})
	a.lzop = a.pack(b, rival{name: "LZOP", pack: []string{"lzop", "-c"}})
	return a
}

// copySome copies regular files of a tree into one folder until there are so many bytes.
func copySome(b *testing.B, to, from string, bytes int64) {
	b.Helper()
	if err := os.MkdirAll(to, 0o755); err != nil {
		b.Fatal(err)
	}
	count := 0
	err := filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if int64(len(data)) > bytes {
			return nil
		}
		bytes -= int64(len(data))
		count++
		return os.WriteFile(filepath.Join(to, strconv.Itoa(count)), data, 0o600)
	})
	if err != nil {
		b.Fatal(err)
	}
}

// pack compresses the image as r does.
func (a arena) pack(b *testing.B, r rival) string {
	b.Helper()
	in, err := os.Open(a.plain)
	if err != nil {
		b.Fatal(err)
	}
	defer in.Close()
	out, err := os.CreateTemp(a.dir, r.name)
	if err != nil {
		b.Fatal(err)
	}
	defer out.Close()
	if r.pack == nil {
		w, err := NewFrameWriter(out, 0)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(w, in); err != nil {
			b.Fatal(err)
		}
		if err := w.Close(); err != nil {
			b.Fatal(err)
		}
		return out.Name()
	}
	cmd := exec.Command(r.pack[0], r.pack[1:]...)
	cmd.Stdin, cmd.Stdout = in, out
	if err := cmd.Run(); err != nil {
		b.Fatalf("%s: %v", cmd, err)
	}
	return out.Name()
}

// native restores with a Reader.
func (a arena) native(b *testing.B, file string) cost {
	b.Helper()
	disk := filepath.Join(a.dir, "native")
	defer os.Remove(disk)
	begin, cpu := time.Now(), ownTime(b)
	if err := restoreSparse(disk, file); err != nil {
		b.Fatal(err)
	}
	return cost{time.Since(begin), ownTime(b) - cpu}
}

// restoreSparse restores an image to a sparse file.
func restoreSparse(disk, image string) error {
	in, err := os.Open(image)
	if err != nil {
		return err
	}
	defer in.Close()
	r, err := NewReader(in)
	if err != nil {
		return err
	}
	defer r.Close()
	out, err := os.Create(disk)
	if err != nil {
		return err
	}
	defer out.Close()
	if err := out.Truncate(r.Info().RequiredBytes); err != nil {
		return err
	}
	for {
		off, run, err := r.Next()
		if err == io.EOF {
			return out.Sync()
		}
		if err != nil {
			return err
		}
		if _, err := out.WriteAt(run, off); err != nil {
			return err
		}
	}
}

// piped restores with the command unpack and partclone.
func (a arena) piped(b *testing.B, unpack []string, file string) cost {
	b.Helper()
	disk := filepath.Join(a.dir, "piped")
	defer os.Remove(disk)
	if err := os.WriteFile(disk, nil, 0o600); err != nil { // partclone does not always make one
		b.Fatal(err)
	}
	in, err := os.Open(file)
	if err != nil {
		b.Fatal(err)
	}
	defer in.Close()
	first := exec.Command(unpack[0], unpack[1:]...)
	second := exec.Command("partclone.restore", "-q", "-C", "-s", "-", "-O", disk, "-L", filepath.Join(a.dir, "log"))
	from, to, err := os.Pipe()
	if err != nil {
		b.Fatal(err)
	}
	var said strings.Builder
	first.Stdin, first.Stdout, second.Stdin, second.Stderr = in, to, from, &said
	begin := time.Now()
	err = first.Start()
	if err == nil {
		err = second.Start()
	}
	from.Close()
	to.Close()
	if err != nil {
		b.Fatal(err)
	}
	firstErr, secondErr := first.Wait(), second.Wait()
	wall := time.Since(begin)
	if firstErr != nil || secondErr != nil {
		b.Fatalf("%s: %v; partclone.restore: %v: %s", first, firstErr, secondErr, said.String())
	}
	var cpu time.Duration
	for _, state := range []*os.ProcessState{first.ProcessState, second.ProcessState} {
		cpu += state.UserTime() + state.SystemTime()
	}
	return cost{wall, cpu}
}

// ownTime is the processors' time that this process has taken.
func ownTime(b *testing.B) time.Duration {
	b.Helper()
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		b.Fatal(err)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
