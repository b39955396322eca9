package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"aula/webui/api"
	"aula/webui/client"
)

// exitInterrupted is the exit status of a command that was interrupted while what it began goes on, as a shell has it.
const exitInterrupted = 130

// watching is how commands that begin an operation watch it.
type watching struct {
	remote
	jsonFlag
	NoWait bool `help:"Do not watch: print the operation's id and leave the rest to the appliance." name:"no-wait"`
}

// watch shows an operation until it is over and prints what came of it. An interruption ends the watching, not the operation.
func (w watching) watch(ctx context.Context, c *client.Client, op api.Operation) error {
	if w.NoWait {
		return w.tell(op, "%s", op.ID)
	}
	if !w.JSON {
		fmt.Printf("operation %s: %s\n", op.ID, whatOf(op))
	}
	ended, err := w.follow(ctx, c, op.ID)
	if errors.Is(err, context.Canceled) {
		return exitError{fmt.Errorf("you watch no longer, and operation %s goes on: 'aula operation watch %s' shows it, 'aula operation cancel %s' stops it",
			op.ID, op.ID, op.ID), exitInterrupted}
	}
	if err != nil {
		return fmt.Errorf("operation %s: %w", op.ID, w.explain(err))
	}
	if w.JSON {
		err = printJSON(ended)
	} else {
		err = printTargets(ended)
	}
	if err == nil && ended.State != "done" {
		err = fmt.Errorf("%s: %s", ended.State, ended.Summary)
	}
	return err
}

// follow shows how it goes until it is over: on a terminal as a picture that is drawn anew, else as lines of what has changed.
func (w watching) follow(ctx context.Context, c *client.Client, id string) (api.Operation, error) {
	if isTerminal(os.Stderr) {
		s := &screen{w: os.Stderr, size: func() (int, int) { return terminalSize(os.Stderr) }}
		defer s.end()
		return c.Wait(ctx, id, s.show)
	}
	if w.JSON {
		return c.Wait(ctx, id, nil)
	}
	l := &changes{w: os.Stdout}
	return c.Wait(ctx, id, l.show)
}

// terminalSize is in characters.
func terminalSize(f *os.File) (width, height int) {
	size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil || size.Col == 0 || size.Row == 0 {
		return 80, 24
	}
	return int(size.Col), int(size.Row)
}

// A screen shows an operation on a terminal. It is used by one goroutine at a time.
type screen struct {
	w     io.Writer
	size  func() (width, height int)
	lines int // of the last picture
}

func (s *screen) show(op api.Operation) {
	width, height := s.size()
	lines := pictureOf(op, width-1, height-1)
	s.end()
	for _, line := range lines {
		fmt.Fprintln(s.w, line)
	}
	s.lines = len(lines)
}

// end wipes the picture.
func (s *screen) end() {
	if s.lines > 0 {
		fmt.Fprintf(s.w, "\x1b[%dA\x1b[J", s.lines)
		s.lines = 0
	}
}

// pictureOf is the lines of a picture of an operation, no wider and not more than will fit. When there are more PCs than lines, those in which something
// goes on come first.
func pictureOf(op api.Operation, width, height int) []string {
	targets, rest := op.Targets, 0
	if room := max(height-3, 1); len(targets) > room {
		targets = slices.Clone(targets)
		slices.SortStableFunc(targets, func(a, b api.Target) int { return dullness(a) - dullness(b) })
		targets, rest = targets[:room], len(targets)-room
	}
	lines := strings.Split(strings.TrimSuffix(targetTable(targets, true), "\n"), "\n")
	if rest > 0 {
		lines = append(lines, fmt.Sprintf("and %s more", computers(rest)))
	}
	lines = append(lines, progressOf(op))
	for i := range lines {
		if line := []rune(strings.TrimRight(lines[i], " ")); len(line) > max(width, 1) {
			lines[i] = string(line[:max(width, 1)-1]) + "…"
		} else {
			lines[i] = string(line)
		}
	}
	return lines
}

// dullness is the less the more one wants to see of a PC.
func dullness(t api.Target) int {
	switch t.State {
	case "running":
		return 0
	case "lost contact":
		return 1
	case "failed", "incomplete":
		return 2
	case "waiting":
		return 3
	}
	return 4
}

// progressOf is the operation in a line.
func progressOf(op api.Operation) string {
	if op.Session == "" {
		return op.Summary
	}
	return op.Summary + "  (" + op.Session + ")"
}

// changes prints a line whenever something of a PC is otherwise than before.
type changes struct {
	w       io.Writer
	before  map[string]string
	session string
}

// percentStep is how much a PC must have gone on for another line.
const percentStep = 10

func (l *changes) show(op api.Operation) {
	if l.before == nil {
		l.before = map[string]string{}
	}
	if op.Session != l.session && op.Session != "" {
		fmt.Fprintln(l.w, "session:", op.Session)
	}
	l.session = op.Session
	for _, t := range op.Targets {
		p := percent(t)
		now := fmt.Sprint(stateOf(t), stepOf(t), p/percentStep, t.Slow, t.Notes)
		if l.before[t.ComputerID] == now {
			continue
		}
		l.before[t.ComputerID] = now
		words := slices.DeleteFunc([]string{stateOf(t), stepOf(t), percentText(t), speedOf(t), leftOf(t), remarksOf(t)}, func(s string) bool { return s == "" })
		fmt.Fprintf(l.w, "%s: %s\n", t.Name, strings.Join(words, ", "))
	}
}

// percent of the stage, 0 when it is not known.
func percent(t api.Target) int {
	if t.Total <= 0 || t.State != "running" {
		return 0
	}
	return int(min(max(t.Bytes, 0), t.Total) * 100 / t.Total)
}

func percentText(t api.Target) string {
	if t.Total <= 0 || t.State != "running" {
		return ""
	}
	return fmt.Sprintf("%d %%", percent(t))
}

// leftOf is how long the stage takes yet.
func leftOf(t api.Target) string {
	if t.State != "running" || t.Rate <= 0 || t.Total <= t.Bytes {
		return ""
	}
	return (time.Duration(float64(t.Total-t.Bytes)/float64(t.Rate)) * time.Second).String() + " left"
}
