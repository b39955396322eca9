package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"aula/imagestore/multicast"
)

// alone gives the test a network of its own, with a loopback only, in which the programs run that it starts.
func alone(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: only root can make network namespaces")
	}
	runtime.LockOSThread() // and never unlocked: the thread ends with the test, and the namespace with it
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Fatal(err)
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		t.Fatal(err)
	}
}

// A program is an aula multicast that runs.
type program struct {
	t    *testing.T
	cmd  *exec.Cmd
	out  bytes.Buffer
	said *text
}

// A text grows, and can be waited for.
type text struct {
	mu    sync.Mutex
	all   strings.Builder
	grown chan struct{}
}

func newText() *text { return &text{grown: make(chan struct{}, 1)} }

func (s *text) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case s.grown <- struct{}{}:
	default:
	}
	return s.all.Write(b)
}

func (s *text) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all.String()
}

// hangLimit is when a program counts as hung: no test waits for what takes a tenth of it.
const hangLimit = 3 * time.Minute

// wait waits until the text has a part.
func (s *text) wait(t *testing.T, part string) {
	t.Helper()
	hung := time.After(hangLimit)
	for !strings.Contains(s.String(), part) {
		select {
		case <-s.grown:
		case <-hung:
			t.Fatalf("within %s it did not say %q, but %q", hangLimit, part, s)
		case <-t.Context().Done():
			t.Fatalf("it never said %q, but %q", part, s)
		}
	}
}

// start starts a program on the loopback interface.
func start(t *testing.T, args ...string) *program {
	t.Helper()
	p := &program{t: t, cmd: multicastCommandOf(t, args...), said: newText()}
	p.cmd.Stdout, p.cmd.Stderr = &p.out, p.said
	p.begin()
	return p
}

// streaming starts a program that reads what is given to it.
func streaming(t *testing.T, stdin []byte, args ...string) *program {
	t.Helper()
	p := &program{t: t, cmd: multicastCommandOf(t, args...), said: newText()}
	p.cmd.Stdin, p.cmd.Stdout, p.cmd.Stderr = bytes.NewReader(stdin), &p.out, p.said
	p.begin()
	return p
}

func multicastCommandOf(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], append([]string{"multicast", args[0], "--interface", "lo"}, args[1:]...)...)
	cmd.Env = append(os.Environ(), asProgram+"=1")
	return cmd
}

func (p *program) begin() {
	p.t.Helper()
	if err := p.cmd.Start(); err != nil {
		p.t.Fatal(err)
	}
}

// end waits for a program's end, of which it checks the exit status.
func (p *program) end(status int) {
	p.t.Helper()
	err := p.cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		p.t.Fatal(err)
	}
	if got := p.cmd.ProcessState.ExitCode(); got != status {
		p.t.Fatalf("%q: exit status %d, want %d: %s%s", p.cmd.Args[1:], got, status, &p.out, p.said)
	}
}

// signal sends a signal.
func (p *program) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// randomFile makes a file of bytes that are the same for the same seed.
func randomFile(t *testing.T, size int) (path string, content []byte) {
	t.Helper()
	content = make([]byte, size)
	rand.NewChaCha8([32]byte{1}).Read(content)
	return write(t, filepath.Join(t.TempDir(), "win.img"), content), content
}

func checkReceived(t *testing.T, path string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s: %d bytes, %v; they are not the %d that were sent", path, len(got), err, len(want))
	}
}

func TestMulticastReachesAllWithStatistics(t *testing.T) {
	t.Parallel()
	alone(t)
	image, content := randomFile(t, 12*multicast.BlockSize+100)
	const session = "9000:full-duplex:239.194.0.0:0M:3:60"
	var receivers []*program
	for i, how := range []string{session, "9000", "9000:127.0.0.1:60:60"} { // the group of 127.0.0.0/8 is 239.194.0.0
		receivers = append(receivers, start(t, "receive", "--json", "--name", fmt.Sprint("pc0", i), filepath.Join(t.TempDir(), "out.img"), how))
	}
	sender := start(t, "send", "--json", image, session)
	for _, r := range receivers {
		r.end(0)
		checkReceived(t, filepath.Join(r.cmd.Args[len(r.cmd.Args)-2]), content)
		var got struct {
			Result     string
			Name       string
			Size, Done int64
		}
		if err := json.Unmarshal(r.out.Bytes(), &got); err != nil || got.Result != "complete" || got.Name != "win.img" ||
			got.Size != int64(len(content)) || got.Done != got.Size {
			t.Errorf("receiver: %v: %s", err, &r.out)
		}
	}
	sender.end(0)
	var got struct {
		Result, Phase string
		Size          int64
		Receivers     []struct{ Name, State string }
	}
	if err := json.Unmarshal(sender.out.Bytes(), &got); err != nil || got.Result != "complete" || got.Phase != "ended" || got.Size != int64(len(content)) ||
		len(got.Receivers) != 3 {
		t.Fatalf("sender: %v: %s", err, &sender.out)
	}
	for _, r := range got.Receivers {
		if !strings.HasPrefix(r.Name, "pc0") || r.State != "complete" {
			t.Errorf("%+v is not complete by its name", r)
		}
	}
	for _, line := range []string{"pc02 (127.0.0.1): complete", "ended: 3 of 3 computers complete"} {
		if !strings.Contains(sender.said.String(), line) {
			t.Errorf("the sender did not say %q, but %q", line, sender.said)
		}
	}
}

