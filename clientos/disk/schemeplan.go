package disk

import (
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// cacheSlack is how far before the end of the disk a cache partition may end that is where a new one would be: OpenGnsys leaves up to 8192 sectors.
const cacheSlack = 64 << 20

// A plan is a table that a disk is to get, and what is to be made in it.
type plan struct {
	table table
	kept  int       // number of the cache partition that stays as it is, 0 for none
	cache int       // number of the cache partition that is to be made, 0 for none
	make  []Planned // what else gets a filesystem
}

// Plan returns the layout that d would get, without anything that is not in the table. Sizes that are not given are equal shares of what is left;
// partitions begin at full MiB. The cache is at the end of the disk, or where it is when it stays, and the others come before it. The error is an
// *Error: of kind BadTable for a scheme that does not go with d, of kind TooSmall, with the figures, for one that does not fit.
func (s Scheme) Plan(d Disk) (Layout, error) {
	p, err := s.plan(d, tableOf(d))
	if err != nil {
		return Layout{}, err
	}
	return p.layout(d), nil
}

func (p plan) layout(d Disk) Layout {
	return Layout{Version: 1, Table: p.table.label, SectorSize: p.table.sectorSize, DiskBytes: d.Bytes, Dump: p.table.dump()}
}

// dump returns t as sfdisk would show it, with no disk's name.
func (t *table) dump() string {
	return strings.Replace(t.script(), "unit: sectors\n", fmt.Sprintf("unit: sectors\nsector-size: %d\n", t.sectorBytes()), 1)
}

// tableOf is what an inventory tells of the table of d.
func tableOf(d Disk) table {
	t := table{label: d.Table, id: d.TableID, sectorSize: d.sector()}
	for _, p := range d.Partitions {
		t.entries = append(t.entries, entry{
			number: p.Number, start: p.Start / int64(d.sector()), sectors: p.Bytes / int64(d.sector()), typ: p.Type, name: p.Name, bootable: p.Bootable,
		})
	}
	slices.SortFunc(t.entries, func(a, b entry) int { return a.number - b.number })
	return t
}

func (d Disk) sector() int { return cmp.Or(d.SectorSize, kernelSector) }

// plan is Plan for a disk with the table old, which may tell more than the inventory does.
func (s Scheme) plan(d Disk, old table) (plan, error) {
	if err := s.Check(); err != nil {
		return plan{}, err
	}
	var p plan
	var err error
	if s.Table == "" {
		p, err = s.planStaying(d, old)
	} else {
		p, err = s.planNew(d, old)
	}
	if err == nil {
		slices.SortFunc(p.table.entries, func(a, b entry) int { return a.number - b.number })
		err = p.table.check()
	}
	if _, ok := errors.AsType[*Error](err); err != nil && !ok {
		err = &Error{Kind: BadTable, Problem: fmt.Sprintf("disk %d cannot be partitioned like this", d.Number),
			Advice: "change the partitioning; nothing was written", Err: err}
	}
	return p, err
}

// usableEnd is the byte at which the last partition of a disk may end.
func usableEnd(t table, size int64) int64 {
	end := size - t.trailerBytes()
	if t.label == labelDOS {
		end = min(end, int64(t.sectorBytes())<<32)
	}
	return roundDown(end, int64(t.sectorBytes()))
}

// keptCache returns the cache partition of d that s leaves as it is.
func (s Scheme) keptCache(d Disk) (Partition, bool) {
	p, ok := d.cache()
	if !ok || s.Cache <= 0 {
		return p, ok && s.Cache == KeepCache
	}
	end := usableEnd(table{label: cmp.Or(s.Table, d.Table), sectorSize: d.sector()}, d.Bytes)
	ends := p.Start + p.Bytes
	return p, p.Bytes == roundUp(s.Cache, int64(d.sector())) && strings.HasPrefix(p.Filesystem, "EXT") && ends <= end && ends > end-cacheSlack
}

// Loses returns the partitions of d whose content s destroys, all but the container of the logical ones.
func (s Scheme) Loses(d Disk) []Partition {
	kept, keeps := s.keptCache(d)
	cache, _ := d.cache()
	var lost []Partition
	for _, p := range d.Partitions {
		planned := slices.ContainsFunc(s.Partitions, func(f Planned) bool { return f.Number == p.Number })
		stays := s.Table == "" && !planned && (p.Number != cache.Number || s.Cache == KeepCache)
		if !p.Extended() && !stays && (!keeps || p.Number != kept.Number) {
			lost = append(lost, p)
		}
	}
	return lost
}

func (s Scheme) planNew(d Disk, old table) (plan, error) {
	t := table{label: s.Table, id: newTableID(s.Table), sectorSize: d.sector()}
	p := plan{table: t}
	room := span{alignment, usableEnd(t, d.Bytes) - alignment}
	numbers := s.numbers(old)
	cache, keeps, err := s.cacheEntry(d, old, numbers)
	if err != nil {
		return plan{}, err
	}
	if cache != nil {
		room.length = cache.start*int64(d.sector()) - room.start
		p.table.entries = append(p.table.entries, *cache)
		if keeps {
			p.kept = cache.number
		} else {
			p.cache = cache.number
		}
		if t.label == labelGPT && cache.start*int64(d.sector()) < alignment {
			p.table.firstLBA = cache.start
		}
	}
	g := s.arrange(numbers)
	share, err := g.share(d, room, s.Cache, keeps)
	if err != nil {
		return plan{}, err
	}
	entries, _ := g.place(room.start, share, int64(d.sector()))
	p.table.entries = append(p.table.entries, entries...)
	for _, f := range s.Partitions {
		if f.Filesystem == "" {
			continue
		}
		e, _ := p.table.entry(f.Number)
		if known, ok := filesystemNamed(f.Filesystem); ok {
			if err := known.checkSize(e.sectors * int64(d.sector())); err != nil {
				return plan{}, fmt.Errorf("partition %d: %w", f.Number, err)
			}
		}
		p.make = append(p.make, f)
	}
	return p, nil
}

// cacheNumbers are the numbers of what a scheme does not number itself; 0 for what there is not.
type cacheNumbers struct{ cache, container int }

// numbers chooses them: the cache's old one or 4, as OpenGnsys, and for the container the lowest of a dos table that is left; on a GPT the cache
// follows the others.
func (s Scheme) numbers(old table) cacheNumbers {
	taken := map[int]bool{}
	var highest int
	needsContainer := false
	for _, p := range s.Partitions {
		taken[p.Number] = true
		highest = max(highest, p.Number)
		needsContainer = needsContainer || p.logical(s.Table)
	}
	var n cacheNumbers
	was := 0
	for _, e := range old.entries {
		if s.Cache == KeepCache && old.label == s.Table && (Partition{Type: e.typ, Name: e.name}).Cache() {
			was = e.number
		}
	}
	n.cache = freeNumber(s.Table, taken, was, usualCache(s.Table, highest))
	if s.Cache != 0 {
		taken[n.cache] = true
	}
	if needsContainer && !slices.ContainsFunc(s.Partitions, func(p Planned) bool { return s.Table == labelDOS && p.extended() }) {
		n.container = freeNumber(s.Table, taken)
		if n.container == 0 { // Check has counted a cache that is to be made; there may be none to keep
			n.container = n.cache
		}
	}
	return n
}

// cacheEntry returns the cache of the new table: the one of d in its place, or a new one at the end; nil for none.
func (s Scheme) cacheEntry(d Disk, old table, numbers cacheNumbers) (e *entry, keeps bool, err error) {
	kept, keeps := s.keptCache(d)
	if !keeps && s.Cache <= 0 {
		return nil, false, nil
	}
	if numbers.cache == 0 || numbers.cache == numbers.container {
		return nil, false, errors.New("a dos table has 4 partitions beside the logical ones, and none is left for the cache that is there")
	}
	t := table{label: s.Table, sectorSize: d.sector()}
	sector, end := int64(d.sector()), usableEnd(t, d.Bytes)
	cache, _ := TypeNamed(TypeCache)
	e = &entry{number: numbers.cache, typ: cache.id(s.Table)}
	if s.Table == labelGPT {
		e.name = cacheName
	}
	if !keeps {
		size := roundUp(s.Cache, sector)
		start := roundDown(end-size, alignment)
		if start < alignment {
			return nil, false, tooSmall(d, "the cache", size+2*alignment, d.Bytes)
		}
		e.start, e.sectors = start/sector, size/sector
		return e, false, nil
	}
	if over := kept.Start + kept.Bytes - end; over > 0 {
		return nil, false, tooSmall(d, "the cache that stays, with a "+s.Table+" table", d.Bytes+over, d.Bytes)
	}
	if was, ok := old.entry(kept.Number); ok && old.label == s.Table {
		e.typ, e.uuid, e.attrs = was.typ, was.uuid, was.attrs
	}
	e.start, e.sectors = kept.Start/sector, kept.Bytes/sector
	return e, true, nil
}

// planStaying is plan for a table that stays: only the cache comes, goes or gets another size.
func (s Scheme) planStaying(d Disk, old table) (plan, error) {
	if old.label == "" {
		return plan{}, errors.New("it has no partition table: choose dos or gpt")
	}
	p := plan{table: old}
	p.table.entries = slices.Clone(old.entries)
	cache, has := d.cache()
	for _, f := range s.Partitions {
		if err := f.checkOn(d, cache.Number); err != nil {
			return plan{}, fmt.Errorf("partition %d: %w", f.Number, err)
		}
		p.make = append(p.make, f)
	}
	kept, keeps := s.keptCache(d)
	switch {
	case keeps:
		p.kept = kept.Number
		return p, nil
	case s.Cache == KeepCache:
		return p, nil
	}
	if has {
		if err := p.table.remove(cache.Number); err != nil {
			return plan{}, err
		}
	}
	if s.Cache == 0 {
		return p, nil
	}
	return p, p.addCache(d, s.Cache, cache.Number)
}

// checkOn refuses what cannot be formatted on d; cache is the number of the cache, 0 for none.
func (p Planned) checkOn(d Disk, cache int) error {
	on, ok := d.Partition(p.Number)
	known, _ := filesystemNamed(p.Filesystem)
	kind, _ := on.Kind()
	switch {
	case !ok:
		return &Error{Kind: Missing, Problem: fmt.Sprintf("disk %d has no partition %d: %s", d.Number, p.Number, d.listPartitions()),
			Advice: "look at the computer's disks in the console; nothing was written"}
	case on.Extended():
		return errors.New("it holds the logical partitions and can have no filesystem")
	case p.Number == cache:
		return errors.New("it is the cache, whose size is given apart")
	case p.Bytes != 0 && p.Bytes != on.Bytes:
		return fmt.Errorf("it has %s, and the table that stays cannot give it %s", FormatBytes(on.Bytes), FormatBytes(p.Bytes))
	case p.Type != "" && p.typeID(d.Table) != on.Type && !strings.EqualFold(p.Type, kind.Name):
		return fmt.Errorf("it has the type %s, and the table that stays cannot give it %s", cmp.Or(kind.Name, on.Type), p.Type)
	}
	return known.checkSize(on.Bytes)
}

// remove takes a partition out of t. A logical one can only go when it is the last, because the others would be renumbered.
func (t *table) remove(number int) error {
	last := slices.MaxFunc(t.entries, func(a, b entry) int { return a.number - b.number }).number
	if t.label == labelDOS && number > 4 && number != last {
		return fmt.Errorf("the cache is logical partition %d, and taking it out would renumber those behind it: partition the disk anew", number)
	}
	t.entries = slices.DeleteFunc(t.entries, func(e entry) bool { return e.number == number })
	return nil
}

// addCache puts a cache partition of size bytes behind all partitions, at the end of the disk, with the number that it had.
func (p *plan) addCache(d Disk, size int64, was int) error {
	sector := int64(d.sector())
	size = roundUp(size, sector)
	start := roundDown(usableEnd(p.table, d.Bytes)-size, alignment)
	if free := start + size - p.table.lastEnd(); start < p.table.lastEnd() || start < alignment {
		return &Error{Kind: TooSmall,
			Problem: fmt.Sprintf("the cache needs %s at the end of disk %d, and %s are free there: %s are missing",
				FormatBytes(size), d.Number, FormatBytes(max(free, 0)), FormatBytes(max(size-max(free, 0), 1))),
			Advice: "make the cache smaller, or partition the disk anew with room for it; nothing was written"}
	}
	number := p.table.cacheNumber(was)
	if number == 0 {
		return errors.New("a dos table has 4 partitions beside the logical ones, and none is left for the cache")
	}
	cache, _ := TypeNamed(TypeCache)
	e := entry{number: number, start: start / sector, sectors: size / sector, typ: cache.id(p.table.label)}
	if p.table.label == labelGPT {
		e.name = cacheName
	}
	p.table.entries = append(p.table.entries, e)
	p.cache = number
	return nil
}

// freeNumber returns the number of a primary partition that is not taken: the first of those preferred that is possible, else the lowest; 0 when there
// is none.
func freeNumber(label string, taken map[int]bool, preferred ...int) int {
	limit := 4
	if label == labelGPT {
		limit = gptEntries
	}
	for n := 1; n <= limit; n++ {
		preferred = append(preferred, n)
	}
	for _, n := range preferred {
		if n >= 1 && n <= limit && !taken[n] {
			return n
		}
	}
	return 0
}

// usualCache is the number that a new cache has if it is free, where highest is the highest number of the others.
func usualCache(label string, highest int) int {
	if label == labelDOS {
		return 4
	}
	return highest + 1
}

// cacheNumber chooses the number of a cache partition that t is to get: the one that it had, on a dos table 4, as OpenGnsys, or what is free; on a
// GPT the one behind all others. It answers 0 when there is none.
func (t *table) cacheNumber(was int) int {
	taken, highest := map[int]bool{}, 0
	for _, e := range t.entries {
		taken[e.number] = true
		highest = max(highest, e.number)
	}
	return freeNumber(t.label, taken, was, usualCache(t.label, highest))
}

// lastEnd is the byte at which the last partition ends.
func (t *table) lastEnd() int64 {
	var end int64
	for _, e := range t.entries {
		end = max(end, e.end())
	}
	return end * int64(t.sectorBytes())
}

func tooSmall(d Disk, what string, need, has int64) error {
	return &Error{Kind: TooSmall,
		Problem: fmt.Sprintf("%s on disk %d needs %s and there are %s: %s are missing", what, d.Number, FormatBytes(need), FormatBytes(has), FormatBytes(need-has)),
		Advice:  "make partitions or cache smaller, or use a larger disk; nothing was written"}
}

// newTableID returns a new identifier of a disk.
func newTableID(label string) string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails (crypto/rand)
	if label == labelDOS {
		return fmt.Sprintf("0x%08x", binary.LittleEndian.Uint32(b[:])|1)
	}
	b[6], b[8] = b[6]&0x0F|0x40, b[8]&0x3F|0x80 // version 4 (RFC 9562, 5.4)
	return fmt.Sprintf("%X-%X-%X-%X-%X", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
