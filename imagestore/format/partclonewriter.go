package format

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"iter"
	"slices"
)

// partcloneStrip is the data under one checksum. Partclone 0.3.23 dies (SIGABRT) of strips into which its buffer, 1 MiB as
// well, does not divide.
const partcloneStrip = 1 << 20

// WritePartclone writes the image of r, whatever its tool, as an uncompressed partclone stream of format 0002 with CRC-32,
// which partclone.restore of every version since 0.3.0 accepts. The header comes first and says what is used, so the index
// of the same image is needed; r must be new, and is read to its end, not closed. An error wraps that of r, of w, or says that the
// index is not the image's; what was written until then is no image.
func WritePartclone(w io.Writer, r *Reader, index *Index) error {
	h, err := partcloneHeaderOf(index)
	if err != nil {
		return err
	}
	out := bufio.NewWriterSize(w, 256<<10)
	if _, err := out.Write(h.encode()); err != nil {
		return err
	}
	if err := writeBitmap(out, h, index); err != nil {
		return err
	}
	data := stripWriter{w: out, strip: h.stripBlocks * h.blockSize}
	check := indexChecker{want: index.Chunks}
	for {
		off, run, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if err := check.add(off, run); err != nil {
			return err
		}
		if err := data.write(run); err != nil {
			return err
		}
	}
	if err := check.end(); err != nil {
		return err
	}
	if err := data.end(); err != nil {
		return err
	}
	return out.Flush()
}

// partcloneHeaderOf describes what the index holds.
func partcloneHeaderOf(index *Index) (partcloneHeader, error) {
	h := partcloneHeader{
		filesystem: partcloneFilesystem(index.Info),
		deviceSize: index.Info.RequiredBytes,
		checksum:   checksumCRC32,
		reseed:     true,
	}
	size, err := commonBlockSize(index)
	if err != nil {
		return h, err
	}
	h.blockSize = size
	h.blocks = h.deviceSize / size
	h.used = index.UsedBytes() / size
	h.stripBlocks = max(1, partcloneStrip/size)
	switch {
	case h.blocks == 0:
		return h, fmt.Errorf("an image of %d bytes cannot be written for partclone", h.deviceSize)
	case h.blocks > maxBitmapBlocks:
		return h, fmt.Errorf("an image of %d blocks of %d bytes cannot be written for partclone", h.blocks, size)
	}
	for e := range index.stretches() {
		if e.End() > h.blocks*size {
			return h, fmt.Errorf("chunk index: used bytes up to %d, but the image has %d", e.End(), h.deviceSize)
		}
	}
	return h, nil
}

// commonBlockSize is the image's own block size, or the largest smaller one in which every extent is whole blocks.
func commonBlockSize(index *Index) (int64, error) {
	own := min(int64(index.Info.BlockSize), maxBlockSize)
	if index.Info.Tool == Raw {
		own = 4096 // it has none, and this keeps the bitmap small
	}
	size := int64(512)
	for size < own {
		size *= 2
	}
	for e := range index.stretches() {
		for (e.Offset|e.Length)&(size-1) != 0 && size >= 512 {
			size /= 2
		}
		if size < 512 {
			return 0, fmt.Errorf("the %d used bytes from byte %d on are no whole sectors, which partclone needs", e.Length, e.Offset)
		}
	}
	return size, nil
}

// stretches are the extents of all chunks, merged across the chunks.
func (x *Index) stretches() iter.Seq[Extent] {
	return func(yield func(Extent) bool) {
		var last Extent
		for _, c := range x.Chunks {
			for _, e := range c.Used {
				if last.End() == e.Offset {
					last.Length += e.Length
					continue
				}
				if last.Length > 0 && !yield(last) {
					return
				}
				last = e
			}
		}
		if last.Length > 0 {
			yield(last)
		}
	}
}

// partcloneFilesystem is the name that partclone gives a filesystem.
func partcloneFilesystem(info Info) string {
	switch info.Filesystem {
	case "EXT2", "EXT3", "EXT4":
		return "EXTFS"
	case "HFSPLUS":
		return "HFS Plus"
	}
	if slices.Contains([]string{
		"REISERFS", "REISER4", "XFS", "EXTFS", "FAT12", "FAT16", "FAT32", "EXFAT", "NTFS", "UFS", "VMFS", "JFS", "BTRFS", "MINIX",
		"F2FS", "NILFS", "APFS",
	}, info.Filesystem) {
		return info.Filesystem
	}
	return "raw"
}

