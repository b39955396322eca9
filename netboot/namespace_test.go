package netboot_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"aula/netboot"
	"aula/netboot/loader"
	"aula/netboot/quirk"
)

const insideVariable = "AULA_TEST_NAMESPACE"

// inNamespace runs the calling test again in a child process with network, mounts and processes of its own, so that the kernel
// takes everything down with it. It returns true in the child, where the test goes on.
func inNamespace(t *testing.T) bool {
	t.Helper()
	if os.Getenv(insideVariable) == t.Name() {
		furnish(t)
		return true
	}
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: needs root, to make network namespaces")
	}
	args := []string{"-test.run=^" + t.Name() + "$", "-test.v", "-test.timeout=10m"}
	child := exec.CommandContext(t.Context(), os.Args[0], args...)
	child.Env = append(os.Environ(), insideVariable+"="+t.Name())
	child.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS | syscall.CLONE_NEWPID,
		Pdeathsig:  syscall.SIGKILL,
	}
	out, err := child.CombinedOutput()
	switch {
	case err != nil:
		t.Errorf("in a namespace of its own: %v\n%s", err, out)
	case bytes.Contains(out, []byte("--- SKIP")):
		t.Skipf("SKIPPED in its namespace:\n%s", out)
	case !bytes.Contains(out, []byte("--- PASS: "+t.Name())):
		t.Errorf("did not run in its namespace:\n%s", out)
	default:
		t.Logf("%s", out)
	}
	return false
}

// furnish gives the namespaces what the tools need.
func furnish(t *testing.T) {
	t.Helper()
	for _, m := range []struct {
		source, target, kind string
		flags                uintptr
	}{
		{"", "/", "", syscall.MS_REC | syscall.MS_PRIVATE},
		{"proc", "/proc", "proc", 0},
		{"tmpfs", "/run", "tmpfs", 0},
	} {
		if err := syscall.Mount(m.source, m.target, m.kind, m.flags, ""); err != nil {
			t.Fatalf("mount %s: %v", m.target, err)
		}
	}
	command(t, "ip", "link", "set", "lo", "up")
}

// command runs a program and returns what it printed. The test fails with it.
func command(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := try(t, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

func try(t *testing.T, name string, args ...string) (string, error) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("SKIPPED: this machine has no %s", name)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	return string(out), err
}

// Addresses of the test's classroom.
var (
	serverPrefix = netip.MustParsePrefix("10.20.30.1/24")
	serverHost   = serverPrefix.Addr().String()
)

// newBridge makes a bridge with the server's address, on which PCs are plugged.
func newBridge(t *testing.T) {
	t.Helper()
	command(t, "ip", "link", "add", "br0", "type", "bridge", "forward_delay", "0")
	command(t, "ip", "addr", "add", serverPrefix.String(), "dev", "br0")
	command(t, "ip", "link", "set", "br0", "up")
}

// plugPC makes a namespace with a NIC eth0 on the bridge.
func plugPC(t *testing.T, name, mac string) {
	t.Helper()
	command(t, "ip", "netns", "add", name)
	command(t, "ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
	command(t, "ip", "link", "set", name, "master", "br0", "up")
	on(t, name, "ip", "link", "set", "lo", "up")
	on(t, name, "ip", "link", "set", "eth0", "address", mac, "up")
}

// on runs a program on a PC.
func on(t *testing.T, pc, name string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("SKIPPED: this machine has no %s", name)
	}
	return command(t, "ip", append([]string{"netns", "exec", pc, name}, args...)...)
}

// classroom is a server that runs, and what it told.
type classroom struct {
	server *netboot.Server
	files  part
	cancel context.CancelFunc
	done   chan error

	mu      sync.Mutex
	events  []netboot.Event
	notices []netboot.Notice
	news    chan struct{} // closed and made anew at each event
	decided []netboot.Client
	boot    netboot.Boot
	refuse  error
}

// part serves kernel and initramfs from memory.
type part struct{ kernel, initramfs string }

type closer struct{ *strings.Reader }

func (closer) Close() error { return nil }

func (p part) Kernel() (io.ReadSeekCloser, error) { return closer{strings.NewReader(p.kernel)}, nil }

func (p part) Initramfs() (io.ReadSeekCloser, error) {
	if p.initramfs == "" {
		return nil, errors.New("no initramfs today")
	}
	return closer{strings.NewReader(p.initramfs)}, nil
}

func (c *classroom) Decide(_ context.Context, client netboot.Client) (netboot.Boot, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.decided = append(c.decided, client)
	return c.boot, c.refuse
}

func (c *classroom) Observe(e netboot.Event) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.events = append(c.events, e)
	close(c.news)
	c.news = make(chan struct{})
}

