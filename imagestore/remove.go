package imagestore

import (
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
)

// Remove moves an image with all its revisions to the trash, or removes it at once when nothing is kept there. It answers
// ErrBusy wrapped with who holds it.
func (r *Repository) Remove(name string) error {
	r.commit.Lock()
	err := r.remove(name)
	r.commit.Unlock()
	if err != nil {
		return err
	}
	r.log.Info("image removed", "image", name)
	r.tell(name)
	return nil
}

// remove is Remove with commit held.
func (r *Repository) remove(name string) error {
	if err := r.free(name, 0); err != nil {
		return err
	}
	l := ledger{Given: r.lastGiven(name), Removed: r.lastGiven(name)}
	if r.Options().Trash > 0 {
		var err error
		if l.Trash, err = r.makeTrash(name); err != nil {
			return fmt.Errorf("image %s is not removed: %w", name, r.explain(err))
		}
	}
	if err := r.writeLedger(name, l); err != nil {
		err = fmt.Errorf("image %s is not removed: %w", name, r.explain(err))
		if l.Trash != "" {
			err = errors.Join(err, r.folder.removeAll(path.Join(trashDir, l.Trash)))
		}
		return err
	}
	r.mu.Lock()
	for _, img := range r.images[name] {
		delete(r.health, img.key())
	}
	delete(r.images, name)
	maps.DeleteFunc(r.lost, func(k key, _ string) bool { return k.name == name })
	r.mu.Unlock()
	// The image is gone; what is left on the disk goes now or when the repository is opened again.
	if err := r.clean(name); err != nil {
		r.log.Warn("files of a removed image are left", "image", name, "err", err)
	}
	if l.Trash == "" {
		return nil
	}
	if err := r.noteTrash(l.Trash); err != nil {
		r.log.Warn("a removed image cannot be read in the trash", "image", name, "id", l.Trash, "err", err)
	}
	return nil
}

// free answers an error unless a revision of an image, or with 0 the image, is there and nobody holds it.
func (r *Repository) free(name string, revision int) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.images[name]) == 0 && len(r.lostOf(name)) == 0 {
		return fmt.Errorf("%w: %q", ErrNotFound, name)
	}
	who := r.holders(name)
	if revision != 0 {
		_, err := r.revision(name, revision)
		if _, lost := r.lost[key{name, revision}]; err != nil && !lost {
			return err
		}
		who = r.revisionHolders(name, revision)
	}
	if len(who) > 0 {
		return fmt.Errorf("%w: %s: %s", ErrBusy, name, strings.Join(who, ", "))
	}
	return nil
}

// lastGiven is the highest number that was ever given to a revision of an image.
func (r *Repository) lastGiven(name string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last[name]
}

// RemoveRevision removes one revision at once, without the trash, or answers ErrBusy wrapped with who holds it. With the
// last one the image is gone. Its number is not given again.
func (r *Repository) RemoveRevision(name string, revision int) error {
	r.commit.Lock()
	err := r.free(name, revision)
	if err == nil {
		err = r.drop(name, revision)
	}
	r.commit.Unlock()
	if err != nil {
		return err
	}
	r.log.Info("revision removed", "image", name, "revision", revision)
	r.tell(name)
	return nil
}

// drop removes a revision, whoever holds it. The rename of its folder is the instant at which it is gone. commit is held.
func (r *Repository) drop(name string, revision int) error {
	fail := func(err error) error {
		return fmt.Errorf("revision %d of image %s is not removed: %w", revision, name, r.explain(err))
	}
	if revision == r.lastGiven(name) {
		l, err := r.readLedger(name)
		if err != nil {
			return fail(err)
		}
		l.Given = revision
		if err := r.writeLedger(name, l); err != nil {
			return fail(err)
		}
	}
	r.mu.Lock()
	kept := slices.DeleteFunc(slices.Clone(r.images[name]), func(i Image) bool { return i.Revision == revision })
	before := r.images[name]
	r.setRevisions(name, kept)
	r.mu.Unlock()
	err := r.unlink(name, revision)
	if err == nil {
		err = r.throwAway(revisionPath(name, revision))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.setRevisions(name, before)
		return fail(err)
	}
	delete(r.health, key{name, revision})
	delete(r.lost, key{name, revision})
	return nil
}

// setRevisions notes the revisions of an image. mu is held.
func (r *Repository) setRevisions(name string, revisions []Image) {
	if r.images[name] = revisions; len(revisions) == 0 {
		delete(r.images, name)
	}
}

// unlink makes the files NAME.img and so on no longer those of a revision, which is not among the images any more.
func (r *Repository) unlink(name string, revision int) error {
	if _, err := r.Image(name); err == nil {
		if err := r.link(name); err != nil && !errors.Is(err, errForeign) {
			return err
		}
		return nil
	}
	if r.folder.same(name+imageSuffix, revisionFile(name, revision, imageSuffix)) {
		if err := r.folder.remove(name + imageSuffix); err != nil {
			return err
		}
	}
	alone := !r.folder.exists(name + imageSuffix) // sidecars without an image are nobody's
	for _, suffix := range sidecarSuffixes() {
		if alone || r.folder.same(name+suffix, revisionFile(name, revision, suffix)) {
			if err := r.folder.remove(name + suffix); err != nil {
				return err
			}
		}
	}
	return r.folder.syncDir(".")
}

// throwAway removes a folder in one step: what a crash leaves of it is in staging, which is emptied at Open.
func (r *Repository) throwAway(dir string) error {
	scratch := path.Join(stagingDir, rand.Text())
	if err := r.folder.rename(dir, scratch); err != nil {
		return err
	}
	if err := r.folder.syncDir(path.Dir(dir)); err != nil {
		return err
	}
	if err := r.folder.removeAll(scratch); err != nil {
		r.log.Warn("removed files are left in staging", "staging", scratch, "err", err)
	}
	return nil
}

// prune removes revisions that are older than the last Keep good ones before the current, except those in use. commit is held.
func (r *Repository) prune(name string) {
	for _, revision := range r.outdated(name) {
		if err := r.drop(name, revision); err != nil {
			r.log.Warn("an old revision is left", "image", name, "revision", revision, "err", err)
			continue
		}
		r.log.Info("old revision removed", "image", name, "revision", revision)
	}
}

// outdated returns the revisions that prune removes.
func (r *Repository) outdated(name string) []int {
	r.mu.Lock()
	defer r.mu.Unlock()
	var old []int
	good := 0
	for i, img := range slices.Backward(r.images[name]) {
		switch {
		case i == len(r.images[name])-1: // the current one
		case good < r.opt.Keep:
			if r.health[img.key()].Problem == "" {
				good++
			}
		case len(r.revisionHolders(name, img.Revision)) == 0:
			old = append(old, img.Revision)
		}
	}
	return old
}
