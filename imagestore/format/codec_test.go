package format

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// A packing is one way in which a real tool compresses.
type packing struct {
	name       string
	compressor string // that must be detected
	args       []string
	weak       bool // nothing tells some kinds of damage, or where the file ends
}

func packings() []packing {
	return []packing{
		{"zstd -3", Zstd, []string{"zstd", "-qc", "-3"}, false},
		{"zstd -19", Zstd, []string{"zstd", "-qc", "-19"}, false},
		{"zstd -T0 --long=27", Zstd, []string{"zstd", "-qc", "-T0", "--long=27"}, false},
		{"zstd --rsyncable as FOG", Zstd, []string{"zstd", "-qc", "--rsyncable", "-T2", "-11"}, false},
		{"zstd --no-check", Zstd, []string{"zstd", "-qc", "--no-check"}, true},
		{"lzop", Lzop, []string{"lzop", "-c"}, false},
		{"lzop -9", Lzop, []string{"lzop", "-c", "-9"}, false},
		{"gzip -1", Gzip, []string{"gzip", "-c", "-1"}, false},
		{"gzip -9", Gzip, []string{"gzip", "-c", "-9"}, false},
		{"lz4 -1", LZ4, []string{"lz4", "-qc", "-1"}, false},
		{"lz4 -9", LZ4, []string{"lz4", "-qc", "-9"}, false},
		{"lz4 linked blocks with checksums", LZ4, []string{"lz4", "-qc", "-BD", "-BX", "-B4"}, false},
		{"lz4 --content-size", LZ4, []string{"lz4", "-qc", "--content-size"}, false},
		{"lz4 --no-frame-crc", LZ4, []string{"lz4", "-qc", "--no-frame-crc"}, true},
		{"lz4 -l", LZ4, []string{"lz4", "-qc", "-l"}, true},
		{"xz -0", XZ, []string{"xz", "-c", "-0"}, false},
		{"xz -6", XZ, []string{"xz", "-c", "-6"}, false},
		{"xz in blocks", XZ, []string{"xz", "-c", "-1", "-T2", "--block-size=50000"}, false},
		{"xz in blocks, one core", XZ, []string{"xz", "-c", "-1", "--block-size=50000"}, false},
		{"xz by other parameters", XZ, []string{"xz", "-c", "--lzma2=preset=1,lc=0,lp=3,pb=4,dict=64KiB"}, false},
		{"xz --check=crc32", XZ, []string{"xz", "-c", "-1", "--check=crc32"}, false},
		{"xz --check=sha256", XZ, []string{"xz", "-c", "-1", "--check=sha256", "-T2", "--block-size=50000"}, false},
		{"xz --check=none", XZ, []string{"xz", "-c", "-1", "--check=none"}, true},
		{"bzip2", Bzip2, []string{"bzip2", "-c"}, false},
		{"bzip2 -1", Bzip2, []string{"bzip2", "-c", "-1"}, false},
	}
}

// run compresses plain with the real tool.
func (p packing) run(t testing.TB, plain []byte) []byte {
	t.Helper()
	if _, err := exec.LookPath(p.args[0]); err != nil {
		t.Skipf("SKIPPED: %s is not installed", p.args[0])
	}
	file := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(file, plain, 0o600); err != nil {
		t.Fatal(err)
	}
	// By its standard input, as in a pipe from partclone; but only of a file does lz4 know the size.
	args := p.args[1:]
	if slices.Contains(args, "--content-size") {
		args = append(slices.Clone(args), file)
	}
	return pipeThrough(t, plain, p.args[0], args...)
}

// pipeThrough returns what a command makes of its standard input.
func pipeThrough(t testing.TB, in []byte, name string, args ...string) []byte {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("SKIPPED: %s is not installed", name)
	}
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Stdin = bytes.NewReader(in)
	var problem strings.Builder
	cmd.Stderr = &problem
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v: %s", cmd, err, problem.String())
	}
	return out
}

// decompressAll decompresses everything.
func decompressAll(r io.Reader) ([]byte, string, error) {
	stream, compressor, err := Decompress(r)
	if err != nil {
		return nil, compressor, err
	}
	defer stream.Close()
	plain, err := io.ReadAll(stream)
	return plain, compressor, err
}

// varied is data with something of everything: text, noise, zeros and what looks like a program.
func varied(n int) []byte {
	b := mixed(n)
	for i := 0; i+9000 < n; i += 70_000 {
		clear(b[i : i+5000])
		for j := i + 5000; j < i+9000; j += 5 {
			b[j] = 0xE8 // a call, which filters for programs look for
		}
	}
	return b
}

