package imagestore

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
)

const (
	dirMode  = 0o750
	fileMode = 0o440 // a published file is never written again
)

// A folder does what the repository does to its files, with names that cannot leave it, and durably where it says so.
type folder struct {
	root *os.Root
	// after, when not nil, is told each step that has been done; tests cut the power there.
	after func(step, name string)
}

func (f *folder) did(step, name string) {
	if f.after != nil {
		f.after(step, name)
	}
}

// create makes a new file for writing.
func (f *folder) create(name string) (*os.File, error) {
	return f.root.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, fileMode)
}

// syncFile brings what was written to a file to stable storage.
func (f *folder) syncFile(file *os.File, name string) error {
	if err := file.Sync(); err != nil {
		return err
	}
	f.did("sync", name)
	return nil
}

// writeFile makes a new file with data in it, on stable storage.
func (f *folder) writeFile(name string, data []byte) error {
	file, err := f.create(name)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	if err == nil {
		err = f.syncFile(file, name)
	}
	return errors.Join(err, file.Close())
}

// replaceFile makes data the content of a file in one step, on stable storage, whatever it was before. scratch is a name that
// nobody else uses.
func (f *folder) replaceFile(name string, data []byte, scratch string) error {
	if err := f.remove(scratch); err != nil {
		return err // what a failed attempt may have left
	}
	if err := f.writeFile(scratch, data); err != nil {
		return errors.Join(err, f.remove(scratch))
	}
	if err := f.rename(scratch, name); err != nil {
		return err
	}
	return f.syncDir(path.Dir(name))
}

// readFile reads a file that must not be longer than limit.
func (f *folder) readFile(name string, limit int64) ([]byte, error) {
	file, err := f.root.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%s is longer than %d bytes", name, limit)
	}
	return data, err
}

// syncDir brings the names in a directory to stable storage.
func (f *folder) syncDir(name string) error {
	d, err := f.root.Open(name)
	if err != nil {
		return err
	}
	err = errors.Join(d.Sync(), d.Close())
	if err == nil {
		f.did("sync", name)
	}
	return err
}

// mkdir makes a directory if it is missing.
func (f *folder) mkdir(name string) error {
	if err := f.root.Mkdir(name, dirMode); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	f.did("mkdir", name)
	return nil
}

func (f *folder) rename(from, to string) error {
	if err := f.root.Rename(from, to); err != nil {
		return err
	}
	f.did("rename", to)
	return nil
}

// link gives a file a second name.
func (f *folder) link(target, name string) error {
	if err := f.root.Link(target, name); err != nil {
		return err
	}
	f.did("link", name)
	return nil
}

// remove removes a file; a missing one is no error.
func (f *folder) remove(name string) error {
	if err := f.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f.did("remove", name)
	return nil
}

func (f *folder) removeAll(name string) error {
	if err := f.root.RemoveAll(name); err != nil {
		return err
	}
	f.did("remove", name)
	return nil
}

// list returns what a directory holds; a missing one holds nothing.
func (f *folder) list(name string) ([]fs.DirEntry, error) {
	d, err := f.root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.ReadDir(-1)
}

// size is the bytes that the files of a directory take, without its sub-directories.
func (f *folder) size(name string) (total int64, err error) {
	entries, err := f.list(name)
	for _, e := range entries {
		info, err := f.root.Lstat(path.Join(name, e.Name()))
		if err != nil {
			return total, err
		}
		total += info.Size()
	}
	return total, err
}

// same tells whether both names are there and are the same file.
func (f *folder) same(a, b string) bool {
	x, err := f.root.Lstat(a)
	if err != nil {
		return false
	}
	y, err := f.root.Lstat(b)
	return err == nil && os.SameFile(x, y)
}

// exists tells whether there is anything of that name.
func (f *folder) exists(name string) bool {
	_, err := f.root.Lstat(name)
	return !errors.Is(err, fs.ErrNotExist)
}

// relink makes name a hard link to target in one step, whatever it was before. scratch is a name that nobody else uses.
func (f *folder) relink(target, name, scratch string) error {
	if f.same(target, name) {
		return nil // renaming a link over its own twin would leave both
	}
	if err := f.remove(scratch); err != nil {
		return err // what a failed attempt may have left
	}
	if err := f.link(target, scratch); err != nil {
		return err
	}
	return f.rename(scratch, name)
}
