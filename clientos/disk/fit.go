package disk

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// CachePartition returns the number of the cache partition in l. It is no part of what a set of images restores.
func (l Layout) CachePartition() (int, bool) {
	t, err := l.table()
	if err != nil {
		return 0, false
	}
	e, ok := t.cache()
	return e.number, ok
}

// cache returns the cache partition of t.
func (t *table) cache() (entry, bool) {
	i := slices.IndexFunc(t.entries, func(e entry) bool { return (Partition{Type: e.typ, Name: e.name}).Cache() })
	if i < 0 {
		return entry{}, false
	}
	return t.entries[i], true
}

// FitTo adapts a captured layout to a disk of another size. On a larger one the partition grow takes what is more; on a smaller one it is cut down, by
// what is missing and to not less than the bytes in needs, which its image requires. Partitions before it stay where they are, those behind it move
// with the end of the disk. With grow 0 it is the last one for data whose filesystem Extend lets grow (of those in needs, when there are any); to be cut
// down, the last one that suffices. A layout for a disk of just this size is returned as it is.
//
// With keep, the cache partition of d, all this happens before it, and it becomes part of the layout in its place; ApplyLayoutBeside then leaves it
// as it is. A cache partition that l itself has gives way to it. Without keep it stays at the end of the disk, or is left out where it has no room.
//
// The error is an *Error: of kind TooSmall, with the figures, when l does not fit; of kind BadTable when it never can.
func (l Layout) FitTo(d Disk, needs map[int]int64, grow int, keep *Partition) (Layout, error) {
	t, err := l.table()
	if err != nil {
		return Layout{}, err
	}
	if err := l.checkSectors(d); err != nil {
		return Layout{}, err
	}
	if keep == nil && l.DiskBytes == d.Bytes && t.neededBytes() <= d.Bytes {
		return l, nil
	}
	f := fitting{disk: d, needs: needs, grow: grow, was: t.lastEnd(), limit: usableEnd(t, d.Bytes)}
	if l.DiskBytes > 0 {
		f.was = max(f.was, usableEnd(t, l.DiskBytes))
	}
	fitted, err := f.fit(t, keep)
	if small, ok := errors.AsType[*Error](err); ok && small.Kind == TooSmall && keep == nil {
		if without, own := f.without(t); own.number > 0 {
			if again, retry := without.fit(withoutEntry(t, own.number), nil); retry == nil {
				fitted, err = again, nil
			}
		}
	}
	if err != nil {
		return Layout{}, err
	}
	return l.withTable(fitted, d)
}

// checkSectors refuses a disk with sectors of another size.
func (l Layout) checkSectors(d Disk) error {
	if l.SectorSize == d.SectorSize {
		return nil
	}
	return &Error{
		Kind: BadTable,
		Problem: fmt.Sprintf("disk %d has sectors of %d bytes and the layout is of a disk with sectors of %d bytes",
			d.Number, d.SectorSize, l.SectorSize),
		Advice: "use an image captured from a disk with the same sector size; nothing was written",
	}
}

// withTable is l with another table, on d. What belonged to partitions that are gone goes.
func (l Layout) withTable(t table, d Disk) (Layout, error) {
	l.Dump, l.DiskBytes = t.dump(), d.Bytes
	gone := func(number int) bool { _, ok := t.entry(number); return !ok }
	l.Swaps = slices.DeleteFunc(slices.Clone(l.Swaps), func(s Swap) bool { return gone(s.Partition) })
	l.BootAreas = slices.DeleteFunc(slices.Clone(l.BootAreas), func(a BootArea) bool { return gone(a.Partition) })
	l.Boots = slices.DeleteFunc(slices.Clone(l.Boots), func(b BootEntry) bool { return gone(b.Partition) })
	return l, l.Check()
}

func withoutEntry(t table, number int) table {
	t.entries = slices.DeleteFunc(slices.Clone(t.entries), func(e entry) bool { return e.number == number })
	return t
}

