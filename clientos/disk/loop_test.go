package disk_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"

	"aula/clientos/disk"
	"aula/clientos/disk/disktest"
)

const (
	mib = 1 << 20

	dosScript = `label: dos
label-id: 0xdeadbeef
unit: sectors

1 : start=2048, size=65536, type=83, bootable
2 : start=67584, size=120000, type=5
5 : start=69632, size=32768, type=7
6 : start=104448, size=20480, type=82
`
	gptScript = `label: gpt
label-id: 5DA5A1C5-5D46-4A4B-8D7E-9E2E2D5B3D8A
unit: sectors

1 : start=2048, size=2048, type=21686148-6449-6E6F-744E-656564454649, uuid=11111111-2222-4333-8444-555555555555, name="BIOS boot"
3 : start=8192, size=73728, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, name="EFI \x22sys\x22", attrs="RequiredPartition GUID:63"
4 : start=81920, size=20480, type=0657FD6D-A4AB-43C4-84E5-0933C84B4F4F
`
)

// only returns the one disk of the system, as the inventory lists it.
func only(t *testing.T, d disktest.Disk) disk.Disk {
	t.Helper()
	disks, err := disk.System{Devices: []string{d.Path}}.Disks(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(disks) != 1 {
		t.Fatalf("got %d disks, want 1", len(disks))
	}
	return disks[0]
}

// wantKind fails the test unless err is a *disk.Error of the kind whose problem holds the words.
func wantKind(t *testing.T, err error, kind disk.Kind, words ...string) {
	t.Helper()
	var e *disk.Error
	if !errors.As(err, &e) {
		t.Fatalf("got error %v, want a *disk.Error", err)
	}
	if e.Kind != kind {
		t.Errorf("got kind %d (%v), want %d", e.Kind, err, kind)
	}
	if e.Advice == "" {
		t.Errorf("%q has no advice", e.Problem)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("got %q, want it to say %q", err, w)
		}
	}
}

// partitionNode makes the kernel see a partition and returns its node.
func partitionNode(t *testing.T, d disk.Disk, number int) string {
	t.Helper()
	f, err := d.Open(t.Context(), number, true)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return f.Name()
}

