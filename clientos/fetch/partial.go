package fetch

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/zeebo/blake3"
	"golang.org/x/sys/unix"

	"aula/clientos/clone"
	"aula/clientos/protocol"
	"aula/imagestore/format"
)

// A partial is a file PATH that is being fetched as PATH.partial. It gets its name when it is complete and on the disk. Beside it, the journal
// PATH.partial.blocks says which of its bytes the disk has, so that a fetch that was killed, or whose PC lost power, goes on where it was, whether it
// came by unicast or by multicast. The journal never claims what is not on the disk; one that is damaged, or of another image, is as good as none.
//
// Whether bytes are right is not for the journal to know: a file of wrong bytes is refused when it is complete, and begun anew.
//
// Its methods belong to one goroutine at a time.
type partial struct {
	path string
	id   [32]byte // of the image
	size int64
	file *os.File // nil when it was complete before
	have clone.Ranges

	unsaved int64      // bytes since the journal was last begun
	saved   time.Time  // when that was
	saving  chan error // answers when the journal is written; nil while none is
	done    bool
}

// How much a killed fetch may lose, beside what is under way.
const (
	journalBytes = 64 << 20
	journalEvery = 2 * time.Second
)

// idOf is the same for the same bytes only, as far as the image tells.
func idOf(image protocol.Image) [32]byte {
	if b, err := hex.DecodeString(image.Digest); err == nil && len(b) == 32 {
		return [32]byte(b)
	}
	return blake3.Sum256(fmt.Appendf(nil, "%q %q %d %d", image.Repository, image.Name, image.Revision, image.FileBytes))
}

// openPartial opens what there is of the file of an image. Close it in the end.
func openPartial(f File) (*partial, error) {
	p := &partial{path: f.Path, id: idOf(f.Image), size: f.Image.FileBytes, saved: time.Now()}
	if info, err := os.Stat(f.Path); err == nil && info.Mode().IsRegular() && info.Size() == p.size {
		p.done = true // it got this name when it was complete
		p.have.Add(format.Extent{Length: p.size})
		return p, nil
	}
	file, err := os.OpenFile(p.partialPath(), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, diskFailure(f.Path, err)
	}
	p.file = file
	err = p.resume()
	if err == nil {
		err = file.Truncate(p.size)
	}
	if err != nil {
		return nil, diskFailure(f.Path, errors.Join(err, file.Close()))
	}
	return p, nil
}

func (p *partial) partialPath() string { return p.path + ".partial" }
func (p *partial) journalPath() string { return p.path + ".partial.blocks" }

// resume takes what the journal claims, or begins with nothing.
func (p *partial) resume() error {
	info, err := p.file.Stat()
	if err != nil {
		return err
	}
	j, err := readJournal(p.journalPath())
	switch {
	case err == nil && j.id == p.id && j.size == p.size && j.end() <= info.Size():
		p.have = j.have
		return nil
	case err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errJournal):
		return err
	}
	// The old journals, also that of BitTorrent, must be gone for good before the first byte comes: after a power cut, they would speak for it.
	if err := errors.Join(removeIfThere(p.journalPath()), removeIfThere(p.path+".torrent.bf")); err != nil {
		return err
	}
	return errors.Join(syncFolder(filepath.Dir(p.path)), p.file.Truncate(0))
}

// missing returns which bytes from low to high-1 have not come.
func (p *partial) missing(low, high int64) []format.Extent { return p.have.Missing(low, high) }

// admits takes all that comes.
func (p *partial) admits(format.Extent) bool { return true }

// write writes bytes that are missing.
func (p *partial) write(offset int64, b []byte) error {
	if !p.have.Add(format.Extent{Offset: offset, Length: int64(len(b))}) {
		return fmt.Errorf("%s: some of the bytes %d to %d came before", p.path, offset, offset+int64(len(b))-1)
	}
	if _, err := p.file.WriteAt(b, offset); err != nil {
		return diskFailure(p.path, err)
	}
	p.unsaved += int64(len(b))
	return diskFailure(p.path, p.checkpoint())
}

// checkpoint begins to write the journal when enough has come since the last time. More is written meanwhile: a disk that takes its time to bring
// 64 MiB to safety holds nobody up.
func (p *partial) checkpoint() error {
	select {
	case err := <-p.saving:
		p.saving = nil
		if err != nil {
			return err
		}
	default:
	}
	if p.saving != nil || p.unsaved < journalBytes && time.Since(p.saved) < journalEvery {
		return nil
	}
	j := p.journal()
	p.unsaved, p.saved, p.saving = 0, time.Now(), make(chan error, 1)
	go func(done chan<- error) { done <- p.save(j) }(p.saving)
	return nil
}

func (p *partial) journal() journal {
	return journal{id: p.id, size: p.size, have: append(clone.Ranges(nil), p.have...)}
}

// save writes a journal of bytes that were written, once they are on the disk.
func (p *partial) save(j journal) error {
	if err := unix.Fdatasync(int(p.file.Fd())); err != nil {
		return fmt.Errorf("%s: %w", p.partialPath(), err)
	}
	return j.write(p.journalPath())
}

// settle waits for the journal that is being written.
func (p *partial) settle() error {
	if p.saving == nil {
		return nil
	}
	err := <-p.saving
	p.saving = nil
	return err
}

// finish brings the file to the disk and gives it its name.
func (p *partial) finish() error {
	if p.done {
		return nil
	}
	if missing := p.missing(0, p.size); len(missing) > 0 {
		return fmt.Errorf("%s is not complete: byte %d is missing", p.partialPath(), missing[0].Offset)
	}
	if err := errors.Join(p.settle(), p.file.Sync()); err != nil {
		return diskFailure(p.path, err)
	}
	if err := os.Rename(p.partialPath(), p.path); err != nil {
		return diskFailure(p.path, err)
	}
	p.done = true
	// The journal goes last: until the name is safe, it is what a fetch would go on with.
	return diskFailure(p.path, errors.Join(syncFolder(filepath.Dir(p.path)), removeIfThere(p.journalPath())))
}

// close ends it. What has come of a file that is not complete stays, with its journal; nothing stays when nothing came.
func (p *partial) close() error {
	if p.file == nil {
		return nil
	}
	err := p.settle()
	switch {
	case p.done:
	case len(p.have) == 0:
		err = errors.Join(err, removeIfThere(p.partialPath()), removeIfThere(p.journalPath()))
	case err == nil:
		err = p.save(p.journal())
	}
	return errors.Join(err, p.file.Close())
}

func removeIfThere(path string) error {
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// syncFolder brings the names in a folder to the disk.
func syncFolder(folder string) error {
	d, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