func TestMulticastWithAKey(t *testing.T) {
	t.Parallel()
	alone(t)
	image, content := randomFile(t, 3*multicast.BlockSize)
	key := write(t, filepath.Join(t.TempDir(), "key"), bytes.Repeat([]byte{3}, 32))
	wrong := write(t, filepath.Join(t.TempDir(), "key"), bytes.Repeat([]byte{4}, 32))
	out := filepath.Join(t.TempDir(), "out.img")
	const session = "9000:full-duplex:239.194.17.36:0M:1:60"
	sender := start(t, "send", "--key", key, "--linger", "5m", image, session)
	for _, args := range [][]string{{"--key", wrong}, nil} {
		r := start(t, append(append([]string{"receive", "--start-timeout", "1"}, args...), out, session)...)
		r.end(60)
		if !strings.Contains(r.said.String(), "no sender") {
			t.Errorf("with %q: %s", args, r.said)
		}
	}
	start(t, "receive", "--key", key, out, session).end(0)
	checkReceived(t, out, content)
	sender.end(0)
}

func TestMulticastGoesOnWhereItWas(t *testing.T) {
	t.Parallel()
	alone(t)
	image, content := randomFile(t, 20*multicast.BlockSize)
	out := filepath.Join(t.TempDir(), "out.img")
	const session = "9000:full-duplex:239.194.17.36:20M:1:60"
	sender := start(t, "send", "--linger", "5m", image, session)
	first := start(t, "receive", out, session)
	for looked := time.NewTicker(20 * time.Millisecond); ; <-looked.C {
		var stat unix.Stat_t
		if err := unix.Stat(out+".partial", &stat); err == nil && stat.Blocks > 0 {
			break
		}
		if t.Context().Err() != nil {
			t.Fatal("nothing came")
		}
	}
	first.signal(syscall.SIGINT)
	first.end(57)
	if !strings.Contains(first.said.String(), "goes on where it was") {
		t.Errorf("interrupted, it said %q", first.said)
	}
	sender.end(56) // nobody is left
	if !strings.Contains(sender.said.String(), "not complete on 1 of 1 computer") {
		t.Errorf("without its only receiver, the sender said %q", sender.said)
	}
	sender = start(t, "send", image, session)
	again := start(t, "receive", "--json", out, session)
	again.end(0)
	sender.end(0)
	checkReceived(t, out, content)
	var got multicast.ReceptionStatus
	if err := json.Unmarshal(again.out.Bytes(), &got); err != nil || got.Resumed == 0 || !strings.Contains(again.said.String(), "from an earlier time") {
		t.Errorf("it did not go on: %v: %s%s", err, &again.out, again.said)
	}
}

func TestMulticastOfAStream(t *testing.T) {
	t.Parallel()
	alone(t)
	_, content := randomFile(t, 5*multicast.BlockSize+77)
	out := filepath.Join(t.TempDir(), "out.img")
	const session = "9000:half-duplex:239.194.17.36:0M:1:60"
	sender := streaming(t, content, "send", "--name", "sda2", "-", session)
	receiver := start(t, "receive", out, session)
	receiver.end(0)
	checkReceived(t, out, content)
	if !strings.Contains(receiver.out.String(), "sda2") {
		t.Errorf("the receiver does not name the stream: %q", &receiver.out)
	}
	sender.end(0)
}

func TestMulticastStartsAtOnceBySignal(t *testing.T) {
	t.Parallel()
	alone(t)
	image, content := randomFile(t, multicast.BlockSize)
	out := filepath.Join(t.TempDir(), "out.img")
	const session = "9000:full-duplex:239.194.17.36:0M:20:86400"
	sender := start(t, "send", image, session)
	receiver := start(t, "receive", "--name", "pc01", out, session)
	sender.said.wait(t, "pc01 (127.0.0.1): joined")
	sender.signal(unix.SIGUSR1)
	receiver.end(0)
	sender.end(0)
	checkReceived(t, out, content)
}

// pseudoTerminal makes a terminal: what is written to the first file is typed at the second.
func pseudoTerminal(t *testing.T) (keyboard, terminal *os.File) {
	t.Helper()
	keyboard, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("SKIPPED: no pseudo-terminals: %v", err)
	}
	t.Cleanup(func() { keyboard.Close() })
	number, err := unix.IoctlGetInt(int(keyboard.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(keyboard.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(int(keyboard.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 25, Col: 60})
	}
	if err != nil {
		t.Fatal(err)
	}
	terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { terminal.Close() })
	return keyboard, terminal
}

