package format

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// mixed is data of which half compresses.
func mixed(n int) []byte {
	b := make([]byte, n)
	random := rand.New(rand.NewPCG(7, 7))
	for i := range b {
		if i%8192 < 4096 {
			b[i] = byte(random.Uint32())
		} else {
			b[i] = byte(i / 64)
		}
	}
	return b
}

func TestFrameWriter(t *testing.T) {
	t.Parallel()
	zstdTool, err := exec.LookPath("zstd")
	if err != nil {
		t.Error("SKIPPED in part: zstd is not installed, the result is not read by it")
	}
	sizes := []int{0, 1, FrameSize - 1, FrameSize, FrameSize + 1, 5*FrameSize + 12345}
	for _, level := range []int{0, 1, 9} {
		for _, size := range sizes {
			plain := mixed(size)
			packed := packFrames(t, plain, level)
			checkSeekTable(t, packed, plain)
			if zstdTool == "" {
				continue
			}
			file := filepath.Join(t.TempDir(), "x.zst")
			if err := os.WriteFile(file, packed, 0o600); err != nil {
				t.Fatal(err)
			}
			if out, err := exec.Command(zstdTool, "-tq", file).CombinedOutput(); err != nil {
				t.Errorf("level %d, %d bytes: zstd -t: %v: %s", level, size, err, out)
			}
			got, err := exec.Command(zstdTool, "-dcq", file).Output()
			if err != nil || !bytes.Equal(got, plain) {
				t.Errorf("level %d, %d bytes: zstd -dc yields %d bytes, %v", level, size, len(got), err)
			}
		}
	}
}

// checkSeekTable reads the table at the end of packed and decodes each frame by itself.
func checkSeekTable(t *testing.T, packed, plain []byte) {
	t.Helper()
	le := binary.LittleEndian
	foot := packed[len(packed)-9:]
	if got := le.Uint32(foot[5:]); got != 0x8F92EAB1 {
		t.Fatalf("seek table's magic is %#x", got)
	}
	n := int(le.Uint32(foot))
	if want := (len(plain) + FrameSize - 1) / FrameSize; n != want {
		t.Errorf("%d frames for %d bytes, want %d", n, len(plain), want)
	}
	entries := packed[len(packed)-9-8*n : len(packed)-9]
	head := packed[len(packed)-9-8*n-8:]
	if magic, size := le.Uint32(head), le.Uint32(head[4:]); magic != 0x184D2A5E || size != uint32(8*n+9) {
		t.Errorf("seek table's frame has magic %#x and %d bytes", magic, size)
	}
	at, done := 0, 0
	for i := range n {
		size, length := int(le.Uint32(entries[8*i:])), int(le.Uint32(entries[8*i+4:]))
		got := unpack(t, packed[at:at+size])
		if !bytes.Equal(got, plain[done:done+length]) {
			t.Fatalf("frame %d does not decode to its bytes", i)
		}
		at, done = at+size, done+length
	}
	if done != len(plain) || at != len(packed)-9-8*n-8 {
		t.Errorf("frames hold %d of %d bytes and end at %d", done, len(plain), at)
	}
}

// unpack decodes through the pipeline.
func unpack(t *testing.T, packed []byte) []byte {
	t.Helper()
	r := pipelineOf(packed)
	defer r.Close()
	got, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// writes answers an error from the n-th Write on.
type failingWriter struct {
	n   int
	err error
}

func (w *failingWriter) Write(p []byte) (int, error) {
	if w.n--; w.n < 0 {
		return 0, w.err
	}
	return len(p), nil
}

func TestFrameWriterError(t *testing.T) {
	t.Parallel()
	full := errors.New("disk full")
	for n := range 6 {
		w, err := NewFrameWriter(&failingWriter{n, full}, 1)
		if err != nil {
			t.Fatal(err)
		}
		_, writeErr := io.Copy(w, bytes.NewReader(mixed(5*FrameSize)))
		err = w.Close()
		if n < 5 && !errors.Is(err, full) {
			t.Errorf("write %d fails: Write says %v, Close says %v", n, writeErr, err)
		}
		if n == 5 && !errors.Is(err, full) {
			t.Errorf("writing the seek table fails: Close says %v", err)
		}
		if _, err := w.Write([]byte("x")); err == nil {
			t.Error("Write after Close: no error")
		}
		if err := w.Close(); err != nil {
			t.Errorf("second Close: %v", err)
		}
	}
}

// TestFrameWriterStops makes sure that Write ends when nothing can be written any more, however much is given.
func TestFrameWriterStops(t *testing.T) {
	t.Parallel()
	full := errors.New("disk full")
	w, err := NewFrameWriter(&failingWriter{0, full}, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if _, err := io.Copy(w, zeros{}); !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
}

func TestFrameWriterLevels(t *testing.T) {
	t.Parallel()
	for _, level := range []int{-1, 20, 1000} {
		if _, err := NewFrameWriter(io.Discard, level); err == nil {
			t.Errorf("level %d: no error", level)
		}
	}
}

func BenchmarkFrameWriter(b *testing.B) {
	plain := mixed(64 << 20)
	for _, level := range []int{1, 3, 9} {
		b.Run(fmt.Sprintf("level %d", level), func(b *testing.B) {
			b.SetBytes(int64(len(plain)))
			for b.Loop() {
				packFrames(b, plain, level)
			}
		})
	}
}
