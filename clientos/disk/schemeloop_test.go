package disk_test

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"aula/clientos/disk"
	"aula/clientos/disk/disktest"
)

// seen writes what an inventory shows of a disk: "1:1+32 NTFS Windows*", sizes in MiB.
func seen(d disk.Disk) string {
	var parts []string
	for _, p := range d.Partitions {
		kind, _ := p.Kind()
		text := strings.TrimSpace(fmt.Sprintf("%d:%v+%v %s %s %s", p.Number, float64(p.Start)/mib, float64(p.Bytes)/mib, kind.Name, p.Filesystem, p.Label))
		if p.Bootable {
			text += "*"
		}
		parts = append(parts, text)
	}
	return d.Table + " " + strings.Join(parts, ", ")
}

// apply applies a scheme and returns what it said while it did.
func apply(t *testing.T, d disktest.Disk, s disk.Scheme) []string {
	t.Helper()
	var said []string
	if err := disk.ApplyScheme(t.Context(), only(t, d), s, func(doing string) { said = append(said, doing) }); err != nil {
		t.Fatal(err)
	}
	if verify := disktest.Run(t, "sfdisk", "--verify", d.Path); !strings.Contains(verify, "No errors detected") {
		t.Errorf("sfdisk --verify: %s", verify)
	}
	return said
}

func wantSeen(t *testing.T, d disktest.Disk, want string) {
	t.Helper()
	if got := seen(only(t, d)); got != want {
		t.Errorf("\n got %s\nwant %s", got, want)
	}
}

