package qcow2

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"aula/imagestore/format"
)

// The zstd decoder must leave no goroutine behind, because a Disk has no Close.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func qemuImg(t testing.TB, args ...string) {
	t.Helper()
	if _, err := exec.LookPath("qemu-img"); err != nil {
		t.Skip("SKIPPED: qemu-img is not installed")
	}
	if out, err := exec.CommandContext(t.Context(), "qemu-img", args...).CombinedOutput(); err != nil {
		t.Fatalf("qemu-img %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// rawDisk makes a disk with data, text that compresses, zeros and an odd length.
func rawDisk(t testing.TB) (path string, content []byte) {
	t.Helper()
	content = make([]byte, 9<<20+512*3)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range 1 << 20 {
		content[1<<20+i] = byte(random.Uint32())
	}
	copy(content[4<<20:], bytes.Repeat([]byte("a line of text\n"), 1<<16))
	copy(content[len(content)-100:], "the end")
	path = filepath.Join(t.TempDir(), "raw")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return path, content
}

func open(t testing.TB, path string) *Disk {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	info, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	d, err := Open(f, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// checkDisk compares the whole disk, and pieces at odd places.
func checkDisk(t *testing.T, d *Disk, want []byte) {
	t.Helper()
	if d.Size() != int64(len(want)) {
		t.Fatalf("size = %d, want %d", d.Size(), len(want))
	}
	got, err := io.ReadAll(io.NewSectionReader(d, 0, d.Size()))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("the disk differs from the raw one")
	}
	random := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		p := make([]byte, 1+random.IntN(200_000))
		off := random.IntN(len(want) - 1)
		n, err := d.ReadAt(p, int64(off))
		if n < len(p) && err != io.EOF || err != nil && err != io.EOF {
			t.Fatalf("ReadAt(%d bytes, %d) = %d, %v", len(p), off, n, err)
		}
		if !bytes.Equal(p[:n], want[off:min(len(want), off+len(p))]) {
			t.Fatalf("ReadAt(%d bytes, %d) differs", len(p), off)
		}
	}
	if n, err := d.ReadAt(make([]byte, 1), d.Size()); n != 0 || err != io.EOF {
		t.Errorf("ReadAt at the end = %d, %v, want EOF", n, err)
	}
}

func TestReadsWhatQEMUWrites(t *testing.T) {
	raw, content := rawDisk(t)
	for name, args := range map[string][]string{
		"version 2":                  {"-o", "compat=0.10"},
		"version 3":                  {"-o", "compat=1.1"},
		"small clusters":             {"-o", "cluster_size=512"},
		"large clusters":             {"-o", "cluster_size=2M"},
		"deflate":                    {"-c"},
		"deflate, version 2":         {"-c", "-o", "compat=0.10"},
		"deflate, small clusters":    {"-c", "-o", "cluster_size=4k"},
		"zstd":                       {"-c", "-o", "compression_type=zstd"},
		"zstd, large clusters":       {"-c", "-o", "compression_type=zstd,cluster_size=1M"},
		"everything allocated first": {"-o", "preallocation=falloc"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "disk.qcow2")
			qemuImg(t, append(append([]string{"convert", "-f", "raw", "-O", "qcow2"}, args...), raw, file)...)
			checkDisk(t, open(t, file), content)
		})
	}
}

func TestReadsZeroClustersAndTheActiveDisk(t *testing.T) {
	raw, content := rawDisk(t)
	file := filepath.Join(t.TempDir(), "disk.qcow2")
	qemuImg(t, "convert", "-f", "raw", "-O", "qcow2", raw, file)
	qemuImg(t, "snapshot", "-c", "before", file)
	if _, err := exec.LookPath("qemu-io"); err != nil {
		t.Skip("SKIPPED: qemu-io is not installed")
	}
	out, err := exec.CommandContext(t.Context(), "qemu-io", "-f", "qcow2",
		"-c", "write -z 1M 128k", "-c", "write -P 0x5a 6M 1k", file).CombinedOutput()
	if err != nil {
		t.Fatalf("qemu-io: %v\n%s", err, out)
	}
	clear(content[1<<20:][:128<<10])
	copy(content[6<<20:], bytes.Repeat([]byte{0x5a}, 1024))
	checkDisk(t, open(t, file), content)
}

