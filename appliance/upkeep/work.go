package upkeep

import (
	"context"
	"fmt"
	"strings"

	"aula/imagestore"
)

// An ImageRef names a revision of an image.
type ImageRef struct {
	Repository string // the first one that has the image when empty
	Name       string
	Revision   int // 0: the current one
}

// image returns the revision and its repository.
func (s *Service) image(ref ImageRef) (img imagestore.Image, repository *imagestore.Repository, err error) {
	if ref.Revision == 0 {
		img, err = s.cfg.Library.Image(ref.Repository, ref.Name)
	} else {
		img, err = s.cfg.Library.Revision(ref.Repository, ref.Name, ref.Revision)
	}
	if err == nil {
		repository, err = s.cfg.Library.Repository(img.Repository)
	}
	return img, repository, err
}

// Convert starts to make a new revision (or, with another name, a new image) packed by another compressor.
func (s *Service) Convert(actor string, ref ImageRef, to imagestore.Conversion) (Task, error) {
	img, repository, err := s.image(ref)
	if err != nil {
		return Task{}, err
	}
	if err := to.Validate(); err != nil {
		return Task{}, refuse("%w", err)
	}
	if err := repository.CheckConversion(img, to); err != nil {
		return Task{}, refuse("%w", err)
	}
	title := fmt.Sprintf("Convert %s to %s", img.Name, to.Compressor)
	if to.Name != "" && to.Name != img.Name {
		title += " as " + to.Name
	}
	return s.begin(task0(Convert, actor, title, img), func(ctx context.Context, t *task) error {
		release, err := t.turn(ctx, repository)
		if err != nil {
			return err
		}
		defer release()
		t.stage("converting, then reading the result again and comparing the two")
		made, err := s.cfg.Library.Convert(ctx, img.Repository, img.Name, ref.Revision, to, t.progress)
		return t.made(made, err)
	})
}

// Copy starts to copy a revision to another repository.
func (s *Service) Copy(actor string, ref ImageRef, to string) (Task, error) {
	img, source, target, err := s.passage(ref, to)
	if err != nil {
		return Task{}, err
	}
	title := fmt.Sprintf("Copy %s to repository %s", img.Name, target.Name())
	return s.begin(task0(Copy, actor, title, img), func(ctx context.Context, t *task) error {
		release, err := t.turn(ctx, source, target)
		if err != nil {
			return err
		}
		defer release()
		t.stage("copying, then reading the copy again")
		made, err := s.cfg.Library.Copy(ctx, img.Repository, img.Name, ref.Revision, to, t.progress)
		return t.made(made, err)
	})
}

// Move starts to move an image with all its revisions to another repository.
func (s *Service) Move(actor string, ref ImageRef, to string) (Task, error) {
	if ref.Revision != 0 {
		return Task{}, refuse("an image is moved with all its revisions: copy revision %d instead", ref.Revision)
	}
	img, source, target, err := s.passage(ref, to)
	if err != nil {
		return Task{}, err
	}
	if who := source.Holders(img.Name); len(who) > 0 {
		return Task{}, fmt.Errorf("%w: %s: %s", imagestore.ErrBusy, img.Name, strings.Join(who, ", "))
	}
	title := fmt.Sprintf("Move %s to repository %s", img.Name, target.Name())
	return s.begin(task0(Move, actor, title, img), func(ctx context.Context, t *task) error {
		release, err := t.turn(ctx, source, target)
		if err != nil {
			return err
		}
		defer release()
		t.stage("copying, then reading the copies again")
		made, err := s.cfg.Library.Move(ctx, img.Repository, img.Name, to, t.progress)
		return t.made(made, err)
	})
}

// passage returns an image, its repository and the one to which it shall go.
func (s *Service) passage(ref ImageRef, to string) (img imagestore.Image, source, target *imagestore.Repository, err error) {
	if img, source, err = s.image(ref); err != nil {
		return img, nil, nil, err
	}
	if target, err = s.cfg.Library.Repository(to); err != nil {
		return img, nil, nil, refuse("%w", err)
	}
	if source == target {
		return img, nil, nil, refuse("image %s is in repository %s already", img.Name, source.Name())
	}
	return img, source, target, nil
}

// task0 is a Task about an image as it begins.
func task0(kind, actor, title string, img imagestore.Image) Task {
	return Task{Kind: kind, Actor: actor, Title: title, Repository: img.Repository, Image: img.Name}
}

// made notes the image that came of the task.
func (t *task) made(img imagestore.Image, err error) error {
	if err == nil {
		t.result("%s", describe(img))
	}
	return err
}
