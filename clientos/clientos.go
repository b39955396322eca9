// Package clientos holds the client OS that the appliance serves: the kernel and the initramfs that package
// clientos/build made, embedded into the program.
//
// A program that was built in a tree without them, such as a bare clone, works all the same: each function then returns ErrMissing.
package clientos

import (
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"aula/clientos/build"
)

//go:embed all:image
var embedded embed.FS

// ErrMissing says that this program was built without its client OS, and what to do.
var ErrMissing = errors.New("this aula was built without its client OS, so no PC can boot from it: run make in the source tree, which makes it")

// Image is a client OS. It implements netboot.Files.
type Image struct{ files fs.FS }

// Embedded is the client OS of this program.
func Embedded() Image {
	files, err := fs.Sub(embedded, "image")
	if err != nil {
		panic(err) // the name is a constant and valid
	}
	return Image{files}
}

// Kernel opens the kernel, a bzImage as Debian signed it.
func (i Image) Kernel() (io.ReadSeekCloser, error) { return i.open(build.KernelFile) }

// Initramfs opens the initramfs. Its length is a multiple of four bytes, so that an uncompressed cpio archive may follow it.
func (i Image) Initramfs() (io.ReadSeekCloser, error) { return i.open(build.InitramfsFile) }

// Manifest tells which packages the client OS and the boot loaders were made of.
func (i Image) Manifest() (build.Manifest, error) {
	m, err := build.ReadManifest(i.files)
	if errors.Is(err, fs.ErrNotExist) {
		return m, ErrMissing
	}
	return m, err
}

// Check returns ErrMissing, or what else is wrong with the client OS; nil when PCs can boot from it.
func (i Image) Check() error {
	m, err := i.Manifest()
	if err != nil {
		return err
	}
	for _, part := range m.Parts {
		info, err := fs.Stat(i.files, part.Name)
		if err != nil {
			return fmt.Errorf("this aula was built with a part of its client OS only, run make again: %w", err)
		}
		if info.Size() != part.Size {
			return fmt.Errorf("this aula was built with a client OS whose %s has %d bytes in place of %d: run make again",
				part.Name, info.Size(), part.Size)
		}
	}
	return nil
}

// Describe tells in one line what the client OS is, for people.
func (i Image) Describe() string {
	m, err := i.Manifest()
	if err != nil {
		return err.Error()
	}
	var size int64
	for _, part := range m.Parts {
		size += part.Size
	}
	return fmt.Sprintf("Debian %s, Linux %s, %.1f MB", m.Suite, m.Kernel, float64(size)/1e6)
}

func (i Image) open(name string) (io.ReadSeekCloser, error) {
	f, err := i.files.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrMissing
	}
	if err != nil {
		return nil, err
	}
	seeker, ok := f.(io.ReadSeekCloser)
	if !ok {
		f.Close()
		return nil, fmt.Errorf("%s of the client OS cannot be read at any place", name)
	}
	return seeker, nil
}
