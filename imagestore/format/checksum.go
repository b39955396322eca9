package format

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/cespare/xxhash/v2"
	"github.com/zeebo/xxh3"
)

// A checksum is one of partclone's ways to protect block data, in the byte order in which it stores them.
type checksum interface {
	name() string // as in Info.Checksum
	size() int    // of what the image has of it, at most 16
	update(p []byte)
	put(sum []byte) // of all since the last reset
	reset()
}

// newChecksum returns the checksum of a mode of partclone's header.
func newChecksum(mode int) (checksum, error) {
	switch mode {
	case checksumNone:
		return noChecksum{}, nil
	case checksumCRC32:
		return &crc32Checksum{}, nil
	case checksumXXH64:
		return &xxh64Checksum{d: xxhash.New()}, nil
	case checksumXXH128:
		return &xxh128Checksum{h: xxh3.New128()}, nil
	}
	return nil, unsupported("partclone image with checksum mode %#x", mode)
}

type noChecksum struct{}

func (noChecksum) name() string  { return None }
func (noChecksum) size() int     { return 0 }
func (noChecksum) update([]byte) {}
func (noChecksum) put([]byte)    {}
func (noChecksum) reset()        {}

// crc32Checksum is the CRC-32 of IEEE 802.3 without its final complement.
type crc32Checksum struct{ crc uint32 }

func (c *crc32Checksum) name() string    { return "CRC32" }
func (c *crc32Checksum) size() int       { return 4 }
func (c *crc32Checksum) update(p []byte) { c.crc = crc32.Update(c.crc, crc32.IEEETable, p) }
func (c *crc32Checksum) put(sum []byte)  { binary.LittleEndian.PutUint32(sum, ^c.crc) }
func (c *crc32Checksum) reset()          { c.crc = 0 }

type xxh64Checksum struct{ d *xxhash.Digest }

func (c *xxh64Checksum) name() string    { return "XXH64" }
func (c *xxh64Checksum) size() int       { return 8 }
func (c *xxh64Checksum) update(p []byte) { c.d.Write(p) }
func (c *xxh64Checksum) put(sum []byte)  { binary.LittleEndian.PutUint64(sum, c.d.Sum64()) }
func (c *xxh64Checksum) reset()          { c.d.Reset() }

// xxh128Checksum is XXH3-128 as it lies in memory on the writer's machine: the low half first, not the
// canonical big-endian form.
type xxh128Checksum struct{ h *xxh3.Hasher128 }

func (c *xxh128Checksum) name() string    { return "XXH128" }
func (c *xxh128Checksum) size() int       { return 16 }
func (c *xxh128Checksum) update(p []byte) { c.h.Write(p) }
func (c *xxh128Checksum) put(sum []byte) {
	s := c.h.Sum128()
	binary.LittleEndian.PutUint64(sum, s.Lo)
	binary.LittleEndian.PutUint64(sum[8:], s.Hi)
}
func (c *xxh128Checksum) reset() { c.h.Reset() }

// firstByteChecksum is that of partclone's format 0001: a CRC-32 over all blocks so far, which by a mistake in the writers takes
// the first byte of a block as often as the block has bytes, instead of its bytes.
type firstByteChecksum struct {
	crc   crc32Checksum
	block int64 // size
	n     int64 // bytes of the current block so far
	bytes []byte
}

func (c *firstByteChecksum) name() string { return "CRC32 of first bytes" }
func (c *firstByteChecksum) size() int    { return 4 }
func (c *firstByteChecksum) update(p []byte) {
	if c.bytes == nil {
		c.bytes = make([]byte, min(c.block, 64<<10))
	}
	for len(p) > 0 {
		if c.n == 0 && c.bytes[0] != p[0] {
			for i := range c.bytes {
				c.bytes[i] = p[0]
			}
		}
		part := min(int64(len(p)), c.block-c.n)
		for left := part; left > 0; left -= int64(len(c.bytes)) {
			c.crc.update(c.bytes[:min(left, int64(len(c.bytes)))])
		}
		c.n = (c.n + part) % c.block
		p = p[part:]
	}
}
func (c *firstByteChecksum) put(sum []byte) { c.crc.put(sum) }
func (c *firstByteChecksum) reset()         { c.crc.reset() }