// places are offsets of a file of n bytes from first on: the first and the last ones, and some between.
func places(first, n int) iter.Seq[int] {
	return func(yield func(int) bool) {
		for i := first; i < n; i++ {
			if i >= first+40 && i < n-40 {
				i = min(i+n/19, n-40)
			}
			if !yield(i) {
				return
			}
		}
	}
}

func TestDecompress(t *testing.T) {
	t.Parallel()
	for _, p := range packings() {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			for _, size := range []int{0, 1, 70_000, 3<<20 + 12345} {
				plain := varied(size)
				packed := p.run(t, plain)
				got, compressor, err := decompressAll(bytes.NewReader(packed))
				if err != nil || compressor != p.compressor || !bytes.Equal(got, plain) {
					t.Errorf("%d bytes: got %d bytes, %s, %v", size, len(got), compressor, err)
				}
			}
			// One file after the other, as in a multi-member gzip; and read in small portions.
			a, b := varied(500_000), varied(100_001)
			both := append(p.run(t, a), p.run(t, b)...)
			got, _, err := decompressAll(iotest.OneByteReader(bytes.NewReader(both)))
			if err != nil || !bytes.Equal(got, append(a, b...)) {
				t.Errorf("two files in a row: got %d bytes, %v", len(got), err)
			}
		})
	}
}

func TestDecompressNone(t *testing.T) {
	t.Parallel()
	plain := varied(100_000)
	got, compressor, err := decompressAll(bytes.NewReader(plain))
	if err != nil || compressor != None || !bytes.Equal(got, plain) {
		t.Errorf("got %d bytes, %s, %v", len(got), compressor, err)
	}
	if _, _, err := decompressAll(bytes.NewReader(nil)); !errors.Is(err, ErrNotImage) {
		t.Errorf("an empty file: got error %v", err)
	}
}

// TestPadding appends what tapes and careless tools append.
func TestPadding(t *testing.T) {
	t.Parallel()
	plain := varied(100_000)
	zeros := make([]byte, 70_000)
	tests := []struct {
		compressor string
		args       []string
		tail       []byte
		damaged    bool
	}{
		{Gzip, []string{"gzip", "-c"}, zeros[:1], false},
		{Gzip, []string{"gzip", "-c"}, zeros, false},
		{Gzip, []string{"gzip", "-c"}, []byte("text"), true},
		{Gzip, []string{"gzip", "-c"}, []byte{0, 0, 1}, true},
		{XZ, []string{"xz", "-c"}, zeros[:4], false},
		{XZ, []string{"xz", "-c"}, zeros, false},
		{XZ, []string{"xz", "-c"}, zeros[:5], true},
		{XZ, []string{"xz", "-c"}, []byte("more text"), true},
		{XZ, []string{"xz", "-c", "-T2"}, zeros, false},
		{XZ, []string{"xz", "-c", "-T2"}, zeros[:3], true},
		{Bzip2, []string{"bzip2", "-c"}, []byte("text"), true},
		{LZ4, []string{"lz4", "-qc"}, []byte("text"), true},
		{LZ4, []string{"lz4", "-qc"}, []byte("\x53\x2A\x4D\x18\x05\x00\x00\x00 skip"), false},
		{Zstd, []string{"zstd", "-qc"}, []byte("text and more text"), true},
		{Zstd, []string{"zstd", "-qc"}, []byte("\x53\x2A\x4D\x18\x05\x00\x00\x00 skip"), false},
	}
	for _, test := range tests {
		packed := append(pipeThrough(t, plain, test.args[0], test.args[1:]...), test.tail...)
		got, compressor, err := decompressAll(bytes.NewReader(packed))
		name := fmt.Sprintf("%s and %d bytes %.8q", strings.Join(test.args, " "), len(test.tail), test.tail)
		switch {
		case compressor != test.compressor:
			t.Errorf("%s: detected %s", name, compressor)
		case test.damaged && !errors.Is(err, ErrCorrupt):
			t.Errorf("%s: got error %v, want damage", name, err)
		case !test.damaged && (err != nil || !bytes.Equal(got, plain)):
			t.Errorf("%s: got %d bytes, %v", name, len(got), err)
		}
	}
}

