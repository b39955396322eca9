package clone

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"aula/clientos/disk/disktest"
	"aula/clientos/protocol"
	"aula/imagestore/format"
)

// dosModel has NTFS in a primary partition, ext4 in a logical one and swap in another.
const dosModel = `label: dos
label-id: 0xa01a0005
1 : start=2048, size=65536, type=7, bootable
2 : start=67584, size=163840, type=5
5 : start=69632, size=98304, type=83
6 : start=169984, size=20480, type=82
`

// gptModel has an EFI system partition with FAT, ext4, and swap.
const gptModel = `label: gpt
label-id: 5DA5A1C5-5D46-4A4B-8D7E-9E2E2D5B3D8B
1 : start=2048, size=73728, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, name="EFI"
2 : start=75776, size=98304, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4
3 : start=174080, size=20480, type=0657FD6D-A4AB-43C4-84E5-0933C84B4F4F
`

// A setModel is a disk of 128 MiB with filesystems in some partitions and swap in one.
type setModel struct {
	script string
	fill   map[int]func(t *testing.T, node string)
	swap   int
	check  map[int][]string // the tool that says whether a partition's filesystem is whole
}

func setModels() map[string]setModel {
	small := func(mkfs ...string) func(t *testing.T, node string) {
		return func(t *testing.T, node string) {
			t.Helper()
			disktest.Run(t, mkfs[0], append(mkfs[1:], node)...)
		}
	}
	return map[string]setModel{
		"MBR with logical partitions": {
			script: dosModel, swap: 6,
			fill:  map[int]func(*testing.T, string){1: small("mkntfs", "-q", "-F", "-Q"), 5: ext4},
			check: map[int][]string{1: {"ntfsfix", "-n"}, 5: {"e2fsck", "-fn"}},
		},
		"GPT with swap": {
			script: gptModel, swap: 3,
			fill:  map[int]func(*testing.T, string){1: small("mkfs.vfat", "-F", "32", "-s", "1"), 2: ext4},
			check: map[int][]string{1: {"fsck.vfat", "-n"}, 2: {"e2fsck", "-fn"}},
		},
	}
}

const swapUUID = "0a1b2c3d-1111-4222-8333-444455556666"

// capturedSet captures every filesystem of a model and returns the images with the layout of the disk.
func capturedSet(t *testing.T, m setModel) (model disktest.Disk, library fakeLibrary, parts []protocol.Part, layout []byte) {
	t.Helper()
	model = disktest.New(t, "MODEL", 128*mib, 512)
	model.Partition(t, m.script)
	disktest.Run(t, "mkswap", "--uuid", swapUUID, node(t, model, m.swap))
	for number, fill := range m.fill {
		fill(t, node(t, model, number))
	}
	library = fakeLibrary{}
	for number := range m.fill {
		server := &fakeServer{}
		if _, _, err := run(t, server, model.Path, instruction(t, protocol.CreateImage, model.Path, number)); err != nil {
			t.Fatal(err)
		}
		parts = append(parts, library.add(t, fmt.Sprintf("set-p%d", number), number, server.image))
		layout = server.layout
	}
	return model, library, parts, layout
}

func TestSetIsRestored(t *testing.T) {
	t.Parallel()
	for name, test := range setModels() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source, library, parts, layout := capturedSet(t, test)
			target := disktest.New(t, "TARGET", 160*mib, 512)
			i := instruction(t, protocol.RestoreImage, target.Path, 0)
			i.Parts, i.Layout = parts, layout
			result, progress, err := run(t, library, target.Path, i)
			if err != nil {
				t.Fatal(err)
			}
			if got, want := result.Verified, i.UsedBytes(); got != want {
				t.Errorf("verified %d bytes, want the %d of all images", got, want)
			}
			if got, want := progress.stages(), "preflight partitioning writing verifying finishing "; got != want {
				t.Errorf("stages: got %q, want %q", got, want)
			}
			wantWholeStages(t, progress, i.UsedBytes())
			for _, p := range parts {
				index := library[p.Image.Name].index
				restored := node(t, target, p.Partition)
				compareUsed(t, index, node(t, source, p.Partition), restored, index.Info.Filesystem)
				tool := test.check[p.Partition]
				if out := disktest.Run(t, tool[0], append(tool[1:], restored)...); strings.Contains(out, "BAD") {
					t.Errorf("%s: %s", tool[0], out)
				}
			}
			if out := disktest.Run(t, "blkid", "-p", node(t, target, test.swap)); !strings.Contains(out, swapUUID) {
				t.Errorf("the swap area is not the model's: %s", out)
			}
			if got, want := tableOf(t, target), tableOf(t, source); got != want {
				t.Errorf("table of the target:\n%s\nwant that of the model:\n%s", got, want)
			}
		})
	}
}

