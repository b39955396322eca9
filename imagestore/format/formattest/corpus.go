package formattest

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// Installed is what is installed on this machine, up to size bytes and 1 MiB more of it: programs, texts and tables, as an image of
// a PC has them.
func Installed(t testing.TB, size int) []byte {
	t.Helper()
	const most = 1 << 20 // of one file
	plain := make([]byte, 0, size+most)
	err := filepath.WalkDir("/usr", func(path string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		defer f.Close()
		n, err := io.ReadFull(f, plain[len(plain):len(plain)+most])
		if plain = plain[:len(plain)+n]; len(plain) >= size {
			return fs.SkipAll
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			err = nil
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

// Samples are the files that match a pattern, by their names; there must be some.
func Samples(t testing.TB, pattern string) map[string][]byte {
	t.Helper()
	paths, err := filepath.Glob(pattern)
	if err != nil || len(paths) == 0 {
		t.Fatalf("no samples match %s: %v", pattern, err)
	}
	files := make(map[string][]byte)
	for _, path := range paths {
		if files[filepath.Base(path)], err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
	}
	return files
}
