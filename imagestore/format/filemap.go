package format

import (
	"errors"
	"fmt"
	"io"
	"sort"
)

// ErrOrdered is wrapped by every error about an image whose file can be decoded from its beginning only.
var ErrOrdered = errors.New("the image can be decoded only from its beginning")

// ordered makes an error that wraps ErrOrdered.
func ordered(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrOrdered, fmt.Errorf(format, args...))
}

// A FileMap says where in the file of an image the used bytes of its partition are, so that any part of the file can be decoded and
// written to its place without the others.
//
// The checksums of partclone are not looked at, as most of them cover everything before them; the chunk index has a hash for each chunk.
type FileMap struct {
	Size  int64  // of the file
	Parts []Part // ascending; nil when the file is not compressed and any byte stands for itself

	compressor string
	header     []byte // of the file, which decoding a part takes: lzop
	shape      shape
}

// A Part is a piece of a compressed file that is decoded without the others: a frame of zstd, a block of lzop, a member of gzip.
type Part struct {
	Offset int64 // in the file
	Packed int   // bytes of the file, at most maxPart
	Plain  int64 // offset of what it decodes to in the plain stream
	Size   int   // bytes that it decodes to, at most FrameSize
}

// End is the offset of the first byte of the file after p.
func (p Part) End() int64 { return p.Offset + int64(p.Packed) }

const (
	// maxPart bounds the packed bytes of a part: those of a frame are the most that any of the compressors makes of FrameSize bytes.
	maxPart = maxPackedFrame
	// maxParts is how many a partition or disk of the largest size has.
	maxParts = maxRawBytes / FrameSize
)

// MapFile makes the map of an image's file, of size bytes, whose index is x. It reads little of r: of a zstd file the head and the seek table
// at the end, of lzop and gzip files the head of each block or member; these are so many that r should be a file, not a network.
//
// An image that is one stream is refused with an error wrapping ErrOrdered that says why. Errors wrapping ErrCorrupt say that the file is not the one
// of the index.
func MapFile(r io.ReaderAt, size int64, x *Index) (*FileMap, error) {
	m := &FileMap{Size: size, compressor: x.Info.Compressor}
	if err := m.findParts(r); err != nil {
		return nil, err
	}
	if err := m.findShape(r, x); err != nil {
		return nil, err
	}
	return m, nil
}

// findParts fills in Parts.
func (m *FileMap) findParts(r io.ReaderAt) error {
	switch m.compressor {
	case None:
		return nil
	case Zstd:
		return m.readSeekTable(r)
	case Lzop:
		return m.findBlocks(r)
	case Gzip:
		return m.findMembers(r)
	}
	return ordered("a %s file is one stream", m.compressor)
}

// add takes the next part.
func (m *FileMap) add(offset int64, packed, size int) error {
	p := Part{Offset: offset, Packed: packed, Size: size}
	switch {
	case packed < 1 || size < 0 || offset < 0 || offset > m.Size-int64(packed):
		return damaged("a part of %d bytes at byte %d of a file of %d bytes", packed, offset, m.Size)
	case packed > maxPart || size > FrameSize:
		return ordered("a part at byte %d has %d bytes packed and %d plain; those of a file that can be taken in any order have %d at most",
			offset, packed, size, FrameSize)
	case len(m.Parts) == maxParts:
		return ordered("the file has more than %d parts", maxParts)
	}
	if n := len(m.Parts); n > 0 {
		last := m.Parts[n-1]
		p.Plain = last.Plain + int64(last.Size)
	}
	m.Parts = append(m.Parts, p)
	return nil
}

// plainSize is how many bytes the file decodes to.
func (m *FileMap) plainSize() int64 {
	if m.compressor == None {
		return m.Size
	}
	if len(m.Parts) == 0 {
		return 0
	}
	last := m.Parts[len(m.Parts)-1]
	return last.Plain + int64(last.Size)
}

// Overlapping returns the range of Parts, first to end-1, that have bytes of the n from offset of the file on.
func (m *FileMap) Overlapping(offset int64, n int) (first, end int) {
	first = sort.Search(len(m.Parts), func(i int) bool { return m.Parts[i].End() > offset })
	end = sort.Search(len(m.Parts), func(i int) bool { return m.Parts[i].Offset >= offset+int64(n) })
	return first, max(first, end)
}

// First reads and decodes the first used bytes of the image: as many as are in the part that has them, of which there may be one only.
func (m *FileMap) First(r io.ReaderAt) ([]byte, error) {
	if m.shape.used == 0 {
		return nil, nil
	}
	b, err := m.plainAt(r, m.shape.start)
	if err != nil {
		return nil, err
	}
	return b[:min(int64(len(b)), m.shape.strip, m.shape.used)], nil
}

// plainAt reads and decodes what the plain stream has from a byte on, up to the end of its part.
func (m *FileMap) plainAt(r io.ReaderAt, plain int64) ([]byte, error) {
	if m.compressor == None {
		b := make([]byte, min(FrameSize, max(0, m.Size-plain)))
		return b, readAt(r, b, plain)
	}
	i := sort.Search(len(m.Parts), func(i int) bool { return m.Parts[i].Plain+int64(m.Parts[i].Size) > plain })
	if i == len(m.Parts) {
		return nil, damaged("the image ends before byte %d of its plain bytes", plain)
	}
	p := m.Parts[i]
	packed := make([]byte, p.Packed)
	if err := readAt(r, packed, p.Offset); err != nil {
		return nil, err
	}
	u, err := m.NewUnpacker()
	if err != nil {
		return nil, err
	}
	defer u.Close()
	b, err := u.Unpack(p, packed, nil)
	if err != nil {
		return nil, err
	}
	return b[plain-p.Plain:], nil
}

// readAt fills b. A file that ends before is damaged.
func readAt(r io.ReaderAt, b []byte, offset int64) error {
	n, err := r.ReadAt(b, offset)
	switch {
	case n == len(b):
		return nil
	case err == io.EOF:
		return damaged("the file is truncated: it ends before byte %d", offset+int64(len(b)))
	}
	return fmt.Errorf("reading the image: %w", err)
}
