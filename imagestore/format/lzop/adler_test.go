package lzop

import (
	"bytes"
	"hash/adler32"
	"math/rand/v2"
	"testing"
)

func TestAdler(t *testing.T) {
	t.Parallel()
	random := make([]byte, 5000)
	rand.NewChaCha8([32]byte{1}).Read(random)
	for _, p := range [][]byte{random, bytes.Repeat([]byte{0xff}, 5000), make([]byte, 5000)} {
		for n := range len(p) {
			if got, want := adlerOf(p[n:]), adler32.Checksum(p[n:]); got != want {
				t.Fatalf("%d bytes: got %08x, want %08x", len(p)-n, got, want)
			}
		}
	}
}
