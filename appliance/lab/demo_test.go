package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"

	"aula/appliance/lab/modeldisk"
)

// modelCache is where make keeps the model disk.
func modelCache() string {
	cache := os.Getenv("AULA_CACHE")
	if cache == "" {
		cache = "../../.cache"
	}
	return filepath.Join(cache, "modeldisk")
}

// TestDemoWithARoom plays the demonstration: the disk of a BIOS model PC goes to a room of three, one with a larger disk, which the system fills
// then, and one with the firmware that keeps a menu of what it starts.
func TestDemoWithARoom(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED, NOT TESTED: virtual PCs take minutes, and -short was asked for")
	}
	need(t, "qemu-system-x86_64", "udhcpc", "sfdisk", "dumpe2fs")
	if _, err := modeldisk.Cached(modelCache()); err != nil {
		t.Skipf("SKIPPED, NOT TESTED: no model disk in %s: %v", modelCache(), err)
	}
	const model, more = 1 << 30, 512 * mib // root partition of the model, and what one disk has more
	err := Demo(t.Context(), DemoConfig{
		Lab:     Config{Aula: program(t), Temp: t.TempDir()},
		Cache:   modelCache(),
		Targets: []QEMUSpec{{Firmware: BIOS}, {Firmware: BIOS, Disk: DiskSpec{Bytes: modeldisk.Bytes + more}}, {Firmware: UEFI}},
		started: func(pcs []*QEMUPC) error {
			return errors.Join(rootOfSize(pcs[0], model), rootOfSize(pcs[1], model+more), rootOfSize(pcs[2], model))
		},
	}, testWriter{t})
	if err != nil {
		t.Error(err)
	}
}

// testWriter shows what is written as it comes.
type testWriter struct{ t *testing.T }

func (w testWriter) Write(p []byte) (int, error) {
	w.t.Logf("%s", p)
	return len(p), nil
}

// rootOfSize checks that the root partition of a PC with the model's system has bytes at least, and not a MiB more, and that its filesystem fills it.
func rootOfSize(pc PC, bytes int64) error {
	table, err := exec.Command("sfdisk", "--dump", pc.Disk()).Output()
	if err != nil {
		return fmt.Errorf("partitions of %s: %w", pc.Name(), err)
	}
	start, sectors, err := twoNumbers(table, `2 : start= *(\d+), size= *(\d+)`)
	if err != nil {
		return err
	}
	about, err := exec.Command("dumpe2fs", "-h", fmt.Sprintf("%s?offset=%d", pc.Disk(), start*512)).Output()
	if err != nil {
		return fmt.Errorf("root filesystem of %s: %w", pc.Name(), err)
	}
	blocks, blockSize, err := twoNumbers(about, `(?s)\nBlock count: *(\d+)\n.*\nBlock size: *(\d+)\n`)
	if err != nil {
		return err
	}
	partition, filesystem := sectors*512, blocks*blockSize
	if partition < bytes || partition >= bytes+mib || partition-filesystem >= mib {
		return fmt.Errorf("%s: a filesystem of %d bytes in a root partition of %d; want %d", pc.Name(), filesystem, partition, bytes)
	}
	return nil
}

// twoNumbers finds those that the expression has in parentheses.
func twoNumbers(text []byte, expression string) (a, b int64, err error) {
	found := regexp.MustCompile(expression).FindSubmatch(text)
	if found == nil {
		return 0, 0, fmt.Errorf("no %s in\n%s", expression, text)
	}
	a, err = strconv.ParseInt(string(found[1]), 10, 64)
	b, err2 := strconv.ParseInt(string(found[2]), 10, 64)
	return a, b, errors.Join(err, err2)
}
