package clone

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"

	"aula/clientos/disk"
	"aula/clientos/protocol"
)

// Fields of the boot sectors of NTFS and FAT (Microsoft's FAT specification 1.03, 3.1; NTFS has the same and its own from 0x24 on).
const (
	bootSectorBytes  = 512
	bytesPerSector   = 0x0B // u16
	reservedSectors  = 0x0E // u16
	sectorsPerTrack  = 0x18 // u16
	numberOfHeads    = 0x1A // u16
	hiddenSectors    = 0x1C // u32: where the partition starts on the disk
	ntfsTotalSectors = 0x28 // u64: all sectors but the copy of this one, which comes right after them
	fat32BackupBoot  = 0x32 // u16: sector that holds a copy of this one
)

// A patch is bytes to write at an offset of the partition.
type patch struct {
	offset int64
	data   []byte
}

// bootPatches says how the boot sectors of a restored filesystem must change for a partition that starts at byte start: the BIOS
// boot code of Windows finds its partition by the hidden sectors field, and most NTFS images have no copy of the boot sector, for it
// lies behind the last cluster (ntfsclone puts it into its images since version 10.1; partclone and partimage do not). It is pure;
// r is read only.
func bootPatches(filesystem string, r io.ReaderAt, start, size int64) ([]patch, error) {
	switch filesystem {
	case "NTFS", "FAT12", "FAT16", "FAT32":
	default:
		return nil, nil
	}
	boot := make([]byte, bootSectorBytes)
	if _, err := r.ReadAt(boot, 0); err != nil {
		return nil, fmt.Errorf("reading the boot sector: %w", err)
	}
	le := binary.LittleEndian
	sector := int64(le.Uint16(boot[bytesPerSector:]))
	if sector < 512 || sector > 4096 || sector&(sector-1) != 0 || boot[510] != 0x55 || boot[511] != 0xAA {
		return nil, failure(protocol.ErrImage, fmt.Sprintf("the image says %s and has no such boot sector", filesystem),
			"check the filesystem of the model computer and create the image again")
	}
	place(boot, start/sector)
	patches := []patch{{0, boot}}
	switch filesystem {
	case "NTFS":
		total := le.Uint64(boot[ntfsTotalSectors:])
		if total > uint64(math.MaxInt64)/4096-1 || (int64(total)+1)*sector > size {
			return nil, failure(protocol.ErrSize,
				fmt.Sprintf("the NTFS filesystem has %d sectors of %d bytes and does not fit in a partition of %s", total, sector, disk.FormatBytes(size)),
				"restore to a larger partition")
		}
		patches = append(patches, patch{int64(total) * sector, boot})
	case "FAT32":
		at := int64(le.Uint16(boot[fat32BackupBoot:]))
		if at == 0 || at >= int64(le.Uint16(boot[reservedSectors:])) {
			return patches, nil // it has no copy
		}
		backup := make([]byte, bootSectorBytes)
		if _, err := r.ReadAt(backup, at*sector); err != nil {
			return nil, fmt.Errorf("reading the copy of the boot sector: %w", err)
		}
		place(backup, start/sector)
		patches = append(patches, patch{at * sector, backup})
	}
	return patches, nil
}

// place writes into a boot sector where its partition starts, and the geometry that every BIOS translates large disks to.
func place(boot []byte, start int64) {
	le := binary.LittleEndian
	le.PutUint16(boot[sectorsPerTrack:], 63)
	le.PutUint16(boot[numberOfHeads:], 255)
	if start <= math.MaxUint32 { // beyond, no BIOS boots from it
		le.PutUint32(boot[hiddenSectors:], uint32(start))
	}
}

// adaptBootSectors makes the changes of bootPatches on the partition and reads them back from the disk. It is called only after
// the whole image was verified.
func adaptBootSectors(f *os.File, filesystem string, p disk.Partition) error {
	patches, err := bootPatches(filesystem, f, p.Start, p.Bytes)
	if err != nil {
		return err
	}
	for _, patch := range patches {
		if _, err := f.WriteAt(patch.data, patch.offset); err != nil {
			return writeFailure(f.Name(), err)
		}
	}
	if err := f.Sync(); err != nil {
		return writeFailure(f.Name(), err)
	}
	if err := disk.DropCache(f); err != nil {
		return err
	}
	for _, patch := range patches {
		got := make([]byte, len(patch.data))
		if _, err := f.ReadAt(got, patch.offset); err != nil || !bytes.Equal(got, patch.data) {
			return failure(protocol.ErrImage, fmt.Sprintf("the disk does not hold the boot sector that was written at byte %d", patch.offset),
				"the disk is failing: replace it and restore again").because(err)
		}
	}
	return nil
}
