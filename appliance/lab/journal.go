package lab

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"
)

// A journal tells people what happens, step by step, and how long each took.
type journal struct {
	out   io.Writer
	start time.Time
	took  []struct {
		what string
		time time.Duration
	}

	mu   sync.Mutex
	said time.Time // when the last news were told
	last string
}

// newsPause is the least time between two lines of news within a step.
const newsPause = 10 * time.Second

// A step is one part of what is told; do is given a function that takes news.
type step struct {
	what string
	do   func(ctx context.Context, say func(string)) error
}

func newJournal(out io.Writer) *journal { return &journal{out: out, start: time.Now()} }

// all does one step after the other until one fails.
func (j *journal) all(ctx context.Context, steps ...step) error {
	for n, s := range steps {
		began := time.Now()
		j.mu.Lock()
		j.said = began
		fmt.Fprintf(j.out, "%s  %d/%d %s\n", j.clock(), n+1, len(steps), s.what)
		j.mu.Unlock()
		if err := s.do(ctx, j.news); err != nil {
			return fmt.Errorf("%s: %w", s.what, err)
		}
		j.took = append(j.took, struct {
			what string
			time time.Duration
		}{s.what, time.Since(began)})
	}
	return nil
}

// news are told unless they come too often or say nothing new.
func (j *journal) news(text string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if text == j.last || time.Since(j.said) < newsPause {
		return
	}
	j.said, j.last = time.Now(), text
	fmt.Fprintf(j.out, "%s      %s\n", j.clock(), text)
}

func (j *journal) clock() string { return clockText(time.Since(j.start)) }

// summary tells how long each step took.
func (j *journal) summary() {
	fmt.Fprintf(j.out, "\n")
	for _, t := range j.took {
		fmt.Fprintf(j.out, "%s  %s\n", clockText(t.time), t.what)
	}
	fmt.Fprintf(j.out, "%s  in all\n", j.clock())
}

func clockText(d time.Duration) string {
	s := int(d.Round(time.Second).Seconds())
	return fmt.Sprintf("%3d:%02d", s/60, s%60)
}