// await waits until an event of a step has a word in its detail.
func (c *classroom) await(t *testing.T, mac, step, word string, limit time.Duration) netboot.Event {
	t.Helper()
	deadline := time.After(limit)
	for {
		c.mu.Lock()
		for _, e := range c.events {
			if e.MAC == mac && e.Step == step && strings.Contains(e.Detail, word) {
				c.mu.Unlock()
				return e
			}
		}
		news := c.news
		c.mu.Unlock()
		select {
		case <-news:
		case <-deadline:
			t.Fatalf("no event %q with %q of %s within %s; there were:\n%s", step, word, mac, limit, c.history())
		}
	}
}

func (c *classroom) history() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	var b strings.Builder
	for _, e := range c.events {
		fmt.Fprintf(&b, "%s %s %s %s: %s\n", e.Time.Format(time.TimeOnly), e.MAC, e.Address, e.Step, e.Detail)
	}
	return b.String()
}

func (c *classroom) setBoot(b netboot.Boot) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.boot = b
}

func (c *classroom) decisions() []netboot.Client {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]netboot.Client(nil), c.decided...)
}

// open starts a server on br0, which leases.
func open(t *testing.T, change func(*netboot.Config)) *classroom {
	t.Helper()
	c := prepare(t, change)
	c.start(t)
	return c
}

// prepare makes a server that is not run yet.
func prepare(t *testing.T, change func(*netboot.Config)) *classroom {
	t.Helper()
	c := &classroom{
		files: part{kernel: strings.Repeat("kernel", 1000), initramfs: strings.Repeat("initramfs", 1000)},
		done:  make(chan error, 1), news: make(chan struct{}),
		boot: netboot.Boot{Target: netboot.BootClientOS, Ticket: "t1cket"},
	}
	cfg := netboot.Config{
		Interface: "br0", Mode: netboot.ModeFull, AgentPort: 4430, Leases: filepath.Join(t.TempDir(), "leases.db"),
		Overlay: []byte("overlay"), Extra: "console=ttyS0",
		Files: c.files, Decider: c, Observer: c,
		Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	if change != nil {
		change(&cfg)
	}
	var err error
	if c.server, err = netboot.New(cfg); err != nil {
		t.Fatalf("New: %v", err)
	}
	return c
}

func (c *classroom) start(t *testing.T) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	c.cancel = cancel
	go func() { c.done <- c.server.Run(ctx) }()
	t.Cleanup(func() { c.close(t) })
}

// close stops the server and fails the test if it stopped with an error.
func (c *classroom) close(t *testing.T) {
	t.Helper()
	if c.cancel == nil {
		return
	}
	c.cancel()
	c.cancel = nil
	if err := <-c.done; err != nil {
		t.Errorf("Run: %v", err)
	}
}

// needLoaders skips a test where the boot loaders have not been built.
func needLoaders(t *testing.T) {
	t.Helper()
	if err := loader.Check(loader.Files()); err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
}

// occupy takes a port of all addresses, as another server would ("udp 67"), until the returned function is called.
func occupy(t *testing.T, port string) (release func()) {
	t.Helper()
	network, number, _ := strings.Cut(port, " ")
	var held io.Closer
	var err error
	if network == "udp" {
		held, err = net.ListenPacket("udp4", ":"+number)
	} else {
		held, err = net.Listen("tcp4", ":"+number)
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() { _ = held.Close() }
}

func (c *classroom) Known(string) bool { return true }

func (c *classroom) Plan(netboot.Client) netboot.Plan {
	return netboot.Plan{Target: netboot.BootClientOS}
}

func (c *classroom) Told(netboot.Client, netboot.Plan) {}

func (c *classroom) Learn(string, quirk.Quirk, string) {}

func (c *classroom) Notify(n netboot.Notice) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.notices = append(c.notices, n)
	close(c.news)
	c.news = make(chan struct{})
}

// awaitNotice waits until a notice is told of which a condition is true.
func (c *classroom) awaitNotice(t *testing.T, limit time.Duration, what string, fits func(netboot.Notice) bool) netboot.Notice {
	t.Helper()
	deadline := time.After(limit)
	for {
		c.mu.Lock()
		all, news := slices.Clone(c.notices), c.news
		c.mu.Unlock()
		if i := slices.IndexFunc(all, fits); i >= 0 {
			return all[i]
		}
		select {
		case <-news:
		case <-deadline:
			t.Fatalf("no notice of %s within %s; there were: %+v", what, limit, all)
		}
	}
}
