package format

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"

	"aula/imagestore/format/lzop"
)

// seekTail is how much of the end of a zstd file is read at once: the seek table of 8 GiB.
const seekTail = 64 << 10

// readSeekTable finds the frames of a zstd file by the seek table at its end (framewriter.go).
func (m *FileMap) readSeekTable(r io.ReaderAt) error {
	tail := make([]byte, min(seekTail, m.Size))
	if err := readAt(r, tail, m.Size-int64(len(tail))); err != nil {
		return err
	}
	le := binary.LittleEndian
	if len(tail) < 8+seekFooterLen || le.Uint32(tail[len(tail)-4:]) != seekTableMagic {
		return ordered("the zstd file has no seek table: it was not compressed by Aula")
	}
	footer := tail[len(tail)-seekFooterLen:]
	if footer[4] != 0 {
		return ordered("the seek table of the zstd file is of another kind than Aula's")
	}
	length := int64(le.Uint32(footer))*seekEntryLen + seekFooterLen + 8
	if length > m.Size || length > maxParts*seekEntryLen+seekFooterLen+8 {
		return damaged("the seek table of %d frames is longer than could be", le.Uint32(footer))
	}
	if length > int64(len(tail)) {
		tail = make([]byte, length)
		if err := readAt(r, tail, m.Size-length); err != nil {
			return err
		}
	}
	table := tail[int64(len(tail))-length:]
	if le.Uint32(table) != skippableMagic || int64(le.Uint32(table[4:])) != length-8 {
		return damaged("the seek table does not begin where it should")
	}
	at := int64(0)
	for entries := table[8 : length-seekFooterLen]; len(entries) > 0; entries = entries[seekEntryLen:] {
		packed, size := le.Uint32(entries), le.Uint32(entries[4:])
		if packed > maxPart || size > FrameSize {
			return ordered("the zstd file has a frame of %d bytes, larger than the %d of Aula's", max(packed, size), FrameSize)
		}
		if err := m.add(at, int(packed), int(size)); err != nil {
			return err
		}
		at += int64(packed)
	}
	if at != m.Size-length {
		return damaged("the seek table tells of %d bytes before it, and there are %d", at, m.Size-length)
	}
	return nil
}

// findBlocks finds the blocks of an lzop file.
func (m *FileMap) findBlocks(r io.ReaderAt) error {
	failed := error(nil) // of r
	header, err := lzop.Find(readerAtKeeper{r, &failed}, m.Size, m.add)
	switch {
	case failed != nil:
		return failed
	case errors.Is(err, lzop.ErrMembers):
		return ordered("%w", err)
	case errors.Is(err, ErrOrdered), errors.Is(err, ErrCorrupt):
		return err
	case errors.Is(err, io.ErrUnexpectedEOF):
		return damaged("%w", errTruncated)
	case err != nil && errors.Is(err, lzop.ErrUnsupported):
		return unsupported("%w", err)
	case err != nil:
		return damaged("%w", err)
	case header > sourceBuffer:
		return ordered("the header of the lzop file has %d bytes", header)
	}
	m.header = make([]byte, header)
	return readAt(r, m.header, 0)
}

// A readerAtKeeper keeps the error of a reader, apart from what its user makes of it.
type readerAtKeeper struct {
	r      io.ReaderAt
	failed *error
}

// ReadAt implements io.ReaderAt.
func (k readerAtKeeper) ReadAt(p []byte, off int64) (int, error) {
	n, err := k.r.ReadAt(p, off)
	if err != nil && err != io.EOF {
		*k.failed = err
	}
	return n, err
}

// findMembers finds the members of a gzip file, all of which must say how long they are, as Aula's do.
func (m *FileMap) findMembers(r io.ReaderAt) error {
	for at := int64(0); at < m.Size; {
		head := make([]byte, min(gzipSizedHeader, m.Size-at))
		if err := readAt(r, head, at); err != nil {
			return err
		}
		packed := sizedMember(bufio.NewReaderSize(bytes.NewReader(head), gzipSizedHeader))
		if packed == 0 {
			return ordered("a gzip file is one stream, unless Aula compressed it")
		}
		end := at + int64(packed)
		if end > m.Size {
			return damaged("%w", errTruncated)
		}
		var size [4]byte
		if err := readAt(r, size[:], end-4); err != nil {
			return err
		}
		plain := binary.LittleEndian.Uint32(size[:])
		if plain > FrameSize {
			return damaged("gzip member claims %d bytes, more than the %d of its kind", plain, FrameSize)
		}
		if err := m.add(at, packed, int(plain)); err != nil {
			return err
		}
		at = end
	}
	return nil
}
