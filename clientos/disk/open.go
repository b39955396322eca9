package disk

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Open opens a partition of d, for writing too when write is true, and claims it: while the file is open nothing can mount
// it, and a partition that is mounted or otherwise claimed is refused with an *Error of kind InUse. The kernel is first
// made to see the partition where the table says that it is. Number 0 is the whole disk, which is refused when any part
// of it is mounted or claimed. The caller closes the file.
func (d Disk) Open(ctx context.Context, number int, write bool) (*os.File, error) {
	if number == 0 {
		return d.openWhole(write)
	}
	p, ok := d.Partition(number)
	if !ok || p.Extended() {
		return nil, &Error{
			Kind:    Missing,
			Problem: fmt.Sprintf("disk %d has no partition %d: %s", d.Number, number, d.listPartitions()),
			Advice:  "look at the computer's disks in the console, or restore the image together with its disk layout",
		}
	}
	dev, err := deviceAt(d.Path)
	if err != nil {
		return nil, err
	}
	if err := dev.freePartition(number); err != nil {
		return nil, err
	}
	t, _, err := readTable(ctx, dev.path)
	if err != nil {
		return nil, err
	}
	want := t.spans()
	if want[number] != (span{p.Start, p.Bytes}) {
		return nil, &Error{
			Kind:    Differs,
			Problem: fmt.Sprintf("partition %d of disk %d is no longer where it was a moment ago", number, d.Number),
			Advice:  "start the operation again",
		}
	}
	if have := dev.kernelSpans(); have[number] != want[number] {
		if err := dev.syncKernel(ctx, t); err != nil {
			return nil, err
		}
	}
	return claim(dev.node(number), p.Bytes, write)
}

// claim opens a block device exclusively and makes sure that it has the size that is expected.
func claim(path string, size int64, write bool) (*os.File, error) {
	flags := os.O_RDONLY
	if write {
		flags = os.O_RDWR
	}
	f, err := os.OpenFile(path, flags|unix.O_EXCL, 0)
	switch {
	case errors.Is(err, unix.EBUSY):
		return nil, inUse(path, "something in this PC has claimed it", err)
	case errors.Is(err, fs.ErrPermission), errors.Is(err, unix.EROFS):
		return nil, &Error{Kind: Access, Problem: fmt.Sprintf("%s is write-protected", path),
			Advice: "check the disk's write protection switch and the BIOS setup", Err: err}
	case err != nil:
		return nil, &Error{Kind: Access, Problem: fmt.Sprintf("%s cannot be opened", path),
			Advice: "the disk may be failing: check its cable and its SMART state", Err: err}
	}
	if got, err := f.Seek(0, 2); err != nil || got != size {
		f.Close()
		return nil, &Error{Kind: Differs, Problem: fmt.Sprintf("%s has %d bytes, where %d are expected", path, got, size),
			Advice: "restart the computer so that its disks and their partition tables are read again", Err: err}
	}
	return f, nil
}

// letGo closes what Open has opened, for a tool that must claim it itself, and returns when nothing of this program claims it any more: each program that is
// being started has a copy of all open files, for the moment until it is executed.
func letGo(ctx context.Context, f *os.File) error {
	if err := f.Close(); err != nil {
		return fmt.Errorf("closing %s: %w", f.Name(), err)
	}
	ctx, cancel := context.WithTimeout(ctx, nodeWait)
	defer cancel()
	for {
		err := claimable(f.Name())
		if !errors.Is(err, unix.EBUSY) {
			return err
		}
		select {
		case <-ctx.Done():
			return inUse(f.Name(), "something in this PC has claimed it", err)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// claimable claims a device for a moment in which no program is started.
func claimable(path string) error {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_EXCL, 0)
	if err != nil {
		return err
	}
	return f.Close()
}

// CheckFree refuses a disk of which any part is mounted or claimed, with an *Error of kind InUse.
func (d Disk) CheckFree() error {
	dev, err := deviceAt(d.Path)
	if err != nil {
		return err
	}
	return dev.freeDisk()
}

func (d Disk) listPartitions() string {
	if len(d.Partitions) == 0 {
		return "it has no partitions"
	}
	var numbers []string
	for _, p := range d.Partitions {
		numbers = append(numbers, fmt.Sprint(p.Number))
	}
	return "it has " + strings.Join(numbers, ", ")
}

func inUse(path, how string, err error) error {
	return &Error{
		Kind:    InUse,
		Problem: fmt.Sprintf("%s is in use: %s", path, how),
		Advice:  "nothing was written; restart the computer from the network and try again",
		Err:     err,
	}
}

// freePartition refuses a partition that is mounted.
func (dev device) freePartition(number int) error {
	mounts, err := readMounts()
	if err != nil {
		return err
	}
	return dev.checkFree(mounts, number)
}

// freeDisk refuses a disk of which any part is mounted or claimed.
func (dev device) freeDisk() error {
	mounts, err := readMounts()
	if err != nil {
		return err
	}
	if where, ok := mounts[fmt.Sprintf("%d:%d", dev.major, dev.minor)]; ok {
		return inUse(dev.path, "it is mounted on "+where, nil)
	}
	for number := range dev.kernelSpans() {
		if err := dev.checkFree(mounts, number); err != nil {
			return err
		}
	}
	f, err := os.OpenFile(dev.path, os.O_RDWR|unix.O_EXCL, 0)
	if err != nil {
		if errors.Is(err, unix.EBUSY) {
			return inUse(dev.path, "something in this PC has claimed a part of it", err)
		}
		return &Error{Kind: Access, Problem: fmt.Sprintf("%s cannot be opened for writing", dev.path),
			Advice: "check the disk's write protection and its cable", Err: err}
	}
	return f.Close()
}

func (dev device) checkFree(mounts map[string]string, number int) error {
	sys := dev.sys + "/" + dev.partitionName(number)
	for _, key := range []string{attribute(sys, "dev"), dev.node(number)} {
		if where, ok := mounts[key]; ok && key != "" {
			return inUse(dev.node(number), "it is mounted on "+where, nil)
		}
	}
	return nil
}

// readMounts maps the device numbers and the source paths of what is mounted to where it is mounted. The paths are
// needed for btrfs, which mounts under numbers of its own.
func readMounts() (map[string]string, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("cannot tell what is mounted: %w", err)
	}
	defer f.Close()
	mounts := map[string]string{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		// 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue (proc_pid_mountinfo(5))
		fields := strings.Fields(lines.Text())
		if len(fields) < 10 {
			continue
		}
		mounts[fields[2]] = fields[4]
		for i, field := range fields {
			if field == "-" && i+2 < len(fields) {
				mounts[fields[i+2]] = fields[4]
				break
			}
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("cannot tell what is mounted: %w", err)
	}
	return mounts, nil
}
