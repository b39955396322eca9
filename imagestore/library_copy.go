package imagestore

import (
	"context"
	"errors"
	"fmt"
)

// Copy copies one revision of an image (0: the current one) to another repository, where it becomes the next revision of its name,
// with the source, layout and date that its record has. The bytes that are read must have the BLAKE3 digest of the record, and
// those that arrived as well. progress is told file bytes, copied and then checked. After an error nothing is there.
func (l *Library) Copy(ctx context.Context, from, name string, revision int, to string, progress func(done, total int64)) (Image, error) {
	source, target, err := l.ends(from, name, to)
	if err != nil {
		return Image{}, err
	}
	img, release, err := source.holdFor(name, revision, "copy to repository "+target.Name())
	if err != nil {
		return Image{}, err
	}
	defer release()
	if err := target.roomFor(img.FileBytes); err != nil {
		return Image{}, fmt.Errorf("image %s is not copied: %w", name, err)
	}
	staging, err := source.copyTo(ctx, target, img, "copy from repository "+source.Name(), stages{progress, 0, 2 * img.FileBytes})
	if err != nil {
		return Image{}, err
	}
	return staging.Commit()
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

// holdFor holds a revision (0: the current one) and returns its record.
func (r *Repository) holdFor(name string, revision int, holder string) (img Image, release func(), err error) {
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

// copyTo prepares, on behalf of holder, a copy of a revision, which is held, in another repository.
func (r *Repository) copyTo(ctx context.Context, target *Repository, img Image, holder string, progress stages) (*Staging, error) {
	staging, err := r.restage(target, img, img.Name, holder)
	if err != nil {
		return nil, err
	}
	if err := r.copyOut(ctx, staging, img, progress); err != nil {
		return nil, errors.Join(fmt.Errorf("copying image %s to repository %s: %w", img.Name, target.Name(), err), staging.Abort())
	}
	// After an error it is gone.
	return staging, staging.Prepare(ctx, img.Blake3, progress.after(img.FileBytes).publishing(img.FileBytes))
}

// restage begins, on behalf of holder, an image that will have the source, the layout and the date of a revision. Under another name it
// is in no set: that has an image of the partition already, and with two nobody could restore it.
func (r *Repository) restage(target *Repository, img Image, name, holder string) (*Staging, error) {
	var layout []byte
	if img.HasLayout {
		var err error
		if layout, err = r.Layout(img.Name, img.Revision); err != nil {
			return nil, err
		}
	}
	source := img.Source
	if name != img.Name {
		source.Set = ""
	}
	staging, err := target.stageFor(name, source, holder)
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
