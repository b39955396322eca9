package disk_test

import (
	"bytes"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"aula/clientos/disk"
	"aula/clientos/disk/disktest"
)

// A fileIn puts a file into a filesystem and reads it, by whatever can do that here.
type fileIn struct {
	put func(t *testing.T, node string, data []byte)
	get func(t *testing.T, node string) []byte
}

var (
	byMount = fileIn{
		func(t *testing.T, node string, data []byte) { putFile(t, node, "file", data) },
		func(t *testing.T, node string) []byte { return getFile(t, node, "file") },
	}
	byNTFSTools = fileIn{
		func(t *testing.T, node string, data []byte) {
			disktest.Run(t, "ntfscp", "-q", node, written(t, data), "file")
		},
		func(t *testing.T, node string) []byte {
			// Forced, because ntfsresize has marked the volume to be checked by Windows.
			data, err := exec.CommandContext(t.Context(), "ntfscat", "--force", node, "file").Output()
			if err != nil {
				t.Fatal(err)
			}
			return data
		},
	}
	byF2FSTools = fileIn{
		func(t *testing.T, node string, data []byte) {
			disktest.Run(t, "sload.f2fs", "-f", filepath.Dir(written(t, data)), node)
		},
		func(t *testing.T, node string) []byte {
			cmd := exec.CommandContext(t.Context(), "dump.f2fs", "-i", "4", node)
			cmd.Dir, cmd.Stdin = t.TempDir(), strings.NewReader("Y\n")
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("dump.f2fs: %v\n%s", err, out)
			}
			data, err := os.ReadFile(filepath.Join(cmd.Dir, "lost_found", "file"))
			if err != nil {
				t.Fatal(err)
			}
			return data
		},
	}
)

// written returns the path of a file, alone in its folder, that holds data.
func written(t *testing.T, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// mountable tells whether the kernel here mounts a filesystem.
func mountable(t *testing.T, name string) bool {
	t.Helper()
	list, err := os.ReadFile("/proc/filesystems")
	if err != nil {
		t.Fatal(err)
	}
	return strings.Contains(string(list), "\t"+strings.ToLower(name)+"\n")
}

// enlarge gives partition 1 another size, in sectors, and leaves what is in it alone.
func enlarge(t *testing.T, path, sectors string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sfdisk", "--quiet", "--no-reread", "--no-tell-kernel", "--wipe", "never", "--wipe-partitions", "never", "-N", "1", path)
	cmd.Stdin = strings.NewReader("2048," + sectors + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("sfdisk: %v\n%s", err, out)
	}
}

// TestFormatAndExtend makes each filesystem, puts a file into it, gives its partition more room and lets it grow.
func TestFormatAndExtend(t *testing.T) {
	t.Parallel()
	data := make([]byte, 3*mib+17)
	random := rand.New(rand.NewPCG(6, 3))
	for i := range data {
		data[i] = byte(random.Uint32())
	}
	for _, test := range []struct {
		name, label string
		file        fileIn
		grows       bool
		check       []string
	}{
		{"EXT2", "exttwo", byMount, true, []string{"e2fsck", "-f", "-n"}},
		{"EXT3", "", byMount, true, []string{"e2fsck", "-f", "-n"}},
		{"EXT4", "aula de física", byMount, true, []string{"e2fsck", "-f", "-n"}},
		{"NTFS", "Ventana ñ", byNTFSTools, true, []string{"ntfsresize", "--info", "--force"}},
		{"XFS", "data", byMount, true, []string{"xfs_repair", "-n"}},
		{"BTRFS", "a longer label than the others", byMount, true, []string{"btrfs", "check", "--force"}},
		{"F2FS", "flash", byF2FSTools, true, []string{"fsck.f2fs"}},
		{"FAT16", "OLD", byMount, false, nil},
		{"FAT32", "ESP 1", byMount, false, []string{"fsck.fat", "-n"}},
		{"EXFAT", "stick", byMount, false, []string{"fsck.exfat", "-n"}},
		{"LINUX-SWAP", "swap1", fileIn{}, false, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			loop := disktest.New(t, "GROW-"+test.name, 800*mib, 512)
			loop.Partition(t, "label: dos\n1 : start=2048, size=800000, type=83\n")
			// An older filesystem must not be seen beside the new one.
			if err := disk.Format(t.Context(), only(t, loop), 1, map[bool]string{true: "EXT4", false: "BTRFS"}[test.name != "EXT4"], "old"); err != nil {
				t.Fatal(err)
			}
			if err := disk.Format(t.Context(), only(t, loop), 1, test.name, test.label); err != nil {
				t.Fatal(err)
			}
			small := only(t, loop).Partitions[0]
			if small.Filesystem != test.name || small.Label != test.label {
				t.Fatalf("got %s with label %q, want %s with %q", small.Filesystem, small.Label, test.name, test.label)
			}
			node := small.Path
			kernel := map[string]string{"FAT16": "vfat", "FAT32": "vfat"}[test.name]
			if kernel == "" {
				kernel = test.name
			}
			holds := test.file.put != nil && (test.name == "NTFS" || test.name == "F2FS" || mountable(t, kernel))
			if holds {
				test.file.put(t, node, data)
			}
			if grown, err := disk.Extend(t.Context(), only(t, loop), 1); err != nil || grown {
				t.Errorf("full already: grew %v, %v", grown, err)
			}
			enlarge(t, loop.Path, "1600000")
			grown, err := disk.Extend(t.Context(), only(t, loop), 1)
			if err != nil || grown != test.grows {
				t.Fatalf("grew %v, %v; want %v", grown, err, test.grows)
			}
			if again, err := disk.Extend(t.Context(), only(t, loop), 1); err != nil || again {
				t.Errorf("a second time: grew %v, %v", again, err)
			}
			if holds && !bytes.Equal(test.file.get(t, node), data) {
				t.Error("the file is not what it was")
			}
			if test.check != nil {
				disktest.Run(t, test.check[0], append(test.check[1:], node)...)
			}
		})
	}
}

