// Package upkeep does the long work on repositories, each piece as a task with progress, a holder of what it uses, and an end: imports,
// conversions, copies, moves and verifications. It also opens, adds and removes repositories.
//
// What a request names is looked at before it is answered, so that a mistake is told at once and not by a task that fails. At most
// one task at a time works on a repository; the others wait in the order in which they came and say for whom.
//
// It commands no PC (appliance/operation does) and knows no format. Tasks are forgotten when the server stops; what they were doing is
// then undone by imagestore.
package upkeep

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"aula/appliance/catalog"
	"aula/appliance/incorporation"
	"aula/imagestore"
)

// Errors that callers branch on.
var (
	ErrNoTask  = errors.New("no such task")
	ErrRefused = errors.New("not possible")
)

// A Config gives a Service what it works with. Library and Catalog are required, Uploads for imports of uploads.
type Config struct {
	Library *imagestore.Library
	Catalog *catalog.Catalog
	Uploads *incorporation.Uploads
	Options imagestore.Options  // for repositories that are added: Announce, Settle, Changed, Log
	Changed func(taskID string) // called after each change of a task; must not block; may be nil
	Log     *slog.Logger        // discarded when nil
	Now     func() time.Time    // time.Now when nil
}

// A Service runs tasks. Its methods are safe for concurrent use.
type Service struct {
	cfg   Config
	log   *slog.Logger
	turns turns
	work  sync.WaitGroup // of the tasks' goroutines

	mu      sync.Mutex
	stopped bool
	tasks   []*task // oldest first

	patience   time.Duration // how long volumes are waited for
	openFolder func(dir string, opt imagestore.Options) (*imagestore.Repository, error)
	measure    func(*imagestore.Repository) (room, error)

	// Never held while a volume is waited for.
	shelves  sync.Mutex
	closed   bool
	faults   map[string]error // why repositories of the catalog are not open, by name
	openings map[string]*opening
	looks    map[*imagestore.Repository]*look
}

// New makes a Service and opens the repositories of the catalog. One that cannot be opened, or whose volume does not answer, is told
// by Repositories and tried again from time to time; it does not keep the appliance from starting. Library.Close closes them all.
func New(cfg Config) (*Service, error) {
	s, err := newService(cfg)
	if err != nil {
		return nil, err
	}
	s.clean(cfg.Library.Repositories()[0])
	if err := s.openAll(context.Background()); err != nil {
		return nil, fmt.Errorf("repositories of the catalog: %w", err)
	}
	return s, nil
}

// newService makes a Service that has not opened anything.
func newService(cfg Config) (*Service, error) {
	if cfg.Library == nil || cfg.Catalog == nil {
		return nil, errors.New("upkeep: library and catalog are required")
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.Changed == nil {
		cfg.Changed = func(string) {}
	}
	return &Service{
		cfg: cfg, log: cfg.Log, patience: patience, openFolder: imagestore.Open, measure: measure,
		faults: make(map[string]error), openings: make(map[string]*opening), looks: make(map[*imagestore.Repository]*look),
	}, nil
}

// Pauses of Run.
const (
	reopenEvery = 30 * time.Second // repositories whose volume was not there
	expireEvery = time.Hour        // uploads that nobody continues
)

// Run does what is due from time to time until ctx ends; then tasks are cancelled and waited for, and no more are taken.
func (s *Service) Run(ctx context.Context) error {
	reopen, expire := time.NewTicker(reopenEvery), time.NewTicker(expireEvery)
	defer reopen.Stop()
	defer expire.Stop()
	for {
		select {
		case <-ctx.Done():
			s.stop()
			return nil
		case <-reopen.C:
			if err := s.openAll(ctx); err != nil {
				s.log.Warn("repositories of the catalog cannot be read", "err", err)
			}
		case <-expire.C:
			if s.cfg.Uploads == nil {
				continue
			}
			if err := s.cfg.Uploads.Expire(); err != nil {
				s.log.Warn("uploads that nobody continues are not removed", "err", err)
			}
		}
	}
}

// stop ends all tasks, and admits no more repositories.
func (s *Service) stop() {
	s.shelves.Lock()
	s.closed = true
	s.shelves.Unlock()
	s.mu.Lock()
	s.stopped = true
	for _, t := range s.tasks {
		t.cancel()
	}
	s.mu.Unlock()
	s.work.Wait()
}

// refuse makes an error that wraps ErrRefused.
func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrRefused, fmt.Errorf(format, args...))
}
