package torrent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"aula/imagestore/torrent/metainfo"
)

// FileOptions say how a FileStorage is opened.
type FileOptions struct {
	// Name is what the file is to be called; the name in the torrent when empty.
	Name string
	// Replace lets a file of the name that is not the torrent's be replaced, once the new one is complete.
	Replace bool
	// Checking is told how many bytes of those that must be hashed were hashed; calls come one at a time, and often. nil for nobody.
	Checking func(done, total int64)
}

// OpenFile opens the storage of a torrent's file in a folder, and takes it for this process.
//
// When the file is there, whole and right, nothing is to be fetched. When another file of that name is there, and Replace does not allow to
// replace it, the error wraps fs.ErrExist. When there is not enough room on the disk, it wraps ENOSPC, and nothing was written.
// It hashes what is doubtful, with all cores; when the context ends, what was found right until then is kept.
func OpenFile(ctx context.Context, dir string, t *metainfo.Torrent, o FileOptions) (*FileStorage, error) {
	if err := storable(t); err != nil {
		return nil, err
	}
	name := cmp.Or(o.Name, t.Name)
	if name != filepath.Base(name) || !filepath.IsLocal(name) {
		return nil, fmt.Errorf("%q is no name of a file", name)
	}
	s := &FileStorage{torrent: t, path: filepath.Join(dir, name), replace: o.Replace, sync: func(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }}
	for range 10 {
		found, err := s.openComplete(ctx, o)
		if err != nil {
			return nil, err
		}
		if s.still != nil {
			return s, nil
		}
		switch ok, err := s.openPartial(found); {
		case err != nil:
			return nil, err
		case ok:
			return s.resumed(ctx, o)
		}
	}
	return nil, fmt.Errorf("%s: other programs make and remove it all the time", s.path)
}

// resumed prepares NAME.partial, which this process has.
func (s *FileStorage) resumed(ctx context.Context, o FileOptions) (*FileStorage, error) {
	s.have, s.missing = make([]bool, s.torrent.Count()), s.torrent.Count()
	if err := s.resume(ctx, o); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// openComplete opens NAME when it is there and what the torrent is of. Otherwise it returns what is there and will be replaced; nil for nothing.
func (s *FileStorage) openComplete(ctx context.Context, o FileOptions) (found fs.FileInfo, err error) {
	f, err := os.OpenFile(s.path, os.O_RDONLY|unix.O_NONBLOCK, 0) // which does not wait at a pipe
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() {
		if s.still == nil {
			_ = f.Close()
		}
	}()
	still, err := newStillFile(f)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", fs.ErrExist, err)
	}
	differs := fmt.Errorf("%s: %w, has %d bytes, and the torrent is of %d: have it replaced, or choose another folder",
		s.path, fs.ErrExist, still.size, s.torrent.Length)
	if still.size == s.torrent.Length {
		if differs, err = s.compare(ctx, f, o); err != nil {
			return nil, err
		}
	}
	switch {
	case differs == nil:
		return nil, s.complete(f, still)
	case !s.replace:
		return nil, differs
	}
	return f.Stat()
}

// compare tells how a file of the torrent's size differs from the torrent; nil when it does not.
func (s *FileStorage) compare(ctx context.Context, f *os.File, o FileOptions) (differs, err error) {
	wrong := errors.New("wrong")
	check := recheck{torrent: s.torrent, file: f, tell: o.Checking, found: func(piece int, right bool) error {
		if !right && differs == nil {
			differs = fmt.Errorf("%s: %w, and differs from the torrent, as in piece %d: have it replaced, or choose another folder", s.path, fs.ErrExist, piece)
		}
		if !right {
			return wrong
		}
		return nil
	}}
	for piece := range s.torrent.Count() {
		check.pieces = append(check.pieces, piece)
	}
	if err := check.run(ctx); err != nil && !errors.Is(err, wrong) {
		return nil, fmt.Errorf("checking %s: %w", s.path, err)
	}
	return differs, nil
}

