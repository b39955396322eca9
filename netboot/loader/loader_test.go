package loader

import (
	"errors"
	"io"
	"slices"
	"testing"
	"testing/fstest"
)

func complete() fstest.MapFS {
	files := make(fstest.MapFS)
	for _, name := range Names() {
		files[name] = &fstest.MapFile{Data: []byte("MZ")}
	}
	return files
}

func TestCheck(t *testing.T) {
	if err := Check(complete()); err != nil {
		t.Errorf("all are there, but Check says %v", err)
	}
	absent := complete()
	delete(absent, ShimEFI)
	empty := complete()
	empty[GRUBEFI] = &fstest.MapFile{}
	for name, files := range map[string]fstest.MapFS{"absent": absent, "empty": empty, "bare clone": {"README.md": {}}} {
		if err := Check(files); !errors.Is(err, ErrMissing) {
			t.Errorf("%s: error %v, want ErrMissing", name, err)
		}
	}
}

func TestNamesAreSorted(t *testing.T) {
	if !slices.IsSorted(Names()) {
		t.Errorf("%v is not sorted", Names())
	}
}

// TestEmbedded looks at the real loaders when this tree has them.
func TestEmbedded(t *testing.T) {
	if err := Check(Files()); err != nil {
		t.Skip("SKIPPED:", err)
	}
	for _, name := range []string{ShimEFI, GRUBEFI, MokEFI, SNPOnlyEFI, IPXEEFI} {
		f, err := Files().Open(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := f.(io.Seeker); !ok {
			t.Errorf("%s cannot seek", name)
		}
		magic := make([]byte, 2)
		if _, err := io.ReadFull(f, magic); err != nil || string(magic) != "MZ" {
			t.Errorf("%s starts with %q, %v; a UEFI program starts with MZ", name, magic, err)
		}
		f.Close()
	}
}
