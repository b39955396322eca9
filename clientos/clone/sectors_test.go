package clone

import (
	"bytes"
	"testing"

	"aula/clientos/disk/disktest"
	"aula/clientos/protocol"
	"aula/imagestore/format"
)

func TestSectorsOf(t *testing.T) {
	t.Parallel()
	gpt := func(at int) []byte {
		b := make([]byte, 8192)
		copy(b[at:], "EFI PART")
		return b
	}
	boot := func(low, high byte) []byte {
		return bootSector(func(b []byte) { b[bytesPerSector], b[bytesPerSector+1] = low, high })
	}
	for name, test := range map[string]struct {
		filesystem string
		off        int64
		run        []byte
		want       int
	}{
		"GPT of 512":                    {format.Disk, 0, gpt(512), 512},
		"GPT of 4096":                   {format.Disk, 0, gpt(4096), 4096},
		"GPT in a later run":            {format.Disk, 4096, gpt(0), 4096},
		"MBR":                           {format.Disk, 0, make([]byte, 8192), 512},
		"MBR, short run":                {format.Disk, 0, make([]byte, 512), 512},
		"NTFS of 512":                   {"NTFS", 0, boot(0, 2), 512},
		"NTFS of 4096":                  {"NTFS", 0, boot(0, 16), 4096},
		"FAT16 of 2048":                 {"FAT16", 0, boot(0, 8), 2048},
		"FAT32 of 512":                  {"FAT32", 0, boot(0, 2), 512},
		"NTFS without a boot sector":    {"NTFS", 4096, boot(0, 2), 0},
		"NTFS, hardly any of it":        {"NTFS", 0, make([]byte, bytesPerSector+1), 0},
		"filesystem that does not tell": {"EXT4", 0, boot(0, 2), 0},
	} {
		if got := sectorsOf(test.filesystem, test.off, test.run); got != test.want {
			t.Errorf("%s: got %d, want %d", name, got, test.want)
		}
	}
}

// TestFilesystemOfOtherSectors restores images, of which it is not known where they are from, to disks with sectors of their own size and
// of another.
func TestFilesystemOfOtherSectors(t *testing.T) {
	t.Parallel()
	for name, fill := range map[string]func(t *testing.T, node string){"NTFS": ntfs, "FAT32": fat32} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, _ := captured(t, fill)
			i := func(t *testing.T, target disktest.Disk) protocol.Instruct {
				in := instruction(t, protocol.RestoreImage, target.Path, 1)
				in.Parts = server.part(1)
				in.Parts[0].Image.SectorSize = 0
				return in
			}
			large := disktest.New(t, "T4K", 128*mib, 4096)
			large.Partition(t, "label: gpt\n1 : start=1024, size=28672, type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7\n")
			before := readAt(t, large.Path, 0, 128*mib)
			_, progress, err := run(t, server, large.Path, i(t, large))
			f := wantFailure(t, err, protocol.ErrPartition, "sectors of 4096 bytes", "sectors of 512")
			if f.Stage != protocol.StagePreflight || progress.dirty() || !bytes.Equal(readAt(t, large.Path, 0, 128*mib), before) {
				t.Errorf("failed while %s, dirty %v; want preflight and an untouched disk", f.Stage, progress.dirty())
			}
			usual := disktest.New(t, "T512", 128*mib, 512)
			usual.Partition(t, "label: gpt\n1 : start=2048, size=229376, type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7\n")
			if _, _, err := run(t, server, usual.Path, i(t, usual)); err != nil {
				t.Errorf("to a disk with the same sectors: %v", err)
			}
		})
	}
}
