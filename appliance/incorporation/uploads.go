package incorporation

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"aula/imagestore"
)

// Errors of Uploads that callers branch on.
var (
	// ErrNoUpload is answered for an upload that is not there (any more).
	ErrNoUpload = errors.New("no such upload")
	// ErrOffset is answered for bytes that do not continue a file where it has got to.
	ErrOffset = errors.New("the file goes on at another byte")
)

const (
	uploadLife  = 7 * 24 * time.Hour // since somebody continued it
	uploadBlock = 1 << 20
	dataDir     = "data"
)

// Uploads are the files that browsers are sending. They live in a folder of the repository, so that taking them in need not copy
// them, and survive a restart: what Append has acknowledged is on stable storage. The methods are safe for concurrent use.
type Uploads struct {
	dir  string
	free func() (int64, error)
	now  func() time.Time

	mu      sync.Mutex
	uploads map[string]*upload
}

// A File is one file of an upload.
type File struct {
	Path string `json:"path"` // relative, slashes; a name, or FOLDER/NAME when a folder is uploaded
	Size int64  `json:"size"`
	Have int64  `json:"have"` // bytes that have arrived

	synced int64 // those of them that are on stable storage
}

// An Upload is a set of files that belong together.
type Upload struct {
	ID      string    `json:"id"`
	By      string    `json:"by"`
	Begun   time.Time `json:"begun"`
	Expires time.Time `json:"expires"`
	Files   []File    `json:"files"`
}

// Complete tells whether all has arrived and is on stable storage.
func (u Upload) Complete() bool {
	return !slices.ContainsFunc(u.Files, func(f File) bool { return f.synced < f.Size })
}

// missing is how many bytes have not arrived.
func (u Upload) missing() int64 {
	var n int64
	for _, f := range u.Files {
		n += f.Size - f.Have
	}
	return n
}

// An upload is an Upload that is kept. mu guards it.
type upload struct {
	mu      sync.Mutex
	state   Upload
	claimed bool // by an import
	gone    bool // it has been discarded
}

func (u *upload) snapshot() Upload {
	u.mu.Lock()
	defer u.mu.Unlock()
	s := u.state
	s.Files = slices.Clone(s.Files)
	return s
}

// OpenUploads takes the folder dir, making it if it is missing, and forgets what has expired. free tells how many bytes may
// still be written.
func OpenUploads(dir string, free func() (int64, error), now func() time.Time) (*Uploads, error) {
	u := &Uploads{dir: dir, free: free, now: now, uploads: make(map[string]*upload)}
	if err := u.load(); err != nil {
		return nil, fmt.Errorf("opening the uploads in %s: %w", dir, err)
	}
	return u, u.Expire()
}

// Begin begins an upload; odd names and too many files are refused, and with ErrNoSpace of imagestore more bytes
// than there is room for.
func (u *Uploads) Begin(files []File, by string) (Upload, error) {
	if err := checkFiles(files); err != nil {
		return Upload{}, err
	}
	state := Upload{ID: rand.Text(), By: by, Begun: u.now().UTC(), Expires: u.now().UTC().Add(uploadLife)}
	for _, f := range files {
		state.Files = append(state.Files, File{Path: f.Path, Size: f.Size})
	}
	up := &upload{state: state}
	u.mu.Lock()
	defer u.mu.Unlock()
	if err := u.checkRoom(state.missing()); err != nil {
		return Upload{}, err
	}
	if err := u.create(up); err != nil {
		return Upload{}, errors.Join(fmt.Errorf("beginning an upload: %w", err), os.RemoveAll(u.path(state.ID)))
	}
	u.uploads[state.ID] = up
	return up.snapshot(), nil
}

// checkRoom refuses more bytes than there is room for beside what others are still sending. mu is held.
func (u *Uploads) checkRoom(want int64) error {
	free, err := u.free()
	if err != nil {
		return err
	}
	var promised int64
	for _, other := range u.uploads {
		promised += other.snapshot().missing()
	}
	if want > free-promised {
		return fmt.Errorf("%w: there is room for %.1f GiB, and these files have %.1f GiB: remove images that are no longer needed, or uploads that nobody will finish",
			imagestore.ErrNoSpace, float64(max(0, free-promised))/(1<<30), float64(want)/(1<<30))
	}
	return nil
}

