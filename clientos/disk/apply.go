package disk

import (
	"bytes"
	"context"
	"fmt"
	"os"
)

// ApplyLayout makes the layout of d what l says and reads it back. It destroys what is on d: old signatures on the disk and in its
// new partitions are wiped. Nothing is written unless l fits d and nothing on d is in use; an error of kind
// BadTable, TooSmall or InUse therefore means an untouched disk. The identifiers of disk, partitions and swap areas are those of
// l, because boot loaders and /etc/fstab know them by these. When ApplyLayout returns, the nodes of the new
// partitions exist, and a cache partition of l has an empty filesystem.
func ApplyLayout(ctx context.Context, d Disk, l Layout) error {
	t, err := l.table()
	if err != nil {
		return err
	}
	return applyLayout(ctx, d, l, t, 0)
}

// ApplyLayoutBeside is ApplyLayout, but for the cache partition of d, which stays where it is and as it is. Where l has a partition in just that place
// (Layout.FitTo puts it there), it is that; else it is added to l. It is refused when l needs its place, as an *Error of kind TooSmall with the figures.
func ApplyLayoutBeside(ctx context.Context, d Disk, l Layout, cache Partition) error {
	l, number, err := l.beside(d, cache)
	if err != nil {
		return err
	}
	t, err := l.table()
	if err != nil {
		return err
	}
	// Its identity is what it was, where the kind of table has one.
	if old, _, err := readTable(ctx, d.Path); err == nil && old.label == t.label {
		for i := range t.entries {
			if was, ok := old.entry(cache.Number); ok && t.entries[i].number == number && was.start == t.entries[i].start {
				t.entries[i].uuid, t.entries[i].attrs = was.uuid, was.attrs
			}
		}
	}
	return applyLayout(ctx, d, l, t, number)
}

// applyLayout is ApplyLayout, with t the table of l and the number of the partition that stays, 0 for none.
func applyLayout(ctx context.Context, d Disk, l Layout, t table, keep int) error {
	if err := l.Fits(d); err != nil {
		return err
	}
	makes := false
	if e, ok := t.cache(); ok && e.number != keep && e.sectors*int64(t.sectorBytes()) >= minCache {
		makes = true
		if err := haveTool(cacheFilesystem().tool); err != nil {
			return err
		}
	}
	dev, err := deviceAt(d.Path)
	if err != nil {
		return err
	}
	if err := dev.freeDisk(); err != nil {
		return err
	}
	if err := writeTable(ctx, dev, t, keep); err != nil {
		return err
	}
	if err := writeCode(dev.path, l, &t); err != nil {
		return codeError(d, err)
	}
	if err := dev.syncKernel(ctx, t); err != nil {
		return err
	}
	if err := wipeNew(ctx, dev, t, keep); err != nil {
		return err
	}
	if err := makeSwaps(ctx, dev, l.Swaps); err != nil {
		return err
	}
	if err := checkApplied(ctx, dev, d, l, t); err != nil {
		return err
	}
	if !makes {
		return nil
	}
	if d.Partitions, err = l.Partitions(); err != nil {
		return err
	}
	number, _ := l.CachePartition()
	return FormatCache(ctx, d, number)
}

func codeError(d Disk, err error) error {
	return &Error{Kind: Access, Problem: fmt.Sprintf("the boot code of disk %d cannot be written", d.Number),
		Advice: "the disk may be failing: check its SMART state", Err: err}
}

// writeCode writes the boot code around the table, which sfdisk has just written and which is left alone: bytes 0 to 439 of
// the disk, the gap and the BIOS boot partitions, with zeros where l has nothing, so that no old boot loader survives.
func writeCode(path string, l Layout, t *table) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, part := range codeParts(l, t) {
		if _, err := f.WriteAt(part.data, part.offset); err != nil {
			return err
		}
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return DropCache(f)
}

// A codePart is a piece of code at its place on the disk.
type codePart struct {
	offset int64
	data   []byte
}

func codeParts(l Layout, t *table) []codePart {
	code := make([]byte, mbrCode)
	copy(code, l.BootCode)
	parts := []codePart{{0, code}}
	start, end := gapOf(t)
	if end > start {
		gap := make([]byte, end-start)
		if l.GapStart >= start && l.GapStart < end {
			copy(gap[l.GapStart-start:], l.Gap)
		}
		parts = append(parts, codePart{start, gap})
	}
	for _, e := range t.entries {
		if size := e.sectors * int64(t.sectorSize); e.typ == typeBIOSBoot && size <= maxBootArea {
			area := make([]byte, size)
			copy(area, l.bootArea(e.number))
			parts = append(parts, codePart{e.start * int64(t.sectorSize), area})
		}
	}
	return parts
}

func (l Layout) bootArea(partition int) []byte {
	for _, area := range l.BootAreas {
		if area.Partition == partition {
			return area.Data
		}
	}
	return nil
}

func makeSwaps(ctx context.Context, dev device, swaps []Swap) error {
	for _, s := range swaps {
		args := []string{"--uuid", s.UUID}
		if s.Label != "" {
			args = append(args, "--label", s.Label)
		}
		if _, err := run(ctx, "", "mkswap", append(args, "--", dev.node(s.Partition))...); err != nil {
			return err
		}
	}
	return nil
}

// checkApplied reads table and boot code back from the disk.
func checkApplied(ctx context.Context, dev device, d Disk, l Layout, want table) error {
	failed := func(err error) error {
		return &Error{Kind: Access, Problem: fmt.Sprintf("disk %d does not hold what was written to it", d.Number),
			Advice: "the disk is failing: replace it", Err: err}
	}
	got, _, err := readTable(ctx, dev.path)
	if err != nil {
		return err
	}
	if diff := got.differsFrom(want); diff != "" {
		return failed(fmt.Errorf("after partitioning %s", diff))
	}
	f, err := os.Open(dev.path)
	if err != nil {
		return failed(err)
	}
	defer f.Close()
	for _, part := range codeParts(l, &want) {
		data := make([]byte, len(part.data))
		if _, err := f.ReadAt(data, part.offset); err != nil {
			return failed(err)
		}
		if !bytes.Equal(data, part.data) {
			return failed(fmt.Errorf("the boot code at byte %d differs", part.offset))
		}
	}
	return nil
}
