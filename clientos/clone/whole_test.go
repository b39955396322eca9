package clone

import (
	"bytes"
	"math/rand/v2"
	"os"
	"strings"
	"testing"

	"aula/clientos/disk/disktest"
	"aula/clientos/protocol"
)

// diskImage is the image of the model's whole disk, raw.
func diskImage(t *testing.T, d disktest.Disk) []byte {
	t.Helper()
	data, err := os.ReadFile(d.File)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestDiskIsRestored(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]string{"GPT": gptModel, "MBR": dosModel} {
		for size, bytesOfTarget := range map[string]int64{"same size": 128 * mib, "larger disk": 200 * mib} {
			t.Run(name+" "+size, func(t *testing.T) {
				t.Parallel()
				source := disktest.New(t, "MODEL", 128*mib, 512)
				source.Partition(t, script)
				noise := make([]byte, 5*mib)
				rand.NewChaCha8([32]byte{5}).Read(noise)
				writeAt(t, source.Path, 60*mib, noise)
				image := diskImage(t, source)

				target := disktest.New(t, "TARGET", bytesOfTarget, 512)
				target.Partition(t, "label: gpt\n1 : start=2048, size=4096\n7 : start=16384, size=4096\n")
				node(t, target, 7)
				library := fakeLibrary{}
				i := instruction(t, protocol.RestoreImage, target.Path, 0)
				i.Parts = []protocol.Part{library.add(t, "kiosk", 0, image)}
				i.Parts[0].Image.SectorSize = 0 // as of an image of which nobody knows
				result, progress, err := run(t, library, target.Path, i)
				if err != nil {
					t.Fatal(err)
				}
				if result.Verified != 128*mib {
					t.Errorf("verified %d bytes, want all of the image", result.Verified)
				}
				if got, want := progress.stages(), "preflight writing verifying finishing "; got != want {
					t.Errorf("stages: got %q, want %q", got, want)
				}
				wantDisk(t, target, image, name == "GPT" && bytesOfTarget > 128*mib)
				if got, want := tableOf(t, target), tableOf(t, source); got != want {
					t.Errorf("table of the target:\n%s\nwant that of the model:\n%s", got, want)
				}
				node(t, target, 1)
				if _, err := os.Stat(target.Path + "p7"); err == nil {
					t.Error("the kernel still knows the partition that was there before")
				}
			})
		}
	}
}

// wantDisk compares a disk with its image, but for the sectors of a GPT that was stretched: the protective MBR, the first header, and what
// lies at the end.
func wantDisk(t *testing.T, d disktest.Disk, image []byte, stretched bool) {
	t.Helper()
	got := readAt(t, d.Path, 0, len(image))
	from, to := 0, len(image)
	if stretched {
		from, to = 1024, len(image)-34*512
		if out := disktest.Run(t, "sfdisk", "--verify", d.Path); strings.Contains(out, "not on the end") || strings.Contains(out, "mismatch") {
			t.Errorf("sfdisk --verify: %s", out)
		}
		if out := disktest.Run(t, "sgdisk", "--verify", d.Path); !strings.Contains(out, "No problems found") {
			t.Errorf("sgdisk --verify: %s", out)
		}
	}
	if !bytes.Equal(got[from:to], image[from:to]) {
		t.Error("the disk does not hold the image")
	}
}

func TestDiskIsRefused(t *testing.T) {
	t.Parallel()
	source := disktest.New(t, "MODEL", 64*mib, 512)
	source.Partition(t, "label: gpt\n1 : start=2048, size=65536\n")
	image := diskImage(t, source)
	source.Partition(t, "label: dos\n1 : start=2048, size=65536, type=7\n")
	imageMBR := diskImage(t, source)
	for name, test := range map[string]struct {
		size, sector int64
		image        []byte // the one with a GPT when nil
		prepare      func(t *testing.T, target disktest.Disk)
		change       func(i *protocol.Instruct)
		code         int
		words        []string
	}{
		"smaller disk":            {size: 63 * mib, code: protocol.ErrSize, words: []string{"disk 1 has", "are missing"}},
		"other sectors":           {size: 96 * mib, sector: 4096, code: protocol.ErrPartition, words: []string{"sectors of 4096 bytes", "sectors of 512"}},
		"other sectors, MBR":      {size: 96 * mib, sector: 4096, image: imageMBR, code: protocol.ErrPartition, words: []string{"sectors of 4096 bytes", "sectors of 512"}},
		"mounted partition":       {size: 96 * mib, prepare: mountPartition, code: protocol.ErrLocked, words: []string{"mounted on"}},
		"to a partition":          {size: 96 * mib, change: func(i *protocol.Instruct) { i.Parts[0].Partition = 1 }, code: protocol.ErrFormat, words: []string{"cannot be written to partition 1"}},
		"with a layout":           {size: 96 * mib, change: func(i *protocol.Instruct) { i.Layout = []byte("{}") }, code: protocol.ErrFormat, words: []string{"whole disk"}},
		"needs more than it says": {size: 96 * mib, change: func(i *protocol.Instruct) { i.Parts[0].Image.RequiredBytes-- }, code: protocol.ErrImageFile, words: []string{"its record says"}},
		"together with a partition": {size: 96 * mib, change: func(i *protocol.Instruct) {
			i.Parts = append(i.Parts, protocol.Part{Partition: 1, Image: i.Parts[0].Image})
		}, code: protocol.ErrFormat, words: []string{"whole disk"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target := disktest.New(t, "TARGET", test.size, int(max(test.sector, 512)))
			if test.sector == 0 {
				target.Partition(t, "label: dos\n1 : start=2048, type=83\n")
			}
			if test.prepare != nil {
				test.prepare(t, target)
			}
			library := fakeLibrary{}
			i := instruction(t, protocol.RestoreImage, target.Path, 0)
			if test.image == nil {
				test.image = image
			}
			i.Parts = []protocol.Part{library.add(t, "kiosk", 0, test.image)}
			i.Parts[0].Image.SectorSize = 0
			if test.change != nil {
				test.change(&i)
			}
			before := readAt(t, target.Path, 0, int(test.size))
			_, progress, err := run(t, library, target.Path, i)
			f := wantFailure(t, err, test.code, test.words...)
			if f.Stage != protocol.StagePreflight || progress.dirty() {
				t.Errorf("failed while %s, dirty %v; want preflight and a clean disk", f.Stage, progress.dirty())
			}
			if !bytes.Equal(readAt(t, target.Path, 0, int(test.size)), before) {
				t.Error("the disk was written to")
			}
		})
	}
}

// TestDiskThatForgets spoils a byte between writing and verifying a whole disk.
func TestDiskThatForgets(t *testing.T) {
	t.Parallel()
	source := disktest.New(t, "MODEL", 64*mib, 512)
	source.Partition(t, "label: gpt\n1 : start=2048, size=65536\n")
	target := disktest.New(t, "TARGET", 80*mib, 512)
	library := fakeLibrary{}
	i := instruction(t, protocol.RestoreImage, target.Path, 0)
	i.Parts = []protocol.Part{library.add(t, "kiosk", 0, diskImage(t, source))}
	r := &recorder{t: t}
	r.during = func(p Progress) {
		if p.Stage == protocol.StageVerifying && p.Bytes == 0 {
			writeAt(t, target.File, 40*mib+1, []byte{7})
		}
	}
	_, err := runRecorded(t.Context(), t, library, target.Path, i, r)
	if f := wantFailure(t, err, protocol.ErrImage, "does not hold what was written"); f.Stage != protocol.StageVerifying {
		t.Errorf("failed while %s, want verifying", f.Stage)
	}
}
