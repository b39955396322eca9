// Package formattest makes images for tests without the tools that make real ones: what Debian's partclone cannot
// write (newer checksums, its first format), small images in the formats of ntfsclone and partimage, and headers that lie. It
// follows the descriptions in docs/formats.md and shares no code with the readers. It also gathers files that tests and benchmarks
// of several packages read.
package formattest

import (
	"encoding/binary"
	"hash/crc32"
	"math/rand/v2"

	"github.com/cespare/xxhash/v2"
	"github.com/zeebo/xxh3"
)

// Checksum modes.
const (
	ChecksumNone   = 0x00
	ChecksumCRC32  = 0x20
	ChecksumXXH64  = 0x30
	ChecksumXXH128 = 0x31
)

// HeaderLen is the length of a header with its checksum.
const HeaderLen = 110

// A Partclone describes an image of format 0002. The zero values of Filesystem, BlockSize and DeviceSize stand
// for EXTFS, 4096 and what the blocks take.
type Partclone struct {
	Filesystem  string
	BlockSize   int
	DeviceSize  int64
	Blocks      int
	Used        func(block int) bool // nil for all
	Checksum    int
	StripBlocks int  // used blocks under one checksum; 0 for 1 MiB of them when there are checksums
	Running     bool // checksums cover all from the start, as with partclone -K
	Bitmap      int  // BitmapBits, BitmapBytes or BitmapNone
	Content     []byte
}

// Forms of the bitmap of a Partclone; what each says in the header is bitmapMode's.
const (
	BitmapBits  = iota // as partclone writes it
	BitmapBytes        // a byte for each block
	BitmapNone         // none, for which all blocks must be used
)

// bitmapMode is what the header says.
func (p Partclone) bitmapMode() byte { return []byte{1, 8, 0}[p.Bitmap] }

// Block is what the image must restore to at a block.
func (p Partclone) Block(i int) []byte {
	bs := p.blockSize()
	if p.Content != nil {
		return p.Content[i*bs:][:bs]
	}
	b := make([]byte, bs)
	random := rand.New(rand.NewPCG(uint64(i), 1))
	for j := 0; j < bs; j += 8 {
		// Half of it compresses.
		binary.LittleEndian.PutUint64(b[j:], random.Uint64()&0xFFFFFFFF)
	}
	return b
}

// Partition is the partition that the image restores to over zeros.
func (p Partclone) Partition() []byte {
	bs := p.blockSize()
	disk := make([]byte, p.Blocks*bs)
	for i := range p.Blocks {
		if p.used(i) {
			copy(disk[i*bs:], p.Block(i))
		}
	}
	return disk
}

// Encode returns the image file.
func (p Partclone) Encode() []byte {
	out := append(p.Header(), p.bitmap()...)
	sum := p.sum()
	strip, n := p.strip(), 0
	for i := range p.Blocks {
		if !p.used(i) {
			continue
		}
		data := p.Block(i)
		out = append(out, data...)
		if sum == nil {
			continue
		}
		sum.write(data)
		if n++; n == strip {
			out = sum.append(out)
			if !p.Running {
				sum = p.sum()
			}
			n = 0
		}
	}
	if n > 0 {
		out = sum.append(out)
	}
	return out
}

// Header returns the header alone.
func (p Partclone) Header() []byte {
	le := binary.LittleEndian
	h := make([]byte, HeaderLen)
	copy(h, "partclone-image\x00")
	copy(h[16:], "0.3.99")
	copy(h[30:], "0002")
	le.PutUint16(h[34:], 0xC0DE)
	filesystem := p.Filesystem
	if filesystem == "" {
		filesystem = "EXTFS"
	}
	copy(h[36:52], filesystem)
	device := uint64(p.DeviceSize)
	if device == 0 {
		device = uint64(p.Blocks * p.blockSize())
	}
	used := 0
	for i := range p.Blocks {
		if p.used(i) {
			used++
		}
	}
	le.PutUint64(h[52:], device)
	le.PutUint64(h[60:], uint64(p.Blocks))
	le.PutUint64(h[68:], uint64(used))
	le.PutUint64(h[76:], uint64(used))
	le.PutUint32(h[84:], uint32(p.blockSize()))
	le.PutUint32(h[88:], 18)
	le.PutUint16(h[92:], 2)
	le.PutUint16(h[94:], 64)
	le.PutUint16(h[96:], uint16(p.Checksum))
	sizes := map[int]uint16{ChecksumCRC32: 4, ChecksumXXH64: 8, ChecksumXXH128: 16}
	le.PutUint16(h[98:], sizes[p.Checksum])
	le.PutUint32(h[100:], uint32(p.strip()))
	if !p.Running {
		h[104] = 1
	}
	h[105] = p.bitmapMode()
	return Seal(h)
}

// Seal puts the right checksum into a header and returns it.
func Seal(header []byte) []byte {
	binary.LittleEndian.PutUint32(header[106:], crc32.ChecksumIEEE(header[:106])^0xFFFFFFFF)
	return header
}

func (p Partclone) bitmap() []byte {
	switch p.Bitmap {
	case BitmapBytes:
		return p.flags()
	case BitmapNone:
		return nil
	}
	b := make([]byte, (p.Blocks+7)/8)
	for i := range p.Blocks {
		if p.used(i) {
			b[i/8] |= 1 << (i % 8)
		}
	}
	return binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(b)^0xFFFFFFFF)
}

func (p Partclone) blockSize() int {
	if p.BlockSize == 0 {
		return 4096
	}
	return p.BlockSize
}

func (p Partclone) used(i int) bool { return p.Used == nil || p.Used(i) }

func (p Partclone) strip() int {
	switch {
	case p.Checksum == ChecksumNone:
		return 0
	case p.StripBlocks == 0:
		return max(1, 1<<20/p.blockSize())
	}
	return p.StripBlocks
}

// sum returns a new checksum of the image's mode, or nil.
func (p Partclone) sum() *sum {
	switch p.Checksum {
	case ChecksumCRC32:
		h := crc32.NewIEEE()
		return &sum{
			write:  func(b []byte) { h.Write(b) },
			append: func(b []byte) []byte { return binary.LittleEndian.AppendUint32(b, h.Sum32()^0xFFFFFFFF) },
		}
	case ChecksumXXH64:
		h := xxhash.New()
		return &sum{
			write:  func(b []byte) { h.Write(b) },
			append: func(b []byte) []byte { return binary.LittleEndian.AppendUint64(b, h.Sum64()) },
		}
	case ChecksumXXH128:
		h := xxh3.New128()
		return &sum{
			write: func(b []byte) { h.Write(b) },
			append: func(b []byte) []byte {
				s := h.Sum128()
				return binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(b, s.Lo), s.Hi)
			},
		}
	}
	return nil
}

type sum struct {
	write  func([]byte)
	append func([]byte) []byte
}