func TestMulticastStartsAtOnceByEnter(t *testing.T) {
	t.Parallel()
	alone(t)
	image, content := randomFile(t, multicast.BlockSize)
	out := filepath.Join(t.TempDir(), "out.img")
	const session = "9000:full-duplex:239.194.17.36:0M:20:86400"
	keyboard, terminal := pseudoTerminal(t)
	sender := &program{t: t, cmd: multicastCommandOf(t, "send", image, session), said: newText()}
	sender.cmd.Stdin, sender.cmd.Stdout, sender.cmd.Stderr = terminal, &sender.out, terminal
	sender.cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	sender.begin()
	shown := make(chan struct{})
	go func() {
		defer close(shown)
		sender.said.ReadFrom(keyboard)
	}()
	receiver := start(t, "receive", "--name", "pc01", out, session)
	sender.said.wait(t, "\rwaiting for computers: 1 of 20 here")
	if _, err := keyboard.WriteString("\n"); err != nil {
		t.Fatal(err)
	}
	receiver.end(0)
	sender.end(0)
	checkReceived(t, out, content)
	terminal.Close() // the last one
	<-shown
	for _, picture := range strings.FieldsFunc(sender.said.String(), func(r rune) bool { return r == '\r' || r == '\n' }) {
		if len(picture) >= 60 {
			t.Errorf("a line of %d characters on a terminal of 60: %q", len(picture), picture)
		}
	}
}

// ReadFrom takes what a terminal shows until nobody has it open any more.
func (s *text) ReadFrom(f *os.File) {
	b := make([]byte, 4096)
	for {
		n, err := f.Read(b)
		s.Write(b[:n])
		if err != nil {
			return
		}
	}
}

func TestMulticastWithoutASenderSaysWhatToLookAt(t *testing.T) {
	t.Parallel()
	alone(t)
	receiver := start(t, "receive", "--json", "--start-timeout", "200ms", filepath.Join(t.TempDir(), "out.img"), "9000:full-duplex:239.194.17.36:0M:1:60")
	receiver.end(60)
	for _, part := range []string{"no sender", "cable", "239.194.17.36", "port 9000", "see that lo is the interface", "--server"} {
		if !strings.Contains(receiver.said.String(), part) {
			t.Errorf("it does not say %q, but %q", part, receiver.said)
		}
	}
	var got struct{ Result, Error string }
	if err := json.Unmarshal(receiver.out.Bytes(), &got); err != nil || got.Result != "no sender" || got.Error == "" {
		t.Errorf("%v: %s", err, &receiver.out)
	}
}

func TestMulticastRefusesASecondSenderOnThePort(t *testing.T) {
	t.Parallel()
	alone(t)
	image, _ := randomFile(t, multicast.BlockSize)
	const session = "9000:full-duplex:239.194.17.36:0M:1:60"
	sender := start(t, "send", image, session)
	sender.said.wait(t, "waiting for computers")
	second := start(t, "send", image, session)
	second.end(56)
	if !strings.Contains(second.said.String(), "another even port") {
		t.Errorf("it says %q", second.said)
	}
	sender.signal(syscall.SIGINT)
	sender.end(56)
	if !strings.Contains(sender.said.String(), "interrupted") {
		t.Errorf("the first one, interrupted, says %q", sender.said)
	}
}

func TestMulticastNamesTheComputerWithAFullDisk(t *testing.T) {
	t.Parallel()
	alone(t)
	_, content := randomFile(t, 10*multicast.BlockSize)
	small := t.TempDir()
	if err := unix.Mount("tmpfs", small, "tmpfs", 0, "size=1m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(small, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	const session = "9000:full-duplex:239.194.17.36:0M:2:60"
	sender := streaming(t, content, "send", "--json", "-", session) // of which nobody knows beforehand that there is no room
	good := filepath.Join(t.TempDir(), "out.img")
	roomy := start(t, "receive", "--name", "pc01", good, session)
	full := start(t, "receive", "--name", "pc02", filepath.Join(small, "out.img"), session)
	full.end(57)
	if !strings.Contains(full.said.String(), "no room for "+small) {
		t.Errorf("the receiver says %q", full.said)
	}
	roomy.end(0)
	checkReceived(t, good, content)
	sender.end(56)
	if said := sender.said.String(); !strings.Contains(said, "aula: pc02 (127.0.0.1): failed") || !strings.Contains(said, "no room") ||
		!strings.Contains(said, "not complete on 1 of 2 computers") {
		t.Errorf("the sender says %q", said)
	}
	var got struct{ Result, Error string }
	if err := json.Unmarshal(sender.out.Bytes(), &got); err != nil || got.Result != "incomplete" {
		t.Errorf("%v: %s", err, &sender.out)
	}
}