// encode is the opposite of parsePartclone.
func (h *partcloneHeader) encode() []byte {
	le := binary.LittleEndian
	b := make([]byte, 106, partcloneHeaderLen)
	copy(b, partcloneMagic)
	copy(b[16:30], "0.3.23") // a version that is known to read what is written here
	copy(b[30:], "0002")
	le.PutUint16(b[34:], 0xC0DE)
	copy(b[36:51], h.filesystem)
	le.PutUint64(b[52:], uint64(h.deviceSize))
	le.PutUint64(b[60:], uint64(h.blocks))
	le.PutUint64(b[68:], uint64(h.used))
	le.PutUint64(b[76:], uint64(h.used))
	le.PutUint32(b[84:], uint32(h.blockSize))
	le.PutUint32(b[88:], 18)
	le.PutUint16(b[92:], 2)
	le.PutUint16(b[94:], 64)
	le.PutUint16(b[96:], checksumCRC32)
	le.PutUint16(b[98:], 4)
	le.PutUint32(b[100:], uint32(h.stripBlocks))
	b[104] = 1 // each checksum covers its strip
	b[105] = 1 // a bit for each block
	return le.AppendUint32(b, ^crc32.ChecksumIEEE(b))
}

// writeBitmap writes a bit for each block of the extents, and the checksum of all.
func writeBitmap(w io.Writer, h partcloneHeader, index *Index) error {
	m := bitmapWriter{w: w}
	for e := range index.stretches() {
		if err := m.fill(e.Offset/h.blockSize, false); err != nil {
			return err
		}
		if err := m.fill(e.End()/h.blockSize, true); err != nil {
			return err
		}
	}
	// Up to whole bytes; spare bits are zeros.
	if err := m.fill((h.blocks+7)/8*8, false); err != nil {
		return err
	}
	if err := m.flush(); err != nil {
		return err
	}
	_, err := w.Write(binary.LittleEndian.AppendUint32(nil, ^m.crc))
	return err
}

// A bitmapWriter makes a bitmap, least significant bit first, from stretches of blocks.
type bitmapWriter struct {
	w   io.Writer
	crc uint32
	pos int64 // blocks so far
	buf []byte
	cur byte // the bits of the byte in which pos lies
}

// fill gives the blocks from pos up to end the same bit.
func (m *bitmapWriter) fill(end int64, used bool) error {
	for m.pos < end {
		if m.pos%8 == 0 && end-m.pos >= 8 {
			n := min((end-m.pos)/8, pageBytes)
			value := byte(0)
			if used {
				value = 0xFF
			}
			m.buf = append(m.buf, bytes.Repeat([]byte{value}, int(n))...)
			m.pos += 8 * n
		} else {
			if used {
				m.cur |= 1 << (m.pos % 8)
			}
			if m.pos++; m.pos%8 == 0 {
				m.buf, m.cur = append(m.buf, m.cur), 0
			}
		}
		if len(m.buf) >= pageBytes {
			if err := m.flush(); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *bitmapWriter) flush() error {
	m.crc = crc32.Update(m.crc, crc32.IEEETable, m.buf)
	_, err := m.w.Write(m.buf)
	m.buf = m.buf[:0]
	return err
}

// A stripWriter puts a CRC-32 after every strip of data.
type stripWriter struct {
	w     io.Writer
	strip int64
	n     int64 // bytes of the current strip
	sum   crc32Checksum
}

func (s *stripWriter) write(data []byte) error {
	for len(data) > 0 {
		part := data[:min(int64(len(data)), s.strip-s.n)]
		if _, err := s.w.Write(part); err != nil {
			return err
		}
		s.sum.update(part)
		s.n += int64(len(part))
		data = data[len(part):]
		if s.n == s.strip {
			if err := s.end(); err != nil {
				return err
			}
		}
	}
	return nil
}

// end writes the checksum of a strip that has data.
func (s *stripWriter) end() error {
	if s.n == 0 {
		return nil
	}
	var sum [4]byte
	s.sum.put(sum[:])
	s.sum.reset()
	s.n = 0
	_, err := s.w.Write(sum[:])
	return err
}

// An indexChecker makes sure that runs are those of an index, and have its hashes.
type indexChecker struct {
	chunker chunker
	want    []Chunk
}

func (k *indexChecker) add(off int64, run []byte) error { return k.chunker.add(off, run, k.compare) }

func (k *indexChecker) compare(c Chunk) error {
	if len(k.want) == 0 || c.Number != k.want[0].Number || c.Hash != k.want[0].Hash || !slices.Equal(c.Used, k.want[0].Used) {
		return fmt.Errorf("%w in the chunk at byte %d: the chunk index is of another file", ErrMismatch, c.Number*ChunkSize)
	}
	k.want = k.want[1:]
	return nil
}

// end takes the last chunk.
func (k *indexChecker) end() error {
	if c, ok := k.chunker.take(); ok {
		if err := k.compare(c); err != nil {
			return err
		}
	}
	if len(k.want) > 0 {
		return fmt.Errorf("%w: the image ends before byte %d, which its chunk index has", ErrMismatch, k.want[0].Number*ChunkSize)
	}
	return nil
}
