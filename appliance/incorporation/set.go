package incorporation

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"aula/clientos/disk"
	"aula/imagestore"
	"aula/imagestore/format"
)

// A foreignDisk is a disk as another system has saved it: a file, or volumes, for each partition, and a record of the rest.
type foreignDisk struct {
	name   string // of its device, where the other system keeps that
	number int    // from 1
	record record
	parts  []foreignPart
}

// A foreignPart is a partition that has been saved.
type foreignPart struct {
	number int
	volumes
}

// set plans the images of the disks that are called name. After an error nothing of them is in the plan.
func (x *examiner) set(system, called string, disks []foreignDisk) error {
	name := x.opt.Name
	if name == "" {
		name = x.namer.name(called, members(disks)...)
	}
	var images []PlannedImage
	for _, d := range disks {
		of, err := x.disk(system, name, d)
		if err != nil {
			return err
		}
		images = append(images, of...)
	}
	switch {
	case len(images) == 0:
		return fmt.Errorf("%s (%s) holds no image of a partition: if it was being copied, copy it again", called, system)
	case len(images) == 1 && images[0].Layout == nil:
		images[0].Name, images[0].Source.Set = name, ""
	}
	x.plan.Images = append(x.plan.Images, images...)
	x.systems = append(x.systems, system)
	x.units++
	return nil
}

// member is what follows the name of a set in that of the image of a partition.
func member(disk, partition int) string {
	if disk > 1 {
		return fmt.Sprintf("-d%d-p%d", disk, partition)
	}
	return fmt.Sprintf("-p%d", partition)
}

// members are those of all partitions.
func members(disks []foreignDisk) []string {
	var all []string
	for _, d := range disks {
		for _, part := range d.parts {
			all = append(all, member(d.number, part.number))
		}
	}
	return all
}

// disk plans the images of one disk.
func (x *examiner) disk(system, set string, d foreignDisk) ([]PlannedImage, error) {
	layout, table := x.layout(set, d)
	slices.SortFunc(d.parts, func(a, b foreignPart) int { return a.number - b.number })
	var images []PlannedImage
	for _, part := range d.parts {
		img, err := x.part(part, table[part.number], &layout)
		if err != nil {
			return nil, err
		}
		if img == nil {
			continue
		}
		img.Name = set + member(d.number, part.number)
		if err := imagestore.CheckName(img.Name); err != nil {
			return nil, fmt.Errorf("%w: import it under a shorter name", err)
		}
		img.Source = imagestore.Source{Disk: d.number, Partition: part.number, Set: set, System: system, SectorSize: cmp.Or(layout.SectorSize, 512)}
		images = append(images, *img)
	}
	if table == nil {
		return images, nil
	}
	x.tellMissing(set, d, layout, table)
	data, err := json.Marshal(layout)
	if err == nil {
		err = layout.Check()
	}
	for i := range images {
		images[i].Layout = data
	}
	return images, err
}

// layout makes the layout of a disk and returns its partitions by number. They are nil when there is no table that can be used.
func (x *examiner) layout(set string, d foreignDisk) (disk.Layout, map[int]disk.Partition) {
	layout, warnings, err := d.record.layout()
	var partitions []disk.Partition
	if err == nil {
		partitions, err = layout.Partitions()
	}
	if err != nil {
		x.warnf("%s: the partition table of disk %d cannot be used (%v): its partitions become images, but no disk can be rebuilt as a whole from them",
			set, d.number, oneLine(err))
		return disk.Layout{}, nil
	}
	for _, w := range warnings {
		x.warnf("%s, disk %d: %s", set, d.number, w)
	}
	table := make(map[int]disk.Partition)
	for _, p := range partitions {
		table[p.Number] = p
	}
	return layout, table
}