// wantWholeStages checks that the progress of writing and verifying is that of all images together.
func wantWholeStages(t *testing.T, r *recorder, total int64) {
	t.Helper()
	done := map[string]int64{}
	for _, p := range r.all {
		if p.Stage != protocol.StageWriting && p.Stage != protocol.StageVerifying {
			continue
		}
		if p.Bytes < done[p.Stage] || p.Bytes > total || p.Total != total {
			t.Fatalf("progress %+v after %d bytes of %d", p, done[p.Stage], total)
		}
		done[p.Stage] = p.Bytes
	}
	for _, stage := range []string{protocol.StageWriting, protocol.StageVerifying} {
		if done[stage] != total {
			t.Errorf("%s ended at %d bytes, want %d", stage, done[stage], total)
		}
	}
}

// tableOf is the partition table of a disk without what depends on the disk's name and size.
func tableOf(t *testing.T, d disktest.Disk) string {
	t.Helper()
	var lines []string
	for line := range strings.Lines(disktest.Run(t, "sfdisk", "--dump", d.Path)) {
		if !strings.HasPrefix(line, "last-lba") {
			lines = append(lines, strings.ReplaceAll(line, d.Path, "DISK"))
		}
	}
	return strings.Join(lines, "")
}

// TestSetIsRefusedAsAWhole spoils one image of two: the other one must not be written either.
func TestSetIsRefusedAsAWhole(t *testing.T) {
	t.Parallel()
	_, library, parts, layout := capturedSet(t, setModels()["GPT with swap"])
	last := parts[1].Image.Name
	for name, test := range map[string]struct {
		change func(i *protocol.Instruct, library fakeLibrary)
		code   int
		words  []string
	}{
		"partition too small": {func(i *protocol.Instruct, _ fakeLibrary) { i.Parts[1].Image.RequiredBytes = 1 << 30 },
			protocol.ErrSize, []string{last, "are missing"}},
		"partition that the layout has not": {func(i *protocol.Instruct, _ fakeLibrary) { i.Parts[1].Partition = 9 },
			protocol.ErrPartition, []string{"no partition 9"}},
		"image gone": {func(i *protocol.Instruct, l fakeLibrary) {
			l[last].refuse = &protocol.Failure{Code: protocol.ErrNotFound, Problem: "it is gone", Advice: "choose another"}
		}, protocol.ErrNotFound, []string{"gone"}},
		"image that is none": {func(i *protocol.Instruct, l fakeLibrary) { clear(l[last].image[:min(4096, len(l[last].image))]) },
			protocol.ErrImageFile, []string{last}},
		"index of another image": {func(i *protocol.Instruct, l fakeLibrary) { l[last].index = l[parts[0].Image.Name].index },
			protocol.ErrImageFile, []string{last, "damaged"}},
		"image of a disk": {func(i *protocol.Instruct, l fakeLibrary) {
			index := *l[last].index
			index.Info.Filesystem = format.Disk
			l[last].index = &index
		}, protocol.ErrFormat, []string{last, "cannot be written to partition"}},
		"other sectors": {func(i *protocol.Instruct, _ fakeLibrary) { i.Parts[1].Image.SectorSize = 4096 },
			protocol.ErrPartition, []string{"sectors of 512"}},
		"two images for one partition": {func(i *protocol.Instruct, _ fakeLibrary) { i.Parts[1].Partition = i.Parts[0].Partition },
			protocol.ErrFormat, []string{"two images"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target := disktest.New(t, "TARGET", 128*mib, 512)
			target.Partition(t, dosModel)
			own := fakeLibrary{}
			for name, s := range library {
				own[name] = &fakeServer{image: bytes.Clone(s.image), index: s.index}
			}
			i := instruction(t, protocol.RestoreImage, target.Path, 0)
			i.Parts, i.Layout = append([]protocol.Part(nil), parts...), layout
			test.change(&i, own)
			before := readAt(t, target.Path, 0, 128*mib)
			_, progress, err := run(t, own, target.Path, i)
			f := wantFailure(t, err, test.code, test.words...)
			if f.Stage != protocol.StagePreflight || progress.dirty() {
				t.Errorf("failed while %s, dirty %v; want preflight and a clean disk", f.Stage, progress.dirty())
			}
			if !bytes.Equal(readAt(t, target.Path, 0, 128*mib), before) {
				t.Error("the disk was written to")
			}
		})
	}
}
