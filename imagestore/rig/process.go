package rig

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A Process is a program that runs on a machine.
type Process struct {
	Name  string        // of the machine
	Ended chan struct{} // closed when it has
	End   time.Time     // once it has ended
	Err   error         // of how it ended, once it has

	cmd *exec.Cmd

	mu   sync.Mutex
	said []line        // of both outputs
	news chan struct{} // closed and made anew at each line
}

type line struct {
	text string
	at   time.Time
}

// Start runs a program until it ends, the test does, or the test's process does.
func (m *Machine) Start(tb testing.TB, environment []string, name string, args ...string) *Process {
	tb.Helper()
	p := &Process{Name: m.Name, cmd: exec.Command(tool(tb, name), args...), Ended: make(chan struct{}), news: make(chan struct{})}
	p.cmd.Env = append(os.Environ(), environment...)
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // of the machine's thread
	out, in, err := os.Pipe()
	if err != nil {
		tb.Fatal(err)
	}
	p.cmd.Stdout, p.cmd.Stderr = in, in
	m.Do(func() { err = p.cmd.Start() })
	_ = in.Close()
	if err != nil {
		_ = out.Close()
		tb.Fatalf("on %s: %s: %v", m.Name, name, err)
	}
	go func() {
		defer close(p.Ended)
		p.listen(out)
		p.Err = p.cmd.Wait()
		p.End = time.Now()
	}()
	tb.Cleanup(func() {
		p.Kill()
		<-p.Ended
	})
	return p
}

func (p *Process) listen(out *os.File) {
	defer out.Close()
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	lines.Split(func(b []byte, atEOF bool) (int, []byte, error) {
		if n := bytes.IndexAny(b, "\r\n"); n >= 0 {
			return n + 1, b[:n], nil
		}
		if atEOF && len(b) > 0 {
			return len(b), b, nil
		}
		return 0, nil, nil
	})
	for lines.Scan() {
		p.mu.Lock()
		p.said = append(p.said, line{lines.Text(), time.Now()})
		close(p.news)
		p.news = make(chan struct{})
		p.mu.Unlock()
	}
}

// Await waits for a line of the process's, one that has been said already or one to come, and fails the test when there is none.
func (p *Process) Await(tb testing.TB, what string, limit time.Duration, is func(line string) bool) {
	tb.Helper()
	if _, ok := p.Heard(time.Now().Add(limit), is); !ok {
		tb.Fatalf("on %s: not %s within %s; it said:\n%s", p.Name, what, limit, p.History(40))
	}
}

// Heard waits for a line of the process's until the deadline, and returns when it was said.
func (p *Process) Heard(deadline time.Time, is func(line string) bool) (at time.Time, ok bool) {
	timeout := time.NewTimer(time.Until(deadline))
	defer timeout.Stop()
	for next, over := 0, false; ; {
		p.mu.Lock()
		lines, news := p.said[next:], p.news
		next = len(p.said)
		p.mu.Unlock()
		for _, line := range lines {
			if is(line.text) {
				return line.at, true
			}
		}
		if over {
			return time.Time{}, false
		}
		select {
		case <-news:
		case <-p.Ended:
			over = true
		case <-timeout.C:
			over = true
		}
	}
}

// History is what the process said last, in that many lines.
func (p *Process) History(lines int) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var b strings.Builder
	for _, line := range p.said[max(0, len(p.said)-lines):] {
		b.WriteString(line.text + "\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// Wait waits for the process's end, and tells whether it came before the deadline.
func (p *Process) Wait(deadline time.Time) bool {
	timeout := time.NewTimer(time.Until(deadline))
	defer timeout.Stop()
	select {
	case <-p.Ended:
		return true
	case <-timeout.C:
		return false
	}
}

// Kill ends it, unless it has ended.
func (p *Process) Kill() { _ = p.cmd.Process.Kill() }

// Terminate asks it to end.
func (p *Process) Terminate() { _ = p.cmd.Process.Signal(syscall.SIGTERM) }

// Pause stops it where it is, and Resume lets it go on.
func (p *Process) Pause() { _ = p.cmd.Process.Signal(syscall.SIGSTOP) }

// Resume lets it go on.
func (p *Process) Resume() { _ = p.cmd.Process.Signal(syscall.SIGCONT) }

// CPU is the time that the process had the processor for, the kernel's work for it included, once it has ended.
func (p *Process) CPU() time.Duration {
	return p.cmd.ProcessState.UserTime() + p.cmd.ProcessState.SystemTime()
}

// Peak is the most memory that the process has had at once, in bytes: 0 once it has ended. A program that shall tell the end of itself calls Peak.
func (p *Process) Peak() int64 { return peak(fmt.Sprint(p.cmd.Process.Pid)) }

// Peak is the most memory that this process has had at once, in bytes.
func Peak() int64 { return peak("self") }

// peak reads it from /proc: what wait4 tells of a child counts its parent's in.
func peak(process string) int64 {
	status, _ := os.ReadFile("/proc/" + process + "/status") // of one that has ended, there is nothing
	for line := range strings.Lines(string(status)) {
		if kib, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, _ := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(kib), " kB"), 10, 64)
			return n << 10
		}
	}
	return 0
}
