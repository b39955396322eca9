package disk

import (
	"context"
	"errors"
	"fmt"
	"os"
)

// openWhole is Open for the disk itself.
func (d Disk) openWhole(write bool) (*os.File, error) {
	dev, err := deviceAt(d.Path)
	if err != nil {
		return nil, err
	}
	if err := dev.freeDisk(); err != nil {
		return nil, err
	}
	return claim(dev.path, d.Bytes, write)
}

// AdoptTable makes what was written to the whole of d usable: the copy of a GPT that came from a smaller disk goes to the end of d, where
// firmware and tools look for it, and the kernel forgets the partitions that it knew for those that there are now. f is
// d, opened by Open as number 0. Only the GPT's own sectors and the protective MBR are written, and read back.
func AdoptTable(ctx context.Context, d Disk, f *os.File) error {
	dev, err := deviceAt(d.Path)
	if err != nil {
		return err
	}
	if err := stretchGPT(ctx, d, f); err != nil {
		return err
	}
	t, _, err := readTable(ctx, dev.path)
	if kind, ok := errors.AsType[*Error](err); ok && kind.Kind == BadTable {
		t, err = table{}, nil // a disk without partitions is what the image holds
	}
	if err != nil {
		return err
	}
	return dev.syncKernel(ctx, t)
}

// stretchGPT moves the copy of the GPT to the end of the disk, if there is a GPT whose copy is elsewhere. One that is damaged stays as
// it came.
func stretchGPT(ctx context.Context, d Disk, f *os.File) error {
	if err := DropCache(f); err != nil {
		return err
	}
	last := d.Bytes/int64(d.SectorSize) - 1
	first, err := readGPT(f, 1, d.SectorSize)
	switch {
	case errors.Is(err, errBadGPT), err == nil && first.other >= last:
		return nil
	case err != nil:
		return fmt.Errorf("reading the partition table of disk %d: %w", d.Number, err)
	}
	if _, err := run(ctx, "", "sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", "--relocate", "gpt-bak-std", d.Path); err != nil {
		return err
	}
	if err := DropCache(f); err != nil {
		return err
	}
	if err := checkGPT(f, d.Bytes, d.SectorSize); err != nil {
		return &Error{Kind: Access, Problem: fmt.Sprintf("disk %d does not hold the partition table that was written to it", d.Number),
			Advice: "the disk is failing: replace it", Err: err}
	}
	return nil
}
