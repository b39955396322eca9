package upkeep

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

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

// Repositories returns all, the first one first.
func (s *Service) Repositories() ([]RepositoryStatus, error) {
	s.shelves.Lock()
	defer s.shelves.Unlock()
	known, err := s.cfg.Catalog.Repositories()
	if err != nil {
		return nil, err
	}
	open := make(map[string]*imagestore.Repository)
	for _, r := range s.cfg.Library.Repositories() {
		open[r.Name()] = r
	}
	first := s.cfg.Library.Repositories()[0]
	list := []RepositoryStatus{statusOf(fromOptions(first), first)}
	for _, r := range known {
		status := RepositoryStatus{Repository: r}
		if repository := open[r.Name]; repository != nil {
			status = statusOf(r, repository)
		} else if fault := s.faults[r.Name]; fault != nil {
			status.Problem = fault.Error()
		}
		list = append(list, status)
	}
	return list, nil
}

// fromOptions describes the first repository, which is not in the catalog.
func fromOptions(r *imagestore.Repository) catalog.Repository {
	o := r.Options()
	return catalog.Repository{
		Name: r.Name(), Dir: r.Dir(), Address: o.Address, Keep: o.Keep,
		TrashDays: int(o.Trash / (24 * time.Hour)), ReserveMiB: o.Reserve >> 20,
	}
}

// statusOf looks at an open repository.
func statusOf(r catalog.Repository, open *imagestore.Repository) RepositoryStatus {
	status := RepositoryStatus{Repository: r}
	images, err := open.Images()
	if err == nil {
		status.Images = len(images)
		status.Free, err = open.Free()
	}
	var volume unix.Statfs_t
	if err == nil {
		err = unix.Statfs(open.Dir(), &volume)
		status.Size = int64(volume.Blocks) * volume.Bsize
	}
	if err != nil {
		status.Problem = err.Error()
	}
	return status
}

// openAll opens the repositories of the catalog that are not open.
func (s *Service) openAll() error {
	s.shelves.Lock()
	defer s.shelves.Unlock()
	known, err := s.cfg.Catalog.Repositories()
	if err != nil {
		return err
	}
	for _, r := range known {
		if _, err := s.cfg.Library.Repository(r.Name); err == nil {
			continue
		}
		before := s.faults[r.Name]
		err := s.open(r, true)
		switch {
		case err != nil && before == nil:
			s.log.Warn("repository cannot be used", "repository", r.Name, "dir", r.Dir, "err", err)
		case err == nil && before != nil:
			s.log.Info("repository can be used again", "repository", r.Name, "dir", r.Dir)
		}
	}
	return nil
}

// open opens a repository, puts it into the library and notes why it cannot. shelves is held.
func (s *Service) open(r catalog.Repository, existing bool) (err error) {
	defer func() {
		if s.faults[r.Name] = err; err == nil {
			delete(s.faults, r.Name)
		}
	}()
	if err := s.cfg.Library.CheckNew(r.Name, r.Dir); err != nil {
		return err // before anything is begun in that folder
	}
	repository, err := imagestore.Open(r.Dir, s.options(r, existing))
	if err != nil {
		return err
	}
	if err := s.cfg.Library.Add(repository); err != nil {
		repository.Close()
		return err
	}
	return nil
}

// options are how a repository of the catalog is kept.
func (s *Service) options(r catalog.Repository, existing bool) imagestore.Options {
	o := s.cfg.Options
	o.Name, o.Address, o.Keep, o.Existing = r.Name, r.Address, r.Keep, existing
	o.Trash = time.Duration(r.TrashDays) * 24 * time.Hour
	o.Reserve = r.ReserveMiB << 20
	return o
}

// AddRepository opens (and, if its folder is empty or missing, begins) a repository and notes it in the catalog.
func (s *Service) AddRepository(r catalog.Repository) error {
	s.shelves.Lock()
	defer s.shelves.Unlock()
	if _, err := s.cfg.Catalog.Repository(r.Name); err == nil {
		return fmt.Errorf("repository %s: %w: choose another name, or change that one", r.Name, catalog.ErrExists)
	}
	// The catalog checks what was typed before anything is made on the disk.
	if err := s.cfg.Catalog.PutRepository(r); err != nil {
		return err
	}
	added, err := s.cfg.Catalog.Repository(r.Name) // as it was cleaned
	if err == nil {
		err = s.open(added, false)
	}
	if err == nil {
		return nil
	}
	delete(s.faults, r.Name)
	if undo := s.cfg.Catalog.RemoveRepository(r.Name); undo != nil {
		s.log.Error("a repository that could not be added stays in the catalog", "repository", r.Name, "err", undo)
	}
	return refuse("repository %s: %w", r.Name, err)
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
	s.shelves.Lock()
	defer s.shelves.Unlock()
	if name == catalog.FirstRepository {
		return errFirst
	}
	if _, err := s.cfg.Catalog.Repository(name); err != nil {
		return err
	}
	if _, err := s.cfg.Library.Repository(name); err == nil {
		if err := s.cfg.Library.Drop(name); err != nil {
			return err
		}
	}
	delete(s.faults, name)
	return s.cfg.Catalog.RemoveRepository(name)
}
