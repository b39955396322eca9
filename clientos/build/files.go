package build

import (
	"crypto/sha256"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"

	"aula/clientos/build/cpio"
)

// concatenate writes the sources, one after the other and padded to cpio.Alignment, to path, which appears when it is complete.
func concatenate(path string, sources []string) (Part, error) {
	h := sha256.New()
	n := &counter{}
	err := replace(path, func(f io.Writer) error {
		w := io.MultiWriter(f, h, n)
		for _, source := range sources {
			if err := copyFile(w, source); err != nil {
				return err
			}
		}
		if len(sources) < 2 {
			return nil
		}
		_, err := w.Write(make([]byte, -n.n&(cpio.Alignment-1)))
		return err
	})
	return Part{Name: filepath.Base(path), Size: n.n, SHA256: hex.EncodeToString(h.Sum(nil))}, err
}

func copyFile(w io.Writer, path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = io.Copy(w, f)
	return err
}

// writeFile writes a file that appears when it is complete.
func writeFile(path string, data []byte) error {
	return replace(path, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
}

// replace puts what write writes in the place of the file at path, at once.
func replace(path string, write func(io.Writer) error) error {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".partial-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name()) // does nothing once it is renamed
	defer f.Close()
	if err := write(f); err != nil {
		return err
	}
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
