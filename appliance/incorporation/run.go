package incorporation

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/zeebo/blake3"

	"aula/imagestore"
)

// Run takes the images in, one after the other. Each is published whole or not at all, and the images of a set all or none;
// images that have nothing to do with one that fails are taken in all the same. What was published is returned with the errors. Files are
// taken as they are, byte for byte; only partimage volumes, disk files and other plain content are packed anew.
func (p Plan) Run(ctx context.Context, repo *imagestore.Repository, progress func(Progress)) ([]imagestore.Image, error) {
	if progress == nil {
		progress = func(Progress) {}
	}
	if p.archive != nil {
		return p.runArchive(ctx, repo, progress)
	}
	r := &runner{repo: repo, owned: p.opt.Owned, progress: progress}
	for _, img := range p.Images {
		r.state.Total += 2 * img.Bytes
	}
	var images []imagestore.Image
	var errs []error
	for _, group := range p.groups() {
		taken, err := r.takeIn(ctx, group)
		images = append(images, taken...)
		if err != nil {
			errs = append(errs, err)
		}
		if ctx.Err() != nil || errors.Is(err, imagestore.ErrNoSpace) {
			break
		}
	}
	return images, errors.Join(errs...)
}

// A runner takes the images of one plan in.
type runner struct {
	repo     *imagestore.Repository
	owned    bool
	progress func(Progress)
	state    Progress
}

// A staged image has been copied and is not published yet.
type staged struct {
	*imagestore.Staging
	planned PlannedImage
	blake3  string // of the file, empty for one that was not copied
	link    string // a second name that the file was given, empty for none
}

// takeIn takes in the images of a group, all or none.
func (r *runner) takeIn(ctx context.Context, group []PlannedImage) (images []imagestore.Image, err error) {
	if len(group) > 1 {
		defer r.keepCurrent(group)()
	}
	var all []staged
	defer func() {
		for _, s := range all {
			err = errors.Join(err, s.Abort())
			if s.link != "" {
				_ = os.Remove(s.link) // it is gone already when the image was published
			}
		}
	}()
	for _, img := range group {
		s, err := r.stage(ctx, img)
		if s.Staging != nil {
			all = append(all, s)
		}
		if err != nil {
			return nil, fmt.Errorf("%s (%s) is not taken in: %w", img.Name, img.source.words(), err)
		}
	}
	for _, s := range all {
		img, err := r.publish(ctx, s)
		if err != nil {
			return nil, errors.Join(err, r.undo(images))
		}
		images = append(images, img)
	}
	return images, nil
}

// keepCurrent keeps the current revisions of what is taken in from being pruned until the whole set is there.
func (r *runner) keepCurrent(group []PlannedImage) (release func()) {
	var releases []func()
	for _, img := range group {
		current, err := r.repo.Image(img.Name)
		if err != nil {
			continue // there is none
		}
		if release, err := r.repo.Hold(img.Name, current.Revision, "import of "+img.Source.Set); err == nil { // a damaged one is no loss
			releases = append(releases, release)
		}
	}
	return func() {
		for _, release := range releases {
			release()
		}
	}
}

// stage copies an image into the repository, where nobody sees it yet.
func (r *runner) stage(ctx context.Context, img PlannedImage) (staged, error) {
	s, err := r.repo.Stage(img.Name, img.Source)
	if err != nil {
		return staged{}, err
	}
	st := staged{Staging: s, planned: img}
	r.state.Image, r.state.Stage = img.Name, "copying"
	start := r.state.Done
	read := func(n int64) {
		r.state.Done = min(r.state.Done+n, start+img.Bytes)
		r.progress(r.state)
	}
	read(0)
	if img.Layout != nil {
		if err := s.SetLayout(img.Layout); err != nil {
			return st, err
		}
	}
	if r.owned && img.source.how == asIs && len(img.source.pieces) == 1 {
		st.link, err = r.take(ctx, s, img.source, read)
	} else {
		digest := blake3.New()
		err = img.source.writeTo(ctx, io.MultiWriter(s, digest), read)
		st.blake3 = hex.EncodeToString(digest.Sum(nil))
	}
	r.state.Done = start + img.Bytes
	return st, err
}

// take gives a file of the appliance's own to the repository without copying it. The repository gets a second name of the file, so that
// an import that fails later can be repeated.
func (r *runner) take(ctx context.Context, s *imagestore.Staging, src source, read func(n int64)) (link string, err error) {
	p := src.pieces[0]
	if p.sum != nil {
		if err := src.writeTo(ctx, io.Discard, read); err != nil {
			return "", err
		}
	}
	f, err := p.open()
	if err != nil {
		return "", err
	}
	f.Close()
	link = p.path() + "." + rand.Text()
	if err := os.Link(p.path(), link); err != nil {
		return "", err
	}
	return link, s.Take(link)
}

// publish makes a staged image an image.
func (r *runner) publish(ctx context.Context, s staged) (imagestore.Image, error) {
	r.state.Image, r.state.Stage = s.planned.Name, "checking"
	start := r.state.Done
	img, err := s.Publish(ctx, s.blake3, func(done, total int64) {
		if total > 0 {
			r.state.Done = start + int64(float64(done)/float64(total)*float64(s.planned.Bytes))
		}
		r.progress(r.state)
	})
	r.state.Done = start + s.planned.Bytes
	if err == nil {
		return img, nil
	}
	if ctx.Err() != nil {
		return imagestore.Image{}, err
	}
	hint := "copy the file again; if it is the same then, the image was made wrong"
	if n := len(s.planned.source.pieces); n > 1 {
		hint = fmt.Sprintf("are these %d volumes all of them, and copied whole?", n)
	}
	return imagestore.Image{}, fmt.Errorf("%s: %w: %s", s.planned.source.words(), err, hint)
}

// undo removes what was published of a set whose rest could not be.
func (r *runner) undo(images []imagestore.Image) error {
	var errs []error
	for _, img := range images {
		if err := r.repo.RemoveRevision(img.Name, img.Revision); err != nil {
			errs = append(errs, fmt.Errorf("%s, revision %d, is left of a set that is not whole: %w", img.Name, img.Revision, err))
		}
	}
	return errors.Join(errs...)
}
