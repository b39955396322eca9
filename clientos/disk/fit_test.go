package disk

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// modelOf makes a layout of a disk of size bytes from "number start size type [name]" lines, in MiB.
func modelOf(t *testing.T, table string, size int64, lines ...string) Layout {
	t.Helper()
	kind := map[string]string{"linux": guidLinux, "basic": guidBasic, "swap": typeSwapGPT, "efi": typeESPGPT, "recovery": guidRecovery}
	var dump strings.Builder
	fmt.Fprintf(&dump, "label: %s\nlabel-id: %s\nunit: sectors\nsector-size: 512\n\n", table, newTableID(table))
	for _, line := range lines {
		var number int
		var start, length float64
		var typ, name string
		if n, err := fmt.Sscan(line, &number, &start, &length, &typ, &name); n < 4 {
			t.Fatalf("%q: %v", line, err)
		}
		if guid := kind[typ]; guid != "" {
			typ = guid
		}
		fmt.Fprintf(&dump, "%d : start=%d, size=%d, type=%s", number, int64(start*2048), int64(length*2048), typ)
		if name != "" {
			fmt.Fprintf(&dump, ", name=%q", name)
		}
		dump.WriteByte('\n')
	}
	l := Layout{Version: 1, Table: table, SectorSize: 512, DiskBytes: size, Dump: dump.String()}
	if err := l.Check(); err != nil {
		t.Fatal(err)
	}
	return l
}

var (
	// windowsModel is a disk of 64 GiB as Windows' installer leaves it, and linuxModel one of 32 GiB of Debian's with logical partitions.
	windowsModel = []string{"1 1 100 efi", "2 101 16 E3C9E316-0B5C-4DB8-817D-F92DF00215AE", "3 117 64818 basic", "4 64935 600 recovery"}
	linuxModel   = []string{"1 1 20479 83", "2 20481 12286 05", "5 20482 11261 83", "6 31744 1023 82"}
	cachedModel  = []string{"1 1 20479 07", "2 20480 2048 82", "4 22528 10240 CA"}
)

