package disk

import (
	"bytes"
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"
)

func layoutOf(dump string) Layout {
	return Layout{Version: 1, Table: labelGPT, SectorSize: 512, DiskBytes: 500e9, Dump: dump, BootCode: make([]byte, mbrBeforeTable)}
}

func TestLayoutCheck(t *testing.T) {
	if err := layoutOf(gptDump).Check(); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		change func(*Layout)
		want   string
	}{
		"later version":            {func(l *Layout) { l.Version = 2 }, "version 2"},
		"another table":            {func(l *Layout) { l.Table = labelDOS }, "holds a gpt table"},
		"another sector size":      {func(l *Layout) { l.SectorSize = 4096 }, "holds a table for 512"},
		"short boot code":          {func(l *Layout) { l.BootCode = l.BootCode[:10] }, "boot code of 10 bytes"},
		"gap over the table":       {func(l *Layout) { l.Gap, l.GapStart = []byte("x"), 512 }, "inside the partition table"},
		"gap at a negative place":  {func(l *Layout) { l.Gap, l.GapStart = []byte("x"), -1 }, "inside the partition table"},
		"gap over the partition":   {func(l *Layout) { l.Gap, l.GapStart = make([]byte, 1<<20), 34*512 }, "inside the first partition"},
		"huge gap":                 {func(l *Layout) { l.Gap, l.GapStart = make([]byte, 2<<20), 34*512 }, "at most"},
		"swap that does not exist": {func(l *Layout) { l.Swaps = []Swap{{Partition: 2}} }, "does not exist"},
		"swap with an odd name":    {func(l *Layout) { l.Swaps = []Swap{{Partition: 3, UUID: "--help"}} }, "not a UUID"},
		"boot code over a file":    {func(l *Layout) { l.BootAreas = []BootArea{{3, []byte("x")}} }, "no BIOS boot partition"},
		"dump that cannot be read": {func(l *Layout) { l.Dump = "nonsense" }, "neither a header"},
	} {
		t.Run(name, func(t *testing.T) {
			l := layoutOf(gptDump)
			test.change(&l)
			err := l.Check()
			var e *Error
			if !errors.As(err, &e) || e.Kind != BadTable || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want a BadTable error with %q", err, test.want)
			}
		})
	}
}

// FuzzParseLayout checks that whatever layout is accepted writes code only before the first partition or inside a BIOS boot
// partition, and never over the table.
func FuzzParseLayout(f *testing.F) {
	for _, l := range []Layout{
		layoutOf(gptDump),
		{Version: 1, Table: labelDOS, SectorSize: 512, Dump: dosDump, Gap: []byte("core"), GapStart: 512,
			Swaps: []Swap{{Partition: 6, UUID: "510e6b9d-8421-4495-b13f-a2559c13e558"}}},
	} {
		data, err := json.Marshal(l)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		l, err := ParseLayout(data)
		if err != nil {
			return
		}
		table, err := l.table()
		if err != nil {
			t.Fatalf("accepted, then refused: %v", err)
		}
		for _, part := range codeParts(l, &table) {
			end := part.offset + int64(len(part.data))
			if part.offset == 0 && end == mbrCode {
				continue
			}
			if part.offset < table.reservedBytes() {
				t.Fatalf("code at %d is over the table", part.offset)
			}
			for _, e := range table.entries {
				start, stop := e.start*int64(table.sectorSize), e.end()*int64(table.sectorSize)
				if e.typ != typeBIOSBoot && part.offset < stop && end > start {
					t.Fatalf("code at %d to %d is inside partition %d", part.offset, end, e.number)
				}
			}
		}
		if _, err := l.Partitions(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestParseTags(t *testing.T) {
	got := parseTags([]byte("ID_FS_LABEL_ENC=mi\\x20etiqueta\\x22ñ\\x5c\nID_FS_TYPE=ext4\nnonsense\nEMPTY=\n"))
	want := map[string]string{"ID_FS_LABEL_ENC": `mi etiqueta"ñ\`, "ID_FS_TYPE": "ext4", "EMPTY": ""}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestFilesystemName(t *testing.T) {
	for _, test := range []struct{ typ, version, want string }{
		{"ext4", "1.0", "EXT4"}, {"vfat", "FAT32", "FAT32"}, {"vfat", "FAT16", "FAT16"}, {"ntfs", "", "NTFS"},
		{"swap", "1", "LINUX-SWAP"}, {"hfsplus", "", "HFSPLUS"}, {"BitLocker", "2", "BITLOCKER"}, {"LVM2_member", "", "LINUX-LVM"}, {"", "", ""},
	} {
		if got := filesystemName(test.typ, test.version); got != test.want {
			t.Errorf("%s %s: got %q, want %q", test.typ, test.version, got, test.want)
		}
	}
}

func TestParseNTFSInfo(t *testing.T) {
	good := "Volume Information\n\tCluster Size: 4096\n\tVolume Size in Clusters: 2499\n\tFree Clusters: 1874 (75.0%)\n"
	if got, want := parseNTFSInfo([]byte(good)), int64(625*4096); got != want {
		t.Errorf("got %d, want %d", got, want)
	}
	for _, bad := range []string{"", "Cluster Size: 4096\n", strings.Replace(good, "1874", "9999", 1), strings.Replace(good, "4096", "x", 1)} {
		if got := parseNTFSInfo([]byte(bad)); got != -1 {
			t.Errorf("%q: got %d, want -1", bad, got)
		}
	}
}

// FuzzUsedBytes checks that no superblock makes usedBytes fail or answer nonsense.
func FuzzUsedBytes(f *testing.F) {
	ext := make([]byte, 4096)
	copy(ext[1024+4:], []byte{100, 0, 0, 0})
	ext[1024+0x0C], ext[1024+0x38], ext[1024+0x39] = 30, 0x53, 0xEF
	f.Add(ext)
	fat := make([]byte, 64<<10)
	copy(fat[0x0B:], []byte{0, 2, 1, 1, 0, 2, 0, 2, 100, 0, 0xF8, 1, 0})
	fat[510], fat[511] = 0x55, 0xAA
	f.Add(fat)
	f.Add(append([]byte("XFSB\x00\x00\x10\x00"), make([]byte, 600)...))
	btrfs := make([]byte, 68<<10)
	copy(btrfs[64<<10+0x40:], "_BHRfS_M")
	f.Add(btrfs)
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, filesystem := range []string{"EXT4", "XFS", "BTRFS", "FAT32", "NTFS", ""} {
			if got := usedBytes(filesystem, bytes.NewReader(data)); got < -1 {
				t.Errorf("%s: %d bytes used", filesystem, got)
			}
		}
	})
}

func TestUsedBytesOfFAT12(t *testing.T) {
	fat := make([]byte, 100*512)
	copy(fat[0x0B:], []byte{0, 2, 1, 1, 0, 1, 16, 0, 100, 0, 0xF8, 1, 0}) // 1 table of 1 sector, 16 root entries, 100 sectors
	fat[510], fat[511] = 0x55, 0xAA
	copy(fat[512:], []byte{0xF8, 0xFF, 0xFF, 0x03, 0xF0, 0xFF}) // cluster 2 -> 3 -> end, the rest free
	if got, want := usedBytes("FAT12", bytes.NewReader(fat)), int64((3+2)*512); got != want {
		t.Errorf("got %d, want %d: boot sector, table, root directory and two clusters", got, want)
	}
}
