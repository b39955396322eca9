package format

import (
	"encoding/binary"
	"hash/crc32"
	"io"
	"math/bits"
)

const (
	pageWords = 512
	pageBits  = pageWords * 64
	pageBytes = pageBits / 8
	// maxBitmapBlocks is 512 MiB of bitmap: 16 TiB of 4 KiB blocks or 2 TiB of sectors.
	maxBitmapBlocks = 512 << 20 * 8
)

// A bitmap says which blocks an image holds. It grows as the stream yields it, never on a header's word, and a page
// equal to the one before takes no memory, so the long stretches of used and of free space cost nothing.
type bitmap struct {
	pages []*[pageWords]uint64
	size  int64 // blocks
	count int64 // used blocks
}

// readBitmap reads a bitmap of blocks bits (least significant first) with the CRC that follows it.
func readBitmap(r io.Reader, blocks int64) (*bitmap, error) {
	m := &bitmap{size: blocks}
	left := (blocks + 7) / 8
	var crc uint32
	var raw [pageBytes]byte
	for left > 0 {
		n := min(left, pageBytes)
		clear(raw[n:])
		if err := readFull(r, raw[:n], "bitmap"); err != nil {
			return nil, err
		}
		crc = crc32.Update(crc, crc32.IEEETable, raw[:n])
		m.add(&raw)
		left -= n
	}
	var sum [4]byte
	if err := readFull(r, sum[:], "bitmap checksum"); err != nil {
		return nil, err
	}
	if got, want := ^crc, binary.LittleEndian.Uint32(sum[:]); got != want {
		return nil, damaged("bitmap: checksum is %08x, image says %08x", got, want)
	}
	if m.scan(blocks, int64(len(m.pages))*pageBits, true) != int64(len(m.pages))*pageBits {
		return nil, damaged("bitmap: marks blocks beyond the last, %d", blocks-1)
	}
	return m, nil
}

func (m *bitmap) add(raw *[pageBytes]byte) {
	var page [pageWords]uint64
	for i := range page {
		page[i] = binary.LittleEndian.Uint64(raw[8*i:])
		m.count += int64(bits.OnesCount64(page[i]))
	}
	if n := len(m.pages); n > 0 && *m.pages[n-1] == page {
		m.pages = append(m.pages, m.pages[n-1])
		return
	}
	kept := page // on the heap, page is not
	m.pages = append(m.pages, &kept)
}

// find returns the first block from from on that is used (or is not), or the number of blocks when there is none.
func (m *bitmap) find(from int64, used bool) int64 { return m.scan(from, m.size, used) }

// scan is find up to end.
func (m *bitmap) scan(from, end int64, used bool) int64 {
	for from < end {
		word := m.pages[from/pageBits][from%pageBits/64]
		if !used {
			word = ^word
		}
		if word >>= uint(from % 64); word != 0 {
			return min(from+int64(bits.TrailingZeros64(word)), end)
		}
		from = (from/64 + 1) * 64
	}
	return end
}
