package upkeep

import (
	"context"
	"errors"
	"fmt"

	"aula/imagestore"
)

// Verify starts to read a revision again, or with a zero ref all revisions of all images of all repositories.
func (s *Service) Verify(actor string, ref ImageRef) (Task, error) {
	if ref == (ImageRef{}) {
		images, err := s.all()
		if err != nil {
			return Task{}, err
		}
		return s.begin(Task{Kind: Verify, Actor: actor, Title: "Verify all images"}, verification(s, images))
	}
	img, _, err := s.image(ref)
	if err != nil {
		return Task{}, err
	}
	title := fmt.Sprintf("Verify %s, revision %d", img.Name, img.Revision)
	return s.begin(task0(Verify, actor, title, img), verification(s, []imagestore.Image{img}))
}

// all returns all revisions of all images.
func (s *Service) all() ([]imagestore.Image, error) {
	var all []imagestore.Image
	for _, r := range s.cfg.Library.Repositories() {
		images, err := r.Images()
		if err != nil {
			return nil, err
		}
		for _, img := range images {
			revisions, err := r.Revisions(img.Name)
			if err != nil && !errors.Is(err, imagestore.ErrNotFound) {
				return nil, err
			}
			all = append(all, revisions...)
		}
	}
	return all, nil
}

// verification is the work of verifying images. It goes on after one that is damaged, and lets others have their turn between two.
func verification(s *Service, images []imagestore.Image) func(ctx context.Context, t *task) error {
	return func(ctx context.Context, t *task) error {
		var total, done int64
		for _, img := range images {
			total += img.FileBytes
		}
		good, bad := 0, 0
		for _, img := range images {
			err := s.verifyOne(ctx, t, img, func(n int64) { t.progress(done+n, total) })
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case errors.Is(err, imagestore.ErrNotFound):
				t.result("%s, revision %d: removed meanwhile", img.Name, img.Revision)
			case err != nil:
				bad++
				t.result("%s, revision %d: %v", img.Name, img.Revision, err)
			default:
				good++
				t.result("%s, revision %d: in order", img.Name, img.Revision)
			}
			done += img.FileBytes
		}
		if bad > 0 {
			return fmt.Errorf("%d of %d revisions are not in order: bring them back from a backup, or capture them again", bad, good+bad)
		}
		return nil
	}
}

func (s *Service) verifyOne(ctx context.Context, t *task, img imagestore.Image, progress func(done int64)) error {
	repository, err := s.cfg.Library.Repository(img.Repository)
	if err != nil {
		return err
	}
	release, err := t.turn(ctx, repository)
	if err != nil {
		return err
	}
	defer release()
	t.stage("reading %s, revision %d", img.Name, img.Revision)
	return repository.Verify(ctx, img.Name, img.Revision, func(done, _ int64) { progress(done) })
}
