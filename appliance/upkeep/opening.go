package upkeep

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"aula/appliance/catalog"
	"aula/appliance/incorporation"
	"aula/imagestore"
)

// patience is how long a volume is waited for. A network volume whose server is gone answers never, or after minutes, and nothing
// can end such a call; so each is made on a goroutine of its own, at most one of a kind for each repository, and the rest goes on without it.
const patience = 5 * time.Second

// errSilent is told of a volume that has not answered.
var errSilent = errors.New("its volume does not answer: is the disk or the server that holds it in order?")

// An opening is a repository that is being opened. err is there when ended is closed.
type opening struct {
	ended chan struct{}
	err   error
}

// openAll opens the repositories of the catalog that are not open. Those that take too long are opened later.
func (s *Service) openAll(ctx context.Context) error {
	known, err := s.cfg.Catalog.Repositories()
	if err != nil {
		return err
	}
	var begun []*opening
	s.shelves.Lock()
	for _, r := range known {
		_, err := s.cfg.Library.Repository(r.Name)
		if err != nil && s.openings[r.Name] == nil {
			begun = append(begun, s.startOpening(r, true))
		}
	}
	s.shelves.Unlock()
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	for _, o := range begun {
		_ = s.await(ctx, o) // Repositories tells it
	}
	return nil
}

// startOpening begins to open a repository of the catalog. shelves is held.
func (s *Service) startOpening(r catalog.Repository, existing bool) *opening {
	o := &opening{ended: make(chan struct{})}
	s.openings[r.Name] = o
	go func() { // ends when the volume answers; nothing waits for it longer than patience
		defer close(o.ended)
		repository, err := s.open(r, existing)
		s.shelves.Lock()
		defer s.shelves.Unlock()
		delete(s.openings, r.Name)
		if err == nil {
			if err = s.admit(r, repository); err != nil {
				err = errors.Join(err, repository.Close())
			}
		}
		o.err = err
		s.noteFault(r, err)
	}()
	return o
}

// await waits for an opening, and answers errSilent for one that takes too long.
func (s *Service) await(ctx context.Context, o *opening) error {
	ctx, cancel := context.WithTimeout(ctx, s.patience)
	defer cancel()
	select {
	case <-o.ended:
		return o.err
	case <-ctx.Done():
		return errSilent
	}
}

// open opens a repository and cleans it.
func (s *Service) open(r catalog.Repository, existing bool) (*imagestore.Repository, error) {
	if err := s.cfg.Library.CheckNew(r.Name, r.Dir); err != nil {
		return nil, err // before anything is begun in that folder
	}
	repository, err := s.openFolder(r.Dir, s.options(r, existing))
	if err == nil {
		s.clean(repository)
	}
	return repository, err
}

// clean removes what imports that a crash has ended have left in a repository.
func (s *Service) clean(r *imagestore.Repository) {
	if err := incorporation.Clean(r.Dir()); err != nil {
		s.log.Warn("what an import has left is not removed", "repository", r.Name(), "err", err)
	}
}

// admit puts a repository that has been opened into the library, unless it is not wanted any more. shelves is held.
func (s *Service) admit(r catalog.Repository, repository *imagestore.Repository) error {
	now, err := s.cfg.Catalog.Repository(r.Name)
	switch {
	case err != nil:
		return err
	case now.Dir != r.Dir || s.closed:
		return fmt.Errorf("%w: %s in %s", catalog.ErrNotFound, r.Name, r.Dir)
	}
	repository.SetOptions(s.options(now, true))
	return s.cfg.Library.Add(repository)
}

// noteFault notes why a repository cannot be used, and logs when that changes. shelves is held.
func (s *Service) noteFault(r catalog.Repository, err error) {
	before := s.faults[r.Name]
	switch {
	case err == nil:
		delete(s.faults, r.Name)
		if before != nil {
			s.log.Info("repository can be used again", "repository", r.Name, "dir", r.Dir)
		}
	case !errors.Is(err, catalog.ErrNotFound): // else it was removed meanwhile
		s.faults[r.Name] = err
		if before == nil {
			s.log.Warn("repository cannot be used", "repository", r.Name, "dir", r.Dir, "err", err)
		}
	}
}

// options are how a repository of the catalog is kept.
func (s *Service) options(r catalog.Repository, existing bool) imagestore.Options {
	o := s.cfg.Options
	o.Name, o.Address, o.Keep, o.Existing = r.Name, r.Address, r.Keep, existing
	o.Trash = time.Duration(r.TrashDays) * 24 * time.Hour
	o.Reserve = r.ReserveMiB << 20
	return o
}

// A room is how much a volume holds.
type room struct{ free, size int64 }

// A look is a question that a volume has not answered yet.
type look struct {
	ended chan struct{}
	room  room
	err   error
}

// look fills in how an open repository stands.
func (s *Service) look(status *RepositoryStatus, r *imagestore.Repository) {
	images, err := r.Images()
	if err == nil {
		status.Images = len(images)
		var room room
		room, err = s.ask(r)
		status.Free, status.Size = room.free, room.size
	}
	if err != nil {
		status.Problem = err.Error()
	}
}

// ask asks the volume of a repository, or awaits the answer to what was asked before.
func (s *Service) ask(r *imagestore.Repository) (room, error) {
	s.shelves.Lock()
	l := s.looks[r]
	if l == nil {
		l = &look{ended: make(chan struct{})}
		s.looks[r] = l
		go func() { // ends when the volume answers
			defer close(l.ended)
			l.room, l.err = s.measure(r)
			s.shelves.Lock()
			defer s.shelves.Unlock()
			delete(s.looks, r)
		}()
	}
	s.shelves.Unlock()
	select {
	case <-l.ended:
		return l.room, l.err
	case <-time.After(s.patience):
		return room{}, errSilent
	}
}

// measure asks a volume for its room.
func measure(r *imagestore.Repository) (room, error) {
	free, err := r.Free()
	if err != nil {
		return room{}, err
	}
	var volume unix.Statfs_t
	err = unix.Statfs(r.Dir(), &volume)
	return room{free, int64(volume.Blocks) * volume.Bsize}, err
}
