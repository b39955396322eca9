package disk

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// drawn writes a plan as "1:1+1023 83*": number, start and size in MiB, type by name.
func drawn(t *testing.T, l Layout) string {
	t.Helper()
	partitions, err := l.Partitions()
	if err != nil {
		t.Fatal(err)
	}
	var parts []string
	for _, p := range partitions {
		kind, _ := p.Kind()
		text := fmt.Sprintf("%d:%.9g+%.9g %s", p.Number, float64(p.Start)/float64(mib), float64(p.Bytes)/float64(mib), kind.Name)
		if p.Bootable {
			text += "*"
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, ", ")
}

func withCache(d Disk, table string, number int, start, size int64) Disk {
	p := Partition{Number: number, Start: start, Bytes: size, Type: "CA", Filesystem: "EXT4", Label: "CACHE"}
	if table == "gpt" {
		p.Type, p.Name = guidLinux, "CACHE"
	}
	d.Table, d.TableID = table, newTableID(table)
	d.Partitions = append(slices.Clone(d.Partitions), p)
	return d
}

func TestPlan(t *testing.T) {
	t.Parallel()
	blank := Disk{Number: 1, Bytes: 100 * gib, SectorSize: 512}
	cached := withCache(blank, "dos", 4, 80*gib, 20*gib)
	cachedGPT := withCache(blank, "gpt", 3, 80*gib, 20*gib-2*mib)
	windows := Planned{Number: 1, Filesystem: "NTFS", Bytes: 40 * gib, Bootable: true}
	linux := func(n int) Planned { return Planned{Number: n, Filesystem: "EXT4"} }
	swap := Planned{Number: 3, Filesystem: "LINUX-SWAP", Bytes: 2 * gib}
	for name, test := range map[string]struct {
		disk   Disk
		scheme Scheme
		want   string
	}{
		"fixed, filling and a new cache": {blank, Scheme{Table: "dos", Partitions: []Planned{windows, linux(2), swap}, Cache: 20 * gib},
			"1:1+40960 NTFS*, 2:40961+38911 LINUX, 3:79872+2048 LINUX-SWAP, 4:81920+20480 CACHE"},
		"the cache stays": {cached, Scheme{Table: "dos", Partitions: []Planned{windows, linux(2)}, Cache: KeepCache},
			"1:1+40960 NTFS*, 2:40961+40959 LINUX, 4:81920+20480 CACHE"},
		"a cache of the same size stays": {cached, Scheme{Table: "dos", Partitions: []Planned{linux(1)}, Cache: 20 * gib},
			"1:1+81919 LINUX, 4:81920+20480 CACHE"},
		"the cache gives up its number": {cached, Scheme{Table: "dos", Partitions: []Planned{linux(4), linux(3)}, Cache: KeepCache},
			"1:81920+20480 CACHE, 3:1+40959 LINUX, 4:40960+40959 LINUX"},
		"no cache to keep": {blank, Scheme{Table: "dos", Partitions: []Planned{linux(1)}, Cache: KeepCache}, "1:1+102399 LINUX"},
		"the cache goes":   {cached, Scheme{Table: "dos", Partitions: []Planned{linux(1)}}, "1:1+102399 LINUX"},
		"logicals in a container of their own": {blank, Scheme{Table: "dos", Partitions: []Planned{windows, linux(5), {Number: 6, Type: "LINUX-SWAP", Bytes: gib}}, Cache: 20 * gib},
			"1:1+40960 NTFS*, 2:40961+40959 EXTENDED, 4:81920+20480 CACHE, 5:40962+39933 LINUX, 6:80896+1024 LINUX-SWAP"},
		"container of a size": {blank, Scheme{Table: "dos", Partitions: []Planned{{Number: 1, Type: "EXTENDED", Bytes: 10 * gib}, linux(2), linux(5), linux(6)}},
			"1:1+10240 EXTENDED, 2:10241+92159 LINUX, 5:2+5119 LINUX, 6:5122+5119 LINUX"},
		"shares across the container": {blank, Scheme{Table: "dos", Partitions: []Planned{linux(1), linux(5), linux(6)}},
			"1:1+34132 LINUX, 2:34133+68266 EXTENDED, 5:34134+34132 LINUX, 6:68267+34132 LINUX"},
		"gpt": {blank, Scheme{Table: "gpt", Partitions: []Planned{{Number: 1, Type: "EFI", Filesystem: "FAT32", Bytes: 512 * mib},
			{Number: 2, Type: "WIN-RESERV", Bytes: 16 * mib}, {Number: 3, Filesystem: "NTFS"}}, Cache: 10 * gib},
			"1:1+512 EFI, 2:513+16 WIN-RESERV, 3:529+91630 WINDOWS, 4:92159+10240 CACHE"},
		"the cache of a gpt stays": {cachedGPT, Scheme{Table: "gpt", Partitions: []Planned{linux(1)}, Cache: KeepCache},
			"1:1+81919 LINUX, 3:81920+20478 CACHE"},
		"from gpt to dos": {cachedGPT, Scheme{Table: "dos", Partitions: []Planned{linux(1)}, Cache: KeepCache},
			"1:1+81919 LINUX, 4:81920+20478 CACHE"},
		"sectors of 4096 bytes": {Disk{Number: 1, Bytes: 10 * gib, SectorSize: 4096}, Scheme{Table: "gpt", Partitions: []Planned{linux(1), linux(2)}},
			"1:1+5119 LINUX, 2:5120+5119 LINUX"},
		"3 TB with a dos table": {Disk{Number: 1, Bytes: 3 << 40, SectorSize: 512}, Scheme{Table: "dos", Partitions: []Planned{linux(1)}, Cache: gib},
			"1:1+2096127 LINUX, 4:2096128+1024 CACHE"},
		"only a new cache": {Disk{Number: 1, Bytes: 100 * gib, SectorSize: 512, Table: "dos", TableID: "0x1", Partitions: []Partition{{Number: 1, Start: mib, Bytes: 50 * gib, Type: "83"}}},
			Scheme{Cache: 40 * gib}, "1:1+51200 LINUX, 4:61440+40960 CACHE"},
		"only a larger cache": {withCache(Disk{Number: 1, Bytes: 100 * gib, SectorSize: 512, Partitions: []Partition{{Number: 1, Start: mib, Bytes: 50 * gib, Type: guidLinux}}}, "gpt", 7, 90*gib, 5*gib),
			Scheme{Cache: 30 * gib}, "1:1+51200 LINUX, 7:71679+30720 CACHE"},
		"only no cache":     {cached, Scheme{}, ""},
		"nothing to change": {cached, Scheme{Cache: KeepCache}, "4:81920+20480 CACHE"},
	} {
		l, err := test.scheme.Plan(test.disk)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := drawn(t, l); got != test.want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, test.want)
		}
		if err := l.Fits(test.disk); err != nil {
			t.Errorf("%s: the plan does not fit its own disk: %v", name, err)
		}
	}
}

