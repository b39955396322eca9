package disk

import (
	"fmt"
	"slices"
)

// An arrangement is the partitions of a scheme in the order in which they are to lie on the disk.
type arrangement struct {
	table     string
	primaries []Planned // also those of a GPT; with the container of the logical ones among them
	logicals  []Planned
}

// arrange orders the partitions by number; a container that is not planned comes behind the others.
func (s Scheme) arrange(numbers cacheNumbers) arrangement {
	a := arrangement{table: s.Table}
	for _, p := range s.Partitions {
		if p.logical(s.Table) {
			a.logicals = append(a.logicals, p)
		} else {
			a.primaries = append(a.primaries, p)
		}
	}
	byNumber := func(a, b Planned) int { return a.Number - b.Number }
	slices.SortFunc(a.primaries, byNumber)
	slices.SortFunc(a.logicals, byNumber)
	if numbers.container > 0 {
		a.primaries = append(a.primaries, Planned{Number: numbers.container, Type: TypeExtended})
	}
	return a
}

// fillers returns what takes a share of the room: not a container that is as large as its content, nor what is in one of a given size.
func (a arrangement) fillers() []Planned {
	var list []Planned
	for _, p := range a.primaries {
		switch {
		case p.Bytes > 0:
		case a.container(p) && len(a.logicals) > 0:
			list = append(list, unsized(a.logicals)...)
		default:
			list = append(list, p)
		}
	}
	return list
}

func unsized(list []Planned) []Planned {
	return slices.DeleteFunc(slices.Clone(list), func(p Planned) bool { return p.Bytes > 0 })
}

func (a arrangement) container(p Planned) bool { return a.table == labelDOS && p.extended() }

// least is the smallest size at which each of the partitions is of use.
func least(list []Planned) int64 {
	size := int64(alignment)
	for _, p := range list {
		if f, ok := filesystemNamed(p.Filesystem); ok {
			size = max(size, roundUp(f.least, alignment))
		}
	}
	return size
}

// share computes how much of the room each filler gets. The error gives the figures when it is not enough.
func (a arrangement) share(d Disk, room span, cache int64, keeps bool) (int64, error) {
	if len(a.primaries) == 0 {
		return 0, nil
	}
	fillers := a.fillers()
	sector := int64(d.sector())
	minimum := least(fillers)
	if _, end := a.place(room.start, minimum, sector); end > room.start+room.length {
		what := "what is planned"
		if keeps {
			what += ", which must fit before the cache that stays,"
		} else if cache > 0 {
			what += ", beside the cache,"
		}
		return 0, tooSmall(d, what, end-room.start, max(room.length, 0))
	}
	if len(fillers) == 0 {
		return 0, a.checkContainer(d)
	}
	_, end := a.place(room.start, 0, sector)
	left := room.length - (roundUp(end, alignment) - room.start)
	return max(minimum, roundDown(left/int64(len(fillers)), alignment)), a.checkContainer(d)
}

// checkContainer refuses a container of a given size in which its logical partitions do not fit.
func (a arrangement) checkContainer(d Disk) error {
	for _, p := range a.primaries {
		if !a.container(p) || p.Bytes == 0 {
			continue
		}
		if _, end := a.placeLogicals(0, least(unsized(a.logicals)), int64(d.sector())); end > p.Bytes {
			return tooSmall(d, fmt.Sprintf("the extended partition %d", p.Number), end, p.Bytes)
		}
	}
	return nil
}

// place lays the partitions out from start on, with share bytes for each filler, and returns them and the byte at which the last one ends.
func (a arrangement) place(start, share, sector int64) (entries []entry, end int64) {
	end = start
	for _, p := range a.primaries {
		e := entry{number: p.Number, start: roundUp(end, alignment) / sector, typ: p.typeID(a.table), bootable: p.Bootable, name: p.gptName(a.table)}
		size := p.Bytes
		if a.container(p) && len(a.logicals) > 0 {
			inner := share
			if p.Bytes > 0 {
				inner = a.innerShare(p.Bytes)
			}
			logicals, until := a.placeLogicals(e.start*sector, inner, sector)
			entries = append(entries, logicals...)
			size = max(size, until-e.start*sector)
		} else if size == 0 {
			size = share
		}
		e.sectors = roundUp(size, sector) / sector
		end = e.end() * sector
		entries = append(entries, e)
	}
	return entries, end
}

// innerShare is what each filler gets of a container of a given size.
func (a arrangement) innerShare(size int64) int64 {
	n := len(unsized(a.logicals))
	if n == 0 {
		return 0
	}
	_, end := a.placeLogicals(0, 0, 1)
	return max(least(unsized(a.logicals)), roundDown((size-roundUp(end, alignment))/int64(n), alignment))
}

// placeLogicals lays out the logical partitions of a container that begins at start. Each has 1 MiB before it, for the sector that describes it.
func (a arrangement) placeLogicals(start, share, sector int64) (entries []entry, end int64) {
	end = start
	for _, p := range a.logicals {
		size := p.Bytes
		if size == 0 {
			size = share
		}
		e := entry{number: p.Number, start: (roundUp(end, alignment) + alignment) / sector, sectors: roundUp(size, sector) / sector, typ: p.typeID(a.table)}
		end = e.end() * sector
		entries = append(entries, e)
	}
	return entries, end
}

// gptName is how p is called in a GPT: as its filesystem, when there is room.
func (p Planned) gptName(table string) string {
	if table != labelGPT || utf16Count(p.Label) > gptNameUnits {
		return ""
	}
	return p.Label
}
