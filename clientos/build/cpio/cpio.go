// Package cpio writes archives in the "newc" format, which is what the Linux kernel unpacks as its initramfs
// (Documentation/driver-api/early-userspace/buffer-format.rst).
//
// The bytes of an archive depend on its entries only: names are sorted, every owner is root, every time is
// zero and inode numbers are counted from 1, so that the same tree gives the same archive on every machine.
// There is no reader here: nothing of ours reads such an archive but the kernel.
package cpio

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path"
	"slices"
)

// An Entry is one file of an archive. Make it with Dir, File, DiskFile, Symlink or CharDevice.
type Entry struct {
	// Name is the path inside the archive, without a leading slash (see fs.ValidPath).
	Name string
	// Mode holds the permissions and the type: directory, regular file, symbolic link or character device.
	Mode fs.FileMode
	// Size is the number of bytes that Open's reader gives.
	Size int64
	// Open gives the content of a regular file, or the target of a symbolic link; nil for the rest.
	Open func() (io.ReadCloser, error)
	// Major and Minor number a device.
	Major, Minor uint32
}

// Dir is a directory.
func Dir(name string, perm fs.FileMode) Entry {
	return Entry{Name: name, Mode: fs.ModeDir | perm}
}

// File is a regular file with the content in data.
func File(name string, perm fs.FileMode, data []byte) Entry {
	return Entry{Name: name, Mode: perm, Size: int64(len(data)), Open: content(data)}
}

// DiskFile is a regular file whose content is that of the file at path, read when the archive is written.
func DiskFile(name string, perm fs.FileMode, path string) (Entry, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Entry{}, err
	}
	if !info.Mode().IsRegular() {
		return Entry{}, fmt.Errorf("%s is not a regular file", path)
	}
	open := func() (io.ReadCloser, error) { return os.Open(path) }
	return Entry{Name: name, Mode: perm, Size: info.Size(), Open: open}, nil
}

// Symlink is a symbolic link to target.
func Symlink(name, target string) Entry {
	return Entry{Name: name, Mode: fs.ModeSymlink | 0o777, Size: int64(len(target)), Open: content([]byte(target))}
}

// CharDevice is a character device node.
func CharDevice(name string, perm fs.FileMode, major, minor uint32) Entry {
	return Entry{Name: name, Mode: fs.ModeDevice | fs.ModeCharDevice | perm, Major: major, Minor: minor}
}

func content(data []byte) func() (io.ReadCloser, error) {
	return func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil }
}

// Alignment is what the length of every archive is a multiple of. The kernel wants 4, so that an uncompressed archive may
// follow another one in the same initramfs.
const Alignment = 4

// Write writes the archive of the entries, in any order given, to w. Directories that the entries lie in and that are not
// among them are made with mode 0755. A name that is not clean or comes twice, and a file whose content is not
// of its Size, is an error.
func Write(w io.Writer, entries []Entry) error {
	entries, err := complete(entries)
	if err != nil {
		return err
	}
	out := &writer{w: w}
	for i, e := range entries {
		if err := out.entry(e, uint32(i+1)); err != nil {
			return fmt.Errorf("archive %s: %w", e.Name, err)
		}
	}
	return out.trailer()
}

// complete returns the entries sorted, parents before their children, with the missing parents added.
func complete(entries []Entry) ([]Entry, error) {
	byName := make(map[string]Entry, len(entries))
	for _, e := range entries {
		if !fs.ValidPath(e.Name) || e.Name == "." {
			return nil, fmt.Errorf("%q is not a path for an archive", e.Name)
		}
		if _, twice := byName[e.Name]; twice {
			return nil, fmt.Errorf("%s is in the archive twice", e.Name)
		}
		byName[e.Name] = e
	}
	for _, e := range entries {
		for dir := path.Dir(e.Name); dir != "."; dir = path.Dir(dir) {
			parent, there := byName[dir]
			switch {
			case !there:
				byName[dir] = Dir(dir, 0o755)
			case !parent.Mode.IsDir():
				return nil, fmt.Errorf("%s lies in %s, which is not a directory", e.Name, dir)
			}
		}
	}
	all := make([]Entry, 0, len(byName))
	for _, e := range byName {
		all = append(all, e)
	}
	slices.SortFunc(all, func(a, b Entry) int { return cmp.Compare(a.Name, b.Name) })
	return all, nil
}

// File types of st_mode.
const (
	typeChar    = 0o020000
	typeDir     = 0o040000
	typeRegular = 0o100000
	typeSymlink = 0o120000
)

func unixMode(m fs.FileMode) (uint32, error) {
	bits := uint32(m.Perm())
	if m&fs.ModeSticky != 0 {
		bits |= 0o1000
	}
	switch m.Type() {
	case 0:
		return bits | typeRegular, nil
	case fs.ModeDir:
		return bits | typeDir, nil
	case fs.ModeSymlink:
		return bits | typeSymlink, nil
	case fs.ModeDevice | fs.ModeCharDevice:
		return bits | typeChar, nil
	}
	return 0, fmt.Errorf("file type %v cannot go in an archive", m.Type())
}

// A writer counts what it wrote, which the padding needs.
type writer struct {
	w io.Writer
	n int64
}

func (w *writer) Write(p []byte) (int, error) {
	n, err := w.w.Write(p)
	w.n += int64(n)
	return n, err
}

func (w *writer) entry(e Entry, inode uint32) error {
	mode, err := unixMode(e.Mode)
	if err != nil {
		return err
	}
	if e.Size < 0 || e.Size > math.MaxUint32 {
		return fmt.Errorf("size %d does not fit the format", e.Size)
	}
	links := uint32(1)
	if e.Mode.IsDir() {
		links = 2
	}
	if err := w.header(e.Name, inode, mode, links, uint32(e.Size), e.Major, e.Minor); err != nil {
		return err
	}
	if e.Open == nil {
		return nil
	}
	r, err := e.Open()
	if err != nil {
		return err
	}
	defer r.Close()
	if _, err := io.CopyN(w, r, e.Size); err != nil {
		if errors.Is(err, io.EOF) {
			return fmt.Errorf("content is shorter than %d bytes", e.Size)
		}
		return err
	}
	if n, _ := io.ReadFull(r, make([]byte, 1)); n != 0 {
		return fmt.Errorf("content is longer than %d bytes", e.Size)
	}
	return w.pad()
}

func (w *writer) header(name string, inode, mode, links, size, major, minor uint32) error {
	// Inode, mode, uid, gid, links, mtime, size, device (2), device node (2), length of the name, checksum (unused).
	_, err := fmt.Fprintf(w, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
		inode, mode, 0, 0, links, 0, size, 0, 0, major, minor, len(name)+1, 0, name)
	if err != nil {
		return err
	}
	return w.pad()
}

func (w *writer) trailer() error {
	return w.header("TRAILER!!!", 0, 0, 1, 0, 0, 0)
}

func (w *writer) pad() error {
	_, err := w.Write(make([]byte, -w.n&(Alignment-1)))
	return err
}