func TestRefuses(t *testing.T) {
	raw, _ := rawDisk(t)
	dir := t.TempDir()
	for name, test := range map[string]struct {
		args []string
		want string
	}{
		"backing file":        {[]string{"create", "-q", "-f", "qcow2", "-b", raw, "-F", "raw"}, "backing file"},
		"encryption":          {[]string{"create", "-q", "-f", "qcow2", "--object", "secret,id=s,data=abc", "-o", "encrypt.format=luks,encrypt.key-secret=s"}, "encrypted"},
		"external data file":  {[]string{"create", "-q", "-f", "qcow2", "-o", "data_file=" + filepath.Join(dir, "data")}, "another file"},
		"extended L2 entries": {[]string{"create", "-q", "-f", "qcow2", "-o", "extended_l2=on"}, "extended L2"},
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "disk.qcow2")
			args := append(test.args, file)
			if name != "backing file" {
				args = append(args, "8M")
			}
			qemuImg(t, args...)
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			_, err = Open(bytes.NewReader(data), int64(len(data)))
			if !errors.Is(err, format.ErrUnsupported) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
}

// hostile is a small file of version 3 with one L2 table, to be bent.
func hostile() []byte {
	be := binary.BigEndian
	b := make([]byte, 4*4096)
	copy(b, Magic)
	be.PutUint32(b[4:], 3)
	be.PutUint32(b[20:], 12)
	be.PutUint64(b[24:], 1<<20)
	be.PutUint32(b[36:], 1)
	be.PutUint64(b[40:], 4096) // L1
	be.PutUint32(b[100:], headerLen3)
	be.PutUint64(b[4096:], 2*4096)   // L2
	be.PutUint64(b[2*4096:], 3*4096) // cluster 0
	return b
}

func TestHostileFiles(t *testing.T) {
	be := binary.BigEndian
	tests := map[string]struct {
		bend func(b []byte) []byte
		want string
	}{
		"cut header":               {func(b []byte) []byte { return b[:60] }, "cut short"},
		"cut header of version 3":  {func(b []byte) []byte { return b[:90] }, "cut short"},
		"version 9":                {func(b []byte) []byte { be.PutUint32(b[4:], 9); return b }, "version is 9"},
		"tiny clusters":            {func(b []byte) []byte { be.PutUint32(b[20:], 3); return b }, "clusters of 2^3"},
		"huge clusters":            {func(b []byte) []byte { be.PutUint32(b[20:], 4000000000); return b }, "clusters of"},
		"no disk":                  {func(b []byte) []byte { be.PutUint64(b[24:], 0); return b }, "disk of 0"},
		"disk of 2^64":             {func(b []byte) []byte { be.PutUint64(b[24:], 1<<64-1); return b }, "disk of 18446744073709551615"},
		"table too short":          {func(b []byte) []byte { be.PutUint64(b[24:], 16<<40); return b }, "too few"},
		"table larger than memory": {func(b []byte) []byte { be.PutUint32(b[36:], 1<<32-1); return b }, "4294967295 entries"},
		"table beyond the end":     {func(b []byte) []byte { be.PutUint64(b[40:], 1<<40); return b }, "said to be at byte"},
		"table at 2^64":            {func(b []byte) []byte { be.PutUint64(b[40:], 1<<64-512); return b }, "said to be at byte"},
		"table on the header":      {func(b []byte) []byte { be.PutUint64(b[40:], 0); return b }, "said to be at byte"},
		"L2 beyond the end":        {func(b []byte) []byte { be.PutUint64(b[4096:], 1<<50); return b }, "L2 table"},
		"L2 unaligned":             {func(b []byte) []byte { be.PutUint64(b[4096:], 2*4096+512); return b }, "L2 table"},
		"data beyond the end":      {func(b []byte) []byte { be.PutUint64(b[2*4096:], 1<<40); return b }, "cluster 0"},
		"data unaligned":           {func(b []byte) []byte { be.PutUint64(b[2*4096:], 4096+512); return b }, "cluster 0"},
		"reserved bits":            {func(b []byte) []byte { be.PutUint64(b[2*4096:], 1<<60|4096); return b }, "unknown entry"},
		"compressed beyond":        {func(b []byte) []byte { be.PutUint64(b[2*4096:], entryPacked|1<<40); return b }, "compressed cluster"},
		"compressed nonsense":      {func(b []byte) []byte { be.PutUint64(b[2*4096:], entryPacked|3*4096); return b }, "compressed cluster"},
		"marked corrupt":           {func(b []byte) []byte { be.PutUint64(b[72:], featureCorrupt); return b }, "corrupt"},
		"unknown feature":          {func(b []byte) []byte { be.PutUint64(b[72:], 1<<20); return b }, "unknown features"},
		"unknown compression": {func(b []byte) []byte {
			be.PutUint32(b[100:], headerLen)
			b[104] = 7
			return b
		}, "unknown way"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			file := test.bend(hostile())
			d, err := Open(bytes.NewReader(file), int64(len(file)))
			if err == nil {
				_, err = d.ReadAt(make([]byte, 512), 0)
			}
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Fatalf("got %v, want an error with %q", err, test.want)
			}
			if !errors.Is(err, format.ErrCorrupt) && !errors.Is(err, format.ErrUnsupported) {
				t.Errorf("%v is neither damaged nor unsupported", err)
			}
		})
	}
}