// complete takes a file that is whole and right. What an earlier fetch of it has left is removed, unless another process is at it.
func (s *FileStorage) complete(f *os.File, still *stillFile) error {
	if err := still.check(); err != nil {
		return err
	}
	partial, err := os.OpenFile(s.partialPath(), os.O_RDWR, 0)
	if err == nil {
		defer partial.Close()
		if mine, err := lockPartial(partial); err != nil || !mine {
			s.file, s.still, s.have = f, still, whole(s.torrent)
			return nil
		}
		err = os.Remove(s.partialPath())
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	s.file, s.still, s.have = f, still, whole(s.torrent)
	if err := removeFound(s.journalPath()); err != nil {
		s.still = nil
		return err
	}
	return nil
}

// openPartial opens NAME.partial and sees to it that nobody else writes it. It is not ok when NAME is no longer what was found, or
// NAME.partial has just been completed or removed: then one must look again.
func (s *FileStorage) openPartial(found fs.FileInfo) (ok bool, err error) {
	f, err := os.OpenFile(s.partialPath(), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return false, err
	}
	defer func() {
		if !ok {
			_ = f.Close()
		}
	}()
	if mine, err := lockPartial(f); err != nil || !mine {
		return false, err
	}
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	if !info.Mode().IsRegular() {
		return false, fmt.Errorf("%s is not a file: remove it", s.partialPath())
	}
	s.fresh = info.Size() == 0
	now, err := os.Stat(s.path)
	if same := found != nil && err == nil && os.SameFile(found, now) || found == nil && errors.Is(err, fs.ErrNotExist); !same {
		if s.fresh {
			return false, os.Remove(s.partialPath())
		}
		return false, nil
	}
	s.file = f
	return true, nil
}

// lockPartial takes a file for this process, for as long as it is open. It is not mine when it has lost its name meanwhile.
func lockPartial(f *os.File) (mine bool, err error) {
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return false, fmt.Errorf("%s: another program is fetching it: wait for it, or end it", f.Name())
	}
	if err != nil {
		return false, fmt.Errorf("%s: %w", f.Name(), err)
	}
	this, err := f.Stat()
	if err != nil {
		return false, err
	}
	named, err := os.Stat(f.Name())
	return err == nil && os.SameFile(this, named), nil
}

// resume finds out which pieces NAME.partial has, and makes room for the others.
func (s *FileStorage) resume(ctx context.Context, o FileOptions) error {
	free, taken, err := s.space()
	if err != nil {
		return err
	}
	if s.torrent.Length-taken > free {
		return s.noRoom(s.torrent.Length-taken, free)
	}
	claimed, err := s.claimed()
	if err != nil {
		return err
	}
	if err := s.file.Truncate(s.torrent.Length); err != nil {
		return s.explain(err)
	}
	s.claims = true
	var doubtful []int
	for piece, n := range written(s.file, s.torrent) {
		// A piece of zeros may be there without having been written on some filesystems; any other has lost its bytes.
		switch full := n == s.torrent.Size(piece); {
		case claimed[piece] && full:
			s.have[piece] = true
			s.missing--
		case claimed[piece] || n > 0:
			doubtful = append(doubtful, piece)
		}
	}
	if err := s.preallocate(); err != nil {
		return err
	}
	return s.doubt(ctx, doubtful, o)
}

// claimed returns which pieces the disk has for certain. When the journal is not of this torrent and this file, there is a new one afterwards
// which claims nothing: no byte is written while the old one could speak for it after a power cut.
func (s *FileStorage) claimed() ([]bool, error) {
	size, err := s.file.Stat()
	if err != nil {
		return nil, err
	}
	if s.id, err = identify(s.file); err != nil {
		return nil, err
	}
	s.saved = time.Now()
	j, err := readPieceJournal(s.journalPath())
	switch {
	case err == nil && j.serves(s.torrent, s.id) && size.Size() == s.torrent.Length:
		return j.have, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errPieceJournal):
		return nil, err
	}
	none := make([]bool, s.torrent.Count())
	if err := newPieceJournal(s.torrent, s.id, none).write(s.journalPath()); err != nil {
		return nil, s.explain(err)
	}
	return none, syncNames(filepath.Dir(s.path))
}

// preallocate takes the room on the disk now, so that it is not others who fill it during the fetch.
func (s *FileStorage) preallocate() error {
	if s.torrent.Length == 0 {
		return nil
	}
	err := unix.Fallocate(int(s.file.Fd()), 0, 0, s.torrent.Length)
	for errors.Is(err, unix.EINTR) {
		err = unix.Fallocate(int(s.file.Fd()), 0, 0, s.torrent.Length)
	}
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.ENOSYS) { // a filesystem that cannot
		return nil
	}
	if err != nil {
		return s.explain(fmt.Errorf("%s: %w", s.partialPath(), err))
	}
	return nil
}

// doubt hashes pieces that may be there, and claims those that are.
func (s *FileStorage) doubt(ctx context.Context, pieces []int, o FileOptions) error {
	if len(pieces) == 0 {
		return nil
	}
	// They are read from the disk: what the page cache has may have failed to get there, of which nobody is told twice.
	if err := s.sync(s.file); err != nil {
		return fmt.Errorf("%s: %w", s.partialPath(), err)
	}
	for _, p := range pieces {
		_ = unix.Fadvise(int(s.file.Fd()), s.torrent.Offset(p), s.torrent.Size(p), unix.FADV_DONTNEED) // an advice
	}
	check := recheck{torrent: s.torrent, file: s.file, pieces: pieces, tell: o.Checking, found: func(piece int, right bool) error {
		if right {
			s.have[piece] = true
			s.missing--
		}
		return nil
	}}
	if err := check.run(ctx); err != nil {
		return fmt.Errorf("checking %s: %w", s.partialPath(), err)
	}
	return s.save(newPieceJournal(s.torrent, s.id, s.have))
}