// TestCompressedTruncation cuts compressed files at many points.
func TestCompressedTruncation(t *testing.T) {
	t.Parallel()
	for _, p := range packings() {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			plain := varied(120_000)
			packed := p.run(t, plain)
			for n := range places(16, len(packed)) {
				got, _, err := decompressAll(bytes.NewReader(packed[:n]))
				if p.weak && err == nil && bytes.HasPrefix(plain, got) {
					continue
				}
				if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "truncated") {
					t.Fatalf("cut after %d of %d bytes: got error %v, want it to say that the file is truncated", n, len(packed), err)
				}
			}
		})
	}
}

// TestCompressedBitFlips flips bits of compressed files. What still decodes must decode to the same.
func TestCompressedBitFlips(t *testing.T) {
	t.Parallel()
	for _, p := range packings() {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			plain := varied(120_000)
			packed := p.run(t, plain)
			for i := range places(0, len(packed)) {
				bit := byte(1) << (i % 8)
				packed[i] ^= bit
				got, compressor, err := decompressAll(bytes.NewReader(packed))
				packed[i] ^= bit
				switch {
				case compressor == None: // the magic was hit
				case err == nil && !bytes.Equal(got, plain) && !p.weak:
					t.Fatalf("bit of byte %d of %d flipped: decoded to something else without an error", i, len(packed))
				case err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrUnsupported):
					t.Fatalf("bit of byte %d flipped: got error %v", i, err)
				}
			}
		})
	}
}

// TestCompressedSourceError breaks the connection at many points; that is no damage of the file.
func TestCompressedSourceError(t *testing.T) {
	t.Parallel()
	broken := errors.New("connection reset")
	for _, p := range packings() {
		t.Run(p.name, func(t *testing.T) {
			t.Parallel()
			packed := p.run(t, varied(120_000))
			for n := range places(0, len(packed)) {
				_, _, err := decompressAll(io.MultiReader(bytes.NewReader(packed[:n]), iotest.ErrReader(broken)))
				if !errors.Is(err, broken) || errors.Is(err, ErrCorrupt) {
					t.Fatalf("source fails after %d of %d bytes: got error %v", n, len(packed), err)
				}
			}
		})
	}
}

// TestForeignCompressors are told by name, with what to do.
func TestForeignCompressors(t *testing.T) {
	t.Parallel()
	lzma := pipeThrough(t, varied(1000), "xz", "-c", "--format=lzma")
	for _, test := range []struct {
		file []byte
		says string
	}{
		{[]byte("LZIP\x01\x0C and so on, and so on"), `"lzip -d"`},
		{[]byte("LRZI\x00\x06 and so on, and so on"), `"lrzip -d"`},
		{lzma, `"lzma -d"`},
	} {
		_, _, err := Decompress(bytes.NewReader(test.file))
		if !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("got error %v, want it to say %s", err, test.says)
		}
	}
}

// TestXZFilter refuses what no imaging tool makes, with what to do.
func TestXZFilter(t *testing.T) {
	t.Parallel()
	_, _, err := decompressAll(bytes.NewReader(pipeThrough(t, varied(1000), "xz", "-c", "--x86", "--lzma2")))
	if !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), `"xz -d"`) {
		t.Errorf("got error %v", err)
	}
}

// TestXZDictionary refuses a dictionary of 1 GiB without taking memory for it.
func TestXZDictionary(t *testing.T) {
	packed := pipeThrough(t, []byte("small"), "xz", "-c", "--lzma2=preset=0,dict=1GiB", "--memlimit=15GiB")
	var err error
	used := memory(func() { _, _, err = decompressAll(bytes.NewReader(packed)) })
	if !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), "128 MiB") {
		t.Errorf("got error %v", err)
	}
	if used > 16<<20 {
		t.Errorf("allocated %d MiB", used>>20)
	}
}

// TestBombs reads the beginning of files that unpack to 1 GiB of zeros, and goes.
func TestBombs(t *testing.T) {
	part := make([]byte, 16<<20)
	for _, p := range packings() {
		if strings.Contains(p.name, "-19") || strings.Contains(p.name, "-9") {
			continue // slow to make, and like the others
		}
		bomb := bytes.Repeat(p.run(t, part), 64)
		var n int
		var err error
		used := memory(func() {
			stream, _, openErr := Decompress(bytes.NewReader(bomb))
			if openErr != nil {
				t.Fatal(openErr)
			}
			defer stream.Close()
			n, err = io.ReadFull(stream, make([]byte, 1<<20))
		})
		if err != nil {
			t.Errorf("%s: %d bytes, %v", p.name, n, err)
		}
		// The window of zstd --long and the dictionary of xz are taken in one go.
		if limit := uint64(160 << 20); used > limit {
			t.Errorf("%s: allocated %d MiB", p.name, used>>20)
		}
	}
}
