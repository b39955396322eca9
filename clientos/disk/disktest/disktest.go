// Package disktest makes disks for tests: loop devices over sparse files, which behave as disks of a PC do, and
// are gone when the test ends.
package disktest

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// A Disk is a loop device and the file behind it.
type Disk struct {
	Path string // device node
	File string
}

// New makes a blank disk. The test is skipped, loudly, where loop devices cannot be made. The file's name is the
// disk's serial number.
func New(t *testing.T, serial string, size int64, sectorSize int) Disk {
	t.Helper()
	NeedRoot(t)
	Need(t, "losetup", "partx", "sfdisk", "blkid")
	file := filepath.Join(t.TempDir(), serial)
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	out, err := exec.CommandContext(t.Context(), "losetup", "--find", "--show",
		"--sector-size", strconv.Itoa(sectorSize), file).CombinedOutput()
	if err != nil {
		t.Fatalf("losetup: %v\n%s", err, out)
	}
	path := strings.TrimSpace(string(out))
	t.Cleanup(func() {
		// A loop device keeps partitions that were made known to the kernel by BLKPG beyond its own end.
		_ = exec.Command("partx", "--delete", path).Run()
		if out, err := exec.Command("losetup", "--detach", path).CombinedOutput(); err != nil {
			t.Errorf("losetup --detach %s: %v\n%s", path, err, out)
		}
	})
	return Disk{Path: path, File: file}
}

// Partition writes a partition table from an sfdisk script, without telling the kernel.
func (d Disk) Partition(t *testing.T, script string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sfdisk", "--quiet", "--no-reread", "--no-tell-kernel",
		"--wipe", "always", "--wipe-partitions", "always", d.Path)
	cmd.Stdin = strings.NewReader(script)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("sfdisk: %v\n%s", err, out)
	}
}

// NeedRoot skips the test when it does not run as root.
func NeedRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: making loop devices needs root")
	}
}

// Need skips the test when one of the tools is missing.
func Need(t *testing.T, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("SKIPPED: %s is not installed", tool)
		}
	}
}

// Run runs a tool and fails the test when the tool fails. It returns what the tool printed.
func Run(t *testing.T, name string, args ...string) string {
	t.Helper()
	Need(t, name)
	out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// Unmount takes down a mount; it is for clean-up too, when the test's own context has ended. A program that is being started elsewhere in the test has, between
// fork and exec, all files open that the test had: what is busy is tried again.
func Unmount(t *testing.T, where string) {
	t.Helper()
	var out []byte
	var err error
	for range 50 {
		if out, err = exec.Command("umount", where).CombinedOutput(); err == nil || !strings.Contains(string(out), "busy") {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if err != nil {
		t.Errorf("umount %s: %v\n%s", where, err, out)
	}
}
