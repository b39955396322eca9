package imagestore

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"aula/imagestore/format"
)

// fromFolder is the holder of an image that is being taken in from the folder.
const fromFolder = "being taken in from the repository's folder"

// work takes in newcomers and brings old revisions up to date, one after the other, until ctx ends.
func (r *Repository) work(ctx context.Context) error {
	for announced := (*string)(nil); ; {
		if want := r.Options().Announce; announced == nil || *announced != want {
			r.announce()
			announced = &want
		}
		for r.workOne(ctx) {
			if ctx.Err() != nil {
				return nil
			}
		}
		select {
		case <-r.wake:
		case <-ctx.Done():
			return nil
		}
	}
}

// workOne does the most urgent work and tells whether there was any.
func (r *Repository) workOne(ctx context.Context) bool {
	if n, ok := r.nextNewcomer(); ok {
		r.takeIn(ctx, n)
		return true
	}
	if k, ok := r.nextStale(); ok {
		if err := r.refresh(ctx, k); err != nil && ctx.Err() == nil {
			r.log.Warn("sidecars of a revision are not brought up to date", "image", k.name, "revision", k.revision, "err", err)
		}
		return true
	}
	return false
}

// nextNewcomer returns a newcomer that has settled and marks it as being processed.
func (r *Repository) nextNewcomer() (newcomer, bool) {
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, n := range slices.SortedFunc(maps.Values(r.newcomers), newcomer.compare) {
		path := n.path
		if !n.settled(now, r.opt.Settle) {
			continue
		}
		if r.beingWritten(path) {
			n.since = now
			r.newcomers[path] = n
			continue
		}
		n.state = Processing
		r.newcomers[path] = n
		return n, true
	}
	return newcomer{}, false
}

// beingWritten tells whether some process has a file open for writing, where the system says so: it gives no read lease
// on such a file (fcntl(2), F_SETLEASE).
func (r *Repository) beingWritten(name string) bool {
	file, err := r.folder.root.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return false
	}
	defer file.Close()
	_, err = unix.FcntlInt(file.Fd(), unix.F_SETLEASE, unix.F_RDLCK)
	if err == nil {
		unix.FcntlInt(file.Fd(), unix.F_SETLEASE, unix.F_UNLCK)
	}
	return errors.Is(err, unix.EAGAIN)
}

// takeIn makes a newcomer the next revision, or damaged.
func (r *Repository) takeIn(ctx context.Context, n newcomer) {
	img, err := r.adopt(ctx, n)
	var same *sameError
	switch {
	case err == nil:
		r.log.Info("image taken in from the folder", "file", n.path, "image", img.Name, "revision", img.Revision)
		r.settle(n, nil)
	case errors.As(err, &same):
		err = r.alreadyThere(n, same.img)
		if err == nil && n.revision != 0 {
			err = r.setHealth(same.img.key(), health{Verified: r.now().UTC()})
		}
		r.log.Info("file is that of a revision", "file", n.path, "image", n.name, "revision", same.img.Revision, "err", err)
		if errors.Is(err, errChanged) {
			r.putBack(n)
		} else {
			r.settle(n, err)
		}
	case ctx.Err() != nil || errors.Is(err, errChanged):
		r.putBack(n)
	default:
		r.log.Warn("file in the folder is not taken in", "file", n.path, "image", n.name, "err", err)
		r.settle(n, err)
	}
	r.tell(n.name)
}

// putBack makes a newcomer arrive once more: it was changed while it was read, or it was not read to its end.
func (r *Repository) putBack(n newcomer) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n.state, n.since = Arriving, r.now()
	r.newcomers[n.path] = n
}

// settle ends the processing of a newcomer: it is gone, or damaged until it changes.
func (r *Repository) settle(n newcomer, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err == nil {
		delete(r.newcomers, n.path)
		return
	}
	n.state, n.problem = Damaged, n.advise(err)
	if errors.Is(err, ErrNoSpace) {
		n.again = r.now().Add(retryAfter)
	}
	r.newcomers[n.path] = n
}

