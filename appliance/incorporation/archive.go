package incorporation

import (
	"archive/tar"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"aula/imagestore"
	"aula/imagestore/format"
)

// unpackingDir is the folder in a repository in which archives are unpacked.
const unpackingDir = ".unpacking"

// isArchive tells whether a file is a tar archive, plain or compressed.
func isArchive(ctx context.Context, src source) (bool, error) {
	head, err := plainHead(ctx, src, 512)
	if err != nil {
		return false, err
	}
	return len(head) == 512 && string(head[257:262]) == "ustar", nil
}

// runArchive unpacks an archive beside the images and takes in what is in it.
func (p Plan) runArchive(ctx context.Context, repo *imagestore.Repository, progress func(Progress)) ([]imagestore.Image, error) {
	if err := Clean(repo.Dir()); err != nil {
		return nil, err
	}
	scratch, err := makeScratch(filepath.Join(repo.Dir(), unpackingDir))
	if err != nil {
		return nil, err
	}
	defer scratch.remove()
	free, err := repo.Free()
	if err != nil {
		return nil, err
	}
	var read int64
	total := p.archive.bytes()
	dir, err := unpack(ctx, *p.archive, scratch.dir, free, func(n int64) {
		read += n
		progress(Progress{Image: p.Images[0].Name, Stage: "unpacking", Done: read, Total: 3 * total})
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.archive.words(), err)
	}
	inner, err := Examine(ctx, []string{dir}, Options{Name: p.opt.Name, Owned: true})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.archive.words(), within{err, scratch.dir})
	}
	progress(Progress{Image: inner.Images[0].Name, Stage: "copying", Done: total, Total: 3 * total, Warnings: inner.Warnings})
	return inner.Run(ctx, repo, func(in Progress) {
		if in.Total > 0 { // two thirds of the work
			in.Done = total + int64(float64(in.Done)/float64(in.Total)*2*float64(total))
		}
		in.Total = 3 * total
		progress(in)
	})
}

// A within is an error about files in a folder whose own path says nothing to people.
type within struct {
	error
	dir string
}

// Error implements error.
func (w within) Error() string { return strings.ReplaceAll(w.error.Error(), w.dir+"/", "") }

// Unwrap returns the error as it is.
func (w within) Unwrap() error { return w.error }

// unpack writes the files of an archive into a new folder in dir and returns that. An archive that holds anything but regular files
// of one directory, or more than room bytes, is refused.
func unpack(ctx context.Context, src source, dir string, room int64, read func(n int64)) (string, error) {
	readers := make([]io.Reader, len(src.pieces))
	for i, p := range src.pieces {
		r := &pieceReader{ctx: ctx, piece: p, read: read}
		defer r.Close()
		readers[i] = r
	}
	plain, _, err := format.Decompress(io.MultiReader(readers...))
	if err != nil {
		return "", err
	}
	defer plain.Close()
	u := &unpacker{room: room}
	u.root, err = os.OpenRoot(dir)
	if err != nil {
		return "", err
	}
	defer u.root.Close()
	in := tar.NewReader(plain)
	for {
		h, err := in.Next()
		if err == io.EOF {
			break
		}
		if err == nil {
			err = u.take(h, in)
		}
		if err != nil {
			return "", fmt.Errorf("the archive cannot be unpacked: %w", err)
		}
	}
	if u.count == 0 {
		return "", errors.New("the archive holds no files")
	}
	// What follows the end is padding; reading it lets the compressor check its own sums.
	if _, err := io.CopyN(io.Discard, plain, 64<<20); err != nil && err != io.EOF {
		return "", err
	}
	name := imagestore.SuggestName(path.Base(u.parent))
	if u.parent == "" || u.parent == "." {
		name = imagestore.SuggestName(stripImageSuffixes(src.stem))
	}
	if err := u.root.Rename(unpackingName, name); err != nil {
		return "", err
	}
	return filepath.Join(dir, name), nil
}

