package imagestore

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"
)

// removedSuffix marks an empty file N.removed: revisions up to N are removed for good. It is what was written before there were
// ledgers.
const removedSuffix = ".removed"

// recover brings a repository as a crash may have left it to order, and learns what is in it.
func (r *Repository) recover() error {
	for _, dir := range []string{stagingDir, revisionsDir, trashDir} {
		if err := r.folder.mkdir(dir); err != nil {
			return err
		}
	}
	if err := r.folder.syncDir("."); err != nil {
		return err
	}
	left, err := r.folder.list(stagingDir)
	if err != nil {
		return err
	}
	for _, e := range left {
		r.log.Info("removing what a crash left in staging", "staging", e.Name())
		if err := r.folder.removeAll(path.Join(stagingDir, e.Name())); err != nil {
			return err
		}
	}
	names, err := r.folder.list(revisionsDir)
	if err != nil {
		return err
	}
	for _, e := range names {
		if CheckName(e.Name()) != nil || !e.IsDir() {
			continue // nothing of ours
		}
		if err := r.recoverImage(e.Name()); err != nil {
			return err
		}
	}
	// After the images: a removal that was cut short has moved its revisions to the trash by now.
	return r.recoverTrash()
}

// recoverImage learns the revisions of one image, ends a removal that was cut short and repairs the links.
func (r *Repository) recoverImage(name string) error {
	l, err := r.recoverLedger(name)
	if err != nil {
		return err
	}
	numbers, _, err := r.numbersIn(path.Join(revisionsDir, name))
	if err != nil {
		return err
	}
	var images []Image
	r.mu.Lock()
	r.last[name] = l.Given
	r.mu.Unlock()
	for _, n := range numbers {
		if n <= l.Removed {
			continue
		}
		img, err := r.load(name, n)
		r.mu.Lock()
		r.last[name] = max(r.last[name], n)
		if err == nil {
			images = append(images, img)
			r.health[img.key()] = r.loadHealth(name, n)
			if r.outOfDate(img) {
				r.stale[img.key()] = true
			}
		} else {
			r.log.Warn("revision cannot be read and is left out until its file has been read again", "image", name, "revision", n, "err", err)
			r.lost[key{name, n}] = err.Error()
		}
		r.mu.Unlock()
	}
	r.mu.Lock()
	r.setRevisions(name, images)
	r.mu.Unlock()
	if err := r.clean(name); err != nil {
		return err
	}
	if len(images) > 0 {
		if err := r.link(name); err != nil {
			r.log.Warn("current links are not repaired", "image", name, "err", err)
		}
	}
	return nil
}

// recoverLedger returns the ledger of an image, after it has taken over what older versions wrote instead.
func (r *Repository) recoverLedger(name string) (ledger, error) {
	l, err := r.readLedger(name)
	if err != nil {
		r.log.Warn("ledger cannot be read and is begun anew", "image", name, "err", err)
		l = ledger{}
	}
	home := path.Join(revisionsDir, name)
	_, markers, err := r.numbersIn(home)
	if err != nil || len(markers) == 0 {
		return l, err
	}
	if last := markers[len(markers)-1]; last > l.Given {
		l = ledger{Given: last, Removed: last}
	}
	if err := r.writeLedger(name, l); err != nil {
		return l, err
	}
	for _, n := range markers {
		if err := r.folder.remove(path.Join(home, fmt.Sprintf("%d%s", n, removedSuffix))); err != nil {
			return l, err
		}
	}
	return l, r.folder.syncDir(home)
}

// numbersIn returns the revisions in a folder and the markers of removed ones, ascending.
func (r *Repository) numbersIn(dir string) (numbers, markers []int, err error) {
	entries, err := r.folder.list(dir)
	if err != nil {
		return nil, nil, err
	}
	for _, e := range entries {
		text, marker := strings.CutSuffix(e.Name(), removedSuffix)
		n, err := strconv.Atoi(text)
		switch {
		case err != nil || n < 1 || strconv.Itoa(n) != text: // nothing of ours
		case marker:
			markers = append(markers, n)
		case e.IsDir():
			numbers = append(numbers, n)
		}
	}
	slices.Sort(numbers)
	slices.Sort(markers)
	return numbers, markers, nil
}

