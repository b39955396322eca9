package imagestore

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"
)

// A hold is one holder's mark on a revision.
type hold struct {
	name     string
	revision int
	mark     *int // its identity
}

// Hold marks a revision as in use by holder (words for people, such as "restore on pc-07") until release is called.
// A held image cannot be removed. release may be called more than once.
func (r *Repository) Hold(name string, revision int, holder string) (release func(), err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, err := r.revision(name, revision); err != nil {
		return nil, err
	}
	h := hold{name, revision, new(int)}
	r.holds[h] = holder
	return sync.OnceFunc(func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.holds, h)
	}), nil
}

// Holders returns who holds any revision of an image, by name.
func (r *Repository) Holders(name string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.holders(name)
}

// holders is Holders with mu held.
func (r *Repository) holders(name string) []string {
	var who []string
	for h, holder := range r.holds {
		if h.name == name {
			who = append(who, holder)
		}
	}
	slices.Sort(who)
	return who
}

// Remove removes an image with all its revisions, or answers ErrBusy wrapped with who holds it.
func (r *Repository) Remove(name string) error {
	r.commit.Lock()
	defer r.commit.Unlock()
	if err := r.retire(name); err != nil {
		return err
	}
	r.log.Info("image removed", "image", name)
	// The image is gone; what is left on the disk goes now or when the repository is opened again.
	if err := r.clean(name); err != nil {
		r.log.Warn("files of a removed image are left", "image", name, "err", err)
	}
	return nil
}

// RemoveRevision removes one revision at once, without the trash, or answers ErrBusy wrapped with who holds it. With the
// last one the image is gone.
func (r *Repository) RemoveRevision(name string, revision int) error {
	return errors.New("not yet")
}

// retire makes an image's revisions cease to be, in one step.
func (r *Repository) retire(name string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.images[name]) == 0 {
		return fmt.Errorf("%w: %q", ErrNotFound, name)
	}
	if who := r.holders(name); len(who) > 0 {
		return fmt.Errorf("%w: %s: %s", ErrBusy, name, strings.Join(who, ", "))
	}
	dir := path.Join(revisionsDir, name)
	marker := path.Join(dir, fmt.Sprintf("%d%s", r.last[name], removedSuffix))
	err := r.folder.writeFile(marker, nil)
	if err == nil {
		err = r.folder.syncDir(dir)
	}
	if err != nil {
		err = errors.Join(r.explain(err), r.folder.remove(marker))
		return fmt.Errorf("image %s is not removed: %w", name, err)
	}
	delete(r.images, name)
	return nil
}
