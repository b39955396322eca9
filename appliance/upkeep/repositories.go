package upkeep

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"aula/appliance/catalog"
	"aula/imagestore"
)

// A RepositoryStatus is a repository and how it stands.
type RepositoryStatus struct {
	catalog.Repository
	Images  int
	Free    int64  // bytes that images may still fill
	Size    int64  // bytes of the volume
	Problem string // why it cannot be used now; empty when it can
}

// Repositories returns all, the first one first. A volume that does not answer is waited for only so long.
func (s *Service) Repositories() ([]RepositoryStatus, error) {
	known, err := s.cfg.Catalog.Repositories()
	if err != nil {
		return nil, err
	}
	open := make(map[string]*imagestore.Repository)
	for _, r := range s.cfg.Library.Repositories() {
		open[r.Name()] = r
	}
	first := s.cfg.Library.Repositories()[0]
	list := []RepositoryStatus{{Repository: fromOptions(first)}}
	for _, r := range known {
		list = append(list, RepositoryStatus{Repository: r})
	}
	var group sync.WaitGroup
	for i := range list {
		group.Go(func() {
			if repository := open[list[i].Name]; repository != nil {
				s.look(&list[i], repository)
			} else {
				list[i].Problem = s.fault(list[i].Name)
			}
		})
	}
	group.Wait()
	return list, nil
}

// fault says why a repository is not open, in words for people; "" when nothing is known against it.
func (s *Service) fault(name string) string {
	s.shelves.Lock()
	defer s.shelves.Unlock()
	switch {
	case s.openings[name] != nil:
		return errSilent.Error()
	case s.faults[name] != nil:
		return s.faults[name].Error()
	}
	return ""
}

// fromOptions describes the first repository, which is not in the catalog.
func fromOptions(r *imagestore.Repository) catalog.Repository {
	o := r.Options()
	return catalog.Repository{
		Name: r.Name(), Dir: r.Dir(), Address: o.Address, Keep: o.Keep,
		TrashDays: int(o.Trash / (24 * time.Hour)), ReserveMiB: o.Reserve >> 20,
	}
}

// AddRepository opens (and, if its folder is empty or missing, begins) a repository and notes it in the catalog.
func (s *Service) AddRepository(r catalog.Repository) error {
	added, o, err := s.beginAdding(r)
	if err != nil {
		return err
	}
	if err = s.await(context.Background(), o); err == nil {
		return nil
	}
	s.shelves.Lock()
	defer s.shelves.Unlock()
	if _, late := s.cfg.Library.Repository(added.Name); late == nil {
		return nil // it has answered just now
	}
	delete(s.faults, added.Name)
	if undo := s.cfg.Catalog.RemoveRepository(added.Name); undo != nil {
		s.log.Error("a repository that could not be added stays in the catalog", "repository", added.Name, "err", undo)
	}
	return refuse("repository %s: %w", added.Name, err)
}

// beginAdding notes a repository in the catalog and begins to open it.
func (s *Service) beginAdding(r catalog.Repository) (added catalog.Repository, o *opening, err error) {
	s.shelves.Lock()
	defer s.shelves.Unlock()
	if _, err := s.cfg.Catalog.Repository(r.Name); err == nil {
		return r, nil, fmt.Errorf("repository %s: %w: choose another name, or change that one", r.Name, catalog.ErrExists)
	}
	if s.openings[r.Name] != nil {
		return r, nil, refuse("repository %s: %w", r.Name, errSilent)
	}
	// The catalog checks what was typed before anything is made on the disk.
	if err := s.cfg.Catalog.PutRepository(r); err != nil {
		return r, nil, err
	}
	added, err = s.cfg.Catalog.Repository(r.Name) // as it was cleaned
	if err != nil {
		return r, nil, err
	}
	return added, s.startOpening(added, false), nil
}

// ChangeRepository changes all but the folder of a repository.
func (s *Service) ChangeRepository(r catalog.Repository) error {
	s.shelves.Lock()
	defer s.shelves.Unlock()
	if r.Name == catalog.FirstRepository {
		return errFirst
	}
	before, err := s.cfg.Catalog.Repository(r.Name)
	if err != nil {
		return err
	}
	if r.Dir == "" {
		r.Dir = before.Dir
	}
	if r.Dir != before.Dir {
		return refuse("the folder of repository %s cannot be changed: add one with the new folder and move the images there", r.Name)
	}
	if err := s.cfg.Catalog.PutRepository(r); err != nil {
		return err
	}
	changed, err := s.cfg.Catalog.Repository(r.Name)
	if err != nil {
		return err
	}
	if repository, err := s.cfg.Library.Repository(r.Name); err == nil {
		repository.SetOptions(s.options(changed, true))
	}
	return nil
}

var errFirst = refuse("the first repository is described in the configuration file, under [repository]: change it there and start the appliance again")

// RemoveRepository forgets a repository; its folder stays as it is. One in which an image is in use is not removed.
func (s *Service) RemoveRepository(name string) error {
	if name == catalog.FirstRepository {
		return errFirst
	}
	before, err := s.cfg.Catalog.Repository(name)
	if err != nil {
		return err
	}
	// It leaves the catalog first, so that nobody opens it again while it is being closed.
	s.shelves.Lock()
	err = s.cfg.Catalog.RemoveRepository(name)
	delete(s.faults, name)
	s.shelves.Unlock()
	if err != nil {
		return err
	}
	if err := s.cfg.Library.Drop(name); err != nil && !errors.Is(err, imagestore.ErrNoRepository) {
		return errors.Join(err, s.cfg.Catalog.PutRepository(before))
	}
	return nil
}
