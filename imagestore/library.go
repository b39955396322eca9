package imagestore

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
)

// ErrNoRepository is answered for a repository that the library does not have.
var ErrNoRepository = errors.New("no such repository")

// A Library is the repositories of the appliance. Where a method takes the name of a repository, "" means, for an image that
// exists, the first repository that has it, and for everything else the first repository. It is safe for concurrent use.
type Library struct {
	mu           sync.Mutex
	repositories []*Repository
	supervise    func(*Repository) // nil while Run does not run
	watches      map[*Repository]watch
}

// NewLibrary makes a library; first is where images go when nobody says where.
func NewLibrary(first *Repository, more ...*Repository) *Library {
	return &Library{
		repositories: append([]*Repository{first}, more...),
		watches:      make(map[*Repository]watch),
	}
}

// Close closes all repositories.
func (l *Library) Close() error {
	var errs []error
	for _, r := range l.Repositories() {
		errs = append(errs, r.Close())
	}
	return errors.Join(errs...)
}

// Repositories returns all, the first one first.
func (l *Library) Repositories() []*Repository {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.repositories)
}

// Repository returns one by name, or ErrNoRepository.
func (l *Library) Repository(name string) (*Repository, error) {
	for _, r := range l.Repositories() {
		if name == "" || r.opt.Name == name {
			return r, nil
		}
	}
	return nil, fmt.Errorf("%w: %q", ErrNoRepository, name)
}

// home returns the repository that has an image.
func (l *Library) home(repository, image string) (*Repository, error) {
	if repository != "" {
		return l.Repository(repository)
	}
	all := l.Repositories()
	for _, r := range all {
		if _, err := r.Image(image); err == nil {
			return r, nil
		}
	}
	return all[0], nil // which says that it has none
}

// Images returns the current revision of every image of every repository.
func (l *Library) Images() ([]Image, error) {
	var list []Image
	for _, r := range l.Repositories() {
		images, err := r.Images()
		if err != nil {
			return nil, err
		}
		list = append(list, images...)
	}
	return list, nil
}

// Image returns the current revision of one image, or ErrNotFound.
func (l *Library) Image(repository, name string) (Image, error) {
	r, err := l.home(repository, name)
	if err != nil {
		return Image{}, err
	}
	return r.Image(name)
}

// Revision returns one revision of an image, or ErrNotFound.
func (l *Library) Revision(repository, name string, revision int) (Image, error) {
	r, err := l.home(repository, name)
	if err != nil {
		return Image{}, err
	}
	return r.Revision(name, revision)
}

// Hold is Repository.Hold.
func (l *Library) Hold(repository, name string, revision int, holder string) (release func(), err error) {
	r, err := l.home(repository, name)
	if err != nil {
		return nil, err
	}
	return r.Hold(name, revision, holder)
}

// Layout is Repository.Layout.
func (l *Library) Layout(repository, name string, revision int) ([]byte, error) {
	r, err := l.home(repository, name)
	if err != nil {
		return nil, err
	}
	return r.Layout(name, revision)
}

// Free is Repository.Free.
func (l *Library) Free(repository string) (int64, error) {
	r, err := l.Repository(repository)
	if err != nil {
		return 0, err
	}
	return r.Free()
}

// Stage is Repository.Stage.
func (l *Library) Stage(repository, name string, source Source) (*Staging, error) {
	r, err := l.Repository(repository)
	if err != nil {
		return nil, err
	}
	return r.Stage(name, source)
}

// Remove is Repository.Remove.
func (l *Library) Remove(repository, name string) error {
	r, err := l.home(repository, name)
	if err != nil {
		return err
	}
	return r.Remove(name)
}

// OpenFile is Repository.OpenFile.
func (l *Library) OpenFile(repository, name string, revision int) (*os.File, error) {
	r, err := l.home(repository, name)
	if err != nil {
		return nil, err
	}
	return r.OpenFile(name, revision)
}

// OpenChunks is Repository.OpenChunks.
func (l *Library) OpenChunks(repository, name string, revision int) (*os.File, error) {
	r, err := l.home(repository, name)
	if err != nil {
		return nil, err
	}
	return r.OpenChunks(name, revision)
}

// OpenTorrent is Repository.OpenTorrent.
func (l *Library) OpenTorrent(repository, name string, revision int) (*os.File, error) {
	r, err := l.home(repository, name)
	if err != nil {
		return nil, err
	}
	return r.OpenTorrent(name, revision)
}
