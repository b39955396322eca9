package bzip2

import (
	"bytes"
	"io"
	"math/rand/v2"
	"os/exec"
	"slices"
	"testing"

	"go.uber.org/goleak"
)

// Every Reader must end its goroutines.
func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// needTool skips tests that need the real bzip2 where there is none.
func needTool(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("bzip2"); err != nil {
		t.Skip("SKIPPED: the bzip2 tool is not installed (apt-get install bzip2)")
	}
}

// tool packs with the real bzip2.
func tool(t testing.TB, in []byte, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "bzip2", args...)
	cmd.Stdin = bytes.NewReader(in)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("bzip2 %v: %v: %s", args, err, &stderr)
	}
	return out
}

// unpack reads a whole file.
func unpack(file io.Reader, workers int) ([]byte, error) {
	r := NewReader(file, workers)
	defer r.Close()
	return io.ReadAll(r)
}

// contents are plain bytes of all kinds.
func contents() map[string][]byte {
	random := make([]byte, 250_000)
	rand.NewChaCha8([32]byte{1}).Read(random)
	var runs []byte // each length that the first packing knows, and around it
	for n := range 600 {
		runs = append(runs, bytes.Repeat([]byte{byte(n)}, n)...)
	}
	return map[string][]byte{
		"nothing":  {},
		"one byte": {'a'},
		"text":     []byte("partclone partclone partclone"),
		"runs":     runs,
		"zeros":    make([]byte, 20_000_000),
		"random":   random,
		"words":    words(1, 2_000_000),
		"periodic": bytes.Repeat([]byte("abcabcabd"), 50_000),
	}
}

// words makes n bytes in which words come again and again.
func words(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 0))
	known := make([][]byte, 500)
	for i := range known {
		known[i] = make([]byte, 1+r.IntN(12))
		for j := range known[i] {
			known[i][j] = byte(r.IntN(256))
		}
	}
	p := make([]byte, 0, n+12)
	for len(p) < n {
		p = append(p, known[min(r.IntN(500), r.IntN(500))]...)
	}
	return p[:n]
}

func TestReadWhatTheToolWrites(t *testing.T) {
	t.Parallel()
	needTool(t)
	for name, plain := range contents() {
		for _, level := range []string{"-1", "-5", "-9"} {
			t.Run(name+" "+level, func(t *testing.T) {
				t.Parallel()
				file := tool(t, plain, level)
				for _, workers := range []int{1, 3} {
					if got, err := unpack(bytes.NewReader(file), workers); err != nil || !bytes.Equal(got, plain) {
						t.Errorf("%d workers: got %d bytes, %v, want %d", workers, len(got), err, len(plain))
					}
				}
			})
		}
	}
}

func TestStreams(t *testing.T) {
	t.Parallel()
	needTool(t)
	one, two := words(2, 300_000), words(3, 5000)
	// The last bits of the streams are at any place of their bytes, and the third has no blocks.
	file := slices.Concat(tool(t, one, "-1"), tool(t, two, "-9"), tool(t, nil), tool(t, one, "-2"))
	want := slices.Concat(one, two, one)
	for _, tail := range []string{"", "\x00", "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"} {
		if got, err := unpack(bytes.NewReader(append(bytes.Clone(file), tail...)), 2); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d zeros behind: got %d bytes, %v, want %d", len(tail), len(got), err, len(want))
		}
	}
}
