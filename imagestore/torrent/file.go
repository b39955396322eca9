package torrent

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"aula/imagestore/torrent/metainfo"
)

// A FileStorage is a Storage that makes the file of a torrent.
//
// A file NAME is fetched as NAME.partial and gets its name when it is complete and on the disk. Beside it, the journal NAME.torrent.bf tells which
// pieces the disk has, so that a fetch that was killed, or whose PC lost power, goes on where it was; for OpenGnsys, too, a file of that name
// says that NAME was interrupted. The journal never claims what is not on the disk. One that is damaged, or of another torrent or file,
// is as good as none: then all that was written is hashed, and kept as far as it is right.
type FileStorage struct {
	torrent *metainfo.Torrent
	path    string
	replace bool
	file    *os.File
	id      fileIdentity
	fresh   bool                   // NAME.partial was not there before
	sync    func(f *os.File) error // brings the data to the disk

	mu      sync.Mutex
	have    []bool     // that were written
	missing int        // pieces
	unsaved int64      // bytes since the journal was last begun
	saved   time.Time  // when that was
	saving  chan error // answers when the journal is written; nil while none is
	failed  error      // what kept data or journal from the disk: nothing is claimed after it
	still   *stillFile // once it is finished
	claims  bool       // have says what the journal said, or more: it may be written anew
	closed  bool
}

// How much a killed fetch may lose, beside what is under way. What it loses is hashed again, and not lost, unless the power went.
const (
	pieceJournalBytes = 64 << 20
	pieceJournalEvery = 2 * time.Second
)

func (s *FileStorage) partialPath() string { return s.path + ".partial" }
func (s *FileStorage) journalPath() string { return s.path + ".torrent.bf" }

// Path is where the file is once it is finished.
func (s *FileStorage) Path() string { return s.path }

// Have tells which pieces are there.
func (s *FileStorage) Have() ([]bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]bool(nil), s.have...), nil
}

