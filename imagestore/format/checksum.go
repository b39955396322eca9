package format

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/cespare/xxhash/v2"
	"github.com/zeebo/xxh3"
)

// A checksum is one of partclone's ways to protect block data, in the byte order in which it stores them.
type checksum interface {
	size() int
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

func (noChecksum) size() int     { return 0 }
func (noChecksum) update([]byte) {}
func (noChecksum) put([]byte)    {}
func (noChecksum) reset()        {}

// crc32Checksum is the CRC-32 of IEEE 802.3 without its final complement.
type crc32Checksum struct{ crc uint32 }

func (c *crc32Checksum) size() int       { return 4 }
func (c *crc32Checksum) update(p []byte) { c.crc = crc32.Update(c.crc, crc32.IEEETable, p) }
func (c *crc32Checksum) put(sum []byte)  { binary.LittleEndian.PutUint32(sum, ^c.crc) }
func (c *crc32Checksum) reset()          { c.crc = 0 }

type xxh64Checksum struct{ d *xxhash.Digest }

func (c *xxh64Checksum) size() int       { return 8 }
func (c *xxh64Checksum) update(p []byte) { c.d.Write(p) }
func (c *xxh64Checksum) put(sum []byte)  { binary.LittleEndian.PutUint64(sum, c.d.Sum64()) }
func (c *xxh64Checksum) reset()          { c.d.Reset() }

// xxh128Checksum is XXH3-128 as it lies in memory on the writer's machine: the low half first, not the
// canonical big-endian form.
type xxh128Checksum struct{ h *xxh3.Hasher128 }

func (c *xxh128Checksum) size() int       { return 16 }
func (c *xxh128Checksum) update(p []byte) { c.h.Write(p) }
func (c *xxh128Checksum) put(sum []byte) {
	s := c.h.Sum128()
	binary.LittleEndian.PutUint64(sum, s.Lo)
	binary.LittleEndian.PutUint64(sum[8:], s.Hi)
}
func (c *xxh128Checksum) reset() { c.h.Reset() }
