package format

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math"

	"github.com/zeebo/blake3"
)

// The file form of a FileMap, by which a computer that has the file tells another that has not where the parts are. Numbers are uvarints:
//
//	magic, version
//	size of the file, bytes of its header, these
//	start, strip (0 without checksums), bytes of a checksum, used bytes
//	number of parts; per part: distance to the part before, packed bytes, plain bytes
//	BLAKE3 of everything before
const (
	mapMagic   = "AulaPart"
	mapVersion = 1
)

// WriteTo writes what ReadFileMap reads: about 6 bytes for each part, of which an lzop file has 4 in a MiB.
func (m *FileMap) WriteTo(w io.Writer) (int64, error) {
	s := m.shape
	if s.sum == 0 {
		s.strip = 0
	}
	b := append([]byte(mapMagic), mapVersion)
	b = binary.AppendUvarint(b, uint64(m.Size))
	b = binary.AppendUvarint(b, uint64(len(m.header)))
	b = append(b, m.header...)
	for _, n := range []int64{s.start, s.strip, s.sum, s.used, int64(len(m.Parts))} {
		b = binary.AppendUvarint(b, uint64(n))
	}
	at := int64(0)
	for _, p := range m.Parts {
		b = binary.AppendUvarint(b, uint64(p.Offset-at))
		b = binary.AppendUvarint(b, uint64(p.Packed))
		b = binary.AppendUvarint(b, uint64(p.Size))
		at = p.End()
	}
	sum := blake3.Sum256(b)
	n, err := w.Write(append(b, sum[:]...))
	return int64(n), err
}

// ReadFileMap reads what WriteTo wrote, to the end of r, of the file of size bytes whose index is x. It answers an error wrapping ErrNotImage,
// ErrUnsupported, ErrOrdered or ErrCorrupt, or the error of r. Memory is bounded by what the stream really holds.
func ReadFileMap(r io.Reader, size int64, x *Index) (*FileMap, error) {
	d := &indexDecoder{r: bufio.NewReaderSize(r, 64<<10), hash: blake3.New()}
	m := &FileMap{compressor: x.Info.Compressor}
	d.mapHead(m)
	m.shape = shape{
		start: int64(d.uvarint(math.MaxInt32 * 8)), strip: int64(d.uvarint(maxStrip)), sum: int64(d.uvarint(16)), used: int64(d.uvarint(maxRawBytes)),
	}
	if m.shape.sum == 0 {
		m.shape.strip = math.MaxInt64
	} else if m.shape.strip == 0 {
		d.fail(damaged("checksums of nothing"))
	}
	at := int64(0)
	for n := d.uvarint(maxParts); n > 0 && d.err == nil; n-- {
		offset := at + int64(d.uvarint(uint64(max(0, m.Size-at))))
		packed, plain := d.uvarint(maxPart), d.uvarint(FrameSize)
		if d.err == nil {
			d.fail(m.add(offset, int(packed), int(plain)))
			at = offset + int64(packed)
		}
	}
	d.end()
	if d.err == nil {
		d.fail(m.check(size, x))
	}
	if d.err != nil {
		return nil, fmt.Errorf("map of the image file: %w", d.err)
	}
	return m, nil
}

// mapHead reads up to the header of the image file.
func (d *indexDecoder) mapHead(m *FileMap) {
	var head [len(mapMagic) + 1]byte
	d.bytes(head[:])
	switch {
	case d.err != nil:
		return
	case string(head[:len(mapMagic)]) != mapMagic:
		d.fail(fmt.Errorf("%w: no map of an image file", ErrNotImage))
		return
	case head[len(mapMagic)] != mapVersion:
		d.fail(unsupported("version %d, this program reads %d", head[len(mapMagic)], mapVersion))
		return
	}
	m.Size = int64(d.uvarint(math.MaxInt64))
	m.header = make([]byte, d.uvarint(sourceBuffer))
	d.bytes(m.header)
}

// check compares a map that was read with the file and the index that it is said to be of.
func (m *FileMap) check(size int64, x *Index) error {
	if m.Size != size {
		return damaged("it is of a file of %d bytes, and the image has %d", m.Size, size)
	}
	if (m.compressor == None) != (m.Parts == nil) {
		return damaged("it has %d parts, and the compressor is %s", len(m.Parts), m.compressor)
	}
	return m.checkShape(x)
}