// A fitting is the way from the table of one disk to that of another.
type fitting struct {
	disk  Disk
	needs map[int]int64
	grow  int
	was   int64 // byte at which the room for partitions ended
	limit int64 // byte at which it ends now
}

// fit returns the table with its partitions up to the limit, and with keep behind them.
func (f fitting) fit(t table, keep *Partition) (table, error) {
	t.entries = slices.Clone(t.entries)
	if keep == nil {
		return f.move(t)
	}
	if over := keep.Start + keep.Bytes - f.limit; over > 0 {
		return table{}, tooSmall(f.disk, "the cache that stays, with a "+t.label+" table,", f.disk.Bytes+over, f.disk.Bytes)
	}
	number := 0
	if f.disk.Table == t.label {
		number = keep.Number
	}
	if without, own := f.without(t); own.number > 0 {
		f, number = without, own.number
		if err := t.remove(own.number); err != nil {
			return table{}, &Error{Kind: BadTable, Problem: "the layout beside the image cannot be used with the cache of this PC",
				Advice: "delete the cache of this PC first; nothing was written", Err: err}
		}
	}
	f.limit = keep.Start
	moved, err := f.move(t)
	if err != nil {
		return table{}, err
	}
	return moved, moved.addKept(f.disk, *keep, number)
}

// without is f for a table from which its cache partition has gone, which is returned; none when it has none that can go.
func (f fitting) without(t table) (fitting, entry) {
	own, ok := t.cache()
	if !ok {
		return f, entry{}
	}
	if own.end()*int64(t.sectorBytes()) == t.lastEnd() {
		f.was = own.start * int64(t.sectorBytes())
	}
	return f, own
}

// addKept makes the cache partition that is on d part of t.
func (t *table) addKept(d Disk, cache Partition, preferred int) error {
	sector := int64(t.sectorBytes())
	number := t.cacheNumber(preferred)
	if number == 0 {
		return &Error{Kind: BadTable,
			Problem: fmt.Sprintf("the layout beside the image leaves no number for the cache of disk %d: a dos table has 4 partitions beside the logical ones",
				d.Number),
			Advice: "delete the cache of this PC first; nothing was written"}
	}
	kind, _ := TypeNamed(TypeCache)
	e := entry{number: number, start: cache.Start / sector, sectors: cache.Bytes / sector, typ: kind.id(t.label)}
	if t.label == labelGPT {
		e.name = cacheName
	}
	t.entries = append(t.entries, e)
	slices.SortFunc(t.entries, func(a, b entry) int { return a.number - b.number })
	return nil
}

// move lets a partition grow or shrink, and moves what is behind it.
func (f fitting) move(t table) (table, error) {
	sector := int64(t.sectorBytes())
	shift := f.shift(&t) / sector
	if _, ok := t.entry(f.grow); !ok && f.grow != 0 {
		return table{}, &Error{Kind: BadTable, Problem: fmt.Sprintf("the layout beside the image has no partition %d that could grow", f.grow),
			Advice: "choose one that it has; nothing was written"}
	}
	if shift == 0 {
		return t, nil
	}
	grown, ok := f.choose(&t, shift)
	switch {
	case !ok && shift > 0:
		return t, nil // what is more stays free
	case !ok || shift < 0 && f.spare(grown, sector) < -shift*sector:
		return table{}, f.refuse(&t, grown)
	}
	for i, e := range t.entries {
		switch {
		case e.number == grown.number, t.holds(e, grown):
			t.entries[i].sectors += shift
		case e.start >= grown.end():
			t.entries[i].start += shift
		}
	}
	return t, nil
}

// holds tells whether e is the container of a logical partition.
func (t *table) holds(e, logical entry) bool {
	return t.label == labelDOS && e.extended() && logical.number > 4
}

