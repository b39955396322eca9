package upkeep

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"time"

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

// history is how many tasks that have ended are remembered.
const history = 200

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

// A task is a Task and who runs it.
type task struct {
	service   *Service
	id, title string
	cancel    context.CancelFunc
	ended     chan struct{}

	now  Task  // under service.mu
	told int64 // Done as Changed was last called; under service.mu
}

// begin makes a task and runs work on a goroutine of its own.
func (s *Service) begin(first Task, work func(ctx context.Context, t *task) error) (Task, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return Task{}, refuse("the appliance is stopping: try again when it runs")
	}
	ctx, cancel := context.WithCancel(context.Background()) // that of Run ends it, by way of stop
	first.ID, first.State, first.Started = rand.Text(), Running, s.cfg.Now().UTC()
	t := &task{service: s, id: first.ID, title: first.Title, cancel: cancel, ended: make(chan struct{}), now: first.clone()}
	s.tasks = append(s.tasks, t)
	s.work.Go(func() {
		defer cancel()
		s.cfg.Changed(first.ID)
		s.log.Info("task begins", "task", first.ID, "kind", first.Kind, "title", first.Title, "actor", first.Actor)
		s.end(t, work(ctx, t))
	})
	return first, nil
}

// end notes how a task ended and forgets the oldest ones.
func (s *Service) end(t *task, err error) {
	s.mu.Lock()
	t.now.Stage, t.now.Ended = "", s.cfg.Now().UTC()
	switch {
	case err == nil:
		t.now.State = Done
	case errors.Is(err, context.Canceled):
		t.now.State, t.now.Problem = Cancelled, "it was cancelled"
		t.now.Warnings = append(t.now.Warnings, besidesCancel(err)...)
	default:
		t.now.State, t.now.Problem = Failed, err.Error()
	}
	last := t.now
	excess := -history
	for _, t := range s.tasks {
		if t.now.State != Running {
			excess++
		}
	}
	s.tasks = slices.DeleteFunc(s.tasks, func(t *task) bool {
		if excess <= 0 || t.now.State == Running {
			return false
		}
		excess--
		return true
	})
	s.mu.Unlock()
	close(t.ended)
	s.log.Info("task ended", "task", last.ID, "kind", last.Kind, "title", last.Title, "state", last.State, "problem", last.Problem)
	s.cfg.Changed(last.ID)
}

// besidesCancel returns what the error of a cancelled task says besides that: what else failed, and what could not be undone.
func besidesCancel(err error) []string {
	if !errors.Is(err, context.Canceled) {
		return []string{err.Error()}
	}
	switch e := err.(type) {
	case interface{ Unwrap() []error }:
		parts := e.Unwrap()
		if errors.Join(parts...).Error() != err.Error() {
			return nil // one message that wraps several, not several messages
		}
		var besides []string
		for _, part := range parts {
			besides = append(besides, besidesCancel(part)...)
		}
		return besides
	case interface{ Unwrap() error }:
		return besidesCancel(e.Unwrap())
	}
	return nil
}

// change changes what is shown of a task.
func (t *task) change(f func(*Task)) {
	t.service.mu.Lock()
	f(&t.now)
	t.service.mu.Unlock()
	t.service.cfg.Changed(t.id)
}

// stage says what is being done now.
func (t *task) stage(format string, args ...any) {
	stage := fmt.Sprintf(format, args...)
	t.service.mu.Lock()
	other := t.now.Stage != stage
	t.now.Stage = stage
	t.service.mu.Unlock()
	if other {
		t.service.cfg.Changed(t.id)
	}
}

// result notes something that came of the task.
func (t *task) result(format string, args ...any) {
	t.change(func(now *Task) { now.Results = append(now.Results, fmt.Sprintf(format, args...)) })
}

// steps is into how many steps that are told progress is cut: it comes with every MiB, which nobody can see.
const steps = 500

// progress tells bytes.
func (t *task) progress(done, total int64) {
	t.service.mu.Lock()
	t.now.Done, t.now.Total = done, total
	tell := done == total || done < t.told || done-t.told >= total/steps
	if tell {
		t.told = done
	}
	t.service.mu.Unlock()
	if tell {
		t.service.cfg.Changed(t.id)
	}
}

// turn waits for repositories.
func (t *task) turn(ctx context.Context, repositories ...*imagestore.Repository) (release func(), err error) {
	var names []string
	for _, r := range repositories {
		names = append(names, r.Name())
	}
	return t.service.turns.take(ctx, t.title, names, func(title string) { t.stage("waiting for: %s", title) })
}

// Tasks returns what runs and what has ended lately, the newest first.
func (s *Service) Tasks() []Task {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]Task, 0, len(s.tasks))
	for _, t := range slices.Backward(s.tasks) {
		list = append(list, t.now.clone())
	}
	return list
}

// clone returns what does not change with the task.
func (t Task) clone() Task {
	t.Results, t.Warnings = slices.Clone(t.Results), slices.Clone(t.Warnings)
	return t
}

// Task returns one, or ErrNoTask.
func (s *Service) Task(id string) (Task, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.find(id)
	if err != nil {
		return Task{}, err
	}
	return t.now.clone(), nil
}

// find returns a task. mu is held.
func (s *Service) find(id string) (*task, error) {
	for _, t := range s.tasks {
		if t.id == id {
			return t, nil
		}
	}
	return nil, fmt.Errorf("%w: %.80q", ErrNoTask, id)
}

// Cancel asks a task to stop; one that has ended stays as it is.
func (s *Service) Cancel(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	t, err := s.find(id)
	if err != nil {
		return err
	}
	t.cancel()
	return nil
}

// Wait returns the task when it has ended, or ctx's error when that ends before.
func (s *Service) Wait(ctx context.Context, id string) (Task, error) {
	s.mu.Lock()
	t, err := s.find(id)
	s.mu.Unlock()
	if err != nil {
		return Task{}, err
	}
	select {
	case <-t.ended:
	case <-ctx.Done():
		return Task{}, ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return t.now.clone(), nil
}