// part plans the image of one partition. It answers nil for one that needs none; a BIOS boot partition goes into the layout.
// in is the partition in the table, zero when that is not known.
func (x *examiner) part(part foreignPart, in disk.Partition, layout *disk.Layout) (*PlannedImage, error) {
	if in.Extended() {
		return nil, nil // old systems saved its first sectors, which the table has
	}
	if keepsBoot(in) {
		data, err := x.bootArea(part, in.Bytes)
		if err != nil {
			return nil, err
		}
		if data = bytes.TrimRight(data, "\x00"); len(data) > 0 {
			layout.BootAreas = append(layout.BootAreas, disk.BootArea{Partition: part.number, Data: data})
		}
		return nil, nil
	}
	src, info, err := x.recognise(part.volumes)
	switch {
	case errors.Is(err, format.ErrNotImage) && (in.Reserved() || in.Swap()):
		return nil, nil // nothing is in them that a system needs
	case errors.Is(err, format.ErrNotImage):
		x.warnf("partition %d (%s) is left out and will be empty: there is no filesystem in it that is known", part.number, part.words())
		return nil, nil
	case err != nil:
		return nil, err
	}
	return &PlannedImage{Info: info, Bytes: src.bytes(), source: src}, nil
}

// bootArea reads what a BIOS boot partition holds.
func (x *examiner) bootArea(part foreignPart, size int64) ([]byte, error) {
	if size > maxBootArea {
		return nil, fmt.Errorf("%s: a BIOS boot partition of %d bytes", part.words(), size)
	}
	src := source{volumes: part.volumes}
	data := make([]byte, size)
	file := src.image(x.ctx)
	defer file.Close()
	image, err := format.NewReader(file)
	if errors.Is(err, format.ErrNotImage) {
		return x.plainStart(src, size)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", part.words(), err)
	}
	defer image.Close()
	for {
		off, run, err := image.Next()
		if err == io.EOF {
			return data, nil
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", part.words(), err)
		}
		if off+int64(len(run)) > size {
			return nil, fmt.Errorf("%s is larger than its partition of %d bytes", part.words(), size)
		}
		copy(data[off:], run)
	}
}

// tellMissing says what of a disk has no image, and what that means.
func (x *examiner) tellMissing(set string, d foreignDisk, layout disk.Layout, table map[int]disk.Partition) {
	saved := make(map[int]bool)
	for _, p := range d.parts {
		saved[p.number] = true
	}
	for _, s := range layout.Swaps {
		saved[s.Partition] = true
	}
	for _, p := range sorted(table) {
		x.efi = x.efi || p.ESP()
		switch {
		case p.Extended(), p.Reserved():
		case p.LVM():
			x.warnf("%s: the logical volumes (LVM) in partition %d of disk %d do not come along", set, p.Number, d.number)
		case saved[p.Number]:
		case keepsBoot(p):
			x.warnf("%s: the boot loader in partition %d of disk %d was not saved: a PC that starts by BIOS will not start from a disk that is rebuilt",
				set, p.Number, d.number)
		case p.Swap():
			x.warnf("%s: the identity of the swap area in partition %d is not known: it will not be made, and Linux may wait for it when it starts", set, p.Number)
		default:
			x.warnf("%s: partition %d of disk %d has no image and will be empty", set, p.Number, d.number)
		}
	}
}

func sorted(table map[int]disk.Partition) []disk.Partition {
	var list []disk.Partition
	for _, p := range table {
		list = append(list, p)
	}
	slices.SortFunc(list, func(a, b disk.Partition) int { return a.Number - b.Number })
	return list
}

// oneLine writes joined errors in one line.
func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }

// plainStart returns the first size bytes of what is below the compression, with zeros where it ends earlier.
func (x *examiner) plainStart(src source, size int64) ([]byte, error) {
	head, err := plainHead(x.ctx, src, size)
	return append(head, make([]byte, size-int64(len(head)))...), err
}

// plainHead returns up to size bytes of what is below the compression.
func plainHead(ctx context.Context, src source, size int64) ([]byte, error) {
	file := src.image(ctx)
	defer file.Close()
	plain, _, err := format.Decompress(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", src.words(), err)
	}
	defer plain.Close()
	head := make([]byte, size)
	n, err := io.ReadFull(plain, head)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		err = nil
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", src.words(), err)
	}
	return head[:n], err
}