// WritePiece writes a piece in its place. A piece that is there already is not written again.
func (s *FileStorage) WritePiece(piece int, b []byte) error {
	if err := fits(s.torrent, piece, b); err != nil {
		return err
	}
	s.mu.Lock()
	has, err := s.have[piece], s.failed
	s.mu.Unlock()
	if has || err != nil {
		return err
	}
	if _, err := s.file.WriteAt(b, s.torrent.Offset(piece)); err != nil {
		return s.explain(err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.have[piece] = true
	s.missing--
	s.unsaved += int64(len(b))
	return s.checkpoint()
}

// checkpoint begins to write the journal when enough has come since the last time. Pieces are written meanwhile: a disk that takes its time
// to bring 64 MiB to safety holds nobody up.
func (s *FileStorage) checkpoint() error {
	select {
	case err := <-s.saving:
		s.saving = nil
		if s.failed = err; err != nil {
			return err
		}
	default:
	}
	if s.saving != nil || s.unsaved < pieceJournalBytes && time.Since(s.saved) < pieceJournalEvery {
		return nil
	}
	j := newPieceJournal(s.torrent, s.id, append([]bool(nil), s.have...))
	s.unsaved, s.saved, s.saving = 0, time.Now(), make(chan error, 1)
	go func(done chan<- error) { done <- s.save(j) }(s.saving)
	return nil
}

// save writes a journal of pieces that were written, once they are on the disk.
func (s *FileStorage) save(j pieceJournal) error {
	if err := s.sync(s.file); err != nil {
		return s.explain(fmt.Errorf("%s: %w", s.partialPath(), err))
	}
	return j.write(s.journalPath())
}

// settle waits for the journal that is being written, and returns what went wrong with any.
func (s *FileStorage) settle() error {
	if s.saving != nil {
		s.failed = <-s.saving
		s.saving = nil
	}
	return s.failed
}

// ReadAt reads bytes of pieces that are there.
func (s *FileStorage) ReadAt(b []byte, offset int64) (int, error) {
	s.mu.Lock()
	still, err := s.still, s.there(offset, int64(len(b)))
	s.mu.Unlock()
	if err != nil {
		return 0, err
	}
	if still != nil {
		return still.ReadAt(b, offset)
	}
	n, err := s.file.ReadAt(b, offset)
	if errors.Is(err, io.EOF) && offset+int64(n) < min(offset+int64(len(b)), s.torrent.Length) {
		return n, fmt.Errorf("%s ends at %d: somebody has cut it: %w", s.partialPath(), offset+int64(n), ErrGone)
	}
	return n, err
}

// there tells whether every piece of a range is there.
func (s *FileStorage) there(offset, n int64) error {
	if offset < 0 {
		return fmt.Errorf("%s: %w: offset %d", s.path, fs.ErrInvalid, offset)
	}
	for at := offset - offset%s.torrent.PieceLength; at < min(offset+n, s.torrent.Length); at += s.torrent.PieceLength {
		if piece := at / s.torrent.PieceLength; !s.have[piece] {
			return fmt.Errorf("%s: piece %d is not there yet", s.path, piece)
		}
	}
	return nil
}

// File returns the file, or nil when it was finished and has changed since. What it has of pieces that are not there is anything.
func (s *FileStorage) File() *os.File {
	s.mu.Lock()
	still := s.still
	s.mu.Unlock()
	if still != nil {
		return still.File()
	}
	return s.file
}

// Finish brings the file to the disk and gives it its name.
func (s *FileStorage) Finish() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.still != nil {
		return s.still.check()
	}
	if err := s.settle(); err != nil {
		return err
	}
	if s.missing > 0 {
		return fmt.Errorf("%s is not complete: %d of its %d pieces are missing", s.partialPath(), s.missing, len(s.have))
	}
	if s.failed = s.sync(s.file); s.failed != nil {
		return s.explain(fmt.Errorf("%s: %w", s.partialPath(), s.failed))
	}
	still, err := newStillFile(s.file)
	if err != nil {
		return err
	}
	if still.size != s.torrent.Length {
		return fmt.Errorf("%s has %d bytes, and was written %d: somebody has cut it: %w", s.partialPath(), still.size, s.torrent.Length, ErrGone)
	}
	if err := s.appear(); err != nil {
		return err
	}
	s.still = still
	return s.tidy()
}

// appear gives the file its name.
func (s *FileStorage) appear() error {
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

// tidy removes the journal of a file that has its name. The journal goes last: until the name is safe, it is what a fetch would go on with.
func (s *FileStorage) tidy() error {
	folder := filepath.Dir(s.path)
	if err := syncNames(folder); err != nil {
		return err
	}
	err := os.Remove(s.journalPath())
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	// OpenGnsys must not find it again after a power cut and take the file for interrupted.
	return errors.Join(err, syncNames(folder))
}

// Close ends the storage. What was fetched of a file that is not complete stays, with its journal, for the next time; nothing stays
// when nothing was fetched.
func (s *FileStorage) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	err := s.settle()
	switch {
	case s.still != nil:
	case s.fresh && s.missing == len(s.have):
		err = errors.Join(err, removeFound(s.partialPath()), removeFound(s.journalPath()))
	case err == nil && s.claims:
		err = s.save(newPieceJournal(s.torrent, s.id, s.have))
	}
	return errors.Join(err, s.file.Close())
}

// explain turns the system's words for a full disk into what is missing, and what to do.
func (s *FileStorage) explain(err error) error {
	switch {
	case errors.Is(err, unix.EFBIG):
		return fmt.Errorf("%s is of %d bytes, more than its filesystem, or the limit of this process, lets a file have: %w", s.path, s.torrent.Length, err)
	case !errors.Is(err, unix.ENOSPC) && !errors.Is(err, unix.EDQUOT):
		return err
	}
	free, taken, spaceErr := s.space()
	if spaceErr != nil {
		return errors.Join(err, spaceErr)
	}
	return fmt.Errorf("%w (%w)", s.noRoom(max(0, s.torrent.Length-taken), free), err)
}

func (s *FileStorage) noRoom(needed, free int64) error {
	missing := ""
	if needed > free {
		missing = fmt.Sprintf(", %d too few", needed-free)
	}
	return fmt.Errorf("no room for %s: %d bytes are still needed, and %d are free on its disk%s; make room and start again, what was fetched is kept: %w",
		s.path, needed, free, missing, unix.ENOSPC)
}

// space returns what is free on the filesystem, and what NAME.partial takes of it already.
func (s *FileStorage) space() (free, taken int64, err error) {
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

func removeFound(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// syncNames brings the names in a folder to the disk.
func syncNames(folder string) error {
	d, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