func TestFitTo(t *testing.T) {
	t.Parallel()
	of := func(size int64) Disk { return Disk{Number: 1, Bytes: size, SectorSize: 512} }
	kept := func(start, size int64) *Partition {
		return &Partition{Number: 4, Start: start, Bytes: size, Type: "CA", Label: "CACHE"}
	}
	windows := modelOf(t, "gpt", 64*gib, windowsModel...)
	linux := modelOf(t, "dos", 32*gib, linuxModel...)
	cached := modelOf(t, "dos", 32*gib, cachedModel...)
	cachedGPT := modelOf(t, "gpt", 32*gib, "1 1 512 efi", "2 513 20000 linux", "3 20513 12254 linux CACHE")
	slack := modelOf(t, "dos", 100*gib, "1 1 20479 83")
	for name, test := range map[string]struct {
		layout Layout
		disk   Disk
		needs  map[int]int64
		grow   int
		keep   *Partition
		want   string
	}{
		"larger: the recovery partition moves back": {windows, of(128 * gib), map[int]int64{1: mib, 3: mib, 4: mib}, 0, nil,
			"1:1+100 EFI, 2:101+16 WIN-RESERV, 3:117+130354 WINDOWS, 4:130471+600 WIN-RECOV"},
		"larger without images": {windows, of(128 * gib), nil, 0, nil,
			"1:1+100 EFI, 2:101+16 WIN-RESERV, 3:117+130354 WINDOWS, 4:130471+600 WIN-RECOV"},
		"larger: a logical and its container": {linux, of(64 * gib), nil, 0, nil, "1:1+20479 LINUX, 2:20481+45054 EXTENDED, 5:20482+44029 LINUX, 6:64512+1023 LINUX-SWAP"},
		"larger: a chosen primary before the container": {linux, of(64 * gib), nil, 1, nil,
			"1:1+53247 LINUX, 2:53249+12286 EXTENDED, 5:53250+11261 LINUX, 6:64512+1023 LINUX-SWAP"},
		"larger: what has an image grows": {linux, of(64 * gib), map[int]int64{1: gib}, 0, nil,
			"1:1+53247 LINUX, 2:53249+12286 EXTENDED, 5:53250+11261 LINUX, 6:64512+1023 LINUX-SWAP"},
		"smaller": {windows, of(40 * gib), map[int]int64{3: 30 * gib}, 0, nil, "1:1+100 EFI, 2:101+16 WIN-RESERV, 3:117+40242 WINDOWS, 4:40359+600 WIN-RECOV"},
		"smaller: the last that suffices": {linux, of(20 * gib), map[int]int64{1: 2 * gib, 5: 10 * gib}, 0, nil,
			"1:1+8192 LINUX, 2:8194+12286 EXTENDED, 5:8195+11261 LINUX, 6:19457+1023 LINUX-SWAP"},
		"smaller, into what was free":      {slack, of(30 * gib), nil, 0, nil, "1:1+20479 LINUX"},
		"larger, what was free stays so":   {slack, of(110 * gib), nil, 0, nil, "1:1+30719 LINUX"},
		"larger: its own cache moves":      {cached, of(64 * gib), map[int]int64{1: gib}, 0, nil, "1:1+53247 NTFS, 2:53248+2048 LINUX-SWAP, 4:55296+10240 CACHE"},
		"smaller: its own cache gives way": {cached, of(23 * gib), map[int]int64{1: 20 * gib}, 0, nil, "1:1+21503 NTFS, 2:21504+2048 LINUX-SWAP"},
		"the same cache stays":             {cached, of(32 * gib), map[int]int64{1: gib}, 0, kept(22*gib, 10*gib), "1:1+20479 NTFS, 2:20480+2048 LINUX-SWAP, 4:22528+10240 CACHE"},
		"a smaller cache stays":            {cached, of(32 * gib), map[int]int64{1: gib}, 0, kept(30*gib, 2*gib), "1:1+28671 NTFS, 2:28672+2048 LINUX-SWAP, 4:30720+2048 CACHE"},
		"a larger cache stays":             {cached, of(32 * gib), map[int]int64{1: gib}, 0, kept(12*gib, 20*gib), "1:1+10239 NTFS, 2:10240+2048 LINUX-SWAP, 4:12288+20480 CACHE"},
		"a cache stays, the model has none": {linux, of(64 * gib), map[int]int64{1: gib, 5: gib}, 0, kept(60*gib, 4*gib),
			"1:1+20479 LINUX, 2:20481+40958 EXTENDED, 4:61440+4096 CACHE, 5:20482+39933 LINUX, 6:60416+1023 LINUX-SWAP"},
		"the cache of a GPT stays": {cachedGPT, of(64 * gib), map[int]int64{2: gib}, 0, kept(50*gib, 10*gib), "1:1+512 EFI, 2:513+50687 LINUX, 3:51200+10240 CACHE"},
	} {
		l, err := test.layout.FitTo(test.disk, test.needs, test.grow, test.keep)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := drawn(t, l); got != test.want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, test.want)
		}
		if err := l.Fits(test.disk); err != nil || l.DiskBytes != test.disk.Bytes {
			t.Errorf("%s: it is for a disk of %d bytes: %v", name, l.DiskBytes, err)
		}
	}
	if same, err := windows.FitTo(of(64*gib), nil, 0, nil); err != nil || !reflect.DeepEqual(same, windows) {
		t.Errorf("a disk of the same size: got %+v, %v; want the layout unchanged", same, err)
	}
	if number, ok := cachedGPT.CachePartition(); number != 3 || !ok {
		t.Errorf("cache partition: got %d, %v; want 3", number, ok)
	}
	if _, ok := windows.CachePartition(); ok {
		t.Error("a layout without a cache has one")
	}
}