func TestPlanRefusals(t *testing.T) {
	t.Parallel()
	blank := Disk{Number: 1, Bytes: 100 * gib, SectorSize: 512}
	cached := withCache(blank, "dos", 4, 80*gib, 20*gib)
	linux := func(n int, size int64) Planned { return Planned{Number: n, Filesystem: "EXT4", Bytes: size} }
	logicalCache := withCache(Disk{Number: 1, Bytes: 100 * gib, SectorSize: 512, Partitions: []Partition{
		{Number: 1, Start: mib, Bytes: 90 * gib, Type: "05"}, {Number: 6, Start: 50 * gib, Bytes: gib, Type: "83"}}}, "dos", 5, 2*mib, gib)
	for name, test := range map[string]struct {
		disk   Disk
		scheme Scheme
		kind   Kind
		words  []string
	}{
		"more than the disk": {blank, Scheme{Table: "dos", Partitions: []Planned{linux(1, 101*gib)}}, TooSmall,
			[]string{"what is planned on disk 1 needs 108.4 GB (108447924224 bytes) and there are 107.4 GB (107373133824 bytes): 1.1 GB (1074790400 bytes) are missing"}},
		"more than before the cache": {cached, Scheme{Table: "dos", Partitions: []Planned{linux(1, 85*gib)}, Cache: KeepCache}, TooSmall,
			[]string{"which must fit before the cache that stays", "are missing"}},
		"more than beside a new cache": {blank, Scheme{Table: "gpt", Partitions: []Planned{linux(1, 85*gib), linux(2, 0)}, Cache: 20 * gib}, TooSmall, []string{"beside the cache"}},
		"cache larger than the disk":   {blank, Scheme{Table: "gpt", Cache: 200 * gib}, TooSmall, []string{"the cache on disk 1 needs", "are missing"}},
		"gpt over a cache to the end":  {cached, Scheme{Table: "gpt", Partitions: []Planned{linux(1, 0)}, Cache: KeepCache}, TooSmall, []string{"the cache that stays, with a gpt table", "16.9 kB"}},
		"no number for the cache": {cached, Scheme{Table: "dos", Partitions: []Planned{linux(1, gib), linux(2, gib), linux(3, gib), linux(4, gib)}, Cache: KeepCache}, BadTable,
			[]string{"none is left for the cache"}},
		"too small for its filesystem": {Disk{Number: 1, Bytes: 200 * mib, SectorSize: 512}, Scheme{Table: "dos", Partitions: []Planned{{Number: 1, Filesystem: "XFS"}}}, TooSmall, []string{"needs"}},
		"too large for its filesystem": {blank, Scheme{Table: "dos", Partitions: []Planned{{Number: 1, Filesystem: "FAT16"}}}, BadTable, []string{"partition 1", "at most"}},
		"no table to stay":             {blank, Scheme{Cache: gib}, BadTable, []string{"no partition table"}},
		"end not free": {Disk{Number: 1, Bytes: 100 * gib, SectorSize: 512, Table: "dos", TableID: "0x1", Partitions: []Partition{{Number: 1, Start: mib, Bytes: 90 * gib, Type: "83"}}},
			Scheme{Cache: 20 * gib}, TooSmall, []string{"the cache needs 21.5 GB", "10.7 GB", "are free there", "are missing"}},
		"partition to format missing":    {cached, Scheme{Partitions: []Planned{linux(2, 0)}, Cache: KeepCache}, Missing, []string{"no partition 2", "it has 4"}},
		"the cache is not formatted":     {cached, Scheme{Partitions: []Planned{linux(4, 0)}, Cache: KeepCache}, BadTable, []string{"it is the cache"}},
		"a table that stays resizes not": {logicalCache, Scheme{Partitions: []Planned{linux(6, 2*gib)}, Cache: KeepCache}, BadTable, []string{"the table that stays"}},
		"a cache amid the logicals":      {logicalCache, Scheme{}, BadTable, []string{"would renumber"}},
		"a container":                    {logicalCache, Scheme{Partitions: []Planned{linux(1, 0)}, Cache: KeepCache}, BadTable, []string{"holds the logical partitions"}},
	} {
		_, err := test.scheme.Plan(test.disk)
		t.Run(name, func(t *testing.T) { wantError(t, err, test.kind, test.words...) })
	}
}

