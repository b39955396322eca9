package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A session is this program on a terminal, with somebody who types.
type session struct {
	t        *testing.T
	terminal *os.File
	cmd      *exec.Cmd

	mu    sync.Mutex
	shown strings.Builder
	more  chan struct{} // of room for one: something was shown
}

// onTerminal starts the program on a terminal of its own.
func onTerminal(t *testing.T, args ...string) *session {
	t.Helper()
	ours, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip("SKIPPED: no pseudo-terminals here:", err)
	}
	t.Cleanup(func() { ours.Close() })
	number, err := unix.IoctlGetInt(int(ours.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(ours.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skip("SKIPPED: no pseudo-terminals here:", err)
	}
	defer theirs.Close()
	s := &session{t: t, terminal: ours, cmd: exec.CommandContext(t.Context(), os.Args[0], args...), more: make(chan struct{}, 1)}
	s.cmd.Env = append(os.Environ(), asProgram+"=1")
	s.cmd.Stdin, s.cmd.Stdout, s.cmd.Stderr = theirs, theirs, theirs
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		io.Copy(s, ours) // ends with EIO when the program has ended
	}()
	t.Cleanup(func() { <-read })
	return s
}

func (s *session) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case s.more <- struct{}{}:
	default:
	}
	return s.shown.Write(p)
}

// sees waits until the terminal shows a text.
func (s *session) sees(text string) {
	s.t.Helper()
	patience := time.After(time.Minute)
	for {
		s.mu.Lock()
		shown := s.shown.String()
		s.mu.Unlock()
		if strings.Contains(shown, text) {
			return
		}
		select {
		case <-s.more:
		case <-patience:
			s.t.Fatalf("the terminal does not show %q but\n%s", text, shown)
		}
	}
}

func (s *session) types(text string) {
	s.t.Helper()
	if _, err := s.terminal.WriteString(text); err != nil {
		s.t.Fatal(err)
	}
}

// ends waits for the end and returns the exit status.
func (s *session) ends() int {
	s.t.Helper()
	err := s.cmd.Wait()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		s.t.Fatal(err)
	}
	return s.cmd.ProcessState.ExitCode()
}

func TestRunAsksOnATerminal(t *testing.T) {
	b := newBed(t)
	pcs := b.room("North", "Room 1", 1, 1)
	b.connect(pcs[0], restores)
	const question = "Data on 1 computer will be lost. Go on? [y/N] "
	for _, c := range []struct {
		answer, says string
		status       int
	}{
		{"n\r", "nothing is begun, as you said", 1},
		{"\r", "nothing is begun, as you said", 1},
		{"\x03", "nothing is begun: interrupted", 1}, // Ctrl-C
		{"yes\r", "1 of 1 verified", 0},
	} {
		s := onTerminal(t, deployLab(b.data)...)
		s.sees(question)
		s.types(c.answer)
		s.sees(c.says)
		if status := s.ends(); status != c.status {
			t.Errorf("answer %q: got status %d, want %d", c.answer, status, c.status)
		}
	}
}

func TestInterruptionEndsTheWatchingOnly(t *testing.T) {
	b := newBed(t)
	pcs := b.room("North", "Room 1", 1, 1)
	b.connect(pcs[0], waits)
	s := onTerminal(t, deployLab(b.data, "--yes")...)
	s.sees("pc-01     waiting")
	s.sees("\x1b[3A\x1b[J") // drawn anew
	s.types("\x03")
	s.sees("aula operation cancel ")
	if status := s.ends(); status != exitInterrupted {
		t.Errorf("got status %d", status)
	}
	if stdout, _, _ := aula(t, "operation", "list", "--data", b.data); !strings.Contains(stdout, "running") {
		t.Errorf("the operation does not go on: %s", stdout)
	}
}
