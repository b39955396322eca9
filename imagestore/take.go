package imagestore

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/zeebo/blake3"
	"golang.org/x/sys/unix"
)

// Take makes the file at path (absolute, complete, nobody writes it) the staged image. On the repository's volume nothing is
// copied, elsewhere it is. The file stays at path until Publish has succeeded and is removed then. After Take, Publish may be
// given the digest "": nobody has sent the bytes.
func (s *Staging) Take(path string) error {
	if s.ended || s.prepared != nil {
		return errEnded
	}
	if err := s.take(path); err != nil {
		return fmt.Errorf("taking %s as image %s: %w", path, s.name, s.repo.explain(err))
	}
	s.taken = path
	return nil
}

func (s *Staging) take(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() {
		return errNoFile
	}
	if s.written > 0 {
		return errors.New("something was written to the staging already")
	}
	err = s.replace(func() error {
		return os.Link(path, filepath.Join(s.repo.dir, s.path(imageSuffix)))
	})
	// Another volume, one without links, or a file that the system does not let us link.
	if errors.Is(err, unix.EXDEV) || errors.Is(err, unix.EPERM) || errors.Is(err, unix.EMLINK) || errors.Is(err, unix.EOPNOTSUPP) {
		return s.copyOf(path)
	}
	return err
}

var errNoFile = errors.New("it is no ordinary file but a link, a folder or a device: put the image file itself there")

// replace makes what put puts under the name of the staged file the staged file.
func (s *Staging) replace(put func() error) error {
	if err := s.repo.folder.remove(s.path(imageSuffix)); err != nil {
		return err
	}
	if err := put(); err != nil {
		return err
	}
	file, err := s.repo.folder.root.Open(s.path(imageSuffix))
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errNoFile
	}
	if err != nil {
		return errors.Join(err, file.Close())
	}
	s.file.Close()
	s.file, s.written, s.linked = file, info.Size(), true
	return nil
}

// copyOf copies the file at path.
func (s *Staging) copyOf(path string) error {
	from, err := os.Open(path)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := s.repo.folder.create(s.path(imageSuffix))
	if err != nil {
		return err
	}
	s.file.Close()
	s.file = to
	digest := blake3.New()
	if _, err := s.ReadFrom(io.TeeReader(from, digest)); err != nil {
		return err
	}
	s.digest = hex.EncodeToString(digest.Sum(nil))
	return nil
}
