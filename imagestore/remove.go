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
	return r.removeImage(name, r.Options().Trash > 0, nil)
}

// removeImage removes an image with all its revisions, to the trash or for good, unless somebody holds it or check, which is asked
// when nothing can change any more, refuses. After an error the image is there with all its revisions.
func (r *Repository) removeImage(name string, toTrash bool, check func() error) error {
	r.commit.Lock()
	rubbish, err := r.strike(name, toTrash, check)
	r.commit.Unlock()
	if err != nil {
		return err
	}
	r.sweep(rubbish)
	r.log.Info("image removed", "image", name)
	r.tell(name)
	return nil
}

// strike is removeImage without what takes long: sweeping up its rubbish is left to the caller, when commit, which is held, is not any
// more. The ledger is the one step with which the image is gone.
func (r *Repository) strike(name string, toTrash bool, check func() error) (rubbish []string, err error) {
	release, err := r.claim(name, 0)
	if err != nil {
		return nil, err
	}
	defer release()
	if check != nil {
		if err := check(); err != nil {
			return nil, err
		}
	}
	l := ledger{Given: r.lastGiven(name), Removed: r.lastGiven(name)}
	if toTrash {
		if l.Trash, err = r.makeTrash(name); err != nil {
			return nil, fmt.Errorf("image %s is not removed: %w", name, r.explain(err))
		}
	}
	if err := r.enter(name, l); err != nil {
		err = fmt.Errorf("image %s is not removed: %w", name, r.explain(err))
		if l.Trash != "" {
			err = errors.Join(err, r.folder.removeAll(path.Join(trashDir, l.Trash)))
		}
		return nil, err
	}
	r.mu.Lock()
	for _, img := range r.images[name] {
		delete(r.health, img.key())
		delete(r.hashes, img.key())
	}
	delete(r.images, name)
	maps.DeleteFunc(r.lost, func(k key, _ string) bool { return k.name == name })
	r.mu.Unlock()
	// The image is gone; what is left on the disk goes now or when the repository is opened again.
	if rubbish, err = r.clear(name, l); err != nil {
		r.log.Warn("files of a removed image are left", "image", name, "err", err)
	}
	if l.Trash != "" {
		if err := r.noteTrash(l.Trash); err != nil {
			r.log.Warn("a removed image cannot be read in the trash", "image", name, "id", l.Trash, "err", err)
		}
	}
	return rubbish, nil
}

// enter writes a ledger. An error means that the one before is valid: one that could be written, and only perhaps not to stable
// storage, has been seen and counts.
func (r *Repository) enter(name string, l ledger) error {
	err := r.writeLedger(name, l)
	if err == nil {
		return nil
	}
	if now, readErr := r.readLedger(name); readErr != nil || now != l {
		return err
	}
	r.log.Warn("a ledger may not outlast a power cut", "image", name, "err", err)
	return nil
}

// clear is clean of an image whose revisions are all removed, with what takes long left over.
func (r *Repository) clear(name string, l ledger) (rubbish []string, err error) {
	if l.Trash != "" {
		return nil, r.clean(name)
	}
	numbers, _, err := r.numbersIn(path.Join(revisionsDir, name))
	if err != nil {
		return nil, err
	}
	for _, n := range numbers {
		if err := r.unlink(name, n); err != nil {
			return rubbish, err
		}
		scratch, err := r.detach(revisionPath(name, n))
		if err != nil {
			return rubbish, err
		}
		rubbish = append(rubbish, scratch)
	}
	return rubbish, nil
}

// removable answers an error unless a revision of an image, or with 0 the image, is there and nobody holds it. mu is held.
func (r *Repository) removable(name string, revision int) error {
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
	scratch, err := r.dropUnheld(name, revision)
	r.commit.Unlock()
	if err != nil {
		return err
	}
	r.sweep([]string{scratch})
	r.log.Info("revision removed", "image", name, "revision", revision)
	r.tell(name)
	return nil
}

// dropUnheld removes a revision that nobody holds, like detachRevision.
func (r *Repository) dropUnheld(name string, revision int) (scratch string, err error) {
	release, err := r.claim(name, revision)
	if err != nil {
		return "", err
	}
	defer release()
	return r.detachRevision(name, revision)
}

// drop removes a revision, whoever holds it. commit is held.
func (r *Repository) drop(name string, revision int) error {
	scratch, err := r.detachRevision(name, revision)
	if err == nil {
		r.sweep([]string{scratch})
	}
	return err
}

// detachRevision makes rubbish of a revision, whoever holds it. The rename of its folder is the instant at which it is gone.
// commit is held.
func (r *Repository) detachRevision(name string, revision int) (scratch string, err error) {
	fail := func(err error) (string, error) {
		return "", fmt.Errorf("revision %d of image %s is not removed: %w", revision, name, r.explain(err))
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
	err = r.unlink(name, revision)
	if err == nil {
		scratch, err = r.detach(revisionPath(name, revision))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil {
		r.setRevisions(name, before)
		return fail(err)
	}
	delete(r.health, key{name, revision})
	delete(r.hashes, key{name, revision})
	delete(r.lost, key{name, revision})
	return scratch, nil
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

// detach makes rubbish of a folder in one step: what a crash leaves of it is in staging, which is emptied at Open.
func (r *Repository) detach(dir string) (scratch string, err error) {
	scratch = path.Join(stagingDir, rand.Text())
	if err := r.folder.rename(dir, scratch); err != nil {
		return "", err
	}
	if err := r.folder.syncDir(path.Dir(dir)); err != nil {
		return "", errors.Join(err, r.folder.rename(scratch, dir))
	}
	return scratch, nil
}

// sweep removes rubbish, which takes long for large files: commit should not be held.
func (r *Repository) sweep(rubbish []string) {
	for _, scratch := range rubbish {
		if err := r.folder.removeAll(scratch); err != nil {
			r.log.Warn("removed files are left in staging", "staging", scratch, "err", err)
		}
	}
}

// prune makes rubbish of revisions that are older than the last Keep good ones before the current, except those in use. commit is
// held.
func (r *Repository) prune(name string) (rubbish []string) {
	for _, revision := range r.outdated(name) {
		scratch, err := r.dropUnheld(name, revision)
		if err != nil {
			r.log.Warn("an old revision is left", "image", name, "revision", revision, "err", err)
			continue
		}
		rubbish = append(rubbish, scratch)
		r.log.Info("old revision removed", "image", name, "revision", revision)
	}
	return rubbish
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