func TestFitToKeepsIdentities(t *testing.T) {
	t.Parallel()
	l := modelOf(t, "gpt", 32*gib, "1 1 512 efi", "2 513 20000 linux", "3 20513 2000 swap", "4 22513 10254 linux CACHE")
	l.Dump = strings.Replace(l.Dump, "name=", `uuid=11111111-2222-4333-8444-555555555555, name=`, 1)
	l.Swaps = []Swap{{Partition: 3, UUID: "510e6b9d-8421-4495-b13f-a2559c13e558"}}
	l.Boots = []BootEntry{{Label: "debian", Loader: `\EFI\debian\shimx64.efi`, Partition: 1}, {Label: "cache", Loader: `\x.efi`, Partition: 4}}
	d := Disk{Number: 1, Bytes: 22 * gib, SectorSize: 512}
	fitted, err := l.FitTo(d, map[int]int64{2: gib}, 0, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(fitted.Dump, "uuid=11111111") || !reflect.DeepEqual(fitted.Boots, l.Boots) {
		t.Errorf("cut down, with its cache: got %s\n%+v", fitted.Dump, fitted.Boots)
	}
	d.Bytes = 20 * gib
	if fitted, err = l.FitTo(d, map[int]int64{2: 17 * gib}, 0, nil); err != nil {
		t.Fatal(err)
	}
	if len(fitted.Boots) != 1 || len(fitted.Swaps) != 1 {
		t.Errorf("without its cache: got boots %+v and swaps %+v, want one of each", fitted.Boots, fitted.Swaps)
	}
}

func TestFitToRefusals(t *testing.T) {
	t.Parallel()
	of := func(size int64) Disk { return Disk{Number: 1, Bytes: size, SectorSize: 512} }
	windows := modelOf(t, "gpt", 64*gib, windowsModel...)
	full := modelOf(t, "dos", 32*gib, "1 1 1023 83", "2 1024 1024 83", "3 2048 1024 83", "4 3072 1024 83")
	for name, test := range map[string]struct {
		layout Layout
		disk   Disk
		needs  map[int]int64
		grow   int
		keep   *Partition
		kind   Kind
		words  []string
	}{
		"image does not fit":     {windows, of(40 * gib), map[int]int64{3: 40 * gib}, 0, nil, TooSmall, []string{"disk 1 has room for partitions up to 42.9 GB", "are missing", "partition 3 was cut down to the 42.9 GB"}},
		"needs not known":        {windows, of(40 * gib), nil, 0, nil, TooSmall, []string{"are missing"}},
		"no image can be cut":    {windows, of(40 * gib), map[int]int64{1: mib}, 0, nil, TooSmall, []string{"no partition of those with images ([1])"}},
		"chosen cannot shrink":   {windows, of(40 * gib), map[int]int64{1: mib, 3: mib}, 1, nil, TooSmall, []string{"are missing"}},
		"chosen does not exist":  {windows, of(128 * gib), nil, 7, nil, BadTable, []string{"no partition 7"}},
		"other sectors":          {windows, Disk{Number: 1, Bytes: 64 * gib, SectorSize: 4096}, nil, 0, nil, BadTable, []string{"sectors of 4096"}},
		"cache behind GPT's end": {windows, of(64 * gib), nil, 0, &Partition{Number: 4, Start: 63 * gib, Bytes: gib}, TooSmall, []string{"the cache that stays"}},
		"no room before cache":   {windows, of(64 * gib), map[int]int64{3: 40 * gib}, 0, &Partition{Number: 4, Start: 10 * gib, Bytes: gib}, TooSmall, []string{"are missing"}},
		"no number for cache":    {full, of(32 * gib), nil, 0, &Partition{Number: 4, Start: 10 * gib, Bytes: gib}, BadTable, []string{"no number for the cache"}},
	} {
		_, err := test.layout.FitTo(test.disk, test.needs, test.grow, test.keep)
		t.Run(name, func(t *testing.T) { wantError(t, err, test.kind, test.words...) })
	}
}

// TestFitsHoldTogether has random layouts on disks of random sizes: nothing overlaps or gets smaller than its image, what does not grow keeps its size,
// what is before it its place, and the cache stays.
func TestFitsHoldTogether(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(6, 7))
	fitted, refused := 0, 0
	for range 10000 {
		table := []string{"dos", "gpt"}[random.IntN(2)]
		model := Disk{Number: 1, Bytes: 20*gib + random.Int64N(100*gib)/4096*4096, SectorSize: 512}
		l, err := randomScheme(random).withTableKind(table).Plan(model)
		if err != nil {
			continue
		}
		target := randomDisk(random)
		target.SectorSize = 512
		needs, before := map[int]int64{}, partitionsOf(t, l)
		for _, p := range before {
			if random.IntN(2) == 0 && !p.Extended() && !p.Cache() {
				needs[p.Number] = 1 + random.Int64N(p.Bytes)
			}
		}
		var keep *Partition
		if p, ok := target.cache(); ok && random.IntN(2) == 0 {
			keep = &p
		}
		after, err := l.FitTo(target, needs, 0, keep)
		if err != nil {
			refused++
			continue
		}
		fitted++
		if problem := wrongFit(t, target, before, partitionsOf(t, after), needs, keep); problem != "" {
			t.Fatalf("of %s\nto %d bytes, cache %+v, needs %v\n%s\n%s", l.Dump, target.Bytes, keep, needs, after.Dump, problem)
		}
		if err := after.Fits(target); err != nil {
			t.Fatal(err)
		}
	}
	if fitted < 1500 || refused < 100 {
		t.Errorf("%d fitted and %d were refused", fitted, refused)
	}
}

