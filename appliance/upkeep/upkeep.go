// Package upkeep does the long work on repositories, each piece as a task with progress, a holder of what it uses, and an end: imports,
// conversions, copies, moves and verifications. It also adds and removes repositories.
//
// It commands no PC (appliance/operation does) and knows no format. Tasks are forgotten when the server stops; what they were doing is
// then undone by imagestore.
package upkeep

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"aula/appliance/catalog"
	"aula/appliance/incorporation"
	"aula/imagestore"
)

// Kinds of tasks.
const (
	Import  = "import"
	Convert = "convert"
	Copy    = "copy"
	Move    = "move"
	Verify  = "verify"
)

// States of a Task.
const (
	Running   = "running"
	Done      = "done"
	Failed    = "failed"
	Cancelled = "cancelled"
)

// A Task is one piece of work.
type Task struct {
	ID         string    `json:"id"`
	Kind       string    `json:"kind"`
	Actor      string    `json:"actor"`
	Title      string    `json:"title"` // for people: "Convert win10 to LZOP"
	Repository string    `json:"repository,omitempty"`
	Image      string    `json:"image,omitempty"`
	State      string    `json:"state"`
	Stage      string    `json:"stage,omitempty"` // for people
	Done       int64     `json:"done"`            // bytes
	Total      int64     `json:"total"`           // bytes, 0 when not known yet
	Problem    string    `json:"problem,omitempty"`
	Results    []string  `json:"results,omitempty"` // what came of it, for people
	Warnings   []string  `json:"warnings,omitempty"`
	Started    time.Time `json:"started"`
	Ended      time.Time `json:"ended,omitzero"`
}

// A Config gives a Service what it works with.
type Config struct {
	Library *imagestore.Library
	Catalog *catalog.Catalog
	Uploads *incorporation.Uploads
	Options imagestore.Options  // for repositories that are added: Announce, Settle, Changed, Log
	Changed func(taskID string) // must not block; may be nil
	Log     *slog.Logger
	Now     func() time.Time // time.Now when nil
}

// A Service runs tasks.
type Service struct{ cfg Config }

// New makes a Service and opens the repositories of the catalog; one that cannot be opened is told by Repositories and does not keep
// the appliance from starting.
func New(cfg Config) (*Service, error) { return &Service{cfg}, nil }

// Run runs until ctx ends; then tasks are cancelled and waited for.
func (s *Service) Run(ctx context.Context) error { <-ctx.Done(); return nil }

// Errors that callers branch on.
var (
	ErrNoTask  = errors.New("no such task")
	ErrRefused = errors.New("not possible")
)

// An ImportRequest names what to take in: paths on this machine, or an upload.
type ImportRequest struct {
	Paths      []string
	Upload     string
	Repository string // the first one when empty
	Name       string // canonical; made from the files' names when empty
}

// Import starts an import. What the paths are is found out before it answers, so that bad input is refused at once.
func (s *Service) Import(ctx context.Context, actor string, r ImportRequest) (Task, error) {
	return Task{}, errors.New("not yet")
}

// An ImageRef names a revision of an image.
type ImageRef struct {
	Repository string // the first one that has the image when empty
	Name       string
	Revision   int // 0: the current one
}

// Convert starts to make a new revision (or, with another name, a new image) packed by another compressor.
func (s *Service) Convert(actor string, ref ImageRef, to imagestore.Conversion) (Task, error) {
	return Task{}, errors.New("not yet")
}

// Copy starts to copy a revision to another repository.
func (s *Service) Copy(actor string, ref ImageRef, to string) (Task, error) {
	return Task{}, errors.New("not yet")
}

// Move starts to move an image with all its revisions to another repository.
func (s *Service) Move(actor string, ref ImageRef, to string) (Task, error) {
	return Task{}, errors.New("not yet")
}

// Verify starts to read an image again, or with a zero ref all images of all repositories.
func (s *Service) Verify(actor string, ref ImageRef) (Task, error) {
	return Task{}, errors.New("not yet")
}

// Tasks returns what runs and what has ended lately, the newest first.
func (s *Service) Tasks() []Task { return nil }

// Task returns one, or ErrNoTask.
func (s *Service) Task(id string) (Task, error) { return Task{}, ErrNoTask }

// Cancel asks a task to stop; one that has ended stays as it is.
func (s *Service) Cancel(id string) error { return ErrNoTask }

// Wait returns the task when it has ended.
func (s *Service) Wait(ctx context.Context, id string) (Task, error) { return Task{}, ErrNoTask }

// A RepositoryStatus is a repository and how it stands.
type RepositoryStatus struct {
	catalog.Repository
	Images  int
	Free    int64  // bytes that images may still fill
	Size    int64  // bytes of the volume
	Problem string // why it cannot be used now; empty when it can
}

// Repositories returns all, the first one first.
func (s *Service) Repositories() ([]RepositoryStatus, error) { return nil, nil }

// AddRepository opens (and, if its folder is empty, begins) a repository and notes it in the catalog.
func (s *Service) AddRepository(r catalog.Repository) error { return errors.New("not yet") }

// ChangeRepository changes all but the folder of a repository.
func (s *Service) ChangeRepository(r catalog.Repository) error { return errors.New("not yet") }

// RemoveRepository forgets a repository; its folder stays as it is.
func (s *Service) RemoveRepository(name string) error { return errors.New("not yet") }
