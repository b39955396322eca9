package imagestore

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Copy copies one revision of an image (0: the current one) to another repository, where it becomes the next revision of its name,
// with the source, layout and date that its record has. The bytes that are read must have the BLAKE3 digest of the record, and
// those that arrived as well. progress is told file bytes, copied and then checked. After an error nothing is there.
func (l *Library) Copy(ctx context.Context, from, name string, revision int, to string, progress func(done, total int64)) (Image, error) {
	source, target, err := l.ends(from, name, to)
	if err != nil {
		return Image{}, err
	}
	img, release, err := source.take(name, revision, "copy to repository "+target.Name())
	if err != nil {
		return Image{}, err
	}
	defer release()
	if err := target.roomFor(img.FileBytes); err != nil {
		return Image{}, fmt.Errorf("image %s is not copied: %w", name, err)
	}
	return source.copyTo(ctx, target, img, stages{progress, 0, 2 * img.FileBytes})
}

// ends returns the repository that has an image and the one to which it shall go.
func (l *Library) ends(from, name, to string) (source, target *Repository, err error) {
	if source, err = l.home(from, name); err != nil {
		return nil, nil, err
	}
	if target, err = l.Repository(to); err != nil {
		return nil, nil, err
	}
	if source == target {
		return nil, nil, fmt.Errorf("%w: image %s is in repository %s already", ErrExists, name, source.Name())
	}
	return source, target, nil
}

// take holds a revision (0: the current one) and returns its record.
func (r *Repository) take(name string, revision int, holder string) (img Image, release func(), err error) {
	if revision == 0 {
		img, err = r.Image(name)
	} else {
		img, err = r.Revision(name, revision)
	}
	if err == nil {
		release, err = r.Hold(name, img.Revision, holder)
	}
	return img, release, err
}

// roomFor answers ErrNoSpace when there is none for n more bytes.
func (r *Repository) roomFor(n int64) error {
	free, err := r.Free()
	if err == nil && free < n {
		err = fmt.Errorf("it takes %s: %w", gib(n), r.noSpace())
	}
	return err
}

// copyTo publishes a revision, which is held, in another repository.
func (r *Repository) copyTo(ctx context.Context, target *Repository, img Image, progress stages) (Image, error) {
	staging, err := r.restage(target, img, img.Name, "copy from repository "+r.Name())
	if err != nil {
		return Image{}, err
	}
	defer staging.Abort()
	if err := r.copyOut(ctx, staging, img, progress); err != nil {
		return Image{}, fmt.Errorf("copying image %s to repository %s: %w", img.Name, target.Name(), err)
	}
	return staging.Publish(ctx, img.Blake3, progress.after(img.FileBytes).publishing(img.FileBytes))
}

// restage begins, on behalf of holder, an image that will have the source, the layout and the date of a revision.
func (r *Repository) restage(target *Repository, img Image, name, holder string) (*Staging, error) {
	var layout []byte
	if img.HasLayout {
		var err error
		if layout, err = r.Layout(img.Name, img.Revision); err != nil {
			return nil, err
		}
	}
	staging, err := target.stageFor(name, img.Source, holder)
	if err != nil {
		return nil, err
	}
	staging.amend = func(next *Image) error {
		next.Created = img.Created
		return nil
	}
	if layout != nil {
		if err := staging.SetLayout(layout); err != nil {
			return nil, errors.Join(err, staging.Abort())
		}
	}
	return staging, nil
}

// stageFor is Stage on behalf of holder.
func (r *Repository) stageFor(name string, source Source, holder string) (*Staging, error) {
	staging, err := r.Stage(name, source)
	if err != nil {
		return nil, err
	}
	release, err := r.hold(name, 0, holder)
	if err != nil {
		return nil, errors.Join(err, staging.Abort())
	}
	staging.release()
	staging.release = release
	return staging, nil
}

// Move moves an image with all its revisions to another repository, which must not have one of its name. They are removed here,
// not to the trash, when all have been published there. An image that is in use is not moved. After an error it is here with
// all its revisions, and what was published there has been removed.
func (l *Library) Move(ctx context.Context, from, name, to string, progress func(done, total int64)) (Image, error) {
	source, target, err := l.ends(from, name, to)
	if err != nil {
		return Image{}, err
	}
	if _, err := target.Image(name); err == nil {
		return Image{}, fmt.Errorf("%w in repository %s: %s: remove or rename one of the two, or copy single revisions", ErrExists, target.Name(), name)
	}
	if who := source.Holders(name); len(who) > 0 {
		return Image{}, fmt.Errorf("%w: %s: %s", ErrBusy, name, strings.Join(who, ", "))
	}
	revisions, err := source.Revisions(name)
	if err != nil {
		return Image{}, err
	}
	moved, err := source.copyAll(ctx, target, revisions, progress)
	if err == nil {
		err = source.removeThrough(name, revisions[len(revisions)-1].Revision)
	}
	if err != nil {
		return Image{}, errors.Join(err, target.undoMove(name, moved))
	}
	return moved[len(moved)-1], nil
}

// copyAll publishes revisions of one image, the oldest first, in another repository and returns those that it has published. It
// leaves out those that the other repository would not keep.
func (r *Repository) copyAll(ctx context.Context, target *Repository, revisions []Image, progress func(done, total int64)) (copied []Image, err error) {
	keep := target.Options().Keep + 1
	revisions = revisions[max(0, len(revisions)-keep):]
	var total int64
	for _, img := range revisions {
		_, release, err := r.take(img.Name, img.Revision, "move to repository "+target.Name())
		if err != nil {
			return nil, err
		}
		defer release()
		total += img.FileBytes
	}
	if err := target.roomFor(total); err != nil {
		return nil, fmt.Errorf("image %s is not moved: %w", revisions[0].Name, err)
	}
	told := stages{progress, 0, 2 * total}
	for _, img := range revisions {
		next, err := r.copyTo(ctx, target, img, told)
		if err != nil {
			return copied, err
		}
		copied = append(copied, next)
		told = told.after(2 * img.FileBytes)
	}
	return copied, nil
}

// removeThrough removes an image for good, unless it is in use or has got a revision after last.
func (r *Repository) removeThrough(name string, last int) error {
	r.commit.Lock()
	defer r.commit.Unlock()
	if err := r.free(name, 0); err != nil {
		return err
	}
	revisions, err := r.Revisions(name)
	if err != nil {
		return err
	}
	if newest := revisions[len(revisions)-1].Revision; newest != last {
		return fmt.Errorf("%w: %s got revision %d meanwhile: try again", ErrBusy, name, newest)
	}
	for _, img := range revisions {
		if err := r.drop(name, img.Revision); err != nil {
			return err
		}
	}
	r.tell(name)
	return nil
}

// undoMove removes what a move that failed has published.
func (r *Repository) undoMove(name string, copied []Image) error {
	if len(copied) == 0 {
		return nil
	}
	if err := r.removeThrough(name, copied[len(copied)-1].Revision); err != nil {
		return fmt.Errorf("a copy is left in repository %s: %w", r.Name(), err)
	}
	return nil
}
