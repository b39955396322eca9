package disk

import (
	"slices"
	"strings"
)

// SchemeOf returns the scheme by which another disk is partitioned as d is: with the same partitions, filesystems and labels, empty. The last data
// partition takes what is left, so that the scheme goes with disks of other sizes. The cache is as large as that of d; when d has none, one that is on
// the other disk stays.
func SchemeOf(d Disk) Scheme {
	s := Scheme{Table: d.Table, Cache: KeepCache}
	if d.Table == "" {
		return s
	}
	cache, has := d.cache()
	if has {
		s.Cache = max(cache.Bytes, minCache)
	}
	logical, filling, fillingStart := 5, -1, int64(-1)
	list := slices.Clone(d.Partitions)
	slices.SortFunc(list, func(a, b Partition) int { return a.Number - b.Number })
	for _, p := range list {
		if has && p.Number == cache.Number || len(s.Partitions) == gptEntries {
			continue
		}
		planned := plannedLike(p, d.Table)
		if planned.logical(d.Table) { // without the cache there may be a gap in the numbers
			planned.Number = logical
			logical++
		}
		s.Partitions = append(s.Partitions, planned)
		if p.resizable() && p.Start > fillingStart {
			filling, fillingStart = len(s.Partitions)-1, p.Start
		}
	}
	if filling >= 0 {
		s.Partitions[filling].Bytes = 0
	}
	return s.withoutEmptyContainer()
}

// plannedLike is what makes a partition like p, as far as it can be made.
func plannedLike(p Partition, table string) Planned {
	planned := Planned{Number: p.Number, Type: p.Type, Bytes: p.Bytes, Bootable: p.Bootable && table == labelDOS && p.Number <= 4}
	kind, known := p.Kind()
	if known && kind.In(table) {
		planned.Type = kind.Name
	}
	if p.Extended() {
		planned.Bytes = 0 // as large as its content
		return planned
	}
	f, ok := filesystemNamed(p.Filesystem)
	if !ok || f.checkSize(p.Bytes) != nil {
		return planned
	}
	if !slices.Contains(kind.Filesystems, f.name) {
		planned.Type = p.Type // by its number it may hold what usually is in another
	}
	planned.Filesystem = f.name
	if f.checkLabel(p.Label) == nil {
		planned.Label = p.Label
	}
	return planned
}

// withoutEmptyContainer leaves out an extended partition that holds nothing.
func (s Scheme) withoutEmptyContainer() Scheme {
	if !slices.ContainsFunc(s.Partitions, func(p Planned) bool { return p.logical(s.Table) }) {
		s.Partitions = slices.DeleteFunc(s.Partitions, func(p Planned) bool { return s.Table == labelDOS && p.extended() })
	}
	return s
}

// resizable tells whether p is for data of a system, in a filesystem that Extend lets grow: by its filesystem, or by its type when the filesystem is not
// known.
func (p Partition) resizable() bool {
	if p.Cache() || p.Label == cacheName || p.Extended() || p.Swap() || p.ESP() || p.Reserved() || p.BIOSBoot() || p.LVM() {
		return false
	}
	if kind, ok := p.Kind(); !ok || !slices.Contains([]string{"LINUX", "NTFS", "WINDOWS", "HNTFS", "DATA"}, kind.Name) {
		return false // above all Windows' recovery partition, which stays as small as it is
	}
	return p.Filesystem == "" || p.Filesystem == "NTFS" || strings.HasPrefix(p.Filesystem, "EXT") ||
		slices.Contains([]string{"BTRFS", "XFS", "F2FS"}, p.Filesystem)
}
