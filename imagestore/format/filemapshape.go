package format

import (
	"io"
	"math"
)

// A shape says where the used bytes are in a plain stream: from start on, and after each strip of them comes a checksum.
type shape struct {
	start int64
	strip int64 // used bytes before a checksum; math.MaxInt64 without checksums
	sum   int64 // bytes of a checksum
	used  int64 // bytes in all
}

// size is that of the whole stream.
func (s shape) size() int64 {
	strips := int64(0)
	if s.sum > 0 {
		strips = (s.used + s.strip - 1) / s.strip
	}
	return s.start + s.used + strips*s.sum
}

// findShape tells how the tool of the image writes down what is used, which must be as much as the index has.
func (m *FileMap) findShape(r io.ReaderAt, x *Index) error {
	switch x.Info.Tool {
	case Raw:
		m.shape = shape{strip: math.MaxInt64, used: m.plainSize()}
	case Partclone:
		if err := m.findPartclone(r); err != nil {
			return err
		}
	default:
		return ordered("the images of %s are read from their beginning", x.Info.Tool)
	}
	return m.checkShape(x)
}

// checkShape compares the shape with the index, and with the parts.
func (m *FileMap) checkShape(x *Index) error {
	if got, want := m.shape.used, x.UsedBytes(); got != want {
		return damaged("it has %d used bytes, its index has %d", got, want)
	}
	if got, want := m.plainSize(), m.shape.size(); got != want {
		return damaged("it has %d plain bytes, and its header speaks of %d", got, want)
	}
	return nil
}

// findPartclone goes by the header of format 0002.
func (m *FileMap) findPartclone(r io.ReaderAt) error {
	head, err := m.plainAt(r, 0)
	if err != nil {
		return err
	}
	if len(head) < partcloneHeaderLen {
		return damaged("partclone header: the file is truncated")
	}
	if string(head[:len(partcloneMagic)]) != partcloneMagic {
		return damaged("it does not begin as an image of partclone")
	}
	if version := string(head[30:34]); version != "0002" {
		return ordered("images of partclone's format %q are read from their beginning", version)
	}
	h, err := parsePartclone(head[:partcloneHeaderLen])
	if err != nil {
		return err
	}
	sum, err := newChecksum(h.checksum)
	if err != nil {
		return err
	}
	m.shape = shape{start: partcloneHeaderLen + h.bitmapBytes(), strip: math.MaxInt64, sum: int64(sum.size()), used: h.used * h.blockSize}
	if h.stripBlocks > 0 {
		m.shape.strip = h.stripBlocks * h.blockSize
	}
	return nil
}

// bitmapBytes is how long the bitmap is, with what ends it.
func (h *partcloneHeader) bitmapBytes() int64 {
	switch h.bitmap {
	case bitmapNone:
		return 0
	case bitmapBytes:
		return h.blocks + int64(len(partclone1Mark))
	}
	return (h.blocks+7)/8 + 4
}

// Used calls found for each stretch of used bytes in b, which is what the plain stream has from a byte on: used is how many used bytes
// of the image are before those.
func (m *FileMap) Used(plain int64, b []byte, found func(used int64, b []byte) error) error {
	s := m.shape
	if skip := s.start - plain; skip > 0 {
		skip = min(skip, int64(len(b)))
		b, plain = b[skip:], plain+skip
	}
	for len(b) > 0 {
		at, strip := plain-s.start, int64(0)
		if s.sum > 0 {
			at, strip = at%(s.strip+s.sum), at/(s.strip+s.sum)
		}
		if at >= s.strip {
			skip := min(s.strip+s.sum-at, int64(len(b)))
			b, plain = b[skip:], plain+skip
			continue
		}
		used := strip*s.strip + at
		n := min(int64(len(b)), s.strip-at, s.used-used)
		if n <= 0 {
			return nil // behind the last of them there is a checksum only
		}
		if err := found(used, b[:n]); err != nil {
			return err
		}
		b, plain = b[n:], plain+n
	}
	return nil
}
