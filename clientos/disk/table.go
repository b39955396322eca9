package disk

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// A table is a partition table as `sfdisk --dump` writes it. A table that parseTable returned has passed check: its
// values are safe to hand to sfdisk and its partitions do not overlap.
type table struct {
	label      string // "dos" or "gpt"
	id         string // disk signature (0x1234abcd) or GUID in capitals
	sectorSize int    // 0 when the dump does not say (sfdisk before 2.35)
	firstLBA   int64  // gpt: first sector that partitions may use, 0 when not stated
	length     int    // gpt: number of entries, 0 for the usual 128
	entries    []entry
}

// An entry is one partition of a table. Sectors are those of the disk.
type entry struct {
	number   int
	start    int64
	sectors  int64
	typ      string // dos: two hexadecimal digits in capitals; gpt: GUID in capitals
	uuid     string // gpt
	name     string // gpt
	attrs    string // gpt, in sfdisk's words
	bootable bool   // dos
}

func (e entry) end() int64 { return e.start + e.sectors }

// extended tells whether e is the container of the logical partitions of a dos table.
func (e entry) extended() bool { return isExtended(e.typ) }

const (
	labelDOS = "dos"
	labelGPT = "gpt"

	// gptEntryBytes is the size of one entry of a GPT (UEFI 2.10, 5.3.2), of which usually gptEntries exist.
	gptEntryBytes = 128
	gptEntries    = 128
	// gptNameUnits is how many UTF-16 code units a GPT partition name has room for.
	gptNameUnits = 36
	// maxLogical is the highest number that sfdisk gives to a logical partition.
	maxLogical = 128
)

var (
	guidPattern  = regexp.MustCompile(`^[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}$`)
	uuidPattern  = regexp.MustCompile(`^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$`)
	dosIDPattern = regexp.MustCompile(`^0x[0-9a-f]{1,8}$`)
	attrsPattern = regexp.MustCompile(`^[A-Za-z0-9:, ]*$`)
)

// check refuses a table that sfdisk would misread or that no disk can have.
func (t *table) check() error {
	if t.sectorSize != 0 && t.sectorSize != 512 && t.sectorSize != 4096 {
		return fmt.Errorf("sector size %d is neither 512 nor 4096", t.sectorSize)
	}
	t.id = strings.ToUpper(t.id)
	switch t.label {
	case labelDOS:
		t.id = strings.ToLower(t.id)
		if !dosIDPattern.MatchString(t.id) {
			return fmt.Errorf("disk signature %q is not 0x and hexadecimal digits", t.id)
		}
	case labelGPT:
		if !guidPattern.MatchString(t.id) {
			return fmt.Errorf("disk identifier %q is not a GUID", t.id)
		}
		if t.length < 0 || t.length > 1024 || t.firstLBA < 0 || t.firstLBA > 1<<20 {
			return fmt.Errorf("table of %d entries with partitions from sector %d on: out of range", t.length, t.firstLBA)
		}
	default:
		return fmt.Errorf("kind of partition table %q is neither dos nor gpt", t.label)
	}
	for i, e := range t.entries {
		if err := t.checkEntry(e); err != nil {
			return fmt.Errorf("partition %d: %w", e.number, err)
		}
		if i > 0 && t.entries[i-1].number == e.number {
			return fmt.Errorf("partition %d is listed twice", e.number)
		}
	}
	return t.checkOverlap()
}

func (t *table) checkEntry(e entry) error {
	if e.start < 1 || e.sectors < 1 || e.start > 1<<49 || e.sectors > 1<<49 {
		return fmt.Errorf("start %d and size %d are not possible", e.start, e.sectors)
	}
	if t.label == labelDOS {
		if e.number < 1 || e.number > maxLogical || e.end() > 1<<32 {
			return fmt.Errorf("number or sectors %d to %d are not possible in a dos table", e.start, e.end()-1)
		}
		if n, err := strconv.ParseUint(e.typ, 16, 8); err != nil || n == 0 {
			return fmt.Errorf("type %q is not a hexadecimal byte", e.typ)
		}
		if e.extended() && e.number > 4 {
			return fmt.Errorf("an extended partition must be one of the first four")
		}
		return nil
	}
	switch {
	case e.number < 1 || e.number > max(t.length, gptEntries):
		return fmt.Errorf("number is not possible in a gpt table")
	case e.start*int64(t.sectorBytes()) < t.reservedBytes():
		return fmt.Errorf("start %d is inside the table", e.start)
	case !guidPattern.MatchString(e.typ):
		return fmt.Errorf("type %q is not a GUID", e.typ)
	case e.uuid != "" && !guidPattern.MatchString(e.uuid):
		return fmt.Errorf("identifier %q is not a GUID", e.uuid)
	case !attrsPattern.MatchString(e.attrs):
		return fmt.Errorf("attributes %q are not understood", e.attrs)
	case !utf8.ValidString(e.name) || strings.ContainsRune(e.name, 0) || len(utf16.Encode([]rune(e.name))) > gptNameUnits:
		return fmt.Errorf("name %q is not text of at most %d characters", e.name, gptNameUnits)
	}
	return nil
}