func TestLoses(t *testing.T) {
	t.Parallel()
	d := withCache(Disk{Number: 1, Bytes: 100 * gib, SectorSize: 512, Partitions: []Partition{
		{Number: 1, Start: mib, Bytes: gib, Type: "07"}, {Number: 2, Start: 2 * gib, Bytes: 10 * gib, Type: "05"}, {Number: 5, Start: 3 * gib, Bytes: gib, Type: "83"},
	}}, "dos", 4, 80*gib, 20*gib)
	format5 := []Planned{{Number: 5, Filesystem: "EXT4"}}
	for name, test := range map[string]struct {
		scheme Scheme
		want   []int
	}{
		"anew, cache kept":         {Scheme{Table: "dos", Cache: KeepCache}, []int{1, 5}},
		"anew, cache as it is":     {Scheme{Table: "dos", Cache: 20 * gib}, []int{1, 5}},
		"anew, other cache":        {Scheme{Table: "dos", Cache: 10 * gib}, []int{1, 5, 4}},
		"anew, no cache":           {Scheme{Table: "gpt"}, []int{1, 5, 4}},
		"formatting":               {Scheme{Partitions: format5, Cache: KeepCache}, []int{5}},
		"formatting and the cache": {Scheme{Partitions: format5}, []int{5, 4}},
		"nothing":                  {Scheme{Cache: KeepCache}, nil},
	} {
		var got []int
		for _, p := range test.scheme.Loses(d) {
			got = append(got, p.Number)
		}
		if !slices.Equal(got, test.want) {
			t.Errorf("%s: got %v, want %v", name, got, test.want)
		}
	}
}

