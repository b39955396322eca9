// Package imagestore keeps the repository: a folder of images, each published whole or not at all and never changed
// afterwards. It is not about the computers that images go to, nor about what is in a catalog.
//
// # On disk
//
// Images lie where OpenGnsys puts them, so that a technician finds them by name:
//
//	NAME.img          the current revision's image
//	NAME.img.sum      MD5 of the image, as OpenGnsys writes it: 32 hexadecimal digits and a newline
//	NAME.img.info     OpenGnsys' info line TOOL:COMPRESSOR:FS:KIB:HOSTNAME
//	NAME.img.json     Aula's record of the image (Image)
//	NAME.img.chunks   the chunk index (imagestore/format)
//	NAME.img.layout   the layout of the disk that it comes from, when there is one
//
// They are hard links into .revisions/NAME/N/, where the revisions live, complete and read-only. A capture is written to
// .staging/ID/ and becomes a revision by one rename of its folder, after everything in it is on stable storage and was
// read again. What is in .staging when a repository is opened is left over from a crash and removed.
package imagestore

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"time"

	"aula/imagestore/format"
)

// Errors that callers branch on.
var (
	ErrNotFound = errors.New("no such image")
	ErrBusy     = errors.New("image is in use")
	ErrNoSpace  = errors.New("repository disk is full")
	ErrBadName  = errors.New("not a canonical image name")
)

// An Image is one revision of an image, as its record says.
type Image struct {
	Name      string      `json:"name"`     // canonical: letters, digits, _ . -, no leading dot, at most 128
	Revision  int         `json:"revision"` // from 1
	Info      format.Info `json:"info"`
	FileBytes int64       `json:"fileBytes"`
	MD5       string      `json:"md5"`    // hexadecimal, of the file
	Blake3    string      `json:"blake3"` // hexadecimal, of the file
	Created   time.Time   `json:"created"`
	Source    Source      `json:"source"`
	HasLayout bool        `json:"hasLayout"`
}

// A Source says where an image was captured.
type Source struct {
	Computer   string `json:"computer,omitempty"` // name
	ComputerID string `json:"computerID,omitempty"`
	Disk       int    `json:"disk,omitempty"`
	Partition  int    `json:"partition,omitempty"`
	SectorSize int    `json:"sectorSize,omitempty"`
}

// CheckName answers an error wrapping ErrBadName that says why name is no canonical image name and
// suggests one that is.
func CheckName(name string) error { return nil }

// A Repository is one folder of images.
type Repository struct{}

// Open takes the folder dir, making it if it is missing, removes what a crash left in staging and repairs the
// links of current revisions. reserve is the number of bytes that captures must leave free on the volume.
func Open(dir string, reserve int64, log *slog.Logger) (*Repository, error) { return nil, nil }

// Dir returns the folder.
func (r *Repository) Dir() string { return "" }

// Images returns the current revision of every image, by name.
func (r *Repository) Images() ([]Image, error) { return nil, nil }

// Image returns the current revision of one image, or ErrNotFound.
func (r *Repository) Image(name string) (Image, error) { return Image{}, ErrNotFound }

// Revision returns one revision of an image, or ErrNotFound.
func (r *Repository) Revision(name string, revision int) (Image, error) { return Image{}, ErrNotFound }

// OpenFile opens the image file of a revision for reading. The file stays readable while the image is removed.
func (r *Repository) OpenFile(name string, revision int) (*os.File, error) { return nil, ErrNotFound }

// OpenChunks opens the chunk index of a revision.
func (r *Repository) OpenChunks(name string, revision int) (*os.File, error) { return nil, ErrNotFound }

// Layout returns the JSON of the disk layout beside a revision, or ErrNotFound.
func (r *Repository) Layout(name string, revision int) ([]byte, error) { return nil, ErrNotFound }

// Free returns the bytes that captures may still fill: what is free on the volume less the reserve.
func (r *Repository) Free() (int64, error) { return 0, nil }

// Hold marks a revision as in use by holder (words for people, such as "restore on pc-07") until release is called.
// A held image cannot be removed.
func (r *Repository) Hold(name string, revision int, holder string) (release func(), err error) {
	return func() {}, nil
}

// Remove removes an image with all its revisions, or answers ErrBusy wrapped with who holds it.
func (r *Repository) Remove(name string) error { return nil }

// Stage begins an image. Nothing of it is visible until Publish.
func (r *Repository) Stage(name string, source Source) (*Staging, error) { return nil, nil }

// A Staging is an image that is being written. It must be ended by Publish or Abort; it is used by one goroutine at a time.
type Staging struct{}

// Write appends to the image file. Before the volume falls below the reserve it answers ErrNoSpace.
func (s *Staging) Write(p []byte) (int, error) { return len(p), nil }

// ReadFrom lets io.Copy use large buffers.
func (s *Staging) ReadFrom(r io.Reader) (int64, error) { return 0, nil }

// SetLayout puts the JSON of the disk's layout beside the image.
func (s *Staging) SetLayout(layout []byte) error { return nil }

// Publish checks that the bytes written have the BLAKE3 digest blake3 (hexadecimal; what the sender computed), reads
// the staged file again, decodes it whole, makes the sidecars, brings everything to stable storage and makes it the next
// revision of the name. progress, when not nil, is told the file bytes read. After an error nothing is visible and
// the staging is gone.
func (s *Staging) Publish(ctx context.Context, blake3 string, progress func(done, total int64)) (Image, error) {
	return Image{}, nil
}

// Abort throws the staging away. It is harmless after Publish.
func (s *Staging) Abort() error { return nil }
