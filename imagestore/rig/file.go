package rig

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
)

// Source makes a file of that many random bytes, the same ones each time, in the room's Folder.
func (r *Room) Source(tb testing.TB, size int64) string {
	tb.Helper()
	path := filepath.Join(r.Folder, "source")
	f, err := os.Create(path)
	if err == nil {
		_, err = io.CopyN(f, rand.NewChaCha8([32]byte{1}), size)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		tb.Fatal(err)
	}
	return path
}

// Compare tells where two files differ: nil for nowhere.
func Compare(want, got string) error {
	a, err := os.Open(want)
	if err != nil {
		return err
	}
	defer a.Close()
	b, err := os.Open(got)
	if err != nil {
		return err
	}
	defer b.Close()
	one, other := make([]byte, 1<<20), make([]byte, 1<<20)
	for offset := int64(0); ; {
		n, errA := io.ReadFull(a, one)
		m, errB := io.ReadFull(b, other)
		if !bytes.Equal(one[:n], other[:m]) {
			for n, m = min(n, m), 0; m < n && one[m] == other[m]; {
				m++
			}
			return fmt.Errorf("%s differs from byte %d on", got, offset+int64(m))
		}
		if errA != nil || errB != nil {
			return nil // both have ended: they would differ
		}
		offset += int64(n)
	}
}
