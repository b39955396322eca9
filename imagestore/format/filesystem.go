package format

import "encoding/binary"

// refine completes info from the filesystem's own first bytes, which data holds from byte off of the
// partition on. Partclone calls every ext filesystem EXTFS and does not say how small NTFS can be.
func refine(info *Info, off int64, data []byte) {
	switch info.Filesystem {
	case "EXTFS":
		if sb := at(data, off, 1024, 1024); sb != nil {
			info.Filesystem = extGeneration(sb)
		}
	case "NTFS":
		if boot := at(data, off, 0, 512); boot != nil {
			if n, ok := ntfsBytes(boot, int64(info.BlockSize), info.RequiredBytes); ok {
				info.RequiredBytes = n
			}
		}
	}
}

// at returns n bytes from byte pos of the partition, if data, which starts at off, has them.
func at(data []byte, off, pos, n int64) []byte {
	if pos < off || pos-off+n > int64(len(data)) {
		return nil
	}
	return data[pos-off:][:n]
}

// Feature bits of the ext superblock that ext2 and ext3 know (Linux, fs/ext4/ext4.h). A filesystem with any other
// is ext4.
const (
	extJournal        = 0x4                    // compatible: has a journal
	ext3Incompatible  = 0x2 | 0x4 | 0x8 | 0x10 // file types, needs recovery, journal device, meta block groups
	ext2Incompatible  = 0x2 | 0x10             //
	ext3ReadOnly      = 0x1 | 0x2 | 0x4        // sparse superblocks, large files, B-tree directories
	extSuperblockMark = 0xEF53
)

// extGeneration tells EXT2, EXT3 and EXT4 apart by the features in the superblock, as libblkid does.
func extGeneration(sb []byte) string {
	le := binary.LittleEndian
	if le.Uint16(sb[0x38:]) != extSuperblockMark {
		return "EXTFS"
	}
	compatible, incompatible, readOnly := le.Uint32(sb[0x5C:]), le.Uint32(sb[0x60:]), le.Uint32(sb[0x64:])
	switch {
	case readOnly&^ext3ReadOnly != 0 || incompatible&^ext3Incompatible != 0:
		return "EXT4"
	case compatible&extJournal != 0:
		return "EXT3"
	case incompatible&^ext2Incompatible != 0:
		return "EXT4"
	}
	return "EXT2"
}

// ntfsBytes is the exact size that a partition must have for the NTFS filesystem of this boot sector: its sectors
// and one more for the copy of the boot sector. It is not believed beyond a cluster of what the image's header says.
func ntfsBytes(boot []byte, cluster, header int64) (int64, bool) {
	le := binary.LittleEndian
	sector := int64(le.Uint16(boot[0x0B:]))
	sectors := le.Uint64(boot[0x28:])
	if string(boot[3:11]) != "NTFS    " || sector < 256 || sector > 4096 || sectors >= 1<<50 {
		return 0, false
	}
	n := (int64(sectors) + 1) * sector
	return n, n > header-cluster && n <= header+cluster
}
