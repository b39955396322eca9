package rig

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// A Machine is a thread of this process in a network namespace and a mount namespace of its own.
type Machine struct {
	Name    string
	Address netip.Addr
	thread  int
	calls   chan func()
}

func newMachine(tb testing.TB, name string, address netip.Addr) *Machine {
	tb.Helper()
	m := &Machine{Name: name, Address: address, calls: make(chan func())}
	started, ended := make(chan error), make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread() // for good: the thread ends with this goroutine, and the namespaces with the thread
		m.thread = unix.Gettid()
		started <- errors.Join(unix.Unshare(unix.CLONE_NEWNET|unix.CLONE_NEWNS), unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""))
		for call := range m.calls {
			call()
		}
	}()
	if err := <-started; err != nil {
		close(m.calls)
		tb.Fatalf("namespaces of %s: %v", name, err)
	}
	tb.Cleanup(func() {
		close(m.calls)
		<-ended
	})
	return m
}

// Do calls the function on the machine. Programs it starts and sockets it opens are the machine's.
func (m *Machine) Do(call func()) {
	done := make(chan struct{})
	m.calls <- func() {
		defer close(done)
		call()
	}
	<-done
}

// Proc is the path of a file in /proc that tells of the machine.
func (m *Machine) Proc(file string) string {
	return fmt.Sprintf("/proc/%d/task/%d/%s", os.Getpid(), m.thread, file)
}

// Command runs a program on the machine and returns what it printed. The test fails with it.
func (m *Machine) Command(tb testing.TB, name string, args ...string) string {
	tb.Helper()
	path := tool(tb, name)
	var out []byte
	var err error
	m.Do(func() { out, err = exec.CommandContext(tb.Context(), path, args...).CombinedOutput() })
	if err != nil {
		tb.Fatalf("on %s: %s %s: %v\n%s", m.Name, name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// tool finds a program, those that only root is offered included.
func tool(tb testing.TB, name string) string {
	tb.Helper()
	for _, place := range []string{name, filepath.Join("/usr/sbin", name), filepath.Join("/sbin", name)} {
		if path, err := exec.LookPath(place); err == nil {
			return path
		}
	}
	tb.Skipf("SKIPPED: this machine has no %s", name)
	return ""
}

// Filter makes the machine treat what comes to it by a rule of nftables, instead of the one before.
func (m *Machine) Filter(tb testing.TB, rule string) {
	tb.Helper()
	m.Command(tb, "nft", "add table ip rig; delete table ip rig; add table ip rig; "+
		"add chain ip rig input { type filter hook input priority 0; }; add rule ip rig input "+rule)
}