func TestInventoryOfBlankDisk(t *testing.T) {
	t.Parallel()
	loop := disktest.New(t, "BLANK", 20*mib, 512)
	got := only(t, loop)
	want := disk.Disk{
		Number: 1, Path: loop.Path, Model: "loop device", Serial: "BLANK",
		Bytes: 20 * mib, SectorSize: 512, Partitions: []disk.Partition{},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	_, err := disk.ReadLayout(t.Context(), got)
	wantKind(t, err, disk.BadTable, "no partition table")
	_, err = got.Open(t.Context(), 1, true)
	wantKind(t, err, disk.Missing, "disk 1 has no partition 1", "it has no partitions")
}

func TestInventory(t *testing.T) {
	t.Parallel()
	loop := disktest.New(t, "S-1", 100*mib, 512)
	loop.Partition(t, dosScript)
	d := only(t, loop)
	disktest.Run(t, "mkfs.ext4", "-q", "-L", `my "lab" disk`, "-U", "b937100a-0c30-454c-ba6c-4220bc0950ad", partitionNode(t, d, 1))
	disktest.Run(t, "mkntfs", "-q", "-F", "-L", "Windows 11", partitionNode(t, d, 5))
	disktest.Run(t, "mkswap", "-q", "-U", "510e6b9d-8421-4495-b13f-a2559c13e558", partitionNode(t, d, 6))

	check := func(t *testing.T) {
		got := only(t, loop)
		if got.Table != "dos" || got.TableID != "0xdeadbeef" || len(got.Partitions) != 4 {
			t.Fatalf("got %+v, want a dos table with 4 partitions", got)
		}
		p := got.Partitions
		if p[0].Filesystem != "EXT4" || p[0].Label != `my "lab" disk` || p[0].UUID != "b937100a-0c30-454c-ba6c-4220bc0950ad" {
			t.Errorf("partition 1: got %+v, want EXT4 with its label and UUID", p[0])
		}
		if !p[0].Bootable || p[0].Start != 2048*512 || p[0].Bytes != 32*mib || p[0].Path != loop.Path+"p1" {
			t.Errorf("partition 1: got %+v, want the active one, 32 MiB from 1 MiB on", p[0])
		}
		if p[0].Used <= 0 || p[0].Used > 16*mib {
			t.Errorf("partition 1: used %d, want a few MiB", p[0].Used)
		}
		if !p[1].Extended() || p[1].Number != 2 || p[1].Filesystem != "" {
			t.Errorf("partition 2: got %+v, want an extended one", p[1])
		}
		if p[2].Number != 5 || p[2].Type != "07" || p[2].Filesystem != "NTFS" || p[2].Label != "Windows 11" {
			t.Errorf("partition 5: got %+v, want NTFS", p[2])
		}
		if p[3].Number != 6 || p[3].Filesystem != "LINUX-SWAP" || p[3].UUID != "510e6b9d-8421-4495-b13f-a2559c13e558" {
			t.Errorf("partition 6: got %+v, want swap", p[3])
		}
	}
	t.Run("partitions known to the kernel", func(t *testing.T) {
		check(t)
		if got := only(t, loop).Partitions[2].Used; got <= 0 || got > 16*mib {
			t.Errorf("NTFS: used %d, want a few MiB", got)
		}
	})
	t.Run("partitions not known to the kernel", func(t *testing.T) {
		disktest.Run(t, "partx", "--delete", loop.Path)
		check(t)
	})
}

func TestUsedBytes(t *testing.T) {
	t.Parallel()
	loop := disktest.New(t, "USED", 400*mib, 512)
	loop.Partition(t, "label: dos\n1 : start=2048, size=800000, type=c\n")
	node := partitionNode(t, only(t, loop), 1)
	for _, test := range []struct {
		filesystem string
		mkfs       []string
		min, max   int64
	}{
		{"FAT16", []string{"mkfs.vfat", "-F", "16", node}, 100 << 10, mib},
		{"FAT32", []string{"mkfs.vfat", "-F", "32", "-s", "1", node}, 3 * mib, 8 * mib},
		{"EXT2", []string{"mkfs.ext2", "-q", "-F", node}, mib, 32 * mib},
		{"XFS", []string{"mkfs.xfs", "-q", "-f", node}, mib, 100 * mib},
		{"BTRFS", []string{"mkfs.btrfs", "-q", "-f", node}, 64 << 10, 16 * mib},
		{"EXFAT", []string{"mkfs.exfat", node}, -1, -1},
	} {
		disktest.Run(t, "wipefs", "-q", "-a", node)
		disktest.Run(t, test.mkfs[0], test.mkfs[1:]...)
		p := only(t, loop).Partitions[0]
		if p.Filesystem != test.filesystem || p.Used < test.min || p.Used > test.max {
			t.Errorf("%v: got %s with %d bytes used, want %s with %d to %d",
				test.mkfs, p.Filesystem, p.Used, test.filesystem, test.min, test.max)
		}
	}
}

func TestFindNamesWhatDiffers(t *testing.T) {
	t.Parallel()
	loop := disktest.New(t, "WD-256", 20*mib, 512)
	system := disk.System{Devices: []string{loop.Path}}
	ref := only(t, loop).Ref()
	if _, err := system.Find(t.Context(), ref); err != nil {
		t.Errorf("the same disk: %v", err)
	}
	for name, test := range map[string]struct {
		change func(*disk.Ref)
		kind   disk.Kind
		words  []string
	}{
		"other serial":      {func(r *disk.Ref) { r.Serial = "S-500" }, disk.Differs, []string{"serial number S-500", "WD-256", "(serial number differs)", "nothing was written"}},
		"other size":        {func(r *disk.Ref) { r.Bytes = 500107862016 }, disk.Differs, []string{"500.1 GB", "21.0 MB", "(size differs)"}},
		"other sector size": {func(r *disk.Ref) { r.SectorSize = 4096 }, disk.Differs, []string{"sectors of 4096", "(sector size differs)"}},
		"serial not named":  {func(r *disk.Ref) { r.Serial = "" }, disk.Differs, []string{"without serial number"}},
		"other model":       {func(r *disk.Ref) { r.Model = "WDC Blue" }, disk.Differs, []string{"(WDC Blue)", "(loop device)", "(model differs)"}},
		"other WWN":         {func(r *disk.Ref) { r.WWN = "naa.5000" }, disk.Differs, []string{"naa.5000", "(world wide name differs)"}},
		"no such disk":      {func(r *disk.Ref) { r.Number = 2 }, disk.Missing, []string{"no disk 2", "it has 1 disk"}},
	} {
		other := ref
		test.change(&other)
		_, err := system.Find(t.Context(), other)
		t.Run(name, func(t *testing.T) { wantKind(t, err, test.kind, test.words...) })
	}
}

// TestFindRefusesTwins has two disks alike in all but their contents, which change places after the inventory.
func TestFindRefusesTwins(t *testing.T) {
	t.Parallel()
	one, two := disktest.New(t, "TWIN", 20*mib, 512), disktest.New(t, "TWIN", 20*mib, 512)
	ref := only(t, one).Ref()
	_, err := disk.System{Devices: []string{two.Path, one.Path}}.Find(t.Context(), ref)
	wantKind(t, err, disk.Differs, "disk 1 ("+two.Path+") and disk 2 ("+one.Path+") cannot be told apart", "serial number TWIN", "nothing was written")
}

func TestLayoutGoesToAnotherDisk(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]string{"dos": dosScript, "gpt": gptScript} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			model := disktest.New(t, "MODEL", 100*mib, 512)
			model.Partition(t, script)
			source := only(t, model)
			swap := map[string]int{"dos": 6, "gpt": 4}[name]
			disktest.Run(t, "mkswap", "-q", "-L", "SWAP", "-U", "510e6b9d-8421-4495-b13f-a2559c13e558", partitionNode(t, source, swap))
			writeAt(t, model.Path, 0, bytes.Repeat([]byte{0x90}, 440))
			writeAt(t, model.Path, 34*512, []byte("core of the boot loader"))
			if name == "gpt" {
				writeAt(t, model.Path, mib, []byte("core in the BIOS boot partition"))
			}
			source = only(t, model)
			layout, err := disk.ReadLayout(t.Context(), source)
			if err != nil {
				t.Fatal(err)
			}
			data, err := json.Marshal(layout)
			if err != nil {
				t.Fatal(err)
			}
			if layout, err = disk.ParseLayout(data); err != nil {
				t.Fatal(err)
			}

			// The target is larger and holds another table, a filesystem and an old boot loader.
			target := disktest.New(t, "TARGET", 150*mib, 512)
			target.Partition(t, map[string]string{"dos": gptScript, "gpt": dosScript}[name])
			disktest.Run(t, "mkfs.ext4", "-q", partitionNode(t, only(t, target), map[string]int{"dos": 3, "gpt": 1}[name]))
			writeAt(t, target.Path, 200*512, []byte("old boot loader"))
			if err := disk.ApplyLayout(t.Context(), only(t, target), layout); err != nil {
				t.Fatal(err)
			}
			got := only(t, target)
			if got.Table != source.Table || got.TableID != source.TableID || len(got.Partitions) != len(source.Partitions) {
				t.Fatalf("got %+v, want the table of %+v", got, source)
			}
			for i, p := range got.Partitions {
				want := source.Partitions[i]
				want.Path = strings.Replace(want.Path, model.Path, target.Path, 1)
				if p != want {
					t.Errorf("partition %d: got %+v, want %+v", p.Number, p, want)
				}
			}
			again, err := disk.ReadLayout(t.Context(), got)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(again.BootCode[:440], layout.BootCode[:440]) || !bytes.Equal(again.Gap, layout.Gap) ||
				!reflect.DeepEqual(again.BootAreas, layout.BootAreas) || !reflect.DeepEqual(again.Swaps, layout.Swaps) {
				t.Errorf("boot code, gap, boot areas or swaps of the target differ from the model's")
			}
			if verify := disktest.Run(t, "sfdisk", "--verify", target.Path); !strings.Contains(verify, "No errors detected") {
				t.Errorf("sfdisk --verify: %s", verify)
			}
		})
	}
}