// A table that points at itself is read as the entries that its bytes are, and ends.
func TestTableThatIsItsOwnTable(t *testing.T) {
	file := hostile()
	binary.BigEndian.PutUint64(file[4096:], 4096)
	d, err := Open(bytes.NewReader(file), int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	p := make([]byte, 8)
	if _, err := d.ReadAt(p, 0); err != nil {
		t.Fatal(err)
	}
	if got := binary.BigEndian.Uint64(p); got != 4096 {
		t.Errorf("got %#x, want the table's own first entry", got)
	}
}

func TestNoQcow2(t *testing.T) {
	for _, file := range []string{"", "QFI", "MZ and so on"} {
		if _, err := Open(strings.NewReader(file), int64(len(file))); !errors.Is(err, format.ErrNotImage) {
			t.Errorf("%q: got %v, want ErrNotImage", file, err)
		}
	}
}

func TestErrorOfTheFileIsNoDamage(t *testing.T) {
	broken := errors.New("input/output error")
	file := hostile()
	d, err := Open(failing{bytes.NewReader(file), broken}, int64(len(file)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.ReadAt(make([]byte, 10), 0); !errors.Is(err, broken) || errors.Is(err, format.ErrCorrupt) {
		t.Errorf("got %v, want the error of the file", err)
	}
}

// failing fails beyond the header.
type failing struct {
	io.ReaderAt
	err error
}

func (f failing) ReadAt(p []byte, off int64) (int, error) {
	if off > 0 {
		return 0, f.err
	}
	return f.ReaderAt.ReadAt(p, off)
}

// FuzzDisk opens any bytes as a file and reads a little of what they claim to be.
func FuzzDisk(f *testing.F) {
	f.Add(hostile()[:3*4096+600])
	raw, _ := rawDisk(f)
	for _, args := range [][]string{
		{"-o", "cluster_size=512"}, {"-c", "-o", "cluster_size=4k"}, {"-c", "-o", "cluster_size=4k,compression_type=zstd"},
	} {
		file := filepath.Join(f.TempDir(), "seed")
		small := filepath.Join(f.TempDir(), "small")
		qemuImg(f, "convert", "-f", "raw", "-O", "raw", raw, small)
		if err := os.Truncate(small, 5<<12); err != nil {
			f.Fatal(err)
		}
		qemuImg(f, append(append([]string{"convert", "-f", "raw", "-O", "qcow2"}, args...), small, file)...)
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		d, err := Open(bytes.NewReader(file), int64(len(file)))
		if err != nil {
			return
		}
		p := make([]byte, 9000)
		for _, off := range []int64{0, 1 << 16, d.Size() / 2, d.Size() - 1} {
			n, err := d.ReadAt(p, off)
			if n < len(p) && err == nil {
				t.Errorf("ReadAt at %d of %d: %d bytes without an error", off, d.Size(), n)
			}
		}
	})
}
