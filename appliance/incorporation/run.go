package incorporation

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

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

// takeIn takes in the images of a group, all or none. What takes long comes first, for all of them; then they are published in one
// go, so that hardly anything can come between.
func (r *runner) takeIn(ctx context.Context, group []PlannedImage) (images []imagestore.Image, err error) {
	id := rand.Text()
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
		if img.Source.Set != "" {
			img.Source.Import = id
		}
		s, err := r.stage(ctx, img)
		if s.Staging != nil {
			all = append(all, s)
		}
		if err != nil {
			return nil, fmt.Errorf("%s (%s) is not taken in: %w", img.Name, img.source.words(), err)
		}
	}
	for _, s := range all {
		if err := r.prepare(ctx, s); err != nil {
			return nil, err
		}
	}
	return r.commit(ctx, all)
}

// commit publishes what has been prepared. Until all of it is there no revision of before goes, so that a set that fails costs nothing.
func (r *runner) commit(ctx context.Context, all []staged) (images []imagestore.Image, err error) {
	if err := ctx.Err(); err != nil {
		return nil, context.Cause(ctx)
	}
	if len(all) > 1 {
		defer r.keepRevisions(all)()
	}
	for _, s := range all {
		img, err := s.Commit()
		if err != nil {
			return nil, errors.Join(err, r.undo(images))
		}
		images = append(images, img)
	}
	return images, nil
}

// keepRevisions keeps all revisions of the names of a set from being pruned.
func (r *runner) keepRevisions(all []staged) (release func()) {
	var releases []func()
	for _, s := range all {
		revisions, err := r.repo.Revisions(s.planned.Name)
		if err != nil {
			continue // there are none
		}
		for _, old := range revisions {
			if release, err := r.repo.Hold(old.Name, old.Revision, "import of "+s.planned.Source.Set); err == nil { // a damaged one is no loss
				releases = append(releases, release)
			}
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
	link = filepath.Join(p.dir, secondName())
	if err := os.Link(p.path(), link); err != nil {
		return "", err
	}
	return link, s.Take(link)
}

// secondName is a name for a second link to a file. No file of an upload or an archive begins with a dot; what a crash leaves is
// removed with the folder, or when the uploads are opened.
func secondName() string { return "." + rand.Text() }

// prepare does all of publishing a staged image that takes long.
func (r *runner) prepare(ctx context.Context, s staged) error {
	r.state.Image, r.state.Stage = s.planned.Name, "checking"
	start := r.state.Done
	err := s.Prepare(ctx, s.blake3, func(done, total int64) {
		if total > 0 {
			r.state.Done = start + int64(float64(done)/float64(total)*float64(s.planned.Bytes))
		}
		r.progress(r.state)
	})
	r.state.Done = start + s.planned.Bytes
	if err == nil || ctx.Err() != nil {
		return err
	}
	hint := "copy the file again; if it is the same then, the image was made wrong"
	if n := len(s.planned.source.pieces); n > 1 {
		hint = fmt.Sprintf("are these %d volumes all of them, and copied whole?", n)
	}
	return fmt.Errorf("%s: %w: %s", s.planned.source.words(), err, hint)
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