func TestLayoutRefusals(t *testing.T) {
	t.Parallel()
	model := disktest.New(t, "MODEL", 100*mib, 512)
	model.Partition(t, gptScript)
	layout, err := disk.ReadLayout(t.Context(), only(t, model))
	if err != nil {
		t.Fatal(err)
	}
	t.Run("disk too small", func(t *testing.T) {
		small := disktest.New(t, "SMALL", 50*mib, 512)
		before := contents(t, small.Path)
		err := disk.ApplyLayout(t.Context(), only(t, small), layout)
		wantKind(t, err, disk.TooSmall, "disk 1 has 52.4 MB (52428800 bytes)", "needs", "are missing")
		if !bytes.Equal(contents(t, small.Path), before) {
			t.Error("the disk was written to")
		}
	})
	t.Run("other sector size", func(t *testing.T) {
		big := disktest.New(t, "4KN", 200*mib, 4096)
		err := disk.ApplyLayout(t.Context(), only(t, big), layout)
		wantKind(t, err, disk.BadTable, "sectors of 4096 bytes", "sectors of 512 bytes")
	})
	t.Run("partition mounted", func(t *testing.T) {
		busy := disktest.New(t, "BUSY", 100*mib, 512)
		busy.Partition(t, dosScript)
		node := partitionNode(t, only(t, busy), 1)
		disktest.Run(t, "mkfs.ext4", "-q", node)
		where := t.TempDir()
		disktest.Run(t, "mount", node, where)
		t.Cleanup(func() { disktest.Unmount(t, where) })
		d := only(t, busy)
		wantKind(t, disk.ApplyLayout(t.Context(), d, layout), disk.InUse, "mounted on "+where)
		_, err := d.Open(t.Context(), 1, true)
		wantKind(t, err, disk.InUse, "mounted on "+where)
		_, err = d.Open(t.Context(), 1, false)
		wantKind(t, err, disk.InUse, "mounted on "+where)
	})
	t.Run("partition claimed", func(t *testing.T) {
		busy := disktest.New(t, "CLAIMED", 100*mib, 512)
		busy.Partition(t, dosScript)
		d := only(t, busy)
		f, err := d.Open(t.Context(), 1, true)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		_, err = d.Open(t.Context(), 1, true)
		wantKind(t, err, disk.InUse, "claimed")
		wantKind(t, disk.ApplyLayout(t.Context(), d, layout), disk.InUse, "claimed")
	})
}

// TestLayoutOf4KnDisk takes a layout between disks with sectors of 4096 bytes.
func TestLayoutOf4KnDisk(t *testing.T) {
	t.Parallel()
	const script = "label: gpt\n1 : start=256, size=4096, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4\n"
	model, target := disktest.New(t, "M4K", 50*mib, 4096), disktest.New(t, "T4K", 60*mib, 4096)
	model.Partition(t, script)
	layout, err := disk.ReadLayout(t.Context(), only(t, model))
	if err != nil {
		t.Fatal(err)
	}
	if err := disk.ApplyLayout(t.Context(), only(t, target), layout); err != nil {
		t.Fatal(err)
	}
	p := only(t, target).Partitions
	if len(p) != 1 || p[0].Start != mib || p[0].Bytes != 16*mib {
		t.Errorf("got %+v, want one partition of 16 MiB from 1 MiB on", p)
	}
}

func writeAt(t *testing.T, path string, off int64, data []byte) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(data, off); err != nil {
		t.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
}

func contents(t *testing.T, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
