package clientos

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/fstest"

	"aula/clientos/build"
	"aula/netboot"
)

var _ netboot.Files = Image{}

// made is an image folder as a build leaves it.
func made(t *testing.T) fstest.MapFS {
	t.Helper()
	manifest, err := json.Marshal(build.Manifest{
		Suite: "trixie", Kernel: "6.12.1-amd64",
		Packages: []build.Package{{Name: "partclone", Version: "0.3.36"}},
		Parts:    []build.Part{{Name: build.KernelFile, Size: 6}, {Name: build.InitramfsFile, Size: 4}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return fstest.MapFS{
		build.KernelFile:    {Data: []byte("kernel")},
		build.InitramfsFile: {Data: []byte("root")},
		build.ManifestFile:  {Data: manifest},
	}
}

func TestImage(t *testing.T) {
	image := Image{made(t)}
	if err := image.Check(); err != nil {
		t.Errorf("Check: %v", err)
	}
	if got, want := image.Describe(), "Debian trixie, Linux 6.12.1-amd64, 0.0 MB"; got != want {
		t.Errorf("Describe is %q, want %q", got, want)
	}
	for name, open := range map[string]func() (io.ReadSeekCloser, error){"kernel": image.Kernel, "root": image.Initramfs} {
		f, err := open()
		if err != nil {
			t.Fatal(err)
		}
		data, err := io.ReadAll(f)
		if err != nil || string(data) != name {
			t.Errorf("part reads %q, %v, want %q", data, err, name)
		}
		if at, err := f.Seek(0, io.SeekStart); at != 0 || err != nil {
			t.Errorf("seek to the start: %d, %v", at, err)
		}
		f.Close()
	}
}

func TestImageMissing(t *testing.T) {
	image := Image{fstest.MapFS{"README.md": {}}}
	_, kernel := image.Kernel()
	_, initramfs := image.Initramfs()
	_, manifest := image.Manifest()
	for name, err := range map[string]error{
		"Kernel": kernel, "Initramfs": initramfs, "Manifest": manifest, "Check": image.Check(),
	} {
		if !errors.Is(err, ErrMissing) {
			t.Errorf("%s: error %v, want ErrMissing", name, err)
		}
	}
	if got := image.Describe(); !strings.Contains(got, "run make") {
		t.Errorf("Describe is %q, which does not say how to make it", got)
	}
}

func TestImageIncomplete(t *testing.T) {
	absent := made(t)
	delete(absent, build.InitramfsFile)
	short := made(t)
	short[build.KernelFile] = &fstest.MapFile{Data: []byte("ker")}
	for name, files := range map[string]fstest.MapFS{"a part is absent": absent, "a part is short": short} {
		if err := (Image{files}).Check(); err == nil {
			t.Errorf("%s: Check finds nothing wrong", name)
		}
	}
}
