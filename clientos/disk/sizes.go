package disk

import (
	"encoding/binary"
	"io"
)

// filesystemBytes tells how large a filesystem says that it is, -1 when it does not tell.
func filesystemBytes(name string, r io.ReaderAt) int64 {
	var all, unit uint64
	var ok bool
	switch name {
	case "EXT2", "EXT3", "EXT4":
		all, _, unit, ok = extBlocks(r)
	case "XFS":
		all, _, unit, ok = xfsBlocks(r)
	case "NTFS":
		all, unit, ok = ntfsSectors(r)
	case "BTRFS":
		all, unit, ok = btrfsTotal(r)
	case "F2FS":
		all, unit, ok = f2fsBlocks(r)
	}
	if !ok || unit == 0 || all > 1<<62/unit {
		return -1
	}
	return int64(all * unit)
}

// ntfsSectors reads the boot sector of NTFS: bytes of a sector at 0x0B, sectors of the volume at 0x28, which leave out the copy of the boot sector behind
// them.
func ntfsSectors(r io.ReaderAt) (all, unit uint64, ok bool) {
	bs, ok := readAt(r, 0, 512)
	if !ok || string(bs[3:7]) != "NTFS" {
		return 0, 0, false
	}
	all = binary.LittleEndian.Uint64(bs[0x28:])
	return all + 1, uint64(binary.LittleEndian.Uint16(bs[0x0B:])), all < 1<<54
}

// btrfsTotal reads the first superblock of btrfs, at 64 KiB: the bytes of all its devices at 0x70.
func btrfsTotal(r io.ReaderAt) (all, unit uint64, ok bool) {
	sb, ok := readAt(r, 64<<10, 4096)
	if !ok || string(sb[0x40:0x48]) != "_BHRfS_M" {
		return 0, 0, false
	}
	return binary.LittleEndian.Uint64(sb[0x70:]), 1, true
}

// f2fsBlocks reads the first superblock of F2FS, at 1 KiB: the logarithm of the block size at 16, blocks at 36.
func f2fsBlocks(r io.ReaderAt) (all, unit uint64, ok bool) {
	sb, ok := readAt(r, 1024, 512)
	if !ok || binary.LittleEndian.Uint32(sb) != 0xF2F52010 {
		return 0, 0, false
	}
	shift := binary.LittleEndian.Uint32(sb[16:])
	return binary.LittleEndian.Uint64(sb[36:]), 1 << (shift & 31), shift >= 9 && shift <= 16
}
