package lzop

import (
	"hash/crc32"
	"slices"
)

// A Block is a piece of an lzop file that is unpacked without the others. The zero Block is ready for Reader.Next. It belongs to
// one goroutine at a time, which need not be that of the Reader.
type Block struct {
	at     int64  // plain bytes before it
	size   int    // of its plain bytes
	flags  uint32 // of its member; without those for packed bytes if it is stored
	sums   [len(sumFlags)]uint32
	packed []byte // with capacity for slack behind
}

// sumFlags are the checksums that blocks may have, in the order in which they stand.
var sumFlags = [...]uint32{flagPlainAdler, flagPlainCRC, flagPackedAdler, flagPackedCRC}

// Size returns the number of plain bytes, from 1 to MaxBlock, as the block claims it; its packed bytes could really be as
// many, and nothing was allocated for the claim.
func (b *Block) Size() int { return b.size }

// Decode unpacks the block and verifies its checksums. It uses the memory of dst, from its beginning, when there is enough for Size bytes
// and a few more, and returns the plain bytes. What it returns with an error is for using the memory again only.
func (b *Block) Decode(dst []byte) ([]byte, error) {
	if err := b.verify(b.packed, flagPackedAdler, flagPackedCRC); err != nil {
		return dst[:0], err
	}
	dst = slices.Grow(dst[:0], b.size+slack)[:b.size+slack]
	if len(b.packed) == b.size {
		copy(dst, b.packed)
	} else if err := decompress(dst, b.packed[:len(b.packed)+slack]); err != nil {
		return dst[:0], corrupt("block after %d bytes: %w", b.at, err)
	}
	dst = dst[:b.size]
	return dst, b.verify(dst, flagPlainAdler, flagPlainCRC)
}

// verify compares the checksums of p that the two flags stand for.
func (b *Block) verify(p []byte, adler, crc uint32) error {
	for i, flag := range sumFlags {
		if b.flags&flag == 0 {
			continue
		}
		var sum uint32
		switch flag {
		case adler:
			sum = adlerOf(p)
		case crc:
			sum = crc32.ChecksumIEEE(p)
		default:
			continue
		}
		if sum != b.sums[i] {
			return corrupt("block after %d bytes has checksum %08x and should have %08x", b.at, sum, b.sums[i])
		}
	}
	return nil
}
