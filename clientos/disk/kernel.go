package disk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// nodeWait bounds the wait for something else (a udev that probes) to let go of a partition, and for the nodes in /dev.
const nodeWait = 15 * time.Second

// A span is where the kernel believes a partition to be, in bytes.
type span struct{ start, length int64 }

// partitionName is the kernel's name of a partition: a "p" keeps the number apart from a name that ends in a digit.
func (dev device) partitionName(number int) string {
	if last := dev.name[len(dev.name)-1]; last >= '0' && last <= '9' {
		return fmt.Sprintf("%sp%d", dev.name, number)
	}
	return fmt.Sprintf("%s%d", dev.name, number)
}

// node is the device node of a partition, as the kernel makes it in devtmpfs.
func (dev device) node(number int) string { return "/dev/" + dev.partitionName(number) }

// kernelSpans reads which partitions of the disk the kernel knows.
func (dev device) kernelSpans() map[int]span {
	spans := map[int]span{}
	entries, err := os.ReadDir(dev.sys)
	if err != nil {
		return spans
	}
	for _, entry := range entries {
		sys := filepath.Join(dev.sys, entry.Name())
		if n := number(sys, "partition"); n > 0 {
			spans[int(n)] = span{number(sys, "start") * kernelSector, number(sys, "size") * kernelSector}
		}
	}
	return spans
}

// spans is where t says that its partitions are. The extended partition is shown as the kernel itself
// shows it: two sectors long, because the logical partitions inside may not overlap it.
func (t *table) spans() map[int]span {
	sector := int64(t.sectorBytes())
	spans := make(map[int]span, len(t.entries))
	for _, e := range t.entries {
		s := span{e.start * sector, e.sectors * sector}
		if e.extended() && t.label == labelDOS {
			s.length = min(s.length, max(2*kernelSector, sector))
		}
		spans[e.number] = s
	}
	return spans
}

// syncKernel makes the kernel know exactly the partitions of t and returns when their nodes exist. It tells the kernel
// about each partition (BLKPG) rather than asking it to read the table (BLKRRPART): that also works with a kernel that knows no
// partition tables, and leaves partitions that did not change alone.
func (dev device) syncKernel(ctx context.Context, t table) error {
	ctx, cancel := context.WithTimeoutCause(ctx, nodeWait, errors.New("something holds them open"))
	defer cancel()
	for {
		err := dev.changeSpans(t.spans())
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return &Error{
				Kind:    InUse,
				Problem: fmt.Sprintf("the kernel does not take over the new partitions of %s", dev.path),
				Advice:  "restart the computer and try again",
				Err:     errors.Join(err, context.Cause(ctx)),
			}
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (dev device) changeSpans(want map[int]span) error {
	f, err := os.OpenFile(dev.path, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	have := dev.kernelSpans()
	for n, s := range have {
		if want[n] == s {
			continue
		}
		if err := blkpg(f, unix.BLKPG_DEL_PARTITION, n, s); err != nil && !errors.Is(err, unix.ENXIO) {
			return fmt.Errorf("removing partition %d: %w", n, err)
		}
		delete(have, n)
	}
	for n, s := range want {
		if _, ok := have[n]; ok {
			continue
		}
		if err := blkpg(f, unix.BLKPG_ADD_PARTITION, n, s); err != nil {
			return fmt.Errorf("adding partition %d: %w", n, err)
		}
	}
	for n := range want {
		if _, err := os.Stat(dev.node(n)); err != nil {
			return err
		}
	}
	return nil
}

func blkpg(f *os.File, op, number int, s span) error {
	partition := unix.BlkpgPartition{Start: s.start, Length: s.length, Pno: int32(number)}
	arg := unix.BlkpgIoctlArg{
		Op:      int32(op),
		Datalen: int32(unsafe.Sizeof(partition)),
		Data:    (*byte)(unsafe.Pointer(&partition)),
	}
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, f.Fd(), unix.BLKPG, uintptr(unsafe.Pointer(&arg)))
	if errno != 0 {
		return errno
	}
	return nil
}
