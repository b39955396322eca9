package format

import (
	"encoding/binary"
	"hash/crc32"
	"hash/maphash"
	"io"
	"math/bits"
)

const (
	pageWords = 512
	pageBits  = pageWords * 64
	pageBytes = pageBits / 8
	// maxBitmapBlocks is 512 MiB of bitmap: 16 TiB of 4 KiB blocks or 2 TiB of sectors.
	maxBitmapBlocks = 512 << 20 * 8
	// maxPages is 128 MiB of pages that are not alike: 4 TiB of 4 KiB blocks of which no long stretch is used or free as a whole.
	maxPages = 128 << 20 / pageBytes
)

// unknownCount stands for the number of used blocks of an image whose header does not tell it.
const unknownCount = -1

// A bitmap says which blocks an image holds. It grows as the stream yields it, never on a header's word, and a page
// equal to an earlier one takes no memory, so the long stretches of used and of free space cost nothing.
type bitmap struct {
	pages []*[pageWords]uint64
	size  int64 // blocks
	count int64 // used blocks
}

// A bitmapBuilder makes a bitmap page by page.
type bitmapBuilder struct {
	bitmap
	want  int64 // used blocks that the header says, or unknownCount
	seed  maphash.Seed
	known map[uint64]*[pageWords]uint64 // by hash
	kept  int                           // pages that are not alike
}

func newBitmapBuilder(blocks, want int64) *bitmapBuilder {
	return &bitmapBuilder{
		bitmap: bitmap{size: blocks},
		want:   want,
		seed:   maphash.MakeSeed(),
		known:  make(map[uint64]*[pageWords]uint64),
	}
}

// readBits reads a bitmap of one bit per block, least significant first, and returns the CRC-32 of its bytes. Bits beyond
// the last block are not counted. It ends early when there cannot be as many used blocks as wanted, unless that is unknownCount.
func readBits(r io.Reader, blocks, want int64) (_ *bitmap, crc uint32, err error) {
	m := newBitmapBuilder(blocks, want)
	var raw [pageBytes]byte
	for left := (blocks + 7) / 8; left > 0; left -= pageBytes {
		n := min(left, pageBytes)
		clear(raw[n:])
		if err := readFull(r, raw[:n], "bitmap"); err != nil {
			return nil, 0, err
		}
		crc = crc32.Update(crc, crc32.IEEETable, raw[:n])
		if err := m.add(&raw); err != nil {
			return nil, 0, err
		}
	}
	m.count -= m.spare()
	return &m.bitmap, crc, nil
}

// readFlags reads a bitmap of one byte per block: 1 stands for used, anything else for free. It ends early as readBits does.
func readFlags(r io.Reader, blocks, want int64) (*bitmap, error) {
	m := newBitmapBuilder(blocks, want)
	var flags [pageBits]byte
	for left := blocks; left > 0; left -= pageBits {
		n := min(left, pageBits)
		if err := readFull(r, flags[:n], "bitmap"); err != nil {
			return nil, err
		}
		var raw [pageBytes]byte
		for i, flag := range flags[:n] {
			if flag == 1 {
				raw[i/8] |= 1 << (i % 8)
			}
		}
		if err := m.add(&raw); err != nil {
			return nil, err
		}
	}
	return &m.bitmap, nil
}

// allUsed is the bitmap of an image that has every block.
func allUsed(blocks int64) *bitmap {
	var page [pageWords]uint64
	for i := range page {
		page[i] = ^uint64(0)
	}
	m := &bitmap{size: blocks, count: blocks, pages: make([]*[pageWords]uint64, (blocks+pageBits-1)/pageBits)}
	for i := range m.pages {
		m.pages[i] = &page
	}
	return m
}

// add takes the next page.
func (m *bitmapBuilder) add(raw *[pageBytes]byte) error {
	var page [pageWords]uint64
	for i := range page {
		page[i] = binary.LittleEndian.Uint64(raw[8*i:])
		m.count += int64(bits.OnesCount64(page[i]))
	}
	hash := maphash.Bytes(m.seed, raw[:])
	same := m.known[hash]
	if same == nil || *same != page {
		if m.kept++; m.kept > maxPages {
			return unsupported("bitmap of used blocks in too many pieces: it takes more than %d MiB", maxPages*pageBytes>>20)
		}
		kept := page // on the heap, page is not
		same = &kept
		m.known[hash] = same
	}
	m.pages = append(m.pages, same)
	return m.checkCount()
}

// checkCount tells whether there still can be as many used blocks as wanted. Bits behind the last block, of which there are less than 8, may have
// been counted.
func (m *bitmapBuilder) checkCount() error {
	left := max(m.size-int64(len(m.pages))*pageBits, 0)
	if m.want != unknownCount && (m.count > m.want+7 || m.count+left < m.want) {
		return damaged("the header says %d used blocks of %d, and of the first %d are %d used", m.want, m.size, m.size-left, m.count)
	}
	return nil
}

// spare counts the bits that are set behind the last block, which is less than a byte of them.
func (m *bitmap) spare() (n int64) {
	for i := m.size; i%8 != 0; i++ {
		n += int64(m.pages[i/pageBits][i%pageBits/64] >> (i % 64) & 1)
	}
	return n
}

// find returns the first block from from on that is used (or is not), or the number of blocks when there is none.
func (m *bitmap) find(from int64, used bool) int64 {
	for from < m.size {
		word := m.pages[from/pageBits][from%pageBits/64]
		if !used {
			word = ^word
		}
		if word >>= uint(from % 64); word != 0 {
			return min(from+int64(bits.TrailingZeros64(word)), m.size)
		}
		from = (from/64 + 1) * 64
	}
	return m.size
}

// A walk goes through the used blocks of a bitmap in ascending order.
type walk struct {
	used      *bitmap
	blockSize int64

	block    int64 // where the search for the next used block starts
	pos, end int64 // bytes of the partition that come next
	buf      []byte
}

// next returns room for the next run of used bytes, which is to be filled; none after the last. The room is valid until the
// next call.
func (w *walk) next() (off int64, room []byte) {
	if w.pos == w.end {
		first := w.used.find(w.block, true)
		if first == w.used.size {
			return 0, nil
		}
		w.block = w.used.find(first, false)
		w.pos, w.end = first*w.blockSize, w.block*w.blockSize
	}
	// Whole blocks, of which one may be larger than MaxRun.
	n := min(w.end-w.pos, MaxRun)
	if int64(cap(w.buf)) < n {
		w.buf = make([]byte, max(n, min(MaxRun, int64(2*cap(w.buf)))))
	}
	off = w.pos
	w.pos += n
	return off, w.buf[:n]
}

// bytes is the size of all used blocks.
func (w *walk) bytes() int64 { return w.used.count * w.blockSize }
