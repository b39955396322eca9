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

// removedSuffix marks an empty file N.removed: revisions up to N are removed.
const removedSuffix = ".removed"

// recover brings a repository as a crash may have left it to order, and learns what is in it.
func (r *Repository) recover() error {
	for _, dir := range []string{stagingDir, revisionsDir} {
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
	return nil
}

// recoverImage learns the revisions of one image, ends a removal that was cut short and repairs the links.
func (r *Repository) recoverImage(name string) error {
	numbers, removed, err := r.numbers(name)
	if err != nil {
		return err
	}
	r.last[name] = removed
	for _, n := range numbers {
		r.last[name] = max(r.last[name], n)
		if n <= removed {
			continue
		}
		img, err := r.load(name, n)
		if err != nil {
			r.log.Warn("revision cannot be read and is left out", "image", name, "revision", n, "err", err)
			continue
		}
		r.images[name] = append(r.images[name], img)
	}
	if err := r.clean(name); err != nil {
		return err
	}
	if len(r.images[name]) > 0 {
		if err := r.link(name); err != nil {
			r.log.Warn("current links are not repaired", "image", name, "err", err)
		}
	}
	return nil
}

// numbers returns the revisions in an image's folder, ascending, and up to which they are removed.
func (r *Repository) numbers(name string) (numbers []int, removed int, err error) {
	entries, err := r.folder.list(path.Join(revisionsDir, name))
	if err != nil {
		return nil, 0, err
	}
	for _, e := range entries {
		text, marker := strings.CutSuffix(e.Name(), removedSuffix)
		n, err := strconv.Atoi(text)
		switch {
		case err != nil || n < 1 || strconv.Itoa(n) != text: // nothing of ours
		case marker:
			removed = max(removed, n)
		case e.IsDir():
			numbers = append(numbers, n)
		}
	}
	slices.SortFunc(numbers, cmp.Compare)
	return numbers, removed, nil
}

// load reads the record of a revision and makes sure that its files are there.
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
	file, err := r.folder.root.Lstat(revisionFile(name, revision, imageSuffix))
	if err != nil {
		return Image{}, err
	}
	if file.Size() != img.FileBytes {
		return Image{}, fmt.Errorf("image file has %d bytes, its record says %d", file.Size(), img.FileBytes)
	}
	for _, suffix := range sidecarSuffixes() {
		if suffix == layoutSuffix && !img.HasLayout {
			continue
		}
		if _, err := r.folder.root.Lstat(revisionFile(name, revision, suffix)); err != nil {
			return Image{}, err
		}
	}
	return img, nil
}

// clean removes what is left of removed revisions: the links first, which are known by the files that they share.
func (r *Repository) clean(name string) error {
	numbers, removed, err := r.numbers(name)
	if err != nil {
		return err
	}
	for _, n := range numbers {
		if n > removed {
			continue
		}
		for _, suffix := range append(sidecarSuffixes(), imageSuffix) {
			if r.folder.same(name+suffix, revisionFile(name, n, suffix)) {
				if err := r.folder.remove(name + suffix); err != nil {
					return err
				}
			}
		}
		if err := r.folder.syncDir("."); err != nil {
			return err
		}
		if err := r.folder.removeAll(revisionPath(name, n)); err != nil {
			return err
		}
	}
	return nil
}

// foreign tells whether NAME.img is a file that was put there by hand.
func (r *Repository) foreign(name string) (bool, error) {
	if !r.folder.exists(name + imageSuffix) {
		return false, nil
	}
	numbers, _, err := r.numbers(name)
	if err != nil {
		return false, err
	}
	return !slices.ContainsFunc(numbers, func(n int) bool {
		return r.folder.same(name+imageSuffix, revisionFile(name, n, imageSuffix))
	}), nil
}

var errForeign = errors.New("an image file of that name was put into the repository's folder by hand: rename it or move it away")

// link makes the files NAME.img and so on those of the current revision. While it works there is no NAME.img.sum,
// which OpenGnsys takes for an image that is not ready.
func (r *Repository) link(name string) error {
	img, err := r.Image(name)
	if err != nil {
		return err
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
			continue
		}
		if err := r.folder.relink(target, name+suffix, scratch); err != nil {
			return err
		}
	}
	return r.folder.syncDir(".")
}
