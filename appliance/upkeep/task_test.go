package upkeep

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
)

// untilCancelled is work that only a cancel ends.
func untilCancelled(ctx context.Context, t *task) error {
	<-ctx.Done()
	return fmt.Errorf("reading win10: %w", ctx.Err())
}

func TestTaskTellsHowItEnded(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	t.Run("done", func(t *testing.T) {
		ended := b.succeeds(b.begin(Task{Kind: Verify, Actor: "ana", Title: "Verify win10"}, func(ctx context.Context, t *task) error {
			t.stage("reading")
			t.progress(7, 7)
			t.result("%s: in order", "win10")
			return nil
		}))
		if ended.Actor != "ana" || ended.Done != 7 || ended.Total != 7 || ended.Results[0] != "win10: in order" || ended.Started.After(ended.Ended) {
			t.Errorf("got %+v", ended)
		}
	})
	t.Run("failed", func(t *testing.T) {
		ended := b.ends(b.begin(Task{}, func(context.Context, *task) error { return errors.New("the disk is broken") }))
		if ended.State != Failed || ended.Problem != "the disk is broken" {
			t.Errorf("got %+v", ended)
		}
	})
	t.Run("cancelled", func(t *testing.T) {
		running, err := b.begin(Task{}, untilCancelled)
		if err != nil {
			t.Fatal(err)
		}
		if now, err := b.Task(running.ID); err != nil || now.State != Running {
			t.Errorf("before: %+v, %v", now, err)
		}
		for range 2 {
			if err := b.Cancel(running.ID); err != nil {
				t.Error(err)
			}
			if ended := b.ends(running, nil); ended.State != Cancelled {
				t.Errorf("got %+v", ended)
			}
		}
	})
	t.Run("cancelled, with something left", func(t *testing.T) {
		running, err := b.begin(Task{Warnings: []string{"no boot loader"}}, func(ctx context.Context, _ *task) error {
			<-ctx.Done()
			stopped := fmt.Errorf("win10 is not taken in: %w", errors.Join(fmt.Errorf("reading: %w", ctx.Err()), errors.New("staging X is left")))
			return errors.Join(errors.New("win7 is damaged"), fmt.Errorf("lab: %w: %w", ErrRefused, ctx.Err()), stopped)
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Cancel(running.ID); err != nil {
			t.Error(err)
		}
		ended := b.ends(running, nil)
		if want := []string{"no boot loader", "win7 is damaged", "staging X is left"}; ended.State != Cancelled || !slices.Equal(ended.Warnings, want) {
			t.Errorf("%s with the warnings %q, want cancelled with %q", ended.State, ended.Warnings, want)
		}
	})
	t.Run("unknown", func(t *testing.T) {
		_, err := b.Task("nothing")
		_, waitErr := b.Wait(t.Context(), "nothing")
		for _, err := range []error{err, waitErr, b.Cancel("nothing")} {
			if !errors.Is(err, ErrNoTask) {
				t.Errorf("got %v", err)
			}
		}
	})
	t.Run("whoever waits may give up", func(t *testing.T) {
		running, err := b.begin(Task{}, untilCancelled)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := b.Wait(ctx, running.ID); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

func TestStopCancelsAndTakesNoMore(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	running, err := b.begin(Task{}, untilCancelled)
	if err != nil {
		t.Fatal(err)
	}
	b.stop()
	if now, err := b.Task(running.ID); err != nil || now.State != Cancelled {
		t.Errorf("got %+v, %v", now, err)
	}
	if _, err := b.begin(Task{}, untilCancelled); !errors.Is(err, ErrRefused) {
		t.Errorf("a task after the end: %v", err)
	}
}

func TestHistoryIsBoundedAndNewestFirst(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	old, err := b.begin(Task{Title: "runs all the time"}, untilCancelled)
	if err != nil {
		t.Fatal(err)
	}
	for i := range history + 5 {
		b.succeeds(b.begin(Task{Title: fmt.Sprint(i)}, func(context.Context, *task) error { return nil }))
	}
	all := b.Tasks()
	if len(all) != history+1 {
		t.Fatalf("%d tasks are remembered, want %d and the one that runs", len(all), history)
	}
	if all[0].Title != fmt.Sprint(history+4) || all[history].ID != old.ID || all[history-1].Title != "5" {
		t.Errorf("from %q to %q, %q", all[0].Title, all[history-1].Title, all[history].Title)
	}
}

// TestProgressIsNotToldByTheByte lets a task progress a million times.
func TestProgressIsNotToldByTheByte(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	var mu sync.Mutex
	told := 0
	b.cfg.Changed = func(string) { mu.Lock(); told++; mu.Unlock() }
	b.succeeds(b.begin(Task{}, func(_ context.Context, t *task) error {
		for i := range int64(1_000_000) {
			t.progress(i+1, 1_000_000)
		}
		return nil
	}))
	mu.Lock()
	defer mu.Unlock()
	if told < steps || told > steps+5 {
		t.Errorf("told %d times, want about %d", told, steps)
	}
}

func TestTasksTakeTurnsAtARepository(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.publish("main", "lab")
	inside := make(chan struct{})
	first, err := b.begin(Task{Title: "Convert win10"}, func(ctx context.Context, t *task) error {
		release, err := t.turn(ctx, b.images.Repositories()[0])
		if err != nil {
			return err
		}
		defer release()
		close(inside)
		<-ctx.Done()
		return ctx.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	<-inside
	changed := make(chan struct{}, 100)
	b.mu.Lock()
	b.cfg.Changed = func(string) { changed <- struct{}{} }
	b.mu.Unlock()
	second, err := b.Verify("ana", ImageRef{Name: "lab"})
	if err != nil {
		t.Fatal(err)
	}
	for now := second; !strings.Contains(now.Stage, "waiting for: Convert win10"); now, _ = b.Task(second.ID) {
		<-changed
	}
	if err := b.Cancel(first.ID); err != nil {
		t.Error(err)
	}
	b.succeeds(second, nil)
}
