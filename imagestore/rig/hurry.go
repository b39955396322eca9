package rig

import (
	"errors"
	"io/fs"
	"os"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"
)

// Warm takes so much memory and gives it back: a virtual machine's host may have taken away what was not used for a while, and to give
// it again costs many times what a transfer costs.
func Warm(tb testing.TB, bytes int64) {
	tb.Helper()
	b, err := unix.Mmap(-1, 0, int(bytes), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_POPULATE)
	if err != nil {
		tb.Fatalf("memory for the files: %v", err)
	}
	if err := unix.Munmap(b); err != nil {
		tb.Fatal(err)
	}
}

// Hurry puts this process, and the programs that its machines start from now on, before whatever else this computer does: by their
// priority, and by that of their session where the kernel groups processes so.
func Hurry(tb testing.TB, machines ...*Machine) {
	tb.Helper()
	const nice = -15
	if err := os.WriteFile("/proc/self/autogroup", []byte(strconv.Itoa(nice)), 0); err != nil && !errors.Is(err, fs.ErrNotExist) {
		tb.Logf("other work on this computer will show: %v", err)
	}
	for _, m := range machines {
		var err error
		m.Do(func() { err = unix.Setpriority(unix.PRIO_PROCESS, m.thread, nice) })
		if err != nil {
			tb.Fatalf("priority of %s: %v", m.Name, err)
		}
	}
}
