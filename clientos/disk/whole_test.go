package disk_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aula/clientos/disk"
	"aula/clientos/disk/disktest"
)

// TestAdoptTable writes the first bytes of a smaller disk over a larger one, as restoring its image does.
func TestAdoptTable(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		script     string
		sectorSize int
		partitions []int
	}{
		"GPT":                         {gptScript, 512, []int{1, 3, 4}},
		"GPT in sectors of 4096":      {gptScript4K, 4096, []int{1, 2}},
		"MBR with logical partitions": {dosScript, 512, []int{1, 5, 6}},
		"no table":                    {"", 512, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			small := disktest.New(t, "SMALL", 128*mib, test.sectorSize)
			if test.script != "" {
				small.Partition(t, test.script)
			}
			large := disktest.New(t, "LARGE", 160*mib, test.sectorSize)
			large.Partition(t, "label: dos\n1 : start=2048, size=2048, type=83\n2 : start=4096, size=2048, type=83\n")
			partitionNode(t, only(t, large), 2) // which the kernel must forget

			image, err := os.ReadFile(small.File)
			if err != nil {
				t.Fatal(err)
			}
			d := only(t, large)
			f, err := d.Open(t.Context(), 0, true)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			if _, err := f.WriteAt(image, 0); err != nil {
				t.Fatal(err)
			}
			if err := disk.AdoptTable(t.Context(), d, f); err != nil {
				t.Fatal(err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
			if nodes, err := filepath.Glob(large.Path + "p*"); err != nil || len(nodes) != len(test.partitions)+extended(test.script) {
				t.Errorf("nodes %v, %v; want those of partitions %v", nodes, err, test.partitions)
			}
			for _, n := range test.partitions {
				partitionNode(t, only(t, large), n)
			}
			if test.script == "" {
				return
			}
			wantNoComplaint(t, large.Path)
		})
	}
}

// gptScript4K has its partitions in sectors of 4096 bytes.
const gptScript4K = "label: gpt\n1 : start=256, size=2048\n2 : start=4096, size=8192\n"

func extended(script string) int { return strings.Count(script, "type=5") }

// wantNoComplaint asks the partitioning tools whether the table is as it must be.
func wantNoComplaint(t *testing.T, path string) {
	t.Helper()
	if out := disktest.Run(t, "sfdisk", "--verify", path); strings.Contains(out, "not on the end") || strings.Contains(out, "mismatch") ||
		strings.Contains(out, "error") && !strings.Contains(out, "No errors") {
		t.Errorf("sfdisk --verify: %s", out)
	}
	if strings.Contains(disktest.Run(t, "sfdisk", "--dump", path), "label: gpt") {
		if out := disktest.Run(t, "sgdisk", "--verify", path); !strings.Contains(out, "No problems found") {
			t.Errorf("sgdisk --verify: %s", out)
		}
	}
}

func TestOpenWholeDisk(t *testing.T) {
	t.Parallel()
	made := disktest.New(t, "WHOLE", 64*mib, 512)
	made.Partition(t, "label: dos\n1 : start=2048, size=65536, type=83\n")
	d := only(t, made)
	f, err := d.Open(t.Context(), 0, true)
	if err != nil {
		t.Fatal(err)
	}
	if size, err := f.Seek(0, 2); err != nil || size != 64*mib {
		t.Errorf("the disk has %d bytes, %v; want %d", size, err, 64*mib)
	}
	if _, err := d.Open(t.Context(), 0, true); err == nil {
		t.Error("the disk can be claimed twice")
	} else {
		wantKind(t, err, disk.InUse)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	grown := d
	grown.Bytes *= 2
	if f, err := grown.Open(t.Context(), 0, true); err == nil {
		f.Close()
		t.Error("a disk of another size is opened")
	} else {
		wantKind(t, err, disk.Differs)
	}
	partition := partitionNode(t, d, 1)
	disktest.Run(t, "mkfs.ext4", "-q", partition)
	where := t.TempDir()
	disktest.Run(t, "mount", "-o", "ro", partition, where)
	t.Cleanup(func() { disktest.Unmount(t, where) })
	if f, err := d.Open(t.Context(), 0, true); err == nil {
		f.Close()
		t.Error("a disk with a mounted partition is opened")
	} else {
		wantKind(t, err, disk.InUse, "mounted on")
	}
}
