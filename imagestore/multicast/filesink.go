package multicast

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// A FileSink is a Sink that makes a file, or fills a block device.
//
// A file OUT is received as OUT.partial and gets its name when it is complete and on the disk. Beside it, the journal OUT.partial.blocks tells which
// blocks the disk has, so that a receiver that was killed, or whose PC lost power, goes on where it was. The journal never claims what is not
// on the disk; one that is damaged, or of another content, is as good as none.
//
// A block device has no journal and no other name: it is written straight to, and a receiver that was killed begins anew.
type FileSink struct {
	path    string
	replace bool
	device  int64 // bytes of the block device; -1 of a file
	file    *os.File

	content Content
	begun   bool
	done    bool
	have    *Blocks // that were written

	unsaved int64      // bytes since the journal was last begun
	saved   time.Time  // when that was
	saving  chan error // answers when the journal is written; nil while none is

	sync func(*os.File) error // brings the data to the disk
}

// How much a killed receiver may lose, beside what is under way.
const (
	journalBytes = 64 << 20
	journalEvery = 2 * time.Second
)

// OpenFileSink opens a sink for the path of a file or a block device. When there is a file of that name, or it is a block device, and replace
// does not allow to overwrite it, the error wraps fs.ErrExist. Close it in the end.
func OpenFileSink(path string, replace bool) (*FileSink, error) {
	if path == "-" {
		return nil, errors.New("blocks come in any order, which a pipe cannot take: name a file or a block device instead of -")
	}
	s := &FileSink{path: path, replace: replace, device: -1, sync: func(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return s.openPartial()
	case err != nil:
		return nil, err
	case info.Mode()&fs.ModeDevice != 0 && info.Mode()&fs.ModeCharDevice == 0:
		return s.openDevice()
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is neither a file nor a block device", path)
	case !replace:
		return nil, fmt.Errorf("%s: %w: choose another name, or have it replaced", path, fs.ErrExist)
	}
	return s.openPartial()
}

func (s *FileSink) openDevice() (*FileSink, error) {
	if !s.replace {
		return nil, fmt.Errorf("%s is a block device, all of which would be overwritten: %w", s.path, fs.ErrExist)
	}
	// Without O_CREATE, O_EXCL refuses a device that is mounted or otherwise in use (open(2)).
	f, err := os.OpenFile(s.path, os.O_WRONLY|unix.O_EXCL, 0)
	if errors.Is(err, unix.EBUSY) {
		return nil, fmt.Errorf("%w: it is mounted, or another program has it", err)
	}
	if err != nil {
		return nil, err
	}
	if s.device, err = f.Seek(0, io.SeekEnd); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	s.file = f
	return s, nil
}

// openPartial opens OUT.partial and sees to it that nobody else writes it.
func (s *FileSink) openPartial() (*FileSink, error) {
	f, err := os.OpenFile(s.partialPath(), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	if err := lock(f); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", s.partialPath(), err), f.Close())
	}
	s.file = f
	return s, nil
}

// lock takes a file for this process, for as long as it is open.
func lock(f *os.File) error {
	err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		return errors.New("another receiver writes it")
	}
	if err != nil {
		return err
	}
	mine, err := f.Stat()
	if err != nil {
		return err
	}
	if named, err := os.Stat(f.Name()); err != nil || !os.SameFile(mine, named) {
		return errors.New("another receiver has just completed it")
	}
	return nil
}

func (s *FileSink) partialPath() string { return s.path + ".partial" }
func (s *FileSink) journalPath() string { return s.path + ".partial.blocks" }

// Begin prepares for a content, and answers which blocks the journal has of it. When there is not enough room on the disk, it says so
// before a byte is received.
func (s *FileSink) Begin(c Content) (*Blocks, error) {
	if err := s.settle(); err != nil {
		return nil, err
	}
	if err := s.room(c); err != nil {
		return nil, err
	}
	if !s.begun || s.content.ID != c.ID {
		have, err := s.restart(c)
		if err != nil {
			return nil, err
		}
		s.have, s.unsaved, s.saved = have, 0, time.Now()
	}
	s.begun, s.content = true, c
	if c.Size != Unknown && s.device < 0 {
		if err := s.file.Truncate(c.Size); err != nil {
			return nil, s.explain(err)
		}
	}
	return s.have.clone(), nil
}

// room tells whether the content fits, when its size is known.
func (s *FileSink) room(c Content) error {
	if c.Size == Unknown {
		return nil
	}
	if s.device >= 0 {
		if c.Size > s.device {
			return fmt.Errorf("no room on %s: %d bytes come, and the device has %d: %w", s.path, c.Size, s.device, unix.ENOSPC)
		}
		return nil
	}
	free, taken, err := s.space()
	if err != nil {
		return err
	}
	if c.Size-taken > free {
		return s.noRoom(c.Size-taken, free)
	}
	return nil
}

// space returns what is free on the filesystem, and what OUT.partial takes of it already.
func (s *FileSink) space() (free, taken int64, err error) {
	var volume unix.Statfs_t
	var file unix.Stat_t
	fd := int(s.file.Fd())
	if err := errors.Join(unix.Fstatfs(fd, &volume), unix.Fstat(fd, &file)); err != nil {
		return 0, 0, fmt.Errorf("free space for %s: %w", s.path, err)
	}
	if volume.Blocks == 0 { // one that does not tell, as a tmpfs without a limit
		return math.MaxInt64, 0, nil
	}
	return int64(volume.Bavail) * volume.Bsize, file.Blocks * 512, nil
}

