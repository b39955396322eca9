package format

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"math"
	"strings"
)

// Partclone's images: a header, a bitmap of used blocks, the used blocks in ascending order with a checksum
// after every so many of them. All numbers are little-endian. Offsets in docs/formats.md. This file has format 0002 and what
// it shares with 0001.
const (
	partcloneHeaderLen = 110

	// maxBlockSize is the largest unit that a filesystem is known to use (an NTFS cluster).
	maxBlockSize = 2 << 20
	// maxStrip bounds the data under one checksum; Clonezilla uses 10 MiB.
	maxStrip = 1 << 30
)

// Checksum modes of partclone.
const (
	checksumNone   = 0x00
	checksumCRC32  = 0x20
	checksumXXH64  = 0x30
	checksumXXH128 = 0x31
)

// Bitmap modes of partclone: bits per block.
const (
	bitmapNone  = 0 // no bitmap, every block is in the image
	bitmapBits  = 1
	bitmapBytes = 8
)

// A partcloneHeader is the header of a partclone image after validation.
type partcloneHeader struct {
	version     string // of the program that wrote it
	filesystem  string
	deviceSize  int64 // bytes
	blocks      int64 // of the filesystem; the bitmap has as many bits
	used        int64 // blocks in the image
	blockSize   int64
	checksum    int   // mode
	stripBlocks int64 // used blocks under one checksum; 0 without checksums
	reseed      bool  // each checksum covers its strip only, not all before it as well
	bitmap      byte  // mode
}

// parsePartclone reads a header of partcloneHeaderLen bytes and believes none of it.
func parsePartclone(b []byte) (partcloneHeader, error) {
	var h partcloneHeader
	le := binary.LittleEndian
	switch le.Uint16(b[34:]) {
	case 0xC0DE:
	case 0xDEC0:
		return h, unsupported("partclone image of a big-endian machine")
	default:
		return h, damaged("partclone header: byte order mark is %#x", le.Uint16(b[34:]))
	}
	if got, want := ^crc32.ChecksumIEEE(b[:106]), le.Uint32(b[106:]); got != want {
		return h, damaged("partclone header: checksum is %08x, header says %08x", got, want)
	}
	if n := le.Uint32(b[88:]); n != 18 {
		return h, damaged("partclone header: feature section of %d bytes, want 18", n)
	}
	if v := le.Uint16(b[92:]); v != 2 {
		return h, damaged("partclone header: image version %d, want 2", v)
	}
	if h.bitmap = b[105]; h.bitmap != bitmapNone && h.bitmap != bitmapBits && h.bitmap != bitmapBytes {
		return h, unsupported("partclone image with bitmap mode %d", h.bitmap)
	}
	if b[104] > 1 {
		return h, damaged("partclone header: reseed flag is %d", b[104])
	}
	h.reseed = b[104] == 1
	if err := h.setGeometry(le.Uint64(b[52:]), le.Uint64(b[60:]), le.Uint32(b[84:])); err != nil {
		return h, err
	}
	used := le.Uint64(b[76:])
	if used > uint64(h.blocks) {
		return h, damaged("partclone header: %d blocks used of %d", used, h.blocks)
	}
	h.used = int64(used)
	if err := h.setChecksum(int(le.Uint16(b[96:])), int(le.Uint16(b[98:])), int64(le.Uint32(b[100:]))); err != nil {
		return h, err
	}
	h.version = text(b[16:30])
	return h, h.setFilesystem(b[36:52])
}

func (h *partcloneHeader) setGeometry(device, blocks uint64, blockSize uint32) error {
	switch {
	case blockSize < 512 || blockSize > maxBlockSize || blockSize&(blockSize-1) != 0:
		return damaged("partclone header: block size %d is not a power of two from 512 to %d", blockSize, maxBlockSize)
	case blocks == 0:
		return damaged("partclone header: no blocks")
	case device > math.MaxInt64:
		return damaged("partclone header: device of %d bytes", device)
	case blocks > device/uint64(blockSize):
		return damaged("partclone header: %d blocks of %d bytes do not fit a device of %d bytes", blocks, blockSize, device)
	case blocks > maxBitmapBlocks:
		return unsupported("partclone image of %d blocks, more than the %d that are supported", blocks, int64(maxBitmapBlocks))
	}
	h.deviceSize, h.blocks, h.blockSize = int64(device), int64(blocks), int64(blockSize)
	return nil
}

func (h *partcloneHeader) setChecksum(mode, size int, stripBlocks int64) error {
	sum, err := newChecksum(mode)
	if err != nil {
		return err
	}
	switch {
	case size != sum.size():
		return damaged("partclone header: checksums of %d bytes in mode %#x, want %d", size, mode, sum.size())
	case (stripBlocks == 0) != (mode == checksumNone):
		return damaged("partclone header: %d blocks per checksum in mode %#x", stripBlocks, mode)
	case stripBlocks > maxStrip/h.blockSize:
		return damaged("partclone header: %d blocks of %d bytes per checksum", stripBlocks, h.blockSize)
	}
	h.checksum, h.stripBlocks = mode, stripBlocks
	return nil
}

// setFilesystem takes partclone's name for the filesystem as OpenGnsys writes it: upper case, no spaces.
func (h *partcloneHeader) setFilesystem(field []byte) error {
	name, _, _ := bytes.Cut(field, []byte{0})
	for _, c := range name {
		if c < ' ' || c > '~' {
			return damaged("partclone header: filesystem name %q", name)
		}
	}
	h.filesystem = strings.ReplaceAll(strings.ToUpper(string(name)), " ", "")
	if h.filesystem == "" {
		return damaged("partclone header: no filesystem name")
	}
	return nil
}

