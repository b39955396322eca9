package lzop

import (
	"bufio"
	"bytes"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

// needTool skips tests that compare with the real lzop where there is none.
func needTool(t testing.TB) {
	t.Helper()
	if _, err := exec.LookPath("lzop"); err != nil {
		t.Skip("SKIPPED: the lzop tool is not installed (apt-get install lzop)")
	}
}

// tool runs lzop on in, as its standard input.
func tool(t testing.TB, in []byte, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "lzop", args...)
	cmd.Stdin = bytes.NewReader(in)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("lzop %v: %v: %s", args, err, &stderr)
	}
	return out
}

// toolOnFile runs lzop on a file with the content in.
func toolOnFile(t testing.TB, in []byte, args ...string) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(path, in, 0o600); err != nil {
		t.Fatal(err)
	}
	return tool(t, nil, append(slices.Clone(args), "-c", path)...)
}

// unpack reads a whole file.
func unpack(file []byte) ([]byte, error) {
	r, err := NewReader(bufio.NewReader(bytes.NewReader(file)))
	if err != nil {
		return nil, err
	}
	var all, plain []byte
	for b := new(Block); ; {
		if err := r.Next(b); err != nil {
			if err == io.EOF {
				err = nil
			}
			return all, err
		}
		if plain, err = b.Decode(plain); err != nil {
			return all, err
		}
		all = append(all, plain...)
	}
}

// pack makes a file with an Encoder.
func pack(plain []byte) []byte {
	var e Encoder
	file := e.AppendHeader(nil)
	for p := range slices.Chunk(plain, BlockSize) {
		file = e.AppendBlock(file, p)
	}
	return e.AppendEnd(file)
}

// contents are plain bytes of all kinds, among them sizes at which blocks end.
func contents() map[string][]byte {
	random := make([]byte, BlockSize+1000)
	rand.NewChaCha8([32]byte{1}).Read(random)
	return map[string][]byte{
		"nothing":         {},
		"one byte":        {'a'},
		"text":            []byte("partclone partclone partclone"),
		"a block":         mixed(1, BlockSize),
		"a block and one": mixed(2, BlockSize+1),
		"two blocks":      mixed(3, 2*BlockSize),
		"zeros":           make([]byte, 5*BlockSize/2),
		"random":          random,
		"mixed":           mixed(4, 700_000),
	}
}

// mixed makes n bytes as disks have them: literals, copies from all distances, runs with short periods and zeros, each
// of all lengths.
func mixed(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 0))
	p := make([]byte, 0, n)
	for len(p) < n {
		length := min(1+r.IntN(1<<r.IntN(11)), n-len(p))
		switch kind := r.IntN(8); {
		case kind < 2 || len(p) == 0:
			for range length {
				p = append(p, byte(r.Uint32()))
			}
		case kind < 3:
			p = append(p, make([]byte, length)...)
		default:
			distance := 1 + r.IntN(min(len(p), 1<<r.IntN(18)))
			for range length {
				p = append(p, p[len(p)-distance])
			}
		}
	}
	return p
}