// unpackingName is what the folder is called until the archive has been read.
const unpackingName = ".new"

// An unpacker writes the files of an archive into one folder.
type unpacker struct {
	root   *os.Root
	room   int64
	count  int
	parent string // the directory in the archive that holds all its files
}

// take writes one entry.
func (u *unpacker) take(h *tar.Header, in io.Reader) error {
	switch h.Typeflag {
	case tar.TypeDir, tar.TypeXGlobalHeader:
		return nil
	case tar.TypeReg:
	default:
		return fmt.Errorf("%q is a link, a device or the like, and only files are taken: make the archive again without it", h.Name)
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse") {
			return fmt.Errorf("%q is stored with holes: make the archive again without --sparse", h.Name)
		}
	}
	parent, name, err := splitEntry(h.Name)
	if err != nil {
		return err
	}
	if name[0] == '.' {
		return nil // of the system on which the archive was made
	}
	switch u.count++; {
	case u.count == 1:
		u.parent = parent
		if err := u.root.Mkdir(unpackingName, 0o700); err != nil {
			return err
		}
	case u.count > maxFiles:
		return fmt.Errorf("it holds more than %d files", maxFiles)
	case parent != u.parent:
		return fmt.Errorf("it holds files of several directories (%q and %q): make an archive of each image", u.parent, parent)
	}
	if h.Size > u.room {
		return fmt.Errorf("%w: %q has %d bytes, and there is room for %d", imagestore.ErrNoSpace, h.Name, h.Size, u.room)
	}
	u.room -= h.Size
	f, err := u.root.OpenFile(unpackingName+"/"+name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%q is in it twice", h.Name)
	}
	if err != nil {
		return err
	}
	_, err = io.CopyBuffer(writerOnly{f}, readerOnly{in}, make([]byte, 1<<20))
	return errors.Join(err, f.Close())
}

// splitEntry checks the name of an entry and splits it into its directory and its own name.
func splitEntry(name string) (parent, own string, err error) {
	clean := path.Clean(name)
	switch {
	case path.IsAbs(name) || clean == ".." || strings.HasPrefix(clean, "../") || strings.Contains(name, "/../"):
		return "", "", fmt.Errorf("the name %.200q leads out of the archive", name)
	case !printable(clean) || strings.ContainsRune(clean, '\\') || len(clean) > 1000 || strings.Count(clean, "/") > 16:
		return "", "", fmt.Errorf("the name %.200q is too odd to be taken", name)
	}
	parent, own = path.Split(clean)
	if len(own) > 255 {
		return "", "", fmt.Errorf("the name %.200q is too long", name)
	}
	return path.Clean(parent), own, nil
}

// A scratch is a folder of one import, which is locked as long as that runs.
type scratch struct {
	dir  string
	lock *os.File
}

// Clean removes what imports that a crash has ended have left in the folder dir of a repository. It may be called while imports run.
func Clean(dir string) error {
	parent := filepath.Join(dir, unpackingDir)
	entries, err := os.ReadDir(parent)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range entries {
		if old, err := lockScratch(filepath.Join(parent, e.Name())); err == nil {
			old.remove()
		}
	}
	return nil
}

// makeScratch makes a folder in parent.
func makeScratch(parent string) (scratch, error) {
	if err := os.MkdirAll(parent, 0o700); err != nil {
		return scratch{}, err
	}
	dir := filepath.Join(parent, rand.Text())
	if err := os.Mkdir(dir, 0o700); err != nil {
		return scratch{}, err
	}
	return lockScratch(dir)
}

// lockScratch takes a folder that no import uses.
func lockScratch(dir string) (scratch, error) {
	lock, err := os.Open(dir)
	if err != nil {
		return scratch{}, err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		lock.Close()
		return scratch{}, err
	}
	return scratch{dir, lock}, nil
}

// remove removes the folder. What cannot be removed now is removed by Clean.
func (s scratch) remove() {
	_ = os.RemoveAll(s.dir)
	s.lock.Close()
}
