package disk

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
)

// ApplyScheme partitions and formats d as s says, and reads back what it made. What s.Loses tells is destroyed. Nothing is written unless s fits d, the
// tools are there and nothing that changes is in use; an error of kind BadTable, TooSmall, Missing, Differs or InUse that comes before progress has been told
// anything means an untouched disk. progress, which may be nil, is told what is being done, for people. A new cache partition gets
// its filesystem, empty; one that stays is not touched.
func ApplyScheme(ctx context.Context, d Disk, s Scheme, progress func(doing string)) error {
	if progress == nil {
		progress = func(string) {}
	}
	dev, err := deviceAt(d.Path)
	if err != nil {
		return err
	}
	old, err := tableNow(ctx, dev, d)
	if err != nil {
		return err
	}
	p, err := s.plan(d, old)
	if err != nil {
		return err
	}
	if err := p.checkTools(); err != nil {
		return err
	}
	changes := s.Table != "" || old.differsFrom(p.table) != ""
	if err := p.checkUnused(dev, changes); err != nil {
		return err
	}
	if changes {
		progress(fmt.Sprintf("writing the partition table of disk %d", d.Number))
		if err := p.write(ctx, dev, d, s.Table != ""); err != nil {
			return err
		}
	}
	now := d
	now.Partitions = nil
	if err := now.readPartitions(ctx, dev); err != nil {
		return err
	}
	return p.format(ctx, now, progress)
}

// tableNow reads the table of d, empty when it has none, and refuses a disk on which it is not what d says.
func tableNow(ctx context.Context, dev device, d Disk) (table, error) {
	t, _, err := readTable(ctx, dev.path)
	if bad, ok := errors.AsType[*Error](err); ok && bad.Kind == BadTable {
		t, err = table{}, nil
	}
	if err != nil {
		return table{}, err
	}
	t.sectorSize = d.sector()
	seen := tableOf(d)
	same := func(a, b entry) bool {
		return a.number == b.number && a.start == b.start && a.sectors == b.sectors && a.typ == b.typ
	}
	if t.label != d.Table || !slices.EqualFunc(t.entries, seen.entries, same) {
		return table{}, &Error{Kind: Differs, Problem: fmt.Sprintf("the partitions of disk %d are no longer what they were a moment ago", d.Number),
			Advice: "look at the computer's disks in the console and start the operation again; nothing was written"}
	}
	return t, nil
}

// checkTools refuses to begin without the tools that are needed in the end.
func (p plan) checkTools() error {
	var tools []string
	for _, f := range p.make {
		known, _ := filesystemNamed(f.Filesystem)
		tools = append(tools, known.tool)
	}
	if p.cache > 0 {
		tools = append(tools, cacheFilesystem().tool)
	}
	for _, tool := range tools {
		if err := haveTool(tool); err != nil {
			return err
		}
	}
	return nil
}

// checkUnused refuses a disk of which anything is in use, or, when the table stays, partitions that are to be formatted.
func (p plan) checkUnused(dev device, changes bool) error {
	if changes {
		return dev.freeDisk()
	}
	for _, f := range p.make {
		if err := dev.freePartition(f.Number); err != nil {
			return err
		}
	}
	return nil
}

// write writes the table and reads it back. A new one leaves no boot code of the old one behind.
func (p plan) write(ctx context.Context, dev device, d Disk, anew bool) error {
	keep := p.kept
	if !anew {
		keep = keepAll
	}
	l := p.layout(d)
	if err := writeTable(ctx, dev, p.table, keep); err != nil {
		return err
	}
	if anew {
		if err := writeCode(dev.path, l, &p.table); err != nil {
			return codeError(d, err)
		}
	}
	if err := dev.syncKernel(ctx, p.table); err != nil {
		return err
	}
	if err := wipeNew(ctx, dev, p.table, keep); err != nil {
		return err
	}
	got, _, err := readTable(ctx, dev.path)
	if err != nil {
		return err
	}
	if diff := got.differsFrom(p.table); diff != "" {
		return &Error{Kind: Access, Problem: fmt.Sprintf("disk %d does not hold the partitions that were written to it: %s", d.Number, diff),
			Advice: "the disk is failing: replace it"}
	}
	return nil
}

// keepAll, in place of the number of the partition that stays, says that all do.
const keepAll = -1

// writeTable writes t with sfdisk. The kernel is left to syncKernel, see there. With keep a partition, or all, it leaves what is in the partitions alone,
// because sfdisk's --wipe-partitions would wipe each that the script names, also those that do not change; wipeNew does the others then.
func writeTable(ctx context.Context, dev device, t table, keep int) error {
	wipe, wipePartitions := "always", "always"
	if keep != 0 {
		wipePartitions = "never"
	}
	if keep == keepAll {
		wipe = "never"
	}
	_, err := run(ctx, t.script(), "sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", "--wipe", wipe, "--wipe-partitions", wipePartitions, dev.path)
	return err
}

// wipeNew wipes the signatures in the partitions of t, all but the one that stays.
func wipeNew(ctx context.Context, dev device, t table, keep int) error {
	if keep == 0 || keep == keepAll {
		return nil
	}
	for _, e := range t.entries {
		if e.number == keep || e.extended() && t.label == labelDOS || e.typ == typeBIOSBoot {
			continue // the last are written as a whole, with the boot code
		}
		f, err := os.OpenFile(dev.node(e.number), os.O_RDWR, 0)
		if err != nil {
			return &Error{Kind: Access, Problem: fmt.Sprintf("%s cannot be opened", dev.node(e.number)),
				Advice: "the disk may be failing: check its SMART state", Err: err}
		}
		err = WipeSignatures(ctx, f)
		f.Close()
		if err != nil {
			return err
		}
	}
	return nil
}

// format makes the filesystems.
func (p plan) format(ctx context.Context, d Disk, progress func(string)) error {
	for _, f := range p.make {
		progress(fmt.Sprintf("formatting partition %d of disk %d as %s", f.Number, d.Number, f.Filesystem))
		if err := Format(ctx, d, f.Number, f.Filesystem, f.Label); err != nil {
			return err
		}
	}
	if p.cache == 0 {
		return nil
	}
	progress(fmt.Sprintf("formatting the cache, partition %d of disk %d", p.cache, d.Number))
	return FormatCache(ctx, d, p.cache)
}
