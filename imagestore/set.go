package imagestore

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
)

// ErrIncomplete is answered for a set of which images are missing.
var ErrIncomplete = errors.New("the set of images is not complete")

// Set returns the images of one set, all of one repository and of one import or capture, by disk and partition, or ErrNotFound. It is the newest
// one that is whole: what a crash has left of a newer one, and images that were captured on their own later, are passed over. An error wrapping
// ErrIncomplete says that none is whole.
func (l *Library) Set(repository, set string) ([]Image, error) {
	var incomplete error
	for _, r := range l.Repositories() {
		if repository != "" && r.opt.Name != repository {
			continue
		}
		images, err := r.set(set)
		switch {
		case errors.Is(err, ErrIncomplete): // another repository may have all of it
			incomplete = cmp.Or(incomplete, err)
		case err != nil || len(images) > 0:
			return images, err
		}
	}
	if incomplete != nil {
		return nil, incomplete
	}
	if _, err := l.Repository(repository); err != nil {
		return nil, err
	}
	return nil, fmt.Errorf("%w: set %q", ErrNotFound, set)
}

// set returns the images of one set that its newest whole import has brought: one with fewer partitions leaves images behind that fit another
// layout. Images without an id count as those of one import. Of an import that did not note how many images it has, the current revisions are all.
func (r *Repository) set(name string) ([]Image, error) {
	current, err := r.Images()
	if err != nil {
		return nil, err
	}
	current = membersOf(name, current)
	if len(current) == 0 {
		return nil, nil
	}
	newest := newestOf(current)
	if newest.Source.Members == 0 {
		return inOrder(ofImport(newest.Source.Import, current)), nil
	}
	left := membersOf(name, r.all())
	for len(left) > 0 {
		last := newestOf(left).Source
		whole := latest(ofImport(last.Import, left))
		if last.Members > 0 && len(whole) == last.Members {
			return inOrder(whole), nil
		}
		left = slices.DeleteFunc(left, func(i Image) bool { return i.Source.Import == last.Import })
	}
	there := len(latest(ofImport(newest.Source.Import, membersOf(name, r.all()))))
	return nil, fmt.Errorf("%w: of the %d images of set %s, %d are there: capture or import it again, or restore its partitions one by one",
		ErrIncomplete, newest.Source.Members, name, there)
}

func membersOf(set string, images []Image) []Image {
	return slices.DeleteFunc(images, func(i Image) bool { return i.Source.Set != set || set == "" })
}

func ofImport(id string, images []Image) []Image {
	return slices.DeleteFunc(slices.Clone(images), func(i Image) bool { return i.Source.Import != id })
}

func newestOf(images []Image) Image {
	return slices.MaxFunc(images, func(a, b Image) int { return a.Created.Compare(b.Created) })
}

// latest keeps the last revision of each image: a conversion belongs to the set as well as what it was made of.
func latest(images []Image) []Image {
	return slices.DeleteFunc(slices.Clone(images), func(i Image) bool {
		return slices.ContainsFunc(images, func(other Image) bool { return other.Name == i.Name && other.Revision > i.Revision })
	})
}

func inOrder(images []Image) []Image {
	slices.SortFunc(images, func(a, b Image) int {
		return cmp.Or(cmp.Compare(a.Source.Disk, b.Source.Disk), cmp.Compare(a.Source.Partition, b.Source.Partition))
	})
	return images
}

// CommitSet is Commit of images that belong together, all of one repository and all prepared: each becomes the next revision of its name, and no revision
// of before goes until all are there. What a crash leaves of them is not whole, and Library.Set answers the set of before. After an error nothing
// is visible, and all stagings are gone.
func CommitSet(set []*Staging) ([]Image, error) {
	if len(set) == 0 {
		return nil, nil
	}
	images, err := set[0].repo.commitSet(set)
	for _, s := range set {
		if err != nil {
			err = errors.Join(err, s.Abort())
			continue
		}
		s.end()
	}
	if err != nil {
		return nil, fmt.Errorf("set %s is not published: %w", set[0].source.Set, err)
	}
	for _, img := range images {
		set[0].repo.log.Info("image published", "image", img.Name, "revision", img.Revision, "bytes", img.FileBytes, "info", img.Info.String())
	}
	return images, nil
}

func (r *Repository) commitSet(set []*Staging) (images []Image, err error) {
	for _, s := range set {
		switch {
		case s.repo != r:
			return nil, errors.New("its images are in several repositories")
		case s.ended:
			return nil, errEnded
		case s.prepared == nil:
			return nil, fmt.Errorf("image %s has not been prepared", s.name)
		}
	}
	var rubbish []string
	defer func() { r.sweep(rubbish) }()
	r.commit.Lock()
	defer r.commit.Unlock()
	for _, s := range set {
		img, err := r.place(s, *s.prepared)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("image %s: %w", s.name, r.explain(err)), r.withdraw(images))
		}
		images = append(images, img)
	}
	for _, img := range images {
		rubbish = append(rubbish, r.prune(img.Name)...)
	}
	return images, nil
}

// withdraw removes revisions that have just been made, which nobody can know of yet. commit is held.
func (r *Repository) withdraw(images []Image) error {
	var errs []error
	for _, img := range images {
		if err := r.drop(img.Name, img.Revision); err != nil {
			errs = append(errs, fmt.Errorf("%s, revision %d, is left of a set that is not whole: %w", img.Name, img.Revision, err))
		}
	}
	return errors.Join(errs...)
}