// load reads the record of a revision and makes sure that its file is there. Whether it is the file that the record
// describes is told by usable, and whether all sidecars are there by outOfDate.
func (r *Repository) load(name string, revision int) (Image, error) {
	data, err := r.folder.readFile(revisionFile(name, revision, recordSuffix), maxRecord)
	if err != nil {
		return Image{}, err
	}
	img, err := parseImage(data)
	if err != nil {
		return Image{}, err
	}
	img.Repository = r.opt.Name
	if img.Name != name || img.Revision != revision {
		return Image{}, fmt.Errorf("image record is that of revision %d of %q", img.Revision, img.Name)
	}
	if _, err := r.folder.root.Lstat(revisionFile(name, revision, imageSuffix)); err != nil {
		return Image{}, err
	}
	if img.HasLayout && !r.folder.exists(revisionFile(name, revision, layoutSuffix)) {
		return Image{}, errors.New("disk layout is missing")
	}
	return img, nil
}

// clean takes what is left of removed revisions out of the way: the links first, which are known by the files that they
// share, then the revisions, to the trash or for good.
func (r *Repository) clean(name string) error {
	l, err := r.readLedger(name)
	if err != nil {
		return nil // nothing is known to be removed
	}
	numbers, _, err := r.numbersIn(path.Join(revisionsDir, name))
	if err != nil {
		return err
	}
	for _, n := range numbers {
		if n > l.Removed {
			continue
		}
		if err := r.unlink(name, n); err != nil {
			return err
		}
		if err := r.putAway(name, n, l.Trash); err != nil {
			return err
		}
	}
	return nil
}

// putAway moves a removed revision to the trash, or removes it.
func (r *Repository) putAway(name string, revision int, trash string) error {
	home, dir := path.Join(revisionsDir, name), path.Join(trashDir, trash)
	if trash == "" || !r.folder.exists(path.Join(dir, trashFile)) {
		return r.folder.removeAll(revisionPath(name, revision))
	}
	if err := r.folder.rename(revisionPath(name, revision), path.Join(dir, strconv.Itoa(revision))); err != nil {
		return err
	}
	if err := r.folder.syncDir(dir); err != nil {
		return err
	}
	return r.folder.syncDir(home)
}

// foreign tells whether NAME.img is a file that was put there by hand.
func (r *Repository) foreign(name string) (bool, error) {
	if !r.folder.exists(name + imageSuffix) {
		return false, nil
	}
	numbers, _, err := r.numbersIn(path.Join(revisionsDir, name))
	if err != nil {
		return false, err
	}
	return !slices.ContainsFunc(numbers, func(n int) bool {
		return r.folder.same(name+imageSuffix, revisionFile(name, n, imageSuffix))
	}), nil
}

var errForeign = errors.New("a file of that name was put into the repository's folder by hand: wait until it has been taken in, or move it away")

// linked tells whether the files NAME.img and so on are those of a revision.
func (r *Repository) linked(img Image) bool {
	for _, suffix := range append(sidecarSuffixes(), imageSuffix) {
		target := revisionFile(img.Name, img.Revision, suffix)
		if !r.folder.same(target, img.Name+suffix) && (r.folder.exists(target) || r.folder.exists(img.Name+suffix)) {
			return false
		}
	}
	return true
}

// link makes the files NAME.img and so on those of the current revision. While it works there is no NAME.img.sum,
// which OpenGnsys takes for an image that is not ready. commit is held.
func (r *Repository) link(name string) error {
	img, err := r.Image(name)
	if err != nil {
		return err
	}
	// Only what is not as it should be is touched: this is asked often.
	if r.linked(img) {
		return nil
	}
	if foreign, err := r.foreign(name); err != nil || foreign {
		return cmp.Or(err, errForeign)
	}
	for _, suffix := range sidecarSuffixes() {
		if target := revisionFile(name, img.Revision, suffix); !r.folder.same(target, name+suffix) {
			if err := r.folder.remove(name + suffix); err != nil {
				return err
			}
		}
	}
	// Somebody may have put a file there since.
	if foreign, err := r.foreign(name); err != nil || foreign {
		return cmp.Or(err, errForeign)
	}
	// In staging, where a crash leaves nothing behind.
	scratch := path.Join(stagingDir, name+".link")
	if err := r.folder.relink(revisionFile(name, img.Revision, imageSuffix), name+imageSuffix, scratch); err != nil {
		return err
	}
	// The sum comes last.
	suffixes := sidecarSuffixes()
	slices.Reverse(suffixes)
	for _, suffix := range suffixes {
		target := revisionFile(name, img.Revision, suffix)
		if !r.folder.exists(target) {
			continue // a layout that there is not, or what is being renewed
		}
		if err := r.folder.relink(target, name+suffix, scratch); err != nil {
			return err
		}
	}
	return r.folder.syncDir(".")
}