func (s *FileSink) noRoom(needed, free int64) error {
	return fmt.Errorf("no room for %s: %d bytes are still needed, and %d are free on its disk: %w", s.path, needed, free, unix.ENOSPC)
}

// restart goes on with what the journal has of the content, or with nothing.
func (s *FileSink) restart(c Content) (*Blocks, error) {
	if s.device >= 0 {
		return &Blocks{}, nil
	}
	size, err := s.file.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	j, err := readJournal(s.journalPath())
	switch {
	case err == nil && j.serves(c) && j.end() <= size:
		return j.have, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errJournal):
		return nil, err
	}
	// The old journal must be gone for good before the first byte of another content: after a power cut, it would speak for it.
	if err := removeIfThere(s.journalPath()); err != nil {
		return nil, err
	}
	if err := syncFolder(filepath.Dir(s.path)); err != nil {
		return nil, err
	}
	return &Blocks{}, s.file.Truncate(0)
}

// WriteBlock writes a block in its place.
func (s *FileSink) WriteBlock(offset int64, b []byte) error {
	if !s.begun || offset < 0 || offset%BlockSize != 0 || len(b) > BlockSize || s.content.Size != Unknown && offset+int64(len(b)) > s.content.Size {
		return fmt.Errorf("%s: %d bytes at %d are no block of what was begun", s.path, len(b), offset)
	}
	if _, err := s.file.WriteAt(b, offset); err != nil {
		return s.explain(err)
	}
	s.have.Add(offset / BlockSize)
	s.unsaved += int64(len(b))
	return s.checkpoint()
}

// explain turns the system's words for a full disk into those of noRoom.
func (s *FileSink) explain(err error) error {
	if s.device >= 0 || !errors.Is(err, unix.ENOSPC) && !errors.Is(err, unix.EDQUOT) {
		return err
	}
	free, taken, spaceErr := s.space()
	if spaceErr != nil || s.content.Size == Unknown {
		return fmt.Errorf("no room for %s: what comes is longer than the %d bytes that its disk took: %w", s.path, taken, err)
	}
	return fmt.Errorf("%w (%w)", s.noRoom(max(0, s.content.Size-taken), free), err)
}

// checkpoint begins to write the journal when enough has come since the last time. Blocks are written meanwhile: a disk that takes its time
// to bring 64 MiB to safety holds nobody up.
func (s *FileSink) checkpoint() error {
	if s.device >= 0 {
		return nil
	}
	select {
	case err := <-s.saving:
		s.saving = nil
		if err != nil {
			return err
		}
	default:
	}
	if s.saving != nil || s.unsaved < journalBytes && time.Since(s.saved) < journalEvery {
		return nil
	}
	j := journal{s.content, s.have.clone()}
	s.unsaved, s.saved, s.saving = 0, time.Now(), make(chan error, 1)
	go func(done chan<- error) { done <- s.save(j) }(s.saving)
	return nil
}

// save writes a journal of blocks that were written, once they are on the disk.
func (s *FileSink) save(j journal) error {
	if err := s.sync(s.file); err != nil {
		return fmt.Errorf("%s: %w", s.partialPath(), err)
	}
	return j.write(s.journalPath())
}

// settle waits for the journal that is being written.
func (s *FileSink) settle() error {
	if s.saving == nil {
		return nil
	}
	err := <-s.saving
	s.saving = nil
	return err
}

// Finish brings the content to the disk and gives the file its name.
func (s *FileSink) Finish(c Content) error {
	if err := s.settle(); err != nil {
		return err
	}
	if !s.begun || s.content.ID != c.ID || c.Size == Unknown || s.have.missing(0) < blocks(c.Size) {
		return fmt.Errorf("%s: it is not complete", s.path)
	}
	if s.device >= 0 {
		if err := s.file.Sync(); err != nil {
			return err
		}
		s.done = true
		return nil
	}
	if err := errors.Join(s.file.Truncate(c.Size), s.file.Sync()); err != nil {
		return s.explain(err)
	}
	if err := s.appear(); err != nil {
		return err
	}
	s.done = true
	// The journal goes last: until the name is safe, it is what a receiver would go on with.
	return errors.Join(syncFolder(filepath.Dir(s.path)), removeIfThere(s.journalPath()))
}

// appear gives the file its name.
func (s *FileSink) appear() error {
	if s.replace {
		return os.Rename(s.partialPath(), s.path)
	}
	// It never replaces what somebody has put there meanwhile.
	err := unix.Renameat2(unix.AT_FDCWD, s.partialPath(), unix.AT_FDCWD, s.path, unix.RENAME_NOREPLACE)
	switch {
	case errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS): // a filesystem that cannot tell
		return os.Rename(s.partialPath(), s.path)
	case err != nil:
		return fmt.Errorf("%s is complete, but does not become %s: %w", s.partialPath(), s.path, err)
	}
	return nil
}

// Close ends the sink. What was received of a file that is not complete stays, with its journal, for the next time.
func (s *FileSink) Close() error {
	err := s.settle()
	switch {
	case s.done || s.device >= 0:
	case !s.begun:
		err = errors.Join(err, s.removeUnused())
	case err == nil:
		err = s.save(journal{s.content, s.have})
	}
	return errors.Join(err, s.file.Close())
}

// removeUnused removes the OUT.partial that OpenFileSink made, when nothing ever came.
func (s *FileSink) removeUnused() error {
	size, err := s.file.Seek(0, io.SeekEnd)
	if err != nil || size > 0 {
		return err
	}
	return os.Remove(s.partialPath())
}

func removeIfThere(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// syncFolder brings the names in a folder to the disk.
func syncFolder(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