// advise says what is wrong with a newcomer and what to do.
func (n newcomer) advise(err error) string {
	advice := "remove the file, or put a good one in its place"
	var read *readError
	switch {
	case errors.Is(err, ErrNoSpace):
		advice = "make room; it is tried again every few minutes"
	case errors.Is(err, errSuperseded):
		advice = "move the file away if it is still needed"
	case errors.Is(err, format.ErrUnsupported):
		advice = "convert it to a format that is known, and put that in its place"
	case errors.Is(err, format.ErrCorrupt):
		advice = "copy it again; if it still is damaged, so is the original"
	case errors.As(err, &read):
		advice = "the disk may be failing"
	case errors.Is(err, fs.ErrPermission):
		advice = "give the file to the user that the appliance runs as"
	}
	if n.revision != 0 {
		advice += fmt.Sprintf(", or remove revision %d", n.revision)
	}
	return fmt.Sprintf("%s: %v: %s", n.path, err, advice)
}

// A sameError says that a newcomer has the bytes of a revision that is there already.
type sameError struct{ img Image }

func (e *sameError) Error() string {
	return fmt.Sprintf("it is the same file as revision %d", e.img.Revision)
}

// adopt makes a newcomer the next revision of its name. No byte of it is copied: the staged file is a second name of it, so
// that after a crash the file is where it was.
func (r *Repository) adopt(ctx context.Context, n newcomer) (Image, error) {
	if n.lost && r.superseded(n.key()) {
		return Image{}, errSuperseded
	}
	source, layout := r.origin(n)
	s, err := r.stage(n.name, source, fromFolder)
	if err != nil {
		return Image{}, err
	}
	defer s.Abort()
	s.layout = layout
	if err := s.replace(func() error { return r.folder.link(n.path, s.path(imageSuffix)) }); err != nil {
		return Image{}, err
	}
	if info, err := s.file.Stat(); err != nil || stampOf(info) != n.stamp {
		return Image{}, cmp.Or(err, errChanged)
	}
	s.amend = func(img *Image) error {
		if old, err := r.same(n, *img); err == nil {
			return &sameError{old}
		}
		if n.revision != 0 && r.superseded(n.key()) {
			return errSuperseded
		}
		img.Warnings = r.compareSums(n, *img, s)
		return nil
	}
	img, err := s.publish(ctx, "", nil)
	if err != nil {
		return Image{}, r.explain(err)
	}
	s.end()
	r.replaced(n)
	return img, nil
}

// replaced removes what a newcomer that has become a revision leaves behind.
func (r *Repository) replaced(n newcomer) {
	r.commit.Lock()
	defer r.commit.Unlock()
	if n.revision == 0 {
		r.leftOver(n.path, n.stamp)
		return
	}
	if err := r.drop(n.name, n.revision); err != nil {
		r.log.Warn("a revision whose file was changed is left", "image", n.name, "revision", n.revision, "err", err)
	}
}

// origin returns where a newcomer comes from and the layout that it keeps.
func (r *Repository) origin(n newcomer) (Source, []byte) {
	if n.revision == 0 {
		return Source{System: "file " + path.Base(n.path)}, nil
	}
	source := Source{System: "file " + n.name + imageSuffix}
	if img, err := r.Revision(n.name, n.revision); err == nil {
		source.Disk, source.Partition, source.SectorSize, source.Set = img.Source.Disk, img.Source.Partition, img.Source.SectorSize, img.Source.Set
	}
	layout, err := r.folder.readFile(revisionFile(n.name, n.revision, layoutSuffix), maxLayout)
	if err != nil || !json.Valid(layout) {
		return source, nil
	}
	return source, layout
}

// same returns the revision that has the bytes of img already: the current one, or that whose file was touched and not changed.
func (r *Repository) same(n newcomer, img Image) (Image, error) {
	var old Image
	var err error
	if n.revision != 0 {
		old, err = r.Revision(n.name, n.revision)
	} else {
		old, err = r.Image(n.name)
		if err == nil {
			_, err = r.usable(old.Name, old.Revision)
		}
	}
	if err == nil && (old.Blake3 != img.Blake3 || old.MD5 != img.MD5) {
		err = ErrNotFound
	}
	return old, err
}

