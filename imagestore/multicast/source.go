package multicast

import (
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/zeebo/blake3"
)

// A File is a Source of a file.
type File struct {
	*os.File
	content Content
}

// edge is how many bytes at both ends of a file go into its ID.
const edge = 1 << 20

// OpenFile opens a file, or a block device, to be sent. Its ID is made of its name, size, time of change, and its first and last MiB: the
// same file has the same ID when it is sent again, so that receivers go on with it, and nothing has to be read before the start. Where a
// digest of the content is known, Identified is better.
func OpenFile(path string) (*File, error) {
	if err := sendable(path); err != nil {
		return nil, fmt.Errorf("file to send: %w", err)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("file to send: %w", err)
	}
	content, err := identify(f)
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("file to send: %s: %w", path, err)
	}
	return &File{f, content}, nil
}

// sendable tells whether there is a file or block device to be sent. It is asked before the file is opened: that of a pipe waits.
func sendable(path string) error {
	stat, err := os.Stat(path)
	if err != nil {
		return err
	}
	switch mode := stat.Mode(); {
	case mode.IsDir():
		return fmt.Errorf("%s is a folder: name a file", path)
	case !mode.IsRegular() && mode.Type() != fs.ModeDevice:
		return fmt.Errorf("%s has no size: send it as a stream, from the standard input", path)
	}
	return nil
}

func identify(f *os.File) (Content, error) {
	stat, err := f.Stat()
	if err != nil {
		return Content{}, err
	}
	size, err := f.Seek(0, io.SeekEnd) // also of a block device
	if err != nil {
		return Content{}, fmt.Errorf("find its size: %w", err)
	}
	h := blake3.New()
	name := filepath.Base(f.Name())
	facts := append([]byte(name), 0)
	facts = binary.BigEndian.AppendUint64(facts, uint64(size))
	facts = binary.BigEndian.AppendUint64(facts, uint64(stat.ModTime().UnixNano()))
	h.Write(facts)
	for _, at := range []int64{0, max(size-edge, 0)} {
		if _, err := io.Copy(h, io.NewSectionReader(f, at, min(edge, size))); err != nil {
			return Content{}, err
		}
	}
	return Content{ID: [32]byte(h.Sum(nil)), Name: name, Size: size}, nil
}

// Identified gives the file another name and ID: that of an image, and the digest of its bytes.
func (f *File) Identified(name string, id [32]byte) *File {
	f.content.Name, f.content.ID = name, id
	return f
}

// Content tells what the file is.
func (f *File) Content() Content { return f.content }