// shift is by how many bytes the last partition's end moves: with the end of the room, but no further back than it must. It is a multiple of
// 1 MiB.
func (f fitting) shift(t *table) int64 {
	if over := t.lastEnd() - f.limit; over > 0 {
		return -roundUp(over, alignment)
	}
	return roundDown(max(f.limit-max(f.was, t.lastEnd()), 0), alignment)
}

// spare is by how many bytes e can be cut down.
func (f fitting) spare(e entry, sector int64) int64 {
	need, ok := f.needs[e.number]
	if !ok {
		return 0
	}
	return max(e.sectors*sector-max(need, alignment), 0)
}

// choose returns the partition that grows or shrinks.
func (f fitting) choose(t *table, shift int64) (entry, bool) {
	if f.grow != 0 {
		e, ok := t.entry(f.grow)
		return e, ok && !(t.label == labelDOS && e.extended())
	}
	list := slices.Clone(t.entries)
	slices.SortFunc(list, func(a, b entry) int { return cmp.Compare(b.start, a.start) })
	list = slices.DeleteFunc(list, func(e entry) bool {
		_, needed := f.needs[e.number]
		return !(Partition{Type: e.typ, Name: e.name}).resizable() || len(f.needs) > 0 && !needed
	})
	if len(list) == 0 {
		return entry{}, false
	}
	sector := int64(t.sectorBytes())
	if shift < 0 {
		if i := slices.IndexFunc(list, func(e entry) bool { return f.spare(e, sector) >= -shift*sector }); i >= 0 {
			return list[i], true
		}
	}
	return list[0], true
}

// refuse says what is missing, where e is cut down as far as it can be.
func (f fitting) refuse(t *table, e entry) error {
	need := t.lastEnd() - f.spare(e, int64(t.sectorBytes()))
	text := fmt.Sprintf("disk %d has room for partitions up to %s and the layout needs %s: %s are missing",
		f.disk.Number, FormatBytes(f.limit), FormatBytes(need), FormatBytes(max(need-f.limit, 1)))
	if image, ok := f.needs[e.number]; ok {
		text += fmt.Sprintf(", though partition %d was cut down to the %s that its image needs", e.number, FormatBytes(image))
	} else if len(f.needs) > 0 {
		text += fmt.Sprintf(", and no partition of those with images (%v) can be cut down", slices.Sorted(maps.Keys(f.needs)))
	}
	return &Error{Kind: TooSmall, Problem: text,
		Advice: "shrink the last partition of the model computer and capture it again, make the cache smaller, or use a larger disk; nothing was written"}
}

// beside returns l with the cache partition of d in it, in its place, and its number there.
func (l Layout) beside(d Disk, cache Partition) (Layout, int, error) {
	t, err := l.table()
	if err != nil {
		return Layout{}, 0, err
	}
	if err := l.checkSectors(d); err != nil {
		return Layout{}, 0, err
	}
	sector := int64(t.sectorBytes())
	number := 0
	if d.Table == t.label {
		number = cache.Number
	}
	if own, ok := t.cache(); ok {
		if own.start*sector == cache.Start && own.sectors*sector == cache.Bytes {
			return l, own.number, nil
		}
		number = own.number
		t = withoutEntry(t, own.number)
	}
	var until int64 // how far the partitions reach that are not wholly behind the cache
	for _, e := range t.entries {
		if e.start*sector < cache.Start+cache.Bytes {
			until = max(until, e.end()*sector)
		}
	}
	if until > cache.Start {
		return Layout{}, 0, &Error{Kind: TooSmall,
			Problem: fmt.Sprintf("the cache of disk %d begins at %s and the layout reaches to %s: %s are missing",
				d.Number, FormatBytes(cache.Start), FormatBytes(until), FormatBytes(until-cache.Start)),
			Advice: "let the layout be fitted to the disk, make the cache smaller or delete it; nothing was written"}
	}
	if err := t.addKept(d, cache, number); err != nil {
		return Layout{}, 0, err
	}
	added, _ := t.cache()
	l, err = l.withTable(t, d)
	return l, added.number, err
}