func TestSchemeOf(t *testing.T) {
	t.Parallel()
	d := withCache(Disk{Number: 1, Bytes: 100 * gib, SectorSize: 512, Partitions: []Partition{
		{Number: 1, Start: mib, Bytes: gib, Type: "07", Filesystem: "NTFS", Label: "Windows", Bootable: true},
		{Number: 2, Start: 2 * gib, Bytes: 60 * gib, Type: "05"},
		{Number: 5, Start: 3 * gib, Bytes: 50 * gib, Type: "83", Filesystem: "EXT4"},
		{Number: 6, Start: 54 * gib, Bytes: gib, Type: "82", Filesystem: "LINUX-SWAP"},
		{Number: 3, Start: 70 * gib, Bytes: gib, Type: "27", Filesystem: "NTFS"},
	}}, "dos", 4, 80*gib, 20*gib)
	s := SchemeOf(d)
	want := Scheme{Table: "dos", Cache: 20 * gib, Partitions: []Planned{
		{Number: 1, Type: "NTFS", Filesystem: "NTFS", Label: "Windows", Bytes: gib, Bootable: true},
		{Number: 2, Type: "EXTENDED"},
		{Number: 3, Type: "HNTFS-WINRE", Filesystem: "NTFS", Bytes: gib},
		{Number: 5, Type: "LINUX", Filesystem: "EXT4"},
		{Number: 6, Type: "LINUX-SWAP", Filesystem: "LINUX-SWAP", Bytes: gib},
	}}
	got, _ := json.Marshal(s)
	wanted, _ := json.Marshal(want)
	if string(got) != string(wanted) {
		t.Errorf("got  %s\nwant %s", got, wanted)
	}
	larger := Disk{Number: 1, Bytes: 200 * gib, SectorSize: 512}
	l, err := s.Plan(larger)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := drawn(t, l), "1:1+1024 NTFS*, 2:1025+182271 EXTENDED, 3:183296+1024 HNTFS-WINRE, 4:184320+20480 CACHE, 5:1026+181245 LINUX, 6:182272+1024 LINUX-SWAP"; got != want {
		t.Errorf("on a larger disk:\n got %s\nwant %s", got, want)
	}
	if s := SchemeOf(larger); s.Cache != KeepCache || s.Table != "" || len(s.Partitions) != 0 {
		t.Errorf("of a blank disk: got %+v", s)
	}
}

// TestPlansHoldTogether has random schemes on random disks: what is planned is on the disk, apart, of the sizes asked for, and the cache stays.
func TestPlansHoldTogether(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(6, 2))
	planned := 0
	for range 20000 {
		d, s := randomDisk(random), randomScheme(random)
		l, err := s.Plan(d)
		if err != nil {
			continue
		}
		planned++
		text, _ := json.Marshal(s)
		if problem := wrongPlan(d, s, l); problem != "" {
			t.Fatalf("disk %+v\nscheme %s\nplan %s\n%s", d, text, l.Dump, problem)
		}
	}
	if planned < 4000 {
		t.Errorf("only %d of the schemes fitted their disks", planned)
	}
}

func randomDisk(r *rand.Rand) Disk {
	d := Disk{Number: 1, Bytes: 2*gib + r.Int64N(200*gib)/4096*4096, SectorSize: 512}
	if r.IntN(4) == 0 {
		d.SectorSize = 4096
	}
	if r.IntN(3) > 0 {
		size := (20*mib + r.Int64N(d.Bytes/3)) / 4096 * 4096
		start := (d.Bytes - size - r.Int64N(50*mib)) / 4096 * 4096
		d = withCache(d, []string{"dos", "gpt"}[r.IntN(2)], 1+r.IntN(4), start, size)
	}
	return d
}

