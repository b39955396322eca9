package link_test

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const insideVariable = "AULA_TEST_NAMESPACE"

// inNamespace runs the calling test or benchmark again in a child process with network, mounts and processes of its own, so that the
// kernel takes everything down with it. It returns true in the child, where the test goes on.
func inNamespace(t testing.TB) bool {
	t.Helper()
	if os.Getenv(insideVariable) == t.Name() {
		furnish(t)
		return true
	}
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: needs root, to make network namespaces")
	}
	args := []string{"-test.run=^" + t.Name() + "$", "-test.v", "-test.timeout=5m"}
	passed := "--- PASS: " + t.Name()
	if _, ok := t.(*testing.B); ok {
		args = []string{"-test.run=^$", "-test.bench=^" + t.Name() + "$", "-test.benchtime=1s", "-test.timeout=5m"}
		passed = "PASS"
	}
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
	case !bytes.Contains(out, []byte(passed)):
		t.Errorf("did not run in its namespace:\n%s", out)
	default:
		t.Logf("%s", out)
	}
	return false
}

// furnish gives the namespaces what the tools need.
func furnish(t testing.TB) {
	t.Helper()
	for _, m := range []struct {
		target, kind string
		flags        uintptr
	}{
		{"/", "", syscall.MS_REC | syscall.MS_PRIVATE},
		{"/proc", "proc", 0},
		{"/sys", "sysfs", 0},
		{"/run", "tmpfs", 0},
	} {
		if err := syscall.Mount(m.kind, m.target, m.kind, m.flags, ""); err != nil {
			t.Fatalf("mount %s: %v", m.target, err)
		}
	}
	command(t, "ip", "link", "set", "lo", "up")
}

// command runs a program. The test fails with it.
func command(t testing.TB, name string, args ...string) {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("SKIPPED: this machine has no %s", name)
	}
	if out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
}

// newClassroom makes a bridge and computers on it: each a namespace with a NIC eth0 of the address 10.0.0.x/24, counted from 1.
func newClassroom(t testing.TB, computers ...string) {
	t.Helper()
	command(t, "ip", "link", "add", "br0", "type", "bridge", "forward_delay", "0", "mcast_snooping", "0")
	command(t, "ip", "link", "set", "br0", "up")
	for i, name := range computers {
		command(t, "ip", "netns", "add", name)
		command(t, "ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
		command(t, "ip", "link", "set", name, "master", "br0", "up")
		command(t, "ip", "-n", name, "link", "set", "lo", "up")
		command(t, "ip", "-n", name, "addr", "add", "10.0.0."+string(rune('1'+i))+"/24", "brd", "+", "dev", "eth0")
		command(t, "ip", "-n", name, "link", "set", "eth0", "up")
	}
	for _, name := range computers {
		awaitRunning(t, name, "eth0")
		await(t, "the bridge to forward to "+name, func() bool {
			state, err := os.ReadFile("/sys/class/net/" + name + "/brport/state")
			return err == nil && strings.TrimSpace(string(state)) == "3" // BR_STATE_FORWARDING
		})
	}
}

// awaitRunning waits until a computer's NIC has noticed its cable.
func awaitRunning(t testing.TB, computer, name string) {
	t.Helper()
	await(t, name+" of "+computer+" to run", func() (yes bool) {
		on(t, computer, func() { yes = running(name) })
		return yes
	})
}

func running(name string) bool {
	found, err := net.InterfaceByName(name)
	return err == nil && found.Flags&net.FlagRunning != 0
}

// await polls for what the kernel does in its own time and tells nobody of.
func await(t testing.TB, what string, done func() bool) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for !done() {
		if time.Now().After(deadline) {
			t.Fatalf("waited %s for %s", patience, what)
		}
		time.Sleep(time.Millisecond)
	}
}

// on runs f in a computer's network: the sockets that it opens stay there.
func on(t testing.TB, computer string, f func()) {
	t.Helper()
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	enter := func(path string) (here int) {
		here, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		there, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = unix.Close(there) }()
		if err := unix.Setns(there, unix.CLONE_NEWNET); err != nil {
			t.Fatalf("setns %s: %v", path, err)
		}
		return here
	}
	home := enter("/run/netns/" + computer)
	defer func() {
		if err := unix.Setns(home, unix.CLONE_NEWNET); err != nil {
			t.Errorf("back from %s: %v", computer, err)
		}
		_ = unix.Close(home)
	}()
	f()
}
