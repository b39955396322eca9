package incorporation

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode"
	"unicode/utf8"
)

// Bounds of what is looked at.
const (
	maxFiles = 10_000  // in one directory
	maxSmall = 4 << 20 // bytes of a file that is read whole: tables, boot code, lists
)

// A piece is a file as Examine saw it.
type piece struct {
	dir  string // absolute
	name string // in dir
	size int64
	mod  time.Time
	sum  *sum // that its whole content must have; nil when nothing is known
}

func (p piece) path() string { return filepath.Join(p.dir, p.name) }

// open opens the file for reading, if it is still what Examine saw. It follows no symbolic link out of the directory and waits for
// nobody at the other end of a pipe.
func (p piece) open() (*os.File, error) {
	root, err := os.OpenRoot(p.dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	f, err := root.OpenFile(p.name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	switch {
	case err != nil:
	case !info.Mode().IsRegular():
		err = fmt.Errorf("%s is not a regular file", p.path())
	case info.Size() != p.size:
		err = fmt.Errorf("%s has changed while it was being taken in (%d bytes, then %d): import it again when nobody writes to it",
			p.path(), p.size, info.Size())
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// A folder is the regular files of one directory, or files that were named one by one.
type folder struct {
	dir   string // absolute; empty when the files lie in several
	files map[string]piece
	dirs  []string // names of directories in it, sorted
	odd   []string // names of what is neither: links, devices, pipes; they are left alone
}

// readFolder lists a directory.
func readFolder(ctx context.Context, dir string) (*folder, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	d, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	entries, err := d.ReadDir(maxFiles + 1)
	if err != nil && err != io.EOF {
		return nil, err
	}
	if len(entries) > maxFiles {
		return nil, fmt.Errorf("%s holds more than %d files: name those that shall be imported", dir, maxFiles)
	}
	f := &folder{dir: dir, files: make(map[string]piece)}
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		switch {
		case !printable(e.Name()):
			return nil, fmt.Errorf("%s holds a file with the odd name %q: rename it", dir, e.Name())
		case e.IsDir():
			f.dirs = append(f.dirs, e.Name())
		case !e.Type().IsRegular():
			f.odd = append(f.odd, e.Name())
		default:
			info, err := e.Info()
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return nil, err
			}
			f.files[e.Name()] = piece{dir: dir, name: e.Name(), size: info.Size(), mod: info.ModTime()}
		}
	}
	slices.Sort(f.dirs)
	slices.Sort(f.odd)
	return f, nil
}

// gather makes a folder of files that were named one by one.
func gather(paths []string) (*folder, error) {
	if len(paths) > maxFiles {
		return nil, fmt.Errorf("%d files: at most %d are taken at once", len(paths), maxFiles)
	}
	f := &folder{files: make(map[string]piece)}
	for i, path := range paths {
		path, err := filepath.Abs(path)
		if err != nil {
			return nil, err
		}
		// The file that a link leads to is meant, with its own directory.
		if path, err = filepath.EvalSymlinks(path); err != nil {
			return nil, err
		}
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		p := piece{dir: filepath.Dir(path), name: filepath.Base(path), size: info.Size(), mod: info.ModTime()}
		switch other, twice := f.files[p.name]; {
		case info.IsDir():
			return nil, fmt.Errorf("%s is a directory: import one directory, or files", path)
		case !info.Mode().IsRegular():
			return nil, fmt.Errorf("%s is not a regular file", path)
		case !printable(p.name):
			return nil, fmt.Errorf("%q: rename the file: its name holds characters that cannot be printed", path)
		case twice && other.dir == p.dir:
			return nil, fmt.Errorf("%s is named twice", path)
		case twice:
			return nil, fmt.Errorf("%s and %s have the same name: import them one after the other, or leave one out", other.path(), path)
		}
		f.files[p.name] = p
		if i == 0 {
			f.dir = p.dir
		} else if f.dir != p.dir {
			f.dir = ""
		}
	}
	return f, nil
}

// exists tells whether there is anything at a path.
func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// printable tells whether a name can be shown to people as it is.
func printable(name string) bool {
	return name != "" && utf8.ValidString(name) && !strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) })
}

// names returns the names of the files, sorted.
func (f *folder) names() []string {
	names := make([]string, 0, len(f.files))
	for name := range f.files {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// has tells whether there is a file of that name.
func (f *folder) has(name string) bool {
	_, ok := f.files[name]
	return ok
}

// small reads a file whole, checking its sum when one is known. It answers nil for a file that is not there.
func (f *folder) small(name string) ([]byte, error) {
	p, ok := f.files[name]
	if !ok {
		return nil, nil
	}
	if p.size > maxSmall {
		return nil, fmt.Errorf("%s has %d bytes: files of its kind have at most %d", p.path(), p.size, maxSmall)
	}
	file, err := p.open()
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxSmall))
	if err == nil && p.sum != nil {
		h := p.sum.new()
		h.Write(data)
		err = p.sum.check(p, h)
	}
	return data, err
}

// baseName is what the folder is called: the name of its directory, or of its first file.
func (f *folder) baseName() string {
	if f.dir != "" {
		return filepath.Base(f.dir)
	}
	if names := f.names(); len(names) > 0 {
		return names[0]
	}
	return "image"
}
