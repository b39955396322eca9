package dhcp

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"aula/netboot/arp"
	"aula/netboot/lease"
)

const insideVariable = "AULA_TEST_NAMESPACE"

// inNamespace runs the calling test again in a child process with network, mounts and processes of its own, so that the kernel
// takes everything down with it. It returns true in the child, where the test goes on.
func inNamespace(t testing.TB, args ...string) bool {
	t.Helper()
	if os.Getenv(insideVariable) == t.Name() {
		for _, m := range [][3]string{{"", "/", ""}, {"proc", "/proc", "proc"}, {"tmpfs", "/run", "tmpfs"}} {
			flags := uintptr(0)
			if m[0] == "" {
				flags = syscall.MS_REC | syscall.MS_PRIVATE
			}
			if err := syscall.Mount(m[0], m[1], m[2], flags, ""); err != nil {
				t.Fatalf("mount %s: %v", m[1], err)
			}
		}
		command(t, "ip", "link", "set", "lo", "up")
		return true
	}
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: needs root, to make network namespaces")
	}
	if len(args) == 0 {
		args = []string{"-test.run=^" + t.Name() + "$"}
	}
	child := exec.CommandContext(t.Context(), os.Args[0], append(args, "-test.v", "-test.timeout=5m")...)
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
	default:
		t.Logf("%s", out)
	}
	return false
}

func command(t testing.TB, name string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(name); err != nil {
		t.Skipf("SKIPPED: this machine has no %s", name)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// cable makes a NIC for the server with an address, and one at its other end in a namespace of the same name.
func cable(t testing.TB, name string, address netip.Prefix, mac lease.MAC) *net.Interface {
	t.Helper()
	command(t, "ip", "netns", "add", name)
	command(t, "ip", "link", "add", name, "type", "veth", "peer", "name", "eth0", "netns", name)
	command(t, "ip", "addr", "add", address.String(), "dev", name)
	command(t, "ip", "link", "set", name, "up")
	on(t, name, "ip", "link", "set", "eth0", "address", mac.String(), "up")
	nic, err := net.InterfaceByName(name)
	if err != nil {
		t.Fatal(err)
	}
	return nic
}

// on runs a program at the other end of a cable.
func on(t testing.TB, name string, args ...string) string {
	t.Helper()
	if _, err := exec.LookPath(args[0]); err != nil {
		t.Skipf("SKIPPED: this machine has no %s", args[0])
	}
	return command(t, "ip", append([]string{"netns", "exec", name}, args...)...)
}

// serveOn runs a server on a NIC until the test ends.
func serveOn(t testing.TB, nic *net.Interface, n Network, change func(*Config)) *Server {
	t.Helper()
	store, err := lease.Open(filepath.Join(t.TempDir(), "leases.db"))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := Listen(t.Context(), nic, n.Server)
	if err != nil {
		t.Fatal(err)
	}
	prober, err := arp.New(nic)
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{Network: n, Store: store, Conn: conn, Prober: prober, Log: slog.New(slog.DiscardHandler)}
	if change != nil {
		change(&cfg)
	}
	s, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}))
	return s
}
