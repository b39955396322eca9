package format

import (
	"encoding/binary"
	"fmt"
	"strings"
	"unicode/utf16"
)

const (
	btrfsOffset   = 64 << 10
	superblockLen = 4096 // the most that a parser below looks at
)

// A superblock is the part of a partition by which a filesystem is known. Its parser believes what it finds only when
// it makes sense as a whole.
type superblock struct {
	offset, length int64 // of the partition
	parse          func(b []byte) (content, bool)
}

// bootSectors are the superblocks at the beginning of a partition.
func bootSectors() []superblock {
	return []superblock{
		{0, 512, parseXFS},
		{0, 512, parseLUKS},
		{0, 512, parseNTFS},
		{0, 512, parseBitLocker},
		{0, 512, parseExFAT},
		{0, 512, parseFAT},
	}
}

// superblocks are those further in.
func superblocks() []superblock {
	return []superblock{
		{1024, 2048, parseF2FS},
		{1024, 1024, parseExt},
		{512, 512, parseLVM},
		{btrfsOffset, superblockLen, parseBtrfs},
	}
}

// bounded is a size in bytes of n units, of which too many make it larger than maxRawBytes.
func bounded(n, unit uint64) int64 { return int64(min(n, maxRawBytes+1) * min(unit, 1<<16)) }

// powerOfTwo tells whether n is one, from low to high.
func powerOfTwo(n, low, high uint64) bool { return n >= low && n <= high && n&(n-1) == 0 }

