package disk

import (
	"encoding/binary"
	"io"
	"math/bits"
)

// maxFAT is the largest file allocation table that is read through to count its clusters: that of a 32 GB stick.
const maxFAT = 32 << 20

// usedBytes tells how many bytes of a filesystem hold data, from its superblock. It answers -1 when that cannot be told cheaply,
// and for what makes no sense.
func usedBytes(filesystem string, r io.ReaderAt) int64 {
	var all, free, unit uint64
	var ok bool
	switch filesystem {
	case "EXT2", "EXT3", "EXT4":
		all, free, unit, ok = extBlocks(r)
	case "XFS":
		all, free, unit, ok = xfsBlocks(r)
	case "BTRFS":
		all, free, unit, ok = btrfsBytes(r)
	case "FAT12", "FAT16", "FAT32":
		all, free, unit, ok = fatClusters(r)
	}
	if !ok || free > all {
		return -1
	}
	hi, used := bits.Mul64(all-free, unit)
	if hi != 0 || used > 1<<62 {
		return -1
	}
	return int64(used)
}

func readAt(r io.ReaderAt, off int64, n int) ([]byte, bool) {
	b := make([]byte, n)
	_, err := r.ReadAt(b, off)
	return b, err == nil
}

// extBlocks reads the superblock of ext2, ext3 and ext4: blocks at 0x04, free blocks at 0x0C, the logarithm of the block size at
// 0x18; with the feature 64bit (0x80 of 0x60) the upper halves at 0x150 and 0x158.
func extBlocks(r io.ReaderAt) (all, free, unit uint64, ok bool) {
	sb, ok := readAt(r, 1024, 1024)
	if !ok || binary.LittleEndian.Uint16(sb[0x38:]) != 0xEF53 {
		return 0, 0, 0, false
	}
	le := binary.LittleEndian
	all, free = uint64(le.Uint32(sb[0x04:])), uint64(le.Uint32(sb[0x0C:]))
	if le.Uint32(sb[0x60:])&0x80 != 0 {
		all |= uint64(le.Uint32(sb[0x150:])) << 32
		free |= uint64(le.Uint32(sb[0x158:])) << 32
	}
	shift := le.Uint32(sb[0x18:])
	return all, free, 1024 << (shift & 15), shift <= 6
}

// xfsBlocks reads the first superblock of XFS, big-endian: block size at 4, data blocks at 8, free ones at 144.
func xfsBlocks(r io.ReaderAt) (all, free, unit uint64, ok bool) {
	sb, ok := readAt(r, 0, 512)
	if !ok || string(sb[:4]) != "XFSB" {
		return 0, 0, 0, false
	}
	be := binary.BigEndian
	return be.Uint64(sb[8:]), be.Uint64(sb[144:]), uint64(be.Uint32(sb[4:])), true
}

// btrfsBytes reads the first superblock of btrfs, at 64 KiB: bytes used at 0x78.
func btrfsBytes(r io.ReaderAt) (all, free, unit uint64, ok bool) {
	sb, ok := readAt(r, 64<<10, 4096)
	if !ok || string(sb[0x40:0x48]) != "_BHRfS_M" {
		return 0, 0, 0, false
	}
	return binary.LittleEndian.Uint64(sb[0x78:]), 0, 1, true
}

// fatClusters counts the entries of the first file allocation table that are not zero; what lies before the clusters (boot
// sector, tables, root directory) counts as used. The free count in the FSInfo sector is only a hint and often wrong.
func fatClusters(r io.ReaderAt) (all, free, unit uint64, ok bool) {
	bs, ok := readAt(r, 0, 512)
	if !ok || bs[510] != 0x55 || bs[511] != 0xAA {
		return 0, 0, 0, false
	}
	g, ok := readFATGeometry(bs)
	if !ok {
		return 0, 0, 0, false
	}
	fat, ok := readAt(r, int64(g.reserved*g.sector), int((g.clusters+2)*g.entryBits+7)/8)
	if !ok {
		return 0, 0, 0, false
	}
	var freeClusters uint64
	for i := uint64(2); i < g.clusters+2; i++ {
		if g.entry(fat, i) == 0 {
			freeClusters++
		}
	}
	return g.total, freeClusters * g.perCluster, g.sector, true
}

// A fatGeometry is what a FAT boot sector says, in sectors where no unit is named.
type fatGeometry struct {
	sector     uint64 // bytes
	perCluster uint64
	reserved   uint64
	total      uint64
	clusters   uint64
	entryBits  uint64 // 12, 16 or 32
}

func readFATGeometry(bs []byte) (g fatGeometry, ok bool) {
	le := binary.LittleEndian
	g.sector, g.perCluster, g.reserved = uint64(le.Uint16(bs[0x0B:])), uint64(bs[0x0D]), uint64(le.Uint16(bs[0x0E:]))
	tables, rootEntries := uint64(bs[0x10]), uint64(le.Uint16(bs[0x11:]))
	g.total = uint64(le.Uint16(bs[0x13:]))
	if g.total == 0 {
		g.total = uint64(le.Uint32(bs[0x20:]))
	}
	fat := uint64(le.Uint16(bs[0x16:]))
	if fat == 0 {
		fat = uint64(le.Uint32(bs[0x24:]))
	}
	if g.sector < 512 || g.sector > 4096 || bits.OnesCount64(g.sector) != 1 || g.perCluster == 0 {
		return g, false
	}
	before := g.reserved + tables*fat + (rootEntries*32+g.sector-1)/g.sector
	if before >= g.total {
		return g, false
	}
	g.clusters = (g.total - before) / g.perCluster
	switch { // the number of clusters alone decides (Microsoft's FAT specification 1.03)
	case g.clusters < 4085:
		g.entryBits = 12
	case g.clusters < 65525:
		g.entryBits = 16
	default:
		g.entryBits = 32
	}
	need := ((g.clusters+2)*g.entryBits + 7) / 8
	return g, need <= fat*g.sector && need <= maxFAT
}

// entry returns entry i of a table; the upper four bits of a FAT32 entry mean nothing.
func (g fatGeometry) entry(fat []byte, i uint64) uint32 {
	le := binary.LittleEndian
	switch g.entryBits {
	case 12:
		pair := uint32(fat[i*3/2]) | uint32(fat[i*3/2+1])<<8
		if i%2 == 1 {
			return pair >> 4
		}
		return pair & 0xFFF
	case 16:
		return uint32(le.Uint16(fat[i*2:]))
	}
	return le.Uint32(fat[i*4:]) & 0x0FFFFFFF
}