func randomScheme(r *rand.Rand) Scheme {
	s := Scheme{Table: []string{"dos", "gpt"}[r.IntN(2)], Cache: []int64{KeepCache, 0, 13*mib + r.Int64N(40*gib)}[r.IntN(3)]}
	kinds := []Planned{{Filesystem: "EXT4"}, {Filesystem: "NTFS"}, {Type: "LINUX"}, {Filesystem: "XFS"}, {Filesystem: "LINUX-SWAP"}, {Type: "EFI", Filesystem: "FAT32"}}
	add := func(number int) {
		p := kinds[r.IntN(len(kinds))]
		p.Number = number
		if r.IntN(2) == 0 {
			p.Bytes = 350*mib + r.Int64N(20*gib)
		}
		s.Partitions = append(s.Partitions, p)
	}
	for n := 1; n <= 4; n++ {
		if r.IntN(2) == 0 {
			add(n)
		}
	}
	for n := range r.IntN(4) {
		add(5 + n)
	}
	r.Shuffle(len(s.Partitions), func(i, j int) { s.Partitions[i], s.Partitions[j] = s.Partitions[j], s.Partitions[i] })
	return s
}

// wrongPlan tells what is wrong with a plan. That partitions are apart, Layout.Check tells.
func wrongPlan(d Disk, s Scheme, l Layout) string {
	if err := l.Check(); err != nil {
		return err.Error()
	}
	if err := l.Fits(d); err != nil {
		return err.Error()
	}
	partitions, _ := l.Partitions()
	after := Disk{Number: 1, Bytes: d.Bytes, Table: s.Table, Partitions: partitions}
	was, had := d.cache()
	now, has := after.cache()
	switch {
	case s.Cache == 0 && has:
		return "there is a cache"
	case s.Cache == KeepCache && (had != has || had && (was.Start != now.Start || was.Bytes != now.Bytes)):
		return "the cache has moved"
	case s.Cache > 0 && (now.Bytes < s.Cache || now.Bytes >= s.Cache+4096):
		return "the cache has another size"
	}
	for _, f := range s.Partitions {
		p, ok := after.Partition(f.Number)
		switch {
		case !ok:
			return fmt.Sprintf("partition %d is missing", f.Number)
		case f.Bytes > 0 && (p.Bytes < f.Bytes || p.Bytes >= f.Bytes+4096):
			return fmt.Sprintf("partition %d has %d bytes instead of %d", f.Number, p.Bytes, f.Bytes)
		case p.Start%alignment != 0:
			return fmt.Sprintf("partition %d begins at %d", f.Number, p.Start)
		case has && p.Start+p.Bytes > now.Start:
			return fmt.Sprintf("partition %d ends behind the beginning of the cache", f.Number)
		}
	}
	return ""
}

func FuzzScheme(f *testing.F) {
	f.Add([]byte(`{"table":"dos","partitions":[{"number":1,"filesystem":"NTFS","bytes":1073741824},{"number":5,"type":"LINUX","bytes":0}],"cache":-1}`), int64(10<<30), false)
	f.Add([]byte(`{"table":"gpt","partitions":[{"number":1,"type":"EFI","filesystem":"FAT32","bytes":536870912},{"number":2,"filesystem":"EXT4"}],"cache":1073741824}`), int64(10<<30), true)
	f.Add([]byte(`{"partitions":[{"number":4,"filesystem":"EXT4"}],"cache":0}`), int64(10<<30), true)
	f.Fuzz(func(t *testing.T, data []byte, size int64, cached bool) {
		var s Scheme
		if json.Unmarshal(data, &s) != nil || size < 0 {
			return
		}
		checked := s.Check()
		d := Disk{Number: 1, Bytes: size / 512 * 512, SectorSize: 512}
		if cached && d.Bytes > 4*gib {
			d = withCache(d, "gpt", 4, 2*gib, gib)
		}
		l, err := s.Plan(d)
		if err != nil {
			return
		}
		if checked != nil {
			t.Fatalf("%s is planned and not possible: %v", data, checked)
		}
		if err := l.Fits(d); err != nil {
			t.Errorf("%s: the plan does not fit: %v", data, err)
		}
		s.Loses(d)
	})
}