// putFile writes a file into the filesystem of a partition, and getFile reads it.
func putFile(t *testing.T, node, name string, data []byte) {
	t.Helper()
	withMount(t, node, func(folder string) {
		if err := os.WriteFile(filepath.Join(folder, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	})
}

func getFile(t *testing.T, node, name string) []byte {
	t.Helper()
	var data []byte
	withMount(t, node, func(folder string) {
		var err error
		if data, err = os.ReadFile(filepath.Join(folder, name)); err != nil {
			t.Fatal(err)
		}
	})
	return data
}

func withMount(t *testing.T, node string, do func(folder string)) {
	t.Helper()
	folder := t.TempDir()
	disktest.Run(t, "mount", node, folder)
	defer disktest.Unmount(t, folder)
	do(folder)
}

// TestClassroomDisk goes the way of a classroom's disk: partitioned with a cache, an image put into it, partitioned otherwise with the cache in place, from
// MSDOS to GPT and back, the cache resized, and deleted.
func TestClassroomDisk(t *testing.T) {
	t.Parallel()
	loop := disktest.New(t, "ROOM", 400*mib, 512)
	content := bytes.Repeat([]byte("an image "), 1<<18)

	said := apply(t, loop, disk.Scheme{Table: "dos", Cache: 100 * mib, Partitions: []disk.Planned{
		{Number: 1, Filesystem: "NTFS", Label: "Windows 11", Bytes: 60 * mib, Bootable: true},
		{Number: 5, Filesystem: "EXT4", Label: "home"},
		{Number: 6, Filesystem: "LINUX-SWAP", Bytes: 10 * mib},
	}})
	if want := []string{"writing the partition table of disk 1", "formatting partition 1 of disk 1 as NTFS", "formatting partition 5 of disk 1 as EXT4",
		"formatting partition 6 of disk 1 as LINUX-SWAP", "formatting the cache, partition 4 of disk 1"}; !slices.Equal(said, want) {
		t.Errorf("said %q, want %q", said, want)
	}
	wantSeen(t, loop, "dos 1:1+60 NTFS NTFS Windows 11*, 2:61+239 EXTENDED, 4:300+100 CACHE EXT4 CACHE, 5:62+227 LINUX EXT4 home, 6:290+10 LINUX-SWAP LINUX-SWAP")
	cache, uuid := partitionNode(t, only(t, loop), 4), ""
	if _, p, ok := disk.FindCache([]disk.Disk{only(t, loop)}); !ok || p.Number != 4 {
		t.Fatalf("cache: got partition %d, %v", p.Number, ok)
	} else {
		uuid = p.UUID
	}
	putFile(t, cache, "windows.img", content)

	t.Run("partitioned otherwise", func(t *testing.T) {
		apply(t, loop, disk.Scheme{Table: "dos", Cache: disk.KeepCache, Partitions: []disk.Planned{{Number: 4, Filesystem: "EXT3"}, {Number: 2, Type: "LINUX", Bytes: 50 * mib}}})
		wantSeen(t, loop, "dos 1:300+100 CACHE EXT4 CACHE, 2:1+50 LINUX, 4:51+249 LINUX EXT3")
	})
	t.Run("the end is not free for a GPT", func(t *testing.T) {
		before := disktest.Run(t, "sfdisk", "--dump", loop.Path)
		err := disk.ApplyScheme(t.Context(), only(t, loop), disk.Scheme{Table: "gpt", Cache: disk.KeepCache}, nil)
		wantKind(t, err, disk.TooSmall, "are missing")
		if after := disktest.Run(t, "sfdisk", "--dump", loop.Path); after != before {
			t.Errorf("the table was %s and is %s", before, after)
		}
	})
	t.Run("formatted", func(t *testing.T) {
		said := apply(t, loop, disk.Scheme{Cache: disk.KeepCache, Partitions: []disk.Planned{{Number: 2, Filesystem: "FAT32", Label: "DATA"}}})
		if want := []string{"formatting partition 2 of disk 1 as FAT32"}; !slices.Equal(said, want) {
			t.Errorf("said %q, want %q", said, want)
		}
		wantSeen(t, loop, "dos 1:300+100 CACHE EXT4 CACHE, 2:1+50 LINUX FAT32 DATA, 4:51+249 LINUX EXT3")
	})
	t.Run("the cache has not changed", func(t *testing.T) {
		d := only(t, loop)
		_, p, _ := disk.FindCache([]disk.Disk{d})
		if got := getFile(t, partitionNode(t, d, p.Number), "windows.img"); !bytes.Equal(got, content) || p.UUID != uuid {
			t.Errorf("the cache's file has %d bytes, UUID %s; want %d and %s", len(got), p.UUID, len(content), uuid)
		}
	})
	t.Run("anew, the cache of the same size", func(t *testing.T) {
		apply(t, loop, disk.Scheme{Table: "dos", Cache: 100 * mib, Partitions: []disk.Planned{{Number: 1, Filesystem: "EXT2"}}})
		d := only(t, loop)
		if got := getFile(t, partitionNode(t, d, 4), "windows.img"); !bytes.Equal(got, content) {
			t.Error("the cache has lost its content")
		}
	})
	t.Run("another size for the cache", func(t *testing.T) {
		err := disk.ApplyScheme(t.Context(), only(t, loop), disk.Scheme{Cache: 150 * mib}, nil)
		wantKind(t, err, disk.TooSmall, "104.9 MB", "are free there")
		apply(t, loop, disk.Scheme{Cache: 50 * mib})
		wantSeen(t, loop, "dos 1:1+299 LINUX EXT2, 4:350+50 CACHE EXT4 CACHE")
	})
	t.Run("gpt", func(t *testing.T) {
		apply(t, loop, disk.Scheme{Table: "gpt", Cache: 50 * mib, Partitions: []disk.Planned{
			{Number: 1, Type: "EFI", Filesystem: "FAT32", Label: "ESP", Bytes: 40 * mib}, {Number: 2, Type: "WIN-RESERV", Bytes: 16 * mib},
			{Number: 3, Filesystem: "NTFS"}, {Number: 6, Filesystem: "EXFAT", Label: "x", Bytes: 20 * mib}}})
		wantSeen(t, loop, "gpt 1:1+40 EFI FAT32 ESP, 2:41+16 WIN-RESERV, 3:57+272 WINDOWS NTFS, 6:329+20 WINDOWS EXFAT x, 7:349+50 CACHE EXT4 CACHE")
		putFile(t, partitionNode(t, only(t, loop), 7), "windows.img", content)
		before := disktest.Run(t, "sfdisk", "--part-uuid", loop.Path, "7")
		apply(t, loop, disk.Scheme{Table: "gpt", Cache: disk.KeepCache, Partitions: []disk.Planned{{Number: 1, Filesystem: "EXT4"}}})
		wantSeen(t, loop, "gpt 1:1+348 LINUX EXT4, 7:349+50 CACHE EXT4 CACHE")
		if after := disktest.Run(t, "sfdisk", "--part-uuid", loop.Path, "7"); before != after {
			t.Errorf("the cache's identifier was %s and is %s", before, after)
		}
		apply(t, loop, disk.Scheme{Table: "dos", Cache: disk.KeepCache, Partitions: []disk.Planned{{Number: 1, Filesystem: "EXT4"}}})
		wantSeen(t, loop, "dos 1:1+348 LINUX EXT4, 4:349+50 CACHE EXT4 CACHE")
		if got := getFile(t, partitionNode(t, only(t, loop), 4), "windows.img"); !bytes.Equal(got, content) {
			t.Error("the cache has lost its content between the tables")
		}
	})
	t.Run("in use", func(t *testing.T) {
		folder := t.TempDir()
		disktest.Run(t, "mount", partitionNode(t, only(t, loop), 4), folder)
		defer disktest.Unmount(t, folder)
		err := disk.ApplyScheme(t.Context(), only(t, loop), disk.Scheme{Table: "dos", Cache: disk.KeepCache}, nil)
		wantKind(t, err, disk.InUse, "mounted on "+folder)
		apply(t, loop, disk.Scheme{Cache: disk.KeepCache, Partitions: []disk.Planned{{Number: 1, Filesystem: "EXT3"}}})
		err = disk.ApplyScheme(t.Context(), only(t, loop), disk.Scheme{Cache: 0}, nil)
		wantKind(t, err, disk.InUse, "mounted on "+folder)
	})
	t.Run("deleted", func(t *testing.T) {
		apply(t, loop, disk.Scheme{})
		wantSeen(t, loop, "dos 1:1+348 LINUX EXT3")
	})
	t.Run("another disk than a moment ago", func(t *testing.T) {
		d := only(t, loop)
		d.Partitions[0].Bytes += mib
		wantKind(t, disk.ApplyScheme(t.Context(), d, disk.Scheme{Table: "dos"}, nil), disk.Differs, "no longer what they were")
	})
}

// TestSchemeOn4KnDisk makes a disk with sectors of 4096 bytes as another one is.
func TestSchemeOn4KnDisk(t *testing.T) {
	t.Parallel()
	one, two := disktest.New(t, "ONE4K", 200*mib, 4096), disktest.New(t, "TWO4K", 300*mib, 4096)
	apply(t, one, disk.Scheme{Table: "gpt", Cache: 30 * mib, Partitions: []disk.Planned{{Number: 1, Filesystem: "EXT4", Bytes: 50 * mib}, {Number: 2, Filesystem: "NTFS"}}})
	apply(t, two, disk.SchemeOf(only(t, one)))
	wantSeen(t, two, "gpt 1:1+50 LINUX EXT4, 2:51+218 WINDOWS NTFS, 3:269+30 CACHE EXT4 CACHE")
}

// TestLayoutBesideCache restores the layout of a smaller model onto a disk whose cache stays.
func TestLayoutBesideCache(t *testing.T) {
	t.Parallel()
	model, target := disktest.New(t, "MODEL", 100*mib, 512), disktest.New(t, "TARGET", 200*mib, 512)
	model.Partition(t, dosScript)
	layout, err := disk.ReadLayout(t.Context(), only(t, model))
	if err != nil {
		t.Fatal(err)
	}
	apply(t, target, disk.Scheme{Table: "gpt", Cache: 50 * mib, Partitions: []disk.Planned{{Number: 1, Filesystem: "EXT4"}}})
	d := only(t, target)
	_, cache, _ := disk.FindCache([]disk.Disk{d})
	content := []byte("an image")
	putFile(t, partitionNode(t, d, cache.Number), "x.img", content)

	fitted, err := layout.FitTo(d, nil, 1, &cache)
	if err != nil {
		t.Fatal(err)
	}
	for name, l := range map[string]disk.Layout{"as it was captured": layout, "fitted": fitted} {
		if err := disk.ApplyLayoutBeside(t.Context(), d, l, cache); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		d = only(t, target)
		_, cache, _ = disk.FindCache([]disk.Disk{d})
		if got := getFile(t, partitionNode(t, d, cache.Number), "x.img"); !bytes.Equal(got, content) {
			t.Errorf("%s: the cache has lost its content", name)
		}
		if d.Table != "dos" || len(d.Partitions) != 5 || d.Partitions[0].Filesystem != "" {
			t.Errorf("%s: got %s", name, seen(d))
		}
	}
	// A layout that has a cache of its own gets an empty one.
	own, err := disk.ReadLayout(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	blank := disktest.New(t, "BLANK", 200*mib, 512)
	if err := disk.ApplyLayout(t.Context(), only(t, blank), own); err != nil {
		t.Fatal(err)
	}
	_, p, ok := disk.FindCache([]disk.Disk{only(t, blank)})
	if !ok || p.Filesystem != "EXT4" || p.Label != "CACHE" || p.Start != cache.Start {
		t.Errorf("got cache %+v, want an empty one in its place", p)
	}
}

// TestCacheLeavesTheRest adds and deletes a cache on disks that boot: code, identities, names and contents stay.
func TestCacheLeavesTheRest(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]string{"dos": dosScript, "gpt": gptScript} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			loop := disktest.New(t, "BOOTS", 150*mib, 512)
			loop.Partition(t, script)
			data := map[string]int{"dos": 1, "gpt": 3}[name]
			if err := disk.Format(t.Context(), only(t, loop), data, "EXT4", "root"); err != nil {
				t.Fatal(err)
			}
			writeAt(t, loop.Path, 0, bytes.Repeat([]byte{0x90}, 440))
			writeAt(t, loop.Path, 34*512, []byte("core of the boot loader"))
			before := only(t, loop)
			layout, err := disk.ReadLayout(t.Context(), before)
			if err != nil {
				t.Fatal(err)
			}
			for _, size := range []int64{13 * mib, 20 * mib, 0} {
				apply(t, loop, disk.Scheme{Cache: size})
				d := only(t, loop)
				_, cache, has := disk.FindCache([]disk.Disk{d})
				if has != (size > 0) || cache.Bytes != size {
					t.Errorf("a cache of %d: got %+v", size, cache)
				}
				others := slices.DeleteFunc(d.Partitions, func(p disk.Partition) bool { return has && p.Number == cache.Number })
				if !slices.Equal(others, before.Partitions) {
					t.Errorf("with a cache of %d: got %+v, want %+v", size, others, before.Partitions)
				}
			}
			after, err := disk.ReadLayout(t.Context(), only(t, loop))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(after.BootCode, layout.BootCode) || !bytes.Equal(after.Gap, layout.Gap) || after.Dump != layout.Dump {
				t.Errorf("boot code, gap or table have changed:\n%s\n%s", layout.Dump, after.Dump)
			}
		})
	}
}