// removeStamped removes a file of the folder if it still is the one that was seen, and answers errChanged if another is there: people
// rename files over each other at any time, and that may be the only copy. commit is held.
func (r *Repository) removeStamped(file string, seen stamp) error {
	info, err := r.folder.root.Lstat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if stampOf(info) != seen {
		return errChanged
	}
	return r.folder.remove(file)
}

// errSuperseded is why what is left of an old revision is not published: it would become the current image.
var errSuperseded = errors.New("a newer revision of the image is good, above which it is not published")

// superseded tells whether a newer revision than k is good.
func (r *Repository) superseded(k key) bool {
	revisions, err := r.Revisions(k.name)
	return err == nil && slices.ContainsFunc(revisions, func(img Image) bool {
		if img.Revision <= k.revision {
			return false
		}
		_, err := r.usable(img.Name, img.Revision)
		return err == nil
	})
}

// alreadyThere deals with a newcomer whose bytes a revision has: a new file goes, and a touched one is noted as it is now. It
// answers errChanged when the file is not the one that was read any more.
func (r *Repository) alreadyThere(n newcomer, img Image) error {
	r.commit.Lock()
	defer r.commit.Unlock()
	if n.revision == 0 {
		if err := r.removeStamped(n.path, n.stamp); err != nil {
			return err
		}
		return r.link(img.Name)
	}
	info, err := r.folder.root.Lstat(n.path)
	if err != nil || stampOf(info) != n.stamp {
		return cmp.Or(err, errChanged)
	}
	img.Modified, img.LayoutBlake3 = info.ModTime().UTC(), r.layoutSum(img)
	data, err := img.encode()
	if err != nil {
		return err
	}
	if err := r.folder.replaceFile(revisionFile(img.Name, img.Revision, recordSuffix), data, path.Join(stagingDir, img.Name+recordSuffix)); err != nil {
		return err
	}
	r.note(img)
	return r.link(img.Name)
}

// note replaces what is known of a revision.
func (r *Repository) note(img Image) {
	r.mu.Lock()
	defer r.mu.Unlock()
	revisions := slices.Clone(r.images[img.Name])
	for i := range revisions {
		if revisions[i].Revision == img.Revision {
			revisions[i] = img
		}
	}
	r.images[img.Name] = revisions
}

// compareSums compares a new file with the sums that came with it. Sums that are older than the file, and our own, are those of
// another file.
func (r *Repository) compareSums(n newcomer, img Image, s *Staging) (warnings []string) {
	if n.revision != 0 {
		return nil
	}
	tail, err := tailMD5(s.file, s.written)
	if err != nil {
		return nil // it could be read a moment ago
	}
	for suffix, good := range map[string][]string{
		".full.sum": {img.MD5},
		".sum":      {tail, img.MD5}, // OpenGnsys wrote that of the whole file at first
	} {
		file := n.path + suffix
		info, err := r.folder.root.Lstat(file)
		if err != nil || !info.Mode().IsRegular() || info.ModTime().Before(img.Modified) || r.isOurs(file, n.name) {
			continue
		}
		data, err := r.folder.readFile(file, maxRecord)
		if said := bytes.Fields(data); err == nil && len(said) > 0 && !slices.Contains(good, strings.ToLower(string(said[0]))) {
			warnings = append(warnings, fmt.Sprintf("%s came with it and says %.40q, the file has %s: it may be another or a damaged file",
				file, said[0], good[0]))
		}
	}
	slices.Sort(warnings)
	return warnings
}

// isOurs tells whether a sidecar in the folder is still that of a revision.
func (r *Repository) isOurs(file, name string) bool {
	revisions, err := r.Revisions(name)
	return err == nil && slices.ContainsFunc(revisions, func(img Image) bool {
		return r.folder.same(file, path.Join(revisionPath(name, img.Revision), file))
	})
}
