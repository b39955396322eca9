package lab

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// A loopDevice shows a file as a disk. The kernel detaches it when the last that has it open lets go of it, so also when
// the process dies.
type loopDevice struct {
	path string
	dev  *os.File
}

// attachLoop attaches the file at path to a free loop device with sectors of the given size, 512 or 4096 bytes.
func attachLoop(path string, sectorSize int) (*loopDevice, error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("loop devices (is the kernel module loop loaded?): %w", err)
	}
	defer control.Close()
	const attempts = 64 // another process may take the free device first
	for range attempts {
		n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return nil, fmt.Errorf("find a free loop device: %w", err)
		}
		dev, err := os.OpenFile(fmt.Sprintf("/dev/loop%d", n), os.O_RDWR, 0)
		if err != nil {
			return nil, err
		}
		err = unix.IoctlLoopConfigure(int(dev.Fd()), &unix.LoopConfig{
			Fd:   uint32(file.Fd()),
			Size: uint32(sectorSize),
			// LO_FLAGS_PARTSCAN makes the kernel forget the partitions when it detaches.
			Info: unix.LoopInfo64{Flags: unix.LO_FLAGS_AUTOCLEAR | unix.LO_FLAGS_PARTSCAN},
		})
		if err == nil {
			return &loopDevice{path: dev.Name(), dev: dev}, nil
		}
		dev.Close()
		if !errors.Is(err, unix.EBUSY) {
			return nil, fmt.Errorf("attach %s to %s: %w", path, dev.Name(), err)
		}
	}
	return nil, errors.New("no loop device stays free for long enough: end other programs that use them (losetup --list shows them)")
}

// close lets go of the device.
func (l *loopDevice) close() error { return l.dev.Close() }
