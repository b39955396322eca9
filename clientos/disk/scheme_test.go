package disk

import (
	"errors"
	"strings"
	"testing"
)

const (
	mib = int64(1) << 20
	gib = int64(1) << 30
)

// wantError fails the test unless err is an *Error of the kind that says the words and what to do.
func wantError(t *testing.T, err error, kind Kind, words ...string) {
	t.Helper()
	e, ok := errors.AsType[*Error](err)
	if !ok {
		t.Fatalf("got error %v, want an *Error", err)
	}
	if e.Kind != kind || e.Advice == "" {
		t.Errorf("got kind %d with advice %q (%v), want kind %d with some", e.Kind, e.Advice, err, kind)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("got %q, want it to say %q", err, w)
		}
	}
}

func TestSchemeCheck(t *testing.T) {
	t.Parallel()
	ext4 := func(n int) Planned { return Planned{Number: n, Filesystem: "EXT4"} }
	four := []Planned{ext4(1), ext4(2), ext4(3), ext4(4)}
	for name, s := range map[string]Scheme{
		"four primaries":            {Table: "dos", Partitions: four},
		"four and perhaps a cache":  {Table: "dos", Partitions: four, Cache: KeepCache},
		"three and a cache":         {Table: "dos", Partitions: four[:3], Cache: gib},
		"logicals":                  {Table: "dos", Partitions: []Planned{ext4(1), ext4(5), ext4(6)}, Cache: gib},
		"container planned":         {Table: "dos", Partitions: []Planned{ext4(1), {Number: 2, Type: "extended", Bytes: 4 * gib}, ext4(5)}},
		"types by other names":      {Table: "gpt", Partitions: []Planned{{Number: 1, Type: "NTFS"}, {Number: 2, Type: "ext3", Filesystem: "XFS"}, {Number: 3, Type: "EFI", Filesystem: "FAT32"}}},
		"types without a name":      {Table: "dos", Partitions: []Planned{{Number: 1, Type: "12"}, {Number: 2, Type: "07", Filesystem: "EXT4"}}},
		"GUID without a name":       {Table: "gpt", Partitions: []Planned{{Number: 1, Type: "11111111-2222-4333-8444-555555555555"}}},
		"only formatting":           {Partitions: []Planned{ext4(7)}, Cache: KeepCache},
		"only the cache":            {Cache: gib},
		"BIOS boot and many on GPT": {Table: "gpt", Partitions: []Planned{{Number: 1, Type: "BIOS-BOOT", Bytes: mib}, ext4(9), ext4(128)}},
	} {
		if err := s.Check(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for words, s := range map[string]Scheme{
		"dos or gpt, not":         {Table: "lvm"},
		"listed twice":            {Table: "dos", Partitions: []Planned{ext4(1), ext4(1)}},
		"numbered from 1":         {Table: "gpt", Partitions: []Planned{ext4(0)}},
		"to 128":                  {Table: "gpt", Partitions: []Planned{ext4(129)}},
		"a size of -1":            {Table: "gpt", Partitions: []Planned{{Number: 1, Type: "LINUX", Bytes: -1}}},
		"more than any disk":      {Table: "gpt", Partitions: []Planned{{Number: 1, Type: "LINUX", Bytes: 1<<60 + 1}}},
		"a cache of -2":           {Table: "gpt", Cache: -2},
		"it has at least":         {Table: "gpt", Cache: mib},
		"larger than any":         {Table: "gpt", Cache: 1<<60 + 1},
		"one after the other":     {Table: "dos", Partitions: []Planned{ext4(5), ext4(7)}},
		"has 4 partitions":        {Table: "dos", Partitions: four, Cache: gib},
		"these are 5":             {Table: "dos", Partitions: append(four[:4:4], ext4(5))},
		"both extended":           {Table: "dos", Partitions: []Planned{{Number: 1, Type: "EXTENDED"}, {Number: 2, Type: "EXTENDED"}}},
		"first four":              {Table: "dos", Partitions: []Planned{{Number: 5, Type: "EXTENDED"}}},
		"the extended partition":  {Table: "dos", Partitions: []Planned{{Number: 1, Type: "EXTENDED", Bytes: gib}, {Number: 5, Type: "LINUX", Bytes: gib}}},
		"of type EXTENDED":        {Table: "gpt", Partitions: []Planned{{Number: 1, Type: "EXTENDED"}}},
		"of type BIOS-BOOT":       {Table: "dos", Partitions: []Planned{{Number: 1, Type: "BIOS-BOOT"}}},
		"is not known":            {Table: "dos", Partitions: []Planned{{Number: 1, Type: "PLAN9"}}},
		`"ee" is not known`:       {Table: "dos", Partitions: []Planned{{Number: 1, Type: "ee"}}},
		"not one of the":          {Table: "dos", Partitions: []Planned{{Number: 1, Type: "CACHE"}}},
		"cannot be made":          {Table: "dos", Partitions: []Planned{{Number: 1, Type: "LINUX", Filesystem: "REISERFS"}}},
		"neither a type nor":      {Table: "dos", Partitions: []Planned{{Number: 1}}},
		"there it is one of":      {Table: "dos", Partitions: []Planned{{Number: 1, Type: "LINUX", Filesystem: "NTFS"}}},
		"no filesystem can be":    {Table: "dos", Partitions: []Planned{{Number: 1, Type: "EXTENDED", Filesystem: "EXT4"}}},
		"has 17 characters":       {Table: "dos", Partitions: []Planned{{Number: 1, Filesystem: "EXT4", Label: "seventeen letters"}}},
		"letters that FAT32":      {Table: "dos", Partitions: []Planned{{Number: 1, Filesystem: "FAT32", Label: "AÑO"}}},
		"not plain text":          {Table: "dos", Partitions: []Planned{{Number: 1, Filesystem: "NTFS", Label: "a\nb"}}},
		"the cache partition":     {Table: "dos", Partitions: []Planned{{Number: 1, Filesystem: "EXT4", Label: "CACHE"}}},
		"no filesystem that":      {Table: "dos", Partitions: []Planned{{Number: 1, Type: "LINUX", Label: "data"}}},
		"XFS needs at least":      {Table: "dos", Partitions: []Planned{{Number: 1, Filesystem: "XFS", Bytes: 100 * mib}}},
		"FAT16 can have at most":  {Table: "dos", Partitions: []Planned{{Number: 1, Filesystem: "FAT16", Bytes: 5 * gib}}},
		"marked to be started":    {Table: "dos", Partitions: []Planned{{Number: 1, Type: "LINUX", Bootable: true}, {Number: 2, Type: "LINUX", Bootable: true}}},
		"only a dos table marks":  {Table: "gpt", Partitions: []Planned{{Number: 1, Type: "LINUX", Bootable: true}}},
		"a logical partition":     {Table: "dos", Partitions: []Planned{{Number: 5, Type: "LINUX", Bootable: true}}},
		"there is no filesystem":  {Partitions: []Planned{{Number: 1, Type: "LINUX"}}},
		"at most 128":             {Table: "gpt", Partitions: make([]Planned, 200)},
		"129 partitions with the": {Table: "gpt", Cache: gib, Partitions: manyPlanned(128)},
	} {
		err := s.Check()
		if err == nil {
			t.Errorf("%s: %+v passed", words, s)
			continue
		}
		wantError(t, err, BadTable, words)
	}
}

func manyPlanned(n int) []Planned {
	list := make([]Planned, n)
	for i := range list {
		list[i] = Planned{Number: i + 1, Type: "LINUX"}
	}
	return list
}

func TestTypes(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, typ := range Types() {
		if seen[typ.Name] {
			t.Errorf("type %s is listed twice", typ.Name)
		}
		seen[typ.Name] = true
		for _, id := range typ.IDs {
			if !hexPattern.MatchString(id) {
				t.Errorf("type %s: %q is no byte of an MBR", typ.Name, id)
			}
		}
		for _, id := range typ.GUIDs {
			if !guidPattern.MatchString(id) {
				t.Errorf("type %s: %q is no GUID", typ.Name, id)
			}
		}
		if len(typ.IDs)+len(typ.GUIDs) == 0 {
			t.Errorf("type %s is in no table", typ.Name)
		}
		for _, name := range typ.Filesystems {
			if _, ok := filesystemNamed(name); !ok {
				t.Errorf("type %s: filesystem %s cannot be made", typ.Name, name)
			}
		}
	}
	for _, f := range filesystems {
		if typ, ok := TypeNamed(f.typ); !ok || !typ.In("dos") || !typ.In("gpt") {
			t.Errorf("%s belongs into partitions of type %s, which not every table has", f.name, f.typ)
		}
	}
	for want, p := range map[string]Partition{
		"NTFS": {Type: "07"}, "WINDOWS": {Type: guidBasic}, "LINUX": {Type: "83"}, "CACHE": {Type: "A7"}, "EXTENDED": {Type: "0F"}, "FAT32": {Type: "0B"},
		"HNTFS-WINRE": {Type: "27"}, "WIN-RECOV": {Type: guidRecovery}, "EFI": {Type: typeESPGPT}, "LINUX-SWAP": {Type: typeSwapGPT}, "": {Type: "42"},
	} {
		kind, ok := p.Kind()
		if kind.Name != want || ok != (want != "") {
			t.Errorf("type %s: got %q, want %q", p.Type, kind.Name, want)
		}
	}
	if kind, _ := (Partition{Type: guidLinux, Name: "CACHE"}).Kind(); kind.Name != "CACHE" || kind.Clonable {
		t.Errorf("Linux with the name CACHE: got %+v, want the cache, which nobody clones", kind)
	}
	if kind, _ := (Partition{Type: guidLinux, Name: "data"}).Kind(); kind.Name != "LINUX" || !kind.Clonable {
		t.Errorf("Linux with another name: got %+v", kind)
	}
}

func TestFindCache(t *testing.T) {
	t.Parallel()
	plain := Partition{Number: 1, Type: "83"}
	byType, byName, byLabel := Partition{Number: 4, Type: "CA"}, Partition{Number: 3, Type: guidLinux, Name: "CACHE"}, Partition{Number: 2, Type: "83", Label: "CACHE"}
	on := func(number int, partitions ...Partition) Disk { return Disk{Number: number, Partitions: partitions} }
	for name, test := range map[string]struct {
		disks           []Disk
		disk, partition int
	}{
		"none":                    {[]Disk{on(1, plain), on(2)}, 0, 0},
		"by type":                 {[]Disk{on(1, plain), on(2, plain, byType)}, 2, 4},
		"name before type":        {[]Disk{on(1, plain, byType), on(2, byName)}, 2, 3},
		"label before all":        {[]Disk{on(1, byType), on(2, byName), on(3, plain, byLabel)}, 3, 2},
		"the first of two labels": {[]Disk{on(1, plain, byLabel), on(2, byLabel)}, 1, 2},
	} {
		d, p, ok := FindCache(test.disks)
		if d.Number != test.disk || p.Number != test.partition || ok != (test.disk > 0) {
			t.Errorf("%s: got disk %d, partition %d, %v; want %d and %d", name, d.Number, p.Number, ok, test.disk, test.partition)
		}
	}
}
