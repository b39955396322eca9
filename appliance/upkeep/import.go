package upkeep

import (
	"context"
	"errors"
	"fmt"

	"aula/appliance/incorporation"
	"aula/clientos/disk"
	"aula/imagestore"
)

// An ImportRequest names what to take in: paths on this machine, or an upload.
type ImportRequest struct {
	Paths      []string
	Upload     string
	Repository string // the first one when empty
	Name       string // canonical; made from the files' names when empty
}

// Import starts an import. What the paths are is found out before it answers, so that bad input is refused at once. An upload
// is discarded when all of it has been taken in.
func (s *Service) Import(ctx context.Context, actor string, r ImportRequest) (Task, error) {
	repository, err := s.cfg.Library.Repository(r.Repository)
	if err != nil {
		return Task{}, refuse("%w", err)
	}
	done := func(bool) {}
	if r.Upload != "" {
		if r.Paths, done, err = s.claim(r); err != nil {
			return Task{}, err
		}
	}
	task, err := s.importPaths(ctx, actor, r, repository, done)
	if err != nil {
		done(false)
	}
	return task, err
}

// claim keeps an upload for one import and returns its files. done gives it back or, when it was taken in, discards it.
func (s *Service) claim(r ImportRequest) (paths []string, done func(takenIn bool), err error) {
	if len(r.Paths) > 0 {
		return nil, nil, refuse("name an upload or paths, not both")
	}
	if s.cfg.Uploads == nil {
		return nil, nil, refuse("this appliance takes no uploads")
	}
	paths, release, err := s.cfg.Uploads.Claim(r.Upload)
	switch {
	case errors.Is(err, incorporation.ErrNoUpload):
		return nil, nil, err
	case err != nil:
		return nil, nil, refuse("%w", err)
	}
	return paths, func(takenIn bool) {
		if err := release(takenIn); err != nil {
			s.log.Warn("an upload is not as it should be after its import", "upload", r.Upload, "takenIn", takenIn, "err", err)
		}
	}, nil
}

// importPaths examines and starts. done is called at the end if it could be started.
func (s *Service) importPaths(ctx context.Context, actor string, r ImportRequest, repository *imagestore.Repository, done func(takenIn bool)) (Task, error) {
	if len(r.Paths) == 0 {
		return Task{}, refuse("nothing to take in: name files or a directory")
	}
	plan, err := incorporation.Examine(ctx, r.Paths, incorporation.Options{Name: r.Name, Owned: r.Upload != ""})
	if err != nil {
		return Task{}, refuse("%w", err)
	}
	if r.Upload == "" || !s.cfg.Uploads.In(repository.Dir()) { // else it is moved, and takes its room already
		if err := fits(repository, plan); err != nil {
			return Task{}, err
		}
	}
	first := Task{
		Kind: Import, Actor: actor, Title: importTitle(plan), Repository: repository.Name(),
		Image: plan.Images[0].Name, Warnings: plan.Warnings,
	}
	return s.begin(first, func(ctx context.Context, t *task) (err error) {
		defer func() { done(err == nil) }()
		release, err := t.turn(ctx, repository)
		if err != nil {
			return err
		}
		defer release()
		images, err := plan.Run(ctx, repository, func(p incorporation.Progress) {
			if len(p.Warnings) > 0 {
				t.change(func(now *Task) { now.Warnings = append(now.Warnings, p.Warnings...) })
			}
			t.stage("%s: %s", p.Image, p.Stage)
			t.progress(p.Done, p.Total)
		})
		for _, img := range images {
			t.result("%s", describe(img))
		}
		return err
	})
}

// fits refuses what is larger than the room that is left.
func fits(repository *imagestore.Repository, plan incorporation.Plan) error {
	var total int64
	for _, img := range plan.Images {
		total += img.Bytes
	}
	free, err := repository.Free()
	if err == nil && free < total {
		err = fmt.Errorf("%w: repository %s has room for %s, this takes %s: remove images that are no longer needed, or import into another repository",
			imagestore.ErrNoSpace, repository.Name(), disk.FormatSize(free), disk.FormatSize(total))
	}
	return err
}

func importTitle(plan incorporation.Plan) string {
	if len(plan.Images) == 1 {
		return fmt.Sprintf("Import %s (%s)", plan.Images[0].Name, plan.System)
	}
	return fmt.Sprintf("Import %s and %d more (%s)", plan.Images[0].Name, len(plan.Images)-1, plan.System)
}

// describe says of an image what came of the task that made it.
func describe(img imagestore.Image) string {
	return fmt.Sprintf("%s, revision %d in repository %s: %s, %s", img.Name, img.Revision, img.Repository, img.Info, disk.FormatSize(img.FileBytes))
}
