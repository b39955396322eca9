package disk

import (
	"context"
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// DropCache makes the kernel forget what it holds of the device f, so that the next read comes from the device itself. What was
// not yet written is written first.
func DropCache(f *os.File) error {
	if err := f.Sync(); err != nil {
		return fmt.Errorf("writing to %s: %w", f.Name(), err)
	}
	if err := unix.IoctlSetInt(int(f.Fd()), unix.BLKFLSBUF, 0); err != nil {
		return fmt.Errorf("dropping the cache of %s: %w", f.Name(), err)
	}
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		return fmt.Errorf("dropping the cache of %s: %w", f.Name(), err)
	}
	return nil
}

// OpenDirect opens the device f once more for reading past the page cache (O_DIRECT: offsets, lengths and memory must be aligned
// to 4096 bytes, except at the end), or through it on a device that cannot do otherwise. The caller closes it.
func OpenDirect(f *os.File) (*os.File, error) {
	direct, err := os.OpenFile(f.Name(), os.O_RDONLY|unix.O_DIRECT, 0)
	if errors.Is(err, unix.EINVAL) {
		direct, err = os.OpenFile(f.Name(), os.O_RDONLY, 0)
	}
	if err != nil {
		return nil, fmt.Errorf("opening %s for reading back: %w", f.Name(), err)
	}
	return direct, nil
}

// WipeSignatures removes the marks by which old filesystems on the partition f are recognised, wherever on it they are: an image
// only writes used blocks, and a mark left between them would make other tools see two filesystems at once.
func WipeSignatures(ctx context.Context, f *os.File) error {
	_, err := run(ctx, "", "wipefs", "--all", "--force", "--quiet", f.Name())
	return err
}