// requiredBytes is the size that a partition must have, as far as the header tells.
func (h *partcloneHeader) requiredBytes() int64 {
	if h.filesystem != "NTFS" {
		return h.deviceSize
	}
	// For NTFS the header has the size of the partition, however much the filesystem was shrunk. What NTFS
	// needs is its clusters and, after them, one sector for the copy of the boot sector, which partclone
	// leaves out; here in whole clusters, but never more than the partition that it comes from.
	return min(h.blocks*h.blockSize+h.blockSize, h.deviceSize)
}

// A partcloneReader reads the blocks of a partclone image.
type partcloneReader struct {
	in     io.Reader
	header partcloneHeader
	walk   walk

	left      int64 // used bytes that have not come yet
	sum       checksum
	pad       int   // bytes after each checksum that say nothing
	stripLeft int64 // used bytes up to the next checksum
}

// openPartclone2 reads the header and the bitmap of format 0002.
func openPartclone2(in io.Reader) (*partcloneReader, error) {
	var head [partcloneHeaderLen]byte
	if err := readFull(in, head[:], "partclone header"); err != nil {
		return nil, err
	}
	h, err := parsePartclone(head[:])
	if err != nil {
		return nil, err
	}
	used, err := readPartcloneBitmap(in, h)
	if err != nil {
		return nil, err
	}
	if used.count != h.used {
		return nil, damaged("partclone header: says %d used blocks, its bitmap has %d", h.used, used.count)
	}
	sum, err := newChecksum(h.checksum)
	if err != nil {
		return nil, err
	}
	return newPartcloneReader(in, h, used, sum), nil
}

func newPartcloneReader(in io.Reader, h partcloneHeader, used *bitmap, sum checksum) *partcloneReader {
	p := &partcloneReader{in: in, header: h, walk: walk{used: used, blockSize: h.blockSize}, sum: sum}
	p.left = p.walk.bytes()
	p.stripLeft = p.stripBytes()
	return p
}

// readPartcloneBitmap reads the bitmap of format 0002 in any of its modes.
func readPartcloneBitmap(in io.Reader, h partcloneHeader) (*bitmap, error) {
	switch h.bitmap {
	case bitmapNone:
		return allUsed(h.blocks), nil
	case bitmapBytes:
		return readByteBitmap(in, h.blocks, h.used)
	}
	used, crc, err := readBits(in, h.blocks, h.used)
	if err != nil {
		return nil, err
	}
	var sum [4]byte
	if err := readFull(in, sum[:], "bitmap checksum"); err != nil {
		return nil, err
	}
	if got, want := ^crc, binary.LittleEndian.Uint32(sum[:]); got != want {
		return nil, damaged("bitmap: checksum is %08x, image says %08x", got, want)
	}
	if used.spare() > 0 {
		return nil, damaged("bitmap: marks blocks beyond the last, %d", h.blocks-1)
	}
	return used, nil
}

func (p *partcloneReader) describe() (info Info, final bool) {
	return Info{
		Tool:          Partclone,
		ToolVersion:   p.header.version,
		Filesystem:    p.header.filesystem,
		RequiredBytes: p.header.requiredBytes(),
		UsedBytes:     p.walk.bytes(),
		BlockSize:     int(p.header.blockSize),
		Blocks:        p.header.blocks,
		Checksum:      p.sum.name(),
	}, true
}

// stripBytes is how many used bytes one checksum covers.
func (p *partcloneReader) stripBytes() int64 {
	if p.header.stripBlocks == 0 {
		return math.MaxInt64
	}
	return p.header.stripBlocks * p.header.blockSize
}

func (p *partcloneReader) next() (off int64, data []byte, err error) {
	off, data = p.walk.next()
	if data == nil {
		return 0, nil, expectEnd(p.in)
	}
	if err := p.read(data); err != nil {
		return 0, nil, err
	}
	return off, data, nil
}

// read fills data, and checks each checksum that lies within or right after it.
func (p *partcloneReader) read(data []byte) error {
	for len(data) > 0 {
		part := data[:min(int64(len(data)), p.stripLeft)]
		if err := readFull(p.in, part, "block data"); err != nil {
			return err
		}
		p.sum.update(part)
		data = data[len(part):]
		p.left -= int64(len(part))
		p.stripLeft -= int64(len(part))
		if p.stripLeft > 0 && p.left > 0 {
			continue
		}
		if err := p.checkStrip(); err != nil {
			return err
		}
	}
	return nil
}

// checkStrip reads a checksum and compares it with that of the data before it.
func (p *partcloneReader) checkStrip() error {
	n := p.sum.size()
	if n == 0 {
		return nil
	}
	var got, want, pad [16]byte
	if err := readFull(p.in, want[:n], "checksum"); err != nil {
		return err
	}
	p.sum.put(got[:n])
	if got != want {
		used := p.walk.bytes() - p.left
		return damaged("checksum of the data that ends %d bytes into the used blocks is %x, image says %x", used, got[:n], want[:n])
	}
	if p.header.reseed {
		p.sum.reset()
	}
	p.stripLeft = p.stripBytes()
	return readFull(p.in, pad[:p.pad], "checksum")
}
