package disk

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// A Scheme says how a disk is to be partitioned and formatted.
type Scheme struct {
	// Table is "dos" or "gpt". When it is empty the table stays, apart from the cache: Partitions are then those to be formatted.
	Table      string    `json:"table,omitempty"`
	Partitions []Planned `json:"partitions,omitempty"` // by number
	// Cache is how large the cache partition at the end of the disk is to be, in bytes: KeepCache to leave one that is there in its place and as it is,
	// 0 for none. A cache that is there and has the size already is left as it is too.
	Cache int64 `json:"cache"`
}

// KeepCache leaves the cache partition alone, if there is one.
const KeepCache = -1

// A Planned is one partition of a Scheme.
type Planned struct {
	Number int `json:"number"` // as in Partition: of a dos table 1 to 4, and logical ones from 5 on
	// Type is OpenGnsys' name: NTFS, LINUX, EFI, LINUX-SWAP, EXTENDED ...; what Filesystem suggests when empty. One that has no name there
	// is written as in Partition.Type.
	Type       string `json:"type,omitempty"`
	Filesystem string `json:"filesystem,omitempty"` // to make: EXT4, NTFS, FAT32, LINUX-SWAP ...; empty to leave it without
	Label      string `json:"label,omitempty"`
	Bytes      int64  `json:"bytes"` // 0: what the others leave, in equal shares
	Bootable   bool   `json:"bootable,omitempty"`
}

const (
	// minCache is the smallest cache partition, OpenGnsys' 25000 sectors.
	minCache = 25000 * 512
	// maxPlanned bounds a size that is asked for, so that sums of them cannot overflow: 1 EiB.
	maxPlanned = 1 << 60
)

// alignment is that of partitions, in bytes: what every tool of the last 15 years does, and every SSD likes.
const alignment = 1 << 20

func roundUp(n, to int64) int64 { return (n + to - 1) / to * to }

func roundDown(n, to int64) int64 { return n / to * to }

var hexPattern = regexp.MustCompile(`^[0-9A-F]{2}$`)

// Check refuses a scheme that contradicts itself or that no disk can have, with an *Error of kind BadTable.
func (s Scheme) Check() error {
	err := s.checkFrame()
	for _, p := range s.Partitions {
		if err == nil {
			err = p.check(s.Table)
		}
	}
	if err == nil && s.Table != "" {
		err = s.checkTogether()
	}
	if err == nil {
		return nil
	}
	return &Error{Kind: BadTable, Problem: "this partitioning is not possible", Advice: "change what is wrong in it; nothing was written", Err: err}
}

func (s Scheme) checkFrame() error {
	switch {
	case !slices.Contains([]string{"", labelDOS, labelGPT}, s.Table):
		return fmt.Errorf("the table is %s or %s, not %.40q", labelDOS, labelGPT, s.Table)
	case s.Cache < KeepCache:
		return fmt.Errorf("a cache of %d bytes", s.Cache)
	case s.Cache > 0 && s.Cache < minCache:
		return fmt.Errorf("a cache of %s: it has at least %s", FormatBytes(s.Cache), FormatBytes(minCache))
	case s.Cache > maxPlanned:
		return fmt.Errorf("a cache of %s is larger than any disk", FormatBytes(s.Cache))
	case len(s.Partitions) > gptEntries:
		return fmt.Errorf("%d partitions: a table has at most %d", len(s.Partitions), gptEntries)
	}
	seen := map[int]bool{}
	for _, p := range s.Partitions {
		if seen[p.Number] {
			return fmt.Errorf("partition %d is listed twice", p.Number)
		}
		seen[p.Number] = true
	}
	return nil
}

// check refuses what is wrong with p, whatever the others.
func (p Planned) check(table string) error {
	err := p.checkNumbers(table)
	if err == nil {
		err = p.checkType(table)
	}
	if err == nil && p.Filesystem == "" && p.Label != "" {
		err = errors.New("it has a label and no filesystem that could bear it")
	}
	if f, ok := filesystemNamed(p.Filesystem); err == nil && p.Filesystem != "" {
		switch {
		case !ok:
			err = fmt.Errorf("filesystem %.40q cannot be made: it is one of %s", p.Filesystem, strings.Join(Filesystems(), ", "))
		case p.Bytes > 0 && table != "":
			err = errors.Join(f.checkLabel(p.Label), f.checkSize(p.Bytes))
		default:
			err = f.checkLabel(p.Label)
		}
	}
	if err != nil {
		return fmt.Errorf("partition %d: %w", p.Number, err)
	}
	return nil
}