// checkOverlap makes sure that primaries are apart from each other, and logicals from each other and inside the extended partition.
func (t *table) checkOverlap() error {
	var primaries, logicals []entry
	var extended *entry
	for i, e := range t.entries {
		switch {
		case t.label == labelDOS && e.number > 4:
			logicals = append(logicals, e)
			continue
		case t.label == labelDOS && e.extended():
			if extended != nil {
				return fmt.Errorf("partitions %d and %d are both extended", extended.number, e.number)
			}
			extended = &t.entries[i]
		}
		primaries = append(primaries, e)
	}
	for _, e := range logicals {
		if extended == nil || e.start <= extended.start || e.end() > extended.end() {
			return fmt.Errorf("logical partition %d is not inside an extended partition", e.number)
		}
	}
	for _, group := range [][]entry{primaries, logicals} {
		slices.SortFunc(group, func(a, b entry) int {
			if a.start < b.start {
				return -1
			}
			return 1
		})
		for i := 1; i < len(group); i++ {
			if group[i].start < group[i-1].end() {
				return fmt.Errorf("partitions %d and %d overlap", group[i-1].number, group[i].number)
			}
		}
	}
	return nil
}

func (t *table) sectorBytes() int {
	if t.sectorSize == 0 {
		return 512
	}
	return t.sectorSize
}

// reservedBytes is where the table at the start of the disk ends: after the MBR's sector, or after the GPT's header and entries.
func (t *table) reservedBytes() int64 {
	sector := int64(t.sectorBytes())
	if t.label == labelDOS {
		return sector
	}
	length := int64(t.length)
	if length == 0 {
		length = gptEntries
	}
	entries := (length*gptEntryBytes + sector - 1) / sector
	return (2 + entries) * sector
}

// trailerBytes is what the table needs after the last partition: the GPT's copy at the end of the disk.
func (t *table) trailerBytes() int64 {
	if t.label == labelDOS {
		return 0
	}
	return t.reservedBytes() - int64(t.sectorBytes())
}

// firstStart is the byte at which the first partition starts, 0 without partitions.
func (t *table) firstStart() int64 {
	var first int64
	for _, e := range t.entries {
		if start := e.start * int64(t.sectorBytes()); first == 0 || start < first {
			first = start
		}
	}
	return first
}

// neededBytes is the size of the smallest disk that holds the table and its partitions.
func (t *table) neededBytes() int64 {
	end := t.reservedBytes()
	for _, e := range t.entries {
		end = max(end, e.end()*int64(t.sectorBytes()))
	}
	return end + t.trailerBytes()
}

// differsFrom tells in words how t differs from want, or "" when sfdisk made what was wanted.
func (t *table) differsFrom(want table) string {
	switch {
	case t.label != want.label:
		return fmt.Sprintf("the table is %s instead of %s", t.label, want.label)
	case t.id != want.id:
		return fmt.Sprintf("the disk's identifier is %s instead of %s", t.id, want.id)
	case len(t.entries) != len(want.entries):
		return fmt.Sprintf("there are %d partitions instead of %d", len(t.entries), len(want.entries))
	}
	for i, got := range t.entries {
		expected := want.entries[i]
		if expected.uuid == "" {
			expected.uuid = got.uuid
		}
		if got != expected {
			return fmt.Sprintf("partition %d is %+v instead of %+v", expected.number, got, expected)
		}
	}
	return ""
}
