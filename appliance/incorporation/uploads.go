package incorporation

import (
	"errors"
	"io"
	"time"
)

// Uploads are the files that browsers are sending. They live in a folder of the repository, so that taking them in need not copy
// them, and survive a restart.
type Uploads struct{ dir string }

// A File is one file of an upload.
type File struct {
	Path string `json:"path"` // relative, slashes; a name, or FOLDER/NAME when a folder is uploaded
	Size int64  `json:"size"`
	Have int64  `json:"have"` // bytes that have arrived
}

// An Upload is a set of files that belong together.
type Upload struct {
	ID      string    `json:"id"`
	By      string    `json:"by"`
	Begun   time.Time `json:"begun"`
	Expires time.Time `json:"expires"`
	Files   []File    `json:"files"`
}

// Complete tells whether all has arrived.
func (u Upload) Complete() bool { return false }

// OpenUploads takes the folder dir, making it if it is missing, and forgets what has expired. free tells how many bytes may
// still be written.
func OpenUploads(dir string, free func() (int64, error), now func() time.Time) (*Uploads, error) {
	return &Uploads{dir}, nil
}

// Begin begins an upload; odd names, too many files and more bytes than there is room for are refused.
func (u *Uploads) Begin(files []File, by string) (Upload, error) {
	return Upload{}, errors.New("not yet")
}

// Append writes what comes from r at offset, which must be where the file has got to, and answers where it has got to then, also
// with an error.
func (u *Uploads) Append(id string, file int, offset int64, r io.Reader) (have int64, err error) {
	return 0, errors.New("not yet")
}

// Upload returns one, or an error wrapping ErrNoUpload.
func (u *Uploads) Upload(id string) (Upload, error) { return Upload{}, ErrNoUpload }

// All returns all, the oldest first.
func (u *Uploads) All() ([]Upload, error) { return nil, nil }

// Paths returns what Examine takes for an upload that is complete.
func (u *Uploads) Paths(id string) ([]string, error) { return nil, ErrNoUpload }

// Discard forgets one with all its files.
func (u *Uploads) Discard(id string) error { return ErrNoUpload }

// Expire forgets uploads that nobody has continued for 7 days.
func (u *Uploads) Expire() error { return nil }

// ErrNoUpload is answered for an upload that is not there (any more).
var ErrNoUpload = errors.New("no such upload")