func (s Scheme) withTableKind(table string) Scheme {
	s.Table = table
	return s
}

func partitionsOf(t *testing.T, l Layout) []Partition {
	t.Helper()
	list, err := l.Partitions()
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func wrongFit(t *testing.T, d Disk, before, after []Partition, needs map[int]int64, keep *Partition) string {
	t.Helper()
	was, now := Disk{Partitions: before}, Disk{Partitions: after}
	ownCache, _ := was.cache()
	var changed []Partition // those of another size
	for _, p := range before {
		q, ok := now.Partition(p.Number)
		switch {
		case p.Number == ownCache.Number:
			continue
		case !ok:
			return fmt.Sprintf("partition %d is gone", p.Number)
		case q.Bytes < needs[p.Number]:
			return fmt.Sprintf("partition %d has %d bytes and its image needs %d", p.Number, q.Bytes, needs[p.Number])
		case q.Bytes != p.Bytes && !q.Extended():
			changed = append(changed, p)
		}
	}
	if len(changed) > 1 {
		return fmt.Sprintf("%d partitions changed their sizes", len(changed))
	}
	for _, p := range before {
		q, _ := now.Partition(p.Number)
		if len(changed) == 1 && p.Number != ownCache.Number && p.Start <= changed[0].Start && q.Start != p.Start {
			return fmt.Sprintf("partition %d moved, and is before the one that changed", p.Number)
		}
	}
	if keep == nil {
		return ""
	}
	if i := slices.IndexFunc(after, Partition.Cache); i < 0 || after[i].Start != keep.Start || after[i].Bytes != keep.Bytes {
		return "the cache did not stay"
	}
	for _, p := range after {
		if !p.Cache() && p.Start+p.Bytes > keep.Start {
			return fmt.Sprintf("partition %d reaches into the cache", p.Number)
		}
	}
	return ""
}

func TestBesideTheCache(t *testing.T) {
	t.Parallel()
	d := withCache(Disk{Number: 1, Bytes: 64 * gib, SectorSize: 512}, "dos", 4, 40*gib, 24*gib)
	cache := d.Partitions[0]
	l, number, err := modelOf(t, "dos", 32*gib, cachedModel...).beside(d, cache)
	if got, want := drawn(t, l), "1:1+20479 NTFS, 2:20480+2048 LINUX-SWAP, 4:40960+24576 CACHE"; err != nil || number != 4 || got != want {
		t.Errorf("got %s with cache %d, %v; want %s", got, number, err, want)
	}
	if again, number, err := l.beside(d, cache); err != nil || number != 4 || !reflect.DeepEqual(again, l) {
		t.Errorf("a layout that has it: got cache %d, %v", number, err)
	}
	cache.Start = 10 * gib
	_, _, err = modelOf(t, "dos", 32*gib, linuxModel...).beside(d, cache)
	wantError(t, err, TooSmall, "the cache of disk 1 begins at 10.7 GB", "are missing")
}

func TestLayoutBoots(t *testing.T) {
	t.Parallel()
	good := modelOf(t, "gpt", 64*gib, windowsModel...)
	good.Boots = []BootEntry{{Label: "Windows Boot Manager", Loader: `\EFI\Microsoft\Boot\bootmgfw.efi`, Partition: 1}}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
	for words, b := range map[string]BootEntry{
		"does not exist":        {Label: "x", Loader: `\x.efi`, Partition: 9},
		"is not plain text":     {Label: "", Loader: `\x.efi`, Partition: 1},
		`"a\nb" is not plain`:   {Label: "a\nb", Loader: `\x.efi`, Partition: 1},
		"no path from the root": {Label: "x", Loader: `x.efi`, Partition: 1},
		`loader "\\"`:           {Label: "x", Loader: `\`, Partition: 1},
	} {
		l := good
		l.Boots = []BootEntry{b}
		wantError(t, l.Check(), BadTable, words)
	}
	good.Boots = slices.Repeat(good.Boots, maxBoots+1)
	wantError(t, good.Check(), BadTable, "65 boot entries")
}