func TestFormatRefusals(t *testing.T) {
	t.Parallel()
	loop := disktest.New(t, "REFUSE", 100*mib, 512)
	loop.Partition(t, dosScript)
	d := only(t, loop)
	node := partitionNode(t, d, 1)
	before := contents(t, loop.Path)
	wantKind(t, disk.Format(t.Context(), d, 1, "ZFS", ""), disk.BadTable, "cannot be made")
	wantKind(t, disk.Format(t.Context(), d, 1, "EXT4", "much too long a label"), disk.BadTable, "has room for 16")
	wantKind(t, disk.Format(t.Context(), d, 1, "XFS", ""), disk.TooSmall, "needs at least")
	wantKind(t, disk.Format(t.Context(), d, 3, "EXT4", ""), disk.Missing, "no partition 3")
	wantKind(t, disk.Format(t.Context(), d, 2, "EXT4", ""), disk.Missing, "no partition 2")
	f, err := d.Open(t.Context(), 1, true)
	if err != nil {
		t.Fatal(err)
	}
	wantKind(t, disk.Format(t.Context(), d, 1, "EXT4", ""), disk.InUse, node)
	_, err = disk.Extend(t.Context(), d, 1)
	wantKind(t, err, disk.InUse, node)
	f.Close()
	if !bytes.Equal(before, contents(t, loop.Path)) {
		t.Error("the disk was written to")
	}
}

// TestExtendDamaged leaves a filesystem alone that cannot be put right without asking.
func TestExtendDamaged(t *testing.T) {
	t.Parallel()
	loop := disktest.New(t, "DAMAGED", 100*mib, 512)
	loop.Partition(t, "label: dos\n1 : start=2048, size=100000, type=83\n")
	if err := disk.Format(t.Context(), only(t, loop), 1, "EXT4", ""); err != nil {
		t.Fatal(err)
	}
	node := partitionNode(t, only(t, loop), 1)
	disktest.Run(t, "debugfs", "-w", "-R", "clri <2>", node) // the root folder
	enlarge(t, loop.Path, "200000")
	_, err := disk.Extend(t.Context(), only(t, loop), 1)
	wantKind(t, err, disk.Tool, "e2fsck failed")
}

// TestHiddenSectors reads where the boot sectors of NTFS and FAT say that the volume begins.
func TestHiddenSectors(t *testing.T) {
	t.Parallel()
	loop := disktest.New(t, "HIDDEN", 100*mib, 512)
	loop.Partition(t, "label: dos\n1 : start=6144, size=100000, type=07\n")
	for _, name := range []string{"NTFS", "FAT32"} {
		if err := disk.Format(t.Context(), only(t, loop), 1, name, ""); err != nil {
			t.Fatal(err)
		}
		if got := contents(t, loop.Path)[6144*512+0x1C:][:4]; !bytes.Equal(got, []byte{0, 0x18, 0, 0}) {
			t.Errorf("%s: hidden sectors %x, want 6144", name, got)
		}
	}
}