func (p Planned) checkNumbers(table string) error {
	switch {
	case p.Number < 1 || p.Number > gptEntries:
		return fmt.Errorf("partitions are numbered from 1 to %d", gptEntries)
	case p.Bytes < 0:
		return fmt.Errorf("a size of %d bytes", p.Bytes)
	case p.Bytes > maxPlanned:
		return fmt.Errorf("%s are more than any disk has", FormatBytes(p.Bytes))
	case p.Bootable && table == labelGPT:
		return errors.New("only a dos table marks a partition to start from")
	case p.Bootable && p.Number > 4 && table == labelDOS:
		return errors.New("a logical partition cannot be the one to start from")
	case table == "" && p.Filesystem == "":
		return errors.New("the table stays, and there is no filesystem to make")
	}
	return nil
}

// checkType refuses a type that is unknown or does not go with table or filesystem.
func (p Planned) checkType(table string) error {
	if p.Type == "" && p.Filesystem == "" {
		return errors.New("it has neither a type nor a filesystem")
	}
	t, known := p.kind()
	switch {
	case known && t.Name == TypeCache:
		return errors.New("the cache is not one of the partitions: its size is given apart")
	case table == "":
		return nil // what type it has, the disk tells
	case p.typeID(table) == "" && known:
		return fmt.Errorf("a %s table has no partitions of type %s", table, t.Name)
	case p.typeID(table) == "":
		return fmt.Errorf("type %.40q is not known", p.Type)
	case p.extended() && p.Number > 4:
		return errors.New("an extended partition is one of the first four")
	case known && p.Filesystem != "" && len(t.Filesystems) == 0:
		return fmt.Errorf("no filesystem can be made in a partition of type %s", t.Name)
	}
	f, ok := filesystemNamed(p.Filesystem)
	if known && ok && !slices.Contains(t.Filesystems, f.name) {
		return fmt.Errorf("%s is not made in partitions of type %s: there it is one of %s", f.name, t.Name, strings.Join(t.Filesystems, ", "))
	}
	return nil
}

// kind is the type by name that p is to have.
func (p Planned) kind() (Type, bool) {
	if p.Type != "" {
		return TypeNamed(p.Type)
	}
	f, ok := filesystemNamed(p.Filesystem)
	if !ok {
		return Type{}, false
	}
	return TypeNamed(f.typ)
}

// typeID is what stands for the type of p in a table, "" when the table cannot have it.
func (p Planned) typeID(table string) string {
	if t, ok := p.kind(); ok {
		return t.id(table)
	}
	switch raw := strings.ToUpper(p.Type); {
	case raw == "00" || raw == "EE" || raw == "CA" || raw == "A7": // no partition, the protection of a GPT, the cache
		return ""
	case table == labelDOS && hexPattern.MatchString(raw), table == labelGPT && guidPattern.MatchString(raw):
		return raw
	}
	return ""
}

func (p Planned) extended() bool { return isExtended(p.typeID(labelDOS)) && p.typeID(labelGPT) == "" }

// logical tells whether p lies inside the extended partition of a dos table.
func (p Planned) logical(table string) bool { return table == labelDOS && p.Number > 4 }

// checkTogether refuses partitions of which each is possible and all together are not.
func (s Scheme) checkTogether() error {
	var primaries, logicals, bootable int
	var extended *Planned
	var inside int64 // what the logical partitions take, with what precedes each
	highest := 4
	for i, p := range s.Partitions {
		switch {
		case p.logical(s.Table):
			logicals++
			highest = max(highest, p.Number)
			inside += roundUp(p.Bytes, alignment) + alignment
		case s.Table == labelDOS && p.extended() && extended != nil:
			return fmt.Errorf("partitions %d and %d are both extended", extended.Number, p.Number)
		case s.Table == labelDOS && p.extended():
			extended = &s.Partitions[i]
			primaries++
		default:
			primaries++
		}
		if p.Bootable {
			bootable++
		}
	}
	if logicals > 0 && extended == nil {
		primaries++ // the one that is made for them
	}
	if s.Cache > 0 {
		primaries++
	}
	switch {
	case highest-4 != logicals && s.Table == labelDOS:
		return fmt.Errorf("logical partitions are numbered one after the other from 5 on: there are %d up to number %d", logicals, highest)
	case s.Table == labelDOS && primaries > 4:
		return fmt.Errorf("a dos table has 4 partitions beside the logical ones, and these are %d with the cache and the one that holds the logical ones", primaries)
	case s.Table == labelGPT && primaries > gptEntries:
		return fmt.Errorf("%d partitions with the cache: a table has at most %d", primaries, gptEntries)
	case bootable > 1:
		return fmt.Errorf("%d partitions are marked to be started from: one can be", bootable)
	case extended != nil && extended.Bytes > 0 && inside > extended.Bytes:
		return fmt.Errorf("the logical partitions need %s and the extended partition has %s", FormatBytes(inside), FormatBytes(extended.Bytes))
	}
	return nil
}