// Append writes what comes from r at offset, which must be where the file has got to, and answers where it has got to then, also
// with an error.
func (u *Uploads) Append(id string, file int, offset int64, r io.Reader) (have int64, err error) {
	up, err := u.upload(id)
	if err != nil {
		return 0, err
	}
	f, err := u.openFile(up, file, offset)
	if f != nil {
		defer f.Close()
		err = u.receive(up, file, offset, f, r)
		err = errors.Join(err, u.settle(up, file, f))
	}
	if s := up.snapshot(); file >= 0 && file < len(s.Files) {
		have = s.Files[file].Have
	}
	if err != nil {
		err = fmt.Errorf("upload %s: %w", id, err)
	}
	return have, err
}

// openFile opens a file of an upload for writing at offset.
func (u *Uploads) openFile(up *upload, file int, offset int64) (*os.File, error) {
	up.mu.Lock()
	defer up.mu.Unlock()
	switch {
	case up.gone:
		return nil, ErrNoUpload
	case file < 0 || file >= len(up.state.Files):
		return nil, fmt.Errorf("it has no file %d", file)
	case up.state.Files[file].Have != offset:
		return nil, fmt.Errorf("%w: %s goes on at byte %d", ErrOffset, up.state.Files[file].Path, up.state.Files[file].Have)
	}
	return os.OpenFile(u.filePath(up.state, file), os.O_WRONLY, 0)
}

// receive writes blocks as they come. Nothing is locked while it waits for the network: when a browser has given a
// connection up and sends the rest on another one, the one that is behind is told so.
func (u *Uploads) receive(up *upload, file int, at int64, f *os.File, r io.Reader) error {
	buf := make([]byte, uploadBlock)
	for {
		n, readErr := io.ReadFull(r, buf)
		if n > 0 {
			if err := u.write(up, file, at, f, buf[:n]); err != nil {
				return err
			}
			at += int64(n)
		}
		switch {
		case readErr == io.EOF, readErr == io.ErrUnexpectedEOF:
			return nil
		case readErr != nil:
			return fmt.Errorf("receiving: %w", readErr)
		}
	}
}

// write writes one block.
func (u *Uploads) write(up *upload, file int, at int64, f *os.File, block []byte) error {
	free, err := u.free()
	if err != nil {
		return err
	}
	if free < int64(len(block)) {
		return fmt.Errorf("%w: remove images that are no longer needed, and continue", imagestore.ErrNoSpace)
	}
	up.mu.Lock()
	defer up.mu.Unlock()
	state := &up.state.Files[file]
	switch {
	case up.gone:
		return ErrNoUpload
	case state.Have != at:
		return fmt.Errorf("%w: another connection continues %s, which has got to byte %d", ErrOffset, state.Path, state.Have)
	case at+int64(len(block)) > state.Size:
		return fmt.Errorf("%s is longer than the %d bytes that were announced: begin again", state.Path, state.Size)
	}
	n, err := f.WriteAt(block, at)
	state.Have += int64(n)
	return err
}

// settle brings what was received to stable storage.
func (u *Uploads) settle(up *upload, file int, f *os.File) error {
	have := up.snapshot().Files[file].Have
	err := f.Sync()
	up.mu.Lock()
	defer up.mu.Unlock()
	state := &up.state.Files[file]
	switch {
	case up.gone:
		return nil // whoever sent has been told, or has sent nothing since
	case err != nil:
		state.Have = state.synced // what the disk has not taken must be sent again
		return err
	}
	state.synced = max(state.synced, have)
	return u.renew(up)
}

// upload finds one.
func (u *Uploads) upload(id string) (*upload, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	up, ok := u.uploads[id]
	if !ok {
		return nil, fmt.Errorf("%w: %.40q", ErrNoUpload, id)
	}
	return up, nil
}

// Upload returns one, or an error wrapping ErrNoUpload.
func (u *Uploads) Upload(id string) (Upload, error) {
	up, err := u.upload(id)
	if err != nil {
		return Upload{}, err
	}
	return up.snapshot(), nil
}

// All returns all, the oldest first.
func (u *Uploads) All() ([]Upload, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	list := make([]Upload, 0, len(u.uploads))
	for _, up := range u.uploads {
		list = append(list, up.snapshot())
	}
	slices.SortFunc(list, func(a, b Upload) int {
		return cmp.Or(a.Begun.Compare(b.Begun), cmp.Compare(a.ID, b.ID))
	})
	return list, nil
}