// TestSmallestFilesystems makes each filesystem in the smallest partition that Check lets pass.
func TestSmallestFilesystems(t *testing.T) {
	t.Parallel()
	loop := disktest.New(t, "SMALLEST", 700*mib, 512)
	least := map[string]int64{"EXT4": 2, "EXT3": 2, "EXT2": 1, "NTFS": 2, "FAT32": 34, "FAT16": 16, "EXFAT": 4, "XFS": 300, "BTRFS": 128, "F2FS": 64, "LINUX-SWAP": 1}
	s := disk.Scheme{Table: "gpt", Cache: 12800000}
	for i, name := range disk.Filesystems() {
		s.Partitions = append(s.Partitions, disk.Planned{Number: i + 1, Filesystem: name, Bytes: least[name] * mib})
		smaller := disk.Scheme{Table: "gpt", Partitions: []disk.Planned{{Number: 1, Filesystem: name, Bytes: least[name]*mib - 512}}}
		wantKind(t, smaller.Check(), disk.BadTable, name+" needs at least")
	}
	apply(t, loop, s)
	for i, p := range only(t, loop).Partitions {
		if i < len(s.Partitions) && p.Filesystem != s.Partitions[i].Filesystem {
			t.Errorf("partition %d: got %s, want %s", p.Number, p.Filesystem, s.Partitions[i].Filesystem)
		}
	}
}