// uuid is the text of a UUID.
func uuid(b []byte) string {
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[0:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

// serial is the text of the serial number of a FAT or exFAT filesystem.
func serial(b []byte) string {
	n := binary.LittleEndian.Uint32(b)
	return fmt.Sprintf("%04X-%04X", n>>16, n&0xFFFF)
}

// Feature bits of the ext superblock that ext2 and ext3 know (Linux, fs/ext4/ext4.h). A filesystem with any other
// is ext4.
const (
	extJournal        = 0x4                    // compatible: has a journal
	ext3Incompatible  = 0x2 | 0x4 | 0x8 | 0x10 // file types, needs recovery, journal device, meta block groups
	ext2Incompatible  = 0x2 | 0x10             //
	ext3ReadOnly      = 0x1 | 0x2 | 0x4        // sparse superblocks, large files, B-tree directories
	ext64Bit          = 0x80                   // incompatible: more than 2^32 blocks
	extSuperblockMark = 0xEF53
)

// parseExt reads the superblock of ext2, ext3 or ext4, and tells them apart by its features, as libblkid does.
func parseExt(b []byte) (content, bool) {
	le := binary.LittleEndian
	logBlock, blocks := le.Uint32(b[0x18:]), uint64(le.Uint32(b[0x04:]))
	if le.Uint16(b[0x38:]) != extSuperblockMark || logBlock > 6 {
		return content{}, false
	}
	compatible, incompatible, readOnly := le.Uint32(b[0x5C:]), le.Uint32(b[0x60:]), le.Uint32(b[0x64:])
	if incompatible&ext64Bit != 0 {
		blocks |= uint64(le.Uint32(b[0x150:])) << 32
	}
	c := content{
		filesystem: "EXT2",
		bytes:      bounded(blocks, 1024<<logBlock),
		label:      text(b[0x78:0x88]),
		uuid:       uuid(b[0x68:0x78]),
	}
	switch {
	case readOnly&^ext3ReadOnly != 0 || incompatible&^ext3Incompatible != 0:
		c.filesystem = "EXT4"
	case compatible&extJournal != 0:
		c.filesystem = "EXT3"
	case incompatible&^ext2Incompatible != 0:
		c.filesystem = "EXT4"
	}
	return c, blocks > 0
}

// parseNTFS reads the boot sector of NTFS. The filesystem needs the sectors that it counts, and one more for the copy of
// the boot sector.
func parseNTFS(b []byte) (content, bool) {
	le := binary.LittleEndian
	sector, sectors := uint64(le.Uint16(b[0x0B:])), le.Uint64(b[0x28:])
	if string(b[3:11]) != "NTFS    " || !powerOfTwo(sector, 256, 4096) || sectors == 0 || sectors >= 1<<63 {
		return content{}, false
	}
	return content{
		filesystem: "NTFS",
		bytes:      bounded(sectors+1, sector),
		uuid:       fmt.Sprintf("%016X", le.Uint64(b[0x48:])),
	}, true
}

// parseBitLocker recognises an encrypted Windows volume.
func parseBitLocker(b []byte) (content, bool) {
	return content{filesystem: "BITLOCKER"}, string(b[3:11]) == "-FVE-FS-"
}

// parseExFAT reads the boot sector of exFAT (exFAT specification, 3.1).
func parseExFAT(b []byte) (content, bool) {
	sectors, shift := binary.LittleEndian.Uint64(b[0x48:]), b[0x6C]
	if string(b[3:11]) != "EXFAT   " || shift < 9 || shift > 12 || sectors == 0 {
		return content{}, false
	}
	return content{filesystem: "EXFAT", bytes: bounded(sectors, 1<<shift), uuid: serial(b[0x64:])}, true
}

// parseFAT reads the boot sector of FAT12, FAT16 or FAT32, which differ by their number of clusters (Microsoft's FAT
// specification, 3.5).
func parseFAT(b []byte) (content, bool) {
	le := binary.LittleEndian
	sector, cluster := uint64(le.Uint16(b[0x0B:])), uint64(b[0x0D])
	reserved, copies, root := uint64(le.Uint16(b[0x0E:])), uint64(b[0x10]), uint64(le.Uint16(b[0x11:]))
	sectors, table := uint64(le.Uint16(b[0x13:])), uint64(le.Uint16(b[0x16:]))
	extension := b[0x26:] // serial number, label, mark
	large := table == 0
	if large {
		table, extension = uint64(le.Uint32(b[0x24:])), b[0x42:]
	}
	if sectors == 0 {
		sectors = uint64(le.Uint32(b[0x20:]))
	}
	if !powerOfTwo(sector, 512, 4096) || !powerOfTwo(cluster, 1, 128) || reserved == 0 || copies == 0 || copies > 2 ||
		b[0x15] < 0xF0 || table == 0 || string(extension[16:19]) != "FAT" {
		return content{}, false
	}
	system := reserved + copies*table + (root*32+sector-1)/sector
	if sectors <= system {
		return content{}, false
	}
	c := content{
		filesystem: "FAT16",
		bytes:      bounded(sectors, sector),
		label:      text(extension[5:16]),
		uuid:       serial(extension[1:]),
	}
	if c.label == "NO NAME" {
		c.label = ""
	}
	switch {
	case large:
		c.filesystem = "FAT32"
	case (sectors-system)/cluster < 4085:
		c.filesystem = "FAT12"
	}
	return c, true
}

// parseXFS reads the superblock of XFS, which is big-endian (XFS Algorithms & Data Structures, 11.1).
func parseXFS(b []byte) (content, bool) {
	be := binary.BigEndian
	block, blocks := uint64(be.Uint32(b[4:])), be.Uint64(b[8:])
	if string(b[:4]) != "XFSB" || !powerOfTwo(block, 512, 64<<10) || blocks == 0 {
		return content{}, false
	}
	return content{filesystem: "XFS", bytes: bounded(blocks, block), label: text(b[0x6C:0x78]), uuid: uuid(b[0x20:0x30])}, true
}

// parseBtrfs reads the superblock of btrfs. A filesystem of several devices says the size of each, as it does of one.
func parseBtrfs(b []byte) (content, bool) {
	le := binary.LittleEndian
	size := le.Uint64(b[0xD1:])
	if string(b[0x40:0x48]) != "_BHRfS_M" || size == 0 {
		return content{}, false
	}
	return content{filesystem: "BTRFS", bytes: bounded(size, 1), label: text(b[0x12B:0x22B]), uuid: uuid(b[0x20:0x30])}, true
}

// parseF2FS reads the superblock of F2FS (Linux, include/linux/f2fs_fs.h).
func parseF2FS(b []byte) (content, bool) {
	le := binary.LittleEndian
	shift, blocks := le.Uint32(b[0x10:]), le.Uint64(b[0x24:])
	if le.Uint32(b) != 0xF2F52010 || shift < 9 || shift > 16 || blocks == 0 {
		return content{}, false
	}
	return content{filesystem: "F2FS", bytes: bounded(blocks, 1<<shift), label: utf16Text(b[0x7C:0x47C]), uuid: uuid(b[0x6C:0x7C])}, true
}

// utf16Text is text of a field of little-endian UTF-16.
func utf16Text(field []byte) string {
	var units []uint16
	for ; len(field) >= 2; field = field[2:] {
		u := binary.LittleEndian.Uint16(field)
		if u == 0 {
			break
		}
		units = append(units, u)
	}
	return text([]byte(string(utf16.Decode(units))))
}

// parseLUKS recognises an encrypted Linux volume, whose size its header does not say (LUKS1 1.2.3, LUKS2 1.1.2: both have
// the UUID in the same place).
func parseLUKS(b []byte) (content, bool) {
	version := binary.BigEndian.Uint16(b[6:])
	if string(b[:6]) != "LUKS\xBA\xBE" || version < 1 || version > 2 {
		return content{}, false
	}
	return content{filesystem: "LUKS", uuid: strings.ToLower(text(b[0xA8:0xD0]))}, true
}

// parseLVM reads the label of a physical volume in its second sector, where LVM2 puts it.
func parseLVM(b []byte) (content, bool) {
	le := binary.LittleEndian
	offset := uint64(le.Uint32(b[0x14:]))
	if string(b[:8]) != "LABELONE" || string(b[0x18:0x20]) != "LVM2 001" {
		return content{}, false
	}
	c := content{filesystem: "LVM"}
	if offset >= 32 && offset <= 512-40 {
		c.uuid = text(b[offset:][:32])
		c.bytes = bounded(le.Uint64(b[offset+32:]), 1)
	}
	return c, true
}
