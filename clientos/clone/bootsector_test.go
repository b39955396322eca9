package clone

import (
	"bytes"
	"encoding/binary"
	"testing"

	"aula/clientos/protocol"
)

// bootSector makes a boot sector with sectors of 512 bytes.
func bootSector(set func(b []byte)) []byte {
	b := bytes.Repeat([]byte{0xEE}, 512)
	le := binary.LittleEndian
	le.PutUint16(b[bytesPerSector:], 512)
	le.PutUint16(b[reservedSectors:], 32)
	le.PutUint16(b[510:], 0xAA55)
	set(b)
	return b
}

func ntfsOf(sectors uint64) []byte {
	return bootSector(func(b []byte) { binary.LittleEndian.PutUint64(b[ntfsTotalSectors:], sectors) })
}

func fat32Of(backup uint16) []byte {
	return bootSector(func(b []byte) { binary.LittleEndian.PutUint16(b[fat32BackupBoot:], backup) })
}

func TestBootPatches(t *testing.T) {
	const size = 100 * 512
	for name, test := range map[string]struct {
		filesystem string
		boot       []byte
		start      int64
		offsets    []int64
		hidden     uint32
		code       int // of the failure, 0 for none
	}{
		"NTFS that fills its partition":     {"NTFS", ntfsOf(99), mib, []int64{0, 99 * 512}, 2048, 0},
		"NTFS in a larger partition":        {"NTFS", ntfsOf(50), mib, []int64{0, 50 * 512}, 2048, 0},
		"NTFS that does not fit":            {"NTFS", ntfsOf(100), mib, nil, 0, protocol.ErrSize},
		"NTFS of an impossible size":        {"NTFS", ntfsOf(1<<64 - 1), mib, nil, 0, protocol.ErrSize},
		"NTFS beyond what the field counts": {"NTFS", ntfsOf(99), 512 << 32, []int64{0, 99 * 512}, 0xEEEEEEEE, 0},
		"FAT32 with a copy":                 {"FAT32", fat32Of(6), 63 * 512, []int64{0, 6 * 512}, 63, 0},
		"FAT32 without a copy":              {"FAT32", fat32Of(0), 63 * 512, []int64{0}, 63, 0},
		"FAT32 whose copy is in the data":   {"FAT32", fat32Of(32), 63 * 512, []int64{0}, 63, 0},
		"FAT16":                             {"FAT16", fat32Of(6), mib, []int64{0}, 2048, 0},
		"EXT4 has none":                     {"EXT4", make([]byte, 512), mib, nil, 0, 0},
		"no boot sector":                    {"NTFS", make([]byte, 512), mib, nil, 0, protocol.ErrImage},
	} {
		t.Run(name, func(t *testing.T) {
			partition := make([]byte, size)
			copy(partition, test.boot)
			copy(partition[6*512:], test.boot)
			patches, err := bootPatches(test.filesystem, bytes.NewReader(partition), test.start, size)
			if test.code != 0 {
				wantFailure(t, explain(err, protocol.StageFinishing), test.code)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if len(patches) != len(test.offsets) {
				t.Fatalf("got %d patches, want %d", len(patches), len(test.offsets))
			}
			want := bytes.Clone(test.boot)
			copy(want[sectorsPerTrack:], []byte{63, 0, 255, 0})
			binary.LittleEndian.PutUint32(want[hiddenSectors:], test.hidden)
			for i, p := range patches {
				if p.offset != test.offsets[i] || !bytes.Equal(p.data, want) {
					t.Errorf("patch %d: got % x at %d, want % x at %d", i, p.data[:64], p.offset, want[:64], test.offsets[i])
				}
			}
		})
	}
}

// FuzzBootPatches checks that no boot sector leads to a write outside of the partition.
func FuzzBootPatches(f *testing.F) {
	f.Add("NTFS", ntfsOf(99))
	f.Add("FAT32", fat32Of(6))
	f.Fuzz(func(t *testing.T, filesystem string, boot []byte) {
		const size = 200 * 512
		partition := make([]byte, size)
		copy(partition, boot)
		patches, err := bootPatches(filesystem, bytes.NewReader(partition), mib, size)
		if err != nil {
			return
		}
		for _, p := range patches {
			if p.offset < 0 || p.offset+int64(len(p.data)) > size {
				t.Errorf("writes %d bytes at %d of %d", len(p.data), p.offset, size)
			}
		}
	})
}
