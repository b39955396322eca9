package clone

import (
	"encoding/binary"

	"aula/imagestore/format"
)

// sectorsOf tells for sectors of how many bytes an image was made, by its first run, which begins at off: 0 when that does not say. It is
// for images whose record does not tell. On a disk with other sectors nothing would be where its partition table or its boot sector says.
func sectorsOf(filesystem string, off int64, run []byte) int {
	switch filesystem {
	case format.Disk:
		return sectorsOfDisk(off, run)
	case "NTFS", "FAT12", "FAT16", "FAT32":
		if off != 0 || len(run) < bytesPerSector+2 {
			return 0
		}
		return int(binary.LittleEndian.Uint16(run[bytesPerSector:]))
	}
	return 0
}

// sectorsOfDisk goes by the place of the mark of a GPT. A disk without one has an MBR, which does not tell: they are from disks with
// sectors of 512 bytes, and those of the few others are refused rather than that the many end up unusable.
func sectorsOfDisk(off int64, run []byte) int {
	for _, size := range []int{512, 4096} {
		if at := int64(size) - off; at >= 0 && at+8 <= int64(len(run)) && string(run[at:at+8]) == "EFI PART" {
			return size
		}
	}
	return 512
}
