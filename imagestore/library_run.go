package imagestore

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// ErrRepositoryExists is answered for a repository that would be in the way of another.
var ErrRepositoryExists = errors.New("there is a repository already")

// rerun is the pause before a repository whose Run failed is run again.
const rerun = time.Minute

// A watch is the Run of one repository.
type watch struct {
	stop  context.CancelFunc
	ended chan struct{}
}

// Run runs what every repository does by itself (Repository.Run), also of those that are added meanwhile, until ctx ends. A
// repository that fails, because its volume went away for instance, is logged and tried again; the others do not notice.
func (l *Library) Run(ctx context.Context) error {
	var group sync.WaitGroup
	l.mu.Lock()
	l.supervise = func(r *Repository) {
		ctx, stop := context.WithCancel(ctx)
		w := watch{stop, make(chan struct{})}
		l.watches[r] = w
		group.Go(func() {
			defer close(w.ended)
			r.supervise(ctx)
		})
	}
	for _, r := range l.repositories {
		l.supervise(r)
	}
	l.mu.Unlock()
	<-ctx.Done()
	l.mu.Lock()
	l.supervise = nil
	l.mu.Unlock()
	group.Wait()
	return nil
}

// supervise runs Run again and again until ctx ends.
func (r *Repository) supervise(ctx context.Context) {
	for {
		err := r.Run(ctx)
		if ctx.Err() != nil {
			return
		}
		r.log.Warn("repository is not being watched", "repository", r.opt.Name, "dir", r.dir, "err", err, "again", rerun)
		select {
		case <-ctx.Done():
			return
		case <-time.After(rerun):
		}
	}
}

// CheckNew answers ErrRepositoryExists when there is a repository of that name, or one whose folder lies in dir or around it.
func (l *Library) CheckNew(name, dir string) error {
	for _, other := range l.Repositories() {
		switch {
		case other.Name() == name:
			return fmt.Errorf("%w: %q, in %s: choose another name", ErrRepositoryExists, name, other.dir)
		case inside(other.dir, dir), inside(dir, other.dir):
			return fmt.Errorf("%w: %q, in %s, which must not lie in %s or around it: choose another folder", ErrRepositoryExists, other.Name(), other.dir, dir)
		}
	}
	return nil
}

// Add adds a repository, the last one from then on, if CheckNew allows it.
func (l *Library) Add(r *Repository) error {
	if err := l.CheckNew(r.Name(), r.dir); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.repositories = append(l.repositories, r)
	if l.supervise != nil {
		l.supervise(r)
	}
	return nil
}

// inside tells whether dir is the folder or in it.
func inside(folder, dir string) bool {
	rel, err := filepath.Rel(folder, dir)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, "../")
}

// Drop closes a repository and forgets it; its folder stays as it is. It answers ErrBusy wrapped with what is going on while an image
// is in use, arriving or being processed. The first repository cannot be dropped.
func (l *Library) Drop(name string) error {
	r, err := l.unlist(name)
	if err != nil {
		return err
	}
	l.mu.Lock()
	w, watched := l.watches[r]
	delete(l.watches, r)
	l.mu.Unlock()
	if watched {
		w.stop()
		<-w.ended
	}
	return r.Close()
}

// unlist takes a repository in which nothing goes on out of the list, so that nothing new begins in it.
func (l *Library) unlist(name string) (*Repository, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	place := slices.IndexFunc(l.repositories, func(r *Repository) bool { return r.opt.Name == name })
	switch {
	case place < 0:
		return nil, fmt.Errorf("%w: %q", ErrNoRepository, name)
	case place == 0:
		return nil, errors.New("the first repository cannot be removed: it is where images go when nobody says where")
	}
	r := l.repositories[place]
	if err := r.idle(); err != nil {
		return nil, err
	}
	l.repositories = slices.Delete(l.repositories, place, place+1)
	return r, nil
}

// idle answers ErrBusy when something goes on in the repository.
func (r *Repository) idle() error {
	for _, s := range r.Standings() {
		switch s.State {
		case Locked:
			return fmt.Errorf("%w: %s: %s", ErrBusy, s.Name, strings.Join(s.Holders, ", "))
		case Arriving, Processing:
			return fmt.Errorf("%w: %s is %s", ErrBusy, s.Name, s.State)
		}
	}
	return nil
}

// Standings returns how every name of every repository stands.
func (l *Library) Standings() []Standing {
	var all []Standing
	for _, r := range l.Repositories() {
		all = append(all, r.Standings()...)
	}
	return all
}
