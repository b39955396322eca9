package imagestore

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"time"
)

// watch scans the folder again and again until ctx ends.
func (r *Repository) watch(ctx context.Context) error {
	said := ""
	for {
		if err := r.scan(); err == nil {
			said = ""
		} else if err.Error() != said { // once, and not every two seconds
			said = err.Error()
			r.log.Warn("repository's folder is not as it should be", "err", err)
		}
		select {
		case <-time.After(scanEvery(r.Options().Settle)):
		case <-ctx.Done():
			return nil
		}
	}
}

// scanEvery is the time between two scans: often enough to see a file settle, and not so often that a disk stays awake
// for it.
func scanEvery(settle time.Duration) time.Duration {
	return min(max(settle/4, 20*time.Millisecond), 2*time.Second)
}

// scan looks at the folder once: it notes which files are new or changed, brings back links that are gone, and wakes
// the worker when a file has settled.
func (r *Repository) scan() error {
	seen, err := r.look()
	changed, settled := r.observe(seen)
	for _, name := range changed {
		r.tell(name)
	}
	if settled {
		r.nudge()
	}
	return err
}

// look returns the newcomers that are there, and brings back links that are gone. commit is held, so that nothing of ours
// is half done.
func (r *Repository) look() ([]sighting, error) {
	r.commit.Lock()
	defer r.commit.Unlock()
	entries, err := r.folder.list(".")
	if err != nil {
		return nil, err
	}
	seen, err := r.sightings(entries)
	return seen, errors.Join(err, r.relinkAll())
}

// nudge wakes the worker.
func (r *Repository) nudge() {
	select {
	case r.wake <- struct{}{}:
	default: // it is to look already
	}
}

// observe notes what was seen. It answers the names whose standing has changed, and whether a newcomer has settled.
func (r *Repository) observe(seen []sighting) (changed []string, settled bool) {
	now := r.now()
	r.mu.Lock()
	defer r.mu.Unlock()
	before := r.newcomers
	r.newcomers = make(map[string]newcomer, len(seen))
	for _, s := range seen {
		old, known := before[s.path]
		n := old.observe(s, known, now)
		r.newcomers[s.path] = n
		settled = settled || n.settled(now, r.opt.Settle)
		if n != old {
			changed = append(changed, n.name)
		}
	}
	for path, n := range before {
		if _, ok := r.newcomers[path]; !ok {
			changed = append(changed, n.name)
		}
	}
	return changed, settled
}

// sightings returns the newcomers among the entries of the folder and of the revisions.
func (r *Repository) sightings(entries []fs.DirEntry) ([]sighting, error) {
	seen, ours := r.ownFiles()
	for _, e := range entries {
		name, ok := droppedName(e.Name())
		if !ok || e.IsDir() {
			continue
		}
		info, err := r.folder.root.Lstat(e.Name())
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return seen, err
		}
		s := sighting{path: e.Name(), name: name, stamp: stampOf(info)}
		switch {
		case ours[s.owner()]:
			r.leftOver(e.Name(), s.stamp)
			continue
		case !info.Mode().IsRegular():
			s.problem = errNoFile.Error()
		case CheckName(name) != nil:
			s.problem = CheckName(name).Error() + ": rename the file"
		}
		seen = append(seen, s)
	}
	return seen, nil
}

// An owner is the name of an image and the identity of a file. One file may belong to several images: a technician has
// given it a second name, and no bytes were copied.
type owner struct {
	name          string
	device, inode uint64
}

func (s sighting) owner() owner { return owner{s.name, s.stamp.device, s.stamp.inode} }

// ownFiles returns whose the image files of all revisions are, and those among them that are not as they were published.
func (r *Repository) ownFiles() (changed []sighting, ours map[owner]bool) {
	ours = make(map[owner]bool)
	look := func(k key, lost bool, differs func(fs.FileInfo) bool) {
		file := revisionFile(k.name, k.revision, imageSuffix)
		info, err := r.folder.root.Lstat(file)
		if err != nil || !info.Mode().IsRegular() {
			return // usable says so
		}
		s := sighting{path: file, name: k.name, revision: k.revision, stamp: stampOf(info)}
		ours[s.owner()] = true
		if differs(info) {
			s.lost, s.superseded = lost, r.superseded(k)
			changed = append(changed, s)
		}
	}
	for _, img := range r.all() {
		look(img.key(), false, img.changed)
	}
	r.mu.Lock()
	lost := slices.Collect(maps.Keys(r.lost))
	r.mu.Unlock()
	for _, k := range lost {
		look(k, true, func(fs.FileInfo) bool { return true })
	}
	return changed, ours
}

// leftOver removes what is left in the folder of a file NAME.dsk that has just become a revision.
func (r *Repository) leftOver(file string, seen stamp) {
	if path.Ext(file) == imageSuffix {
		return // the link of a revision
	}
	// Another file in its place is the next newcomer.
	if err := r.removeStamped(file, seen); err != nil && !errors.Is(err, errChanged) {
		r.log.Warn("a file that was taken in is left", "file", file, "err", err)
	}
}

// relinkAll brings back the files NAME.img and so on that somebody has removed or replaced: the revisions are safe in .revisions, and
// an image is removed by Remove. A file that replaces NAME.img itself is a newcomer and stays. It waits a while for somebody who
// removes NAME.img in order to copy another there, since a copy over the link would change the revision, and for the image
// whose sums have come first.
func (r *Repository) relinkAll() error {
	images, err := r.Images()
	if err != nil {
		return err
	}
	now, settle := r.now(), r.Options().Settle
	var failed error
	for _, img := range images {
		if r.linked(img) {
			delete(r.absent, img.Name)
			continue
		}
		since, ok := r.absent[img.Name]
		if !ok {
			since = now
			r.absent[img.Name] = now
		}
		if now.Sub(since) < settle {
			continue
		}
		if err := r.link(img.Name); err != nil && !errors.Is(err, errForeign) {
			failed = errors.Join(failed, fmt.Errorf("links of image %s: %w", img.Name, err))
		}
	}
	return failed
}
