package format

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// packWith compresses with NewWriter.
func packWith(t testing.TB, compressor string, level int, plain []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := NewWriter(&b, compressor, level)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(w, struct{ io.Reader }{bytes.NewReader(plain)}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// unpackers are the tools that read what NewWriter writes.
func unpackers() map[string][]string {
	return map[string][]string{
		Zstd: {"zstd", "-dcq"},
		Lzop: {"lzop", "-dc"},
		Gzip: {"gzip", "-dc"},
		None: {"cat"},
	}
}

func TestWriter(t *testing.T) {
	t.Parallel()
	tests := []struct {
		compressor string
		levels     []int
	}{
		{Zstd, []int{0, 1}},
		{Lzop, []int{0, 6}},
		{Gzip, []int{0, 1, 9}},
		{None, []int{0}},
	}
	for _, test := range tests {
		for _, level := range test.levels {
			t.Run(fmt.Sprintf("%s %d", test.compressor, level), func(t *testing.T) {
				t.Parallel()
				for _, size := range []int{0, 1, FrameSize - 1, FrameSize, FrameSize + 1, 3*FrameSize + 12345} {
					plain := varied(size)
					packed := packWith(t, test.compressor, level, plain)
					if test.compressor != None || size > 0 {
						got, compressor, err := decompressAll(bytes.NewReader(packed))
						if err != nil || compressor != test.compressor || !bytes.Equal(got, plain) {
							t.Errorf("%d bytes: read as %d bytes, %s, %v", size, len(got), compressor, err)
						}
					}
					tool := unpackers()[test.compressor]
					if got := pipeThrough(t, packed, tool[0], tool[1:]...); !bytes.Equal(got, plain) {
						t.Errorf("%d bytes: %s yields %d bytes", size, tool[0], len(got))
					}
				}
			})
		}
	}
}

// TestWriterImages restores images that were packed here with partclone, through the compressors' own tools.
func TestWriterImages(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("partclone.restore"); err != nil {
		t.Skip("SKIPPED: partclone is not installed")
	}
	for name, seed := range realSeeds(t) {
		image := plainOf(t, seed)
		_, want, err := restore(bytes.NewReader(image))
		if err != nil {
			t.Fatal(err)
		}
		for compressor, tool := range unpackers() {
			dir := t.TempDir()
			disk := filepath.Join(dir, "disk")
			plain := pipeThrough(t, packWith(t, compressor, 0, image), tool[0], tool[1:]...)
			pipeThrough(t, plain, "partclone.restore", "-q", "-C", "-W", "-s", "-", "-O", disk, "-L", filepath.Join(dir, "log"))
			got, err := os.ReadFile(disk)
			if err != nil {
				t.Fatal(err)
			}
			if !sameStart(want, got) && !sameStart(got, want) {
				t.Errorf("%s by %s: partclone restores another partition", name, compressor)
			}
		}
	}
}

func TestWriterRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		compressor string
		level      int
	}{
		{Zstd, -1}, {Zstd, 20}, {Lzop, 7}, {Gzip, 10}, {Gzip, -1}, {None, 1}, {XZ, 0}, {LZ4, 0}, {Bzip2, 0}, {"", 0}, {"zstd", 0},
	} {
		if w, err := NewWriter(io.Discard, test.compressor, test.level); err == nil {
			w.Close()
			t.Errorf("%s at level %d: no error", test.compressor, test.level)
		}
	}
}

func TestWriterError(t *testing.T) {
	t.Parallel()
	full := errors.New("disk full")
	for _, compressor := range []string{Zstd, Lzop, Gzip, None} {
		for n := range 3 {
			w, err := NewWriter(&failingWriter{n, full}, compressor, 0)
			if err != nil {
				t.Fatal(err)
			}
			// The writer may tell it late, but it does not take data for ever.
			_, writeErr := io.Copy(w, zeros{})
			closeErr := w.Close()
			if !errors.Is(writeErr, full) || compressor != None && !errors.Is(closeErr, full) {
				t.Errorf("%s, write %d fails: Write says %v, Close says %v", compressor, n, writeErr, closeErr)
			}
		}
	}
}

// TestGzipMembers makes sure that members which lie about their length are found out.
func TestGzipMembers(t *testing.T) {
	t.Parallel()
	plain := varied(2*FrameSize + 1000)
	packed := packWith(t, Gzip, 1, plain)
	if size := int(packed[gzipSizeAt]) | int(packed[gzipSizeAt+1])<<8 | int(packed[gzipSizeAt+2])<<16; string(packed[size:][:3]) != gzipMagic {
		t.Fatalf("after the %d bytes that the first member says it has, there is no second", size)
	}
	for _, delta := range []int{-5, -1, 1, 100} {
		lie := bytes.Clone(packed)
		lie[gzipSizeAt] += byte(delta)
		if _, _, err := decompressAll(bytes.NewReader(lie)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("length wrong by %d: got error %v, want damage", delta, err)
		}
	}
	// A member that says it has more plain bytes than its kind has.
	lie := bytes.Clone(packed)
	lie[len(lie)-1] = 0x7F
	if _, _, err := decompressAll(bytes.NewReader(lie)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("plain size wrong: got error %v, want damage", err)
	}
}

func BenchmarkWriter(b *testing.B) {
	plain := varied(64 << 20)
	for _, compressor := range []string{Zstd, Lzop, Gzip} {
		b.Run(compressor, func(b *testing.B) {
			b.SetBytes(int64(len(plain)))
			for b.Loop() {
				packWith(b, compressor, 0, plain)
			}
		})
	}
}
