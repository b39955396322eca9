package lab

import (
	"os"
	"path/filepath"
	"testing"
)

func TestMakeFolderSweepsOnlyAbandonedOnes(t *testing.T) {
	dir := t.TempDir()
	mine, err := makeFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	abandoned := filepath.Join(dir, "aula-lab-123")
	other := filepath.Join(dir, "something-else")
	for _, path := range []string{abandoned, other} {
		if err := os.MkdirAll(filepath.Join(path, "data"), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	second, err := makeFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]bool{mine.path: true, second.path: true, other: true, abandoned: false} {
		if _, err := os.Stat(path); (err == nil) != want {
			t.Errorf("%s there: %v, want %v", path, err == nil, want)
		}
	}
	for _, f := range []*folder{mine, second} {
		if err := f.remove(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(f.path); !os.IsNotExist(err) {
			t.Errorf("%s is still there: %v", f.path, err)
		}
	}
}