// Paths returns what Examine takes for an upload that is complete: its folder, or its files.
func (u *Uploads) Paths(id string) ([]string, error) {
	s, err := u.Upload(id)
	if err != nil {
		return nil, err
	}
	return u.paths(s)
}

func (u *Uploads) paths(s Upload) ([]string, error) {
	if !s.Complete() {
		return nil, fmt.Errorf("upload %s is not complete: %d bytes are missing", s.ID, s.missing())
	}
	if folder, _, ok := strings.Cut(s.Files[0].Path, "/"); ok {
		return []string{filepath.Join(u.path(s.ID), dataDir, folder)}, nil
	}
	paths := make([]string, len(s.Files))
	for i := range s.Files {
		paths[i] = u.filePath(s, i)
	}
	return paths, nil
}

// Claim keeps an upload that is complete for one import and returns its Paths. Until release is called it cannot be discarded or
// claimed again (the error wraps imagestore.ErrBusy) and does not expire; then it is discarded when it was taken in, and else has its full life
// again. release may be called once.
func (u *Uploads) Claim(id string) (paths []string, release func(takenIn bool) error, err error) {
	up, err := u.upload(id)
	if err != nil {
		return nil, nil, err
	}
	up.mu.Lock()
	defer up.mu.Unlock()
	if err := up.free(); err != nil {
		return nil, nil, err
	}
	if paths, err = u.paths(up.state); err != nil {
		return nil, nil, err
	}
	if err := u.renew(up); err != nil {
		return nil, nil, fmt.Errorf("upload %s: %w", id, err)
	}
	up.claimed = true
	return paths, func(takenIn bool) error { return u.release(up, takenIn) }, nil
}

// free answers an error for an upload that is gone or claimed. up is locked.
func (up *upload) free() error {
	switch {
	case up.gone:
		return fmt.Errorf("%w: %.40q", ErrNoUpload, up.state.ID)
	case up.claimed:
		return fmt.Errorf("%w: upload %s is being taken in already: wait for that import, or cancel it", imagestore.ErrBusy, up.state.ID)
	}
	return nil
}

// renew puts the end of an upload off. up is locked.
func (u *Uploads) renew(up *upload) error {
	up.state.Expires = u.now().UTC().Add(uploadLife)
	return u.writeManifest(up)
}

// release ends a claim.
func (u *Uploads) release(up *upload, takenIn bool) error {
	up.mu.Lock()
	up.claimed, up.gone = false, takenIn
	var err error
	if !takenIn {
		err = u.renew(up)
	}
	id := up.state.ID
	up.mu.Unlock()
	if takenIn {
		err = u.remove(id)
	}
	if err != nil {
		return fmt.Errorf("upload %s after its import: %w", id, err)
	}
	return nil
}

// Discard forgets one with all its files, or answers an error wrapping imagestore.ErrBusy while an import takes it in.
func (u *Uploads) Discard(id string) error {
	up, err := u.upload(id)
	if err != nil {
		return err
	}
	up.mu.Lock()
	err = up.free()
	up.gone = up.gone || err == nil
	up.mu.Unlock()
	if err != nil {
		return err
	}
	return u.remove(id)
}

// remove removes an upload that is marked as gone.
func (u *Uploads) remove(id string) error {
	u.mu.Lock()
	delete(u.uploads, id)
	u.mu.Unlock()
	if err := os.RemoveAll(u.path(id)); err != nil {
		return fmt.Errorf("discarding upload %s: %w", id, err)
	}
	return nil
}

// Expire forgets uploads that nobody has continued for 7 days, except those that are being taken in.
func (u *Uploads) Expire() error {
	all, err := u.All()
	if err != nil {
		return err
	}
	for _, s := range all {
		up, lost := u.upload(s.ID)
		if lost != nil {
			continue
		}
		up.mu.Lock()
		due := up.free() == nil && up.state.Expires.Before(u.now())
		up.gone = up.gone || due
		up.mu.Unlock()
		if due {
			err = errors.Join(err, u.remove(s.ID))
		}
	}
	return err
}

// In tells whether the uploads lie in the folder dir of a repository, which then takes them in without copying.
func (u *Uploads) In(dir string) bool { return filepath.Dir(u.dir) == filepath.Clean(dir) }
