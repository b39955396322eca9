package format

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/zeebo/blake3"
)

// The file form of an Index, described in docs/formats.md:
//
//	magic, version, chunk size
//	per chunk: distance to the chunk before, hash, number of extents, gap and length of each
//	0, number of chunks, Info as JSON
//	BLAKE3 of everything before
//
// Info stands at the end because some images tell their sizes only there. Version 1 had it before the chunks; files
// of that version are still read.
const (
	indexMagic    = "AulaChnk"
	indexVersion  = 2
	indexVersion1 = 1
	maxIndexInfo  = 64 << 10
)

// WriteTo writes the form of the .chunks sidecar (docs/formats.md).
func (x *Index) WriteTo(w io.Writer) (int64, error) {
	iw, err := NewIndexWriter(w)
	if err != nil {
		return 0, err
	}
	for _, c := range x.Chunks {
		if err := iw.write(c); err != nil {
			return iw.written, err
		}
	}
	err = iw.Close(x.Info)
	return iw.written, err
}

// An IndexWriter makes the file form of an Index from the runs of a Reader without keeping it in memory.
type IndexWriter struct {
	w       *bufio.Writer
	hash    *blake3.Hasher
	written int64
	chunker chunker
	count   uint64
	used    int64
	last    int64 // number of the chunk written last
	scratch []byte
}

// NewIndexWriter begins a file on w.
func NewIndexWriter(w io.Writer) (*IndexWriter, error) {
	x := &IndexWriter{w: bufio.NewWriterSize(w, 64<<10), hash: blake3.New(), last: -1}
	head := append([]byte(indexMagic), indexVersion)
	return x, x.put(binary.AppendUvarint(head, ChunkSize))
}

// Add takes the next run. Runs must ascend and not overlap.
func (x *IndexWriter) Add(off int64, run []byte) error { return x.chunker.add(off, run, x.write) }

// UsedBytes is the sum of the extents of all chunks that are complete, of all after Close.
func (x *IndexWriter) UsedBytes() int64 { return x.used }

// Close writes the last chunk and the end of the file, with info, which must be that of a Reader that has answered io.EOF.
// It does not close the underlying writer.
func (x *IndexWriter) Close(info Info) error {
	data, err := json.Marshal(info)
	if err != nil {
		return err
	}
	if c, ok := x.chunker.take(); ok {
		if err := x.write(c); err != nil {
			return err
		}
	}
	tail := binary.AppendUvarint([]byte{0}, x.count)
	tail = binary.AppendUvarint(tail, uint64(len(data)))
	if err := x.put(append(tail, data...)); err != nil {
		return err
	}
	if err := x.put(x.hash.Sum(nil)); err != nil {
		return err
	}
	return x.w.Flush()
}

func (x *IndexWriter) write(c Chunk) error {
	if c.Number <= x.last || len(c.Used) == 0 {
		return fmt.Errorf("chunk %d after chunk %d, with %d extents", c.Number, x.last, len(c.Used))
	}
	b := binary.AppendUvarint(x.scratch[:0], uint64(c.Number-x.last))
	b = append(b, c.Hash[:]...)
	b = binary.AppendUvarint(b, uint64(len(c.Used)))
	pos := c.Number * ChunkSize
	for _, e := range c.Used {
		if e.Offset < pos || e.Length < 1 || e.End() > (c.Number+1)*ChunkSize {
			return fmt.Errorf("chunk %d: extent of %d bytes at byte %d is out of place", c.Number, e.Length, e.Offset)
		}
		b = binary.AppendUvarint(b, uint64(e.Offset-pos))
		b = binary.AppendUvarint(b, uint64(e.Length))
		pos = e.End()
		x.used += e.Length
	}
	x.scratch, x.last = b, c.Number
	x.count++
	return x.put(b)
}

func (x *IndexWriter) put(b []byte) error {
	x.hash.Write(b)
	n, err := x.w.Write(b)
	x.written += int64(n)
	return err
}

// ReadIndex reads what WriteTo wrote, to the end of r; memory is bounded by what the stream really holds.
// It answers an error wrapping ErrNotImage, ErrUnsupported or ErrCorrupt, or the error of r.
func ReadIndex(r io.Reader) (*Index, error) {
	d := &indexDecoder{r: bufio.NewReaderSize(r, 64<<10), hash: blake3.New()}
	x := &Index{}
	version := d.head()
	if version == indexVersion1 {
		x.Info = d.info()
	}
	last := int64(-1)
	for d.err == nil {
		distance := d.uvarint(math.MaxInt64/ChunkSize - uint64(last+1))
		if distance == 0 {
			break
		}
		last += int64(distance)
		if c := d.chunk(last); d.err == nil {
			x.Chunks = append(x.Chunks, c)
		}
	}
	if n := d.uvarint(math.MaxInt64); d.err == nil && n != uint64(len(x.Chunks)) {
		d.fail(damaged("file says %d chunks and has %d", n, len(x.Chunks)))
	}
	if version == indexVersion {
		x.Info = d.info()
	}
	d.end()
	if d.err != nil {
		return nil, fmt.Errorf("chunk index: %w", d.err)
	}
	return x, nil
}

// An indexDecoder reads the parts of the file; after its first error it reads nothing more.
type indexDecoder struct {
	r    *bufio.Reader
	hash *blake3.Hasher
	err  error
}

func (d *indexDecoder) fail(err error) {
	if d.err == nil {
		d.err = err
	}
}

// ReadByte is for binary.ReadUvarint.
func (d *indexDecoder) ReadByte() (byte, error) {
	b, err := d.r.ReadByte()
	if err == nil {
		d.hash.Write([]byte{b})
	}
	return b, err
}

// bytes fills p.
func (d *indexDecoder) bytes(p []byte) {
	if d.err != nil {
		return
	}
	d.fail(readFull(d.r, p, "record"))
	d.hash.Write(p)
}

// uvarint reads a number that may be at most limit.
func (d *indexDecoder) uvarint(limit uint64) uint64 {
	if d.err != nil {
		return 0
	}
	n, err := binary.ReadUvarint(d)
	switch {
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		d.fail(damaged("the file is truncated"))
	case err != nil:
		d.fail(err)
	case n > limit:
		d.fail(damaged("number %d is larger than %d", n, limit))
	}
	if d.err != nil {
		return 0
	}
	return n
}

// head reads up to the chunk size and returns the version.
func (d *indexDecoder) head() byte {
	var head [len(indexMagic) + 1]byte
	d.bytes(head[:])
	if d.err != nil || string(head[:len(indexMagic)]) != indexMagic {
		if d.err == nil || errors.Is(d.err, ErrCorrupt) {
			d.err = fmt.Errorf("%w: no chunk index", ErrNotImage)
		}
		return 0
	}
	version := head[len(indexMagic)]
	if version != indexVersion && version != indexVersion1 {
		d.fail(unsupported("version %d, this program reads up to %d", version, indexVersion))
	}
	if size := d.uvarint(math.MaxUint32); d.err == nil && size != ChunkSize {
		d.fail(unsupported("chunks of %d bytes", size))
	}
	return version
}

// info reads the image's info.
func (d *indexDecoder) info() (info Info) {
	data := make([]byte, d.uvarint(maxIndexInfo))
	d.bytes(data)
	if d.err == nil {
		if err := json.Unmarshal(data, &info); err != nil {
			d.fail(damaged("info: %w", err))
		}
	}
	return info
}

func (d *indexDecoder) chunk(number int64) Chunk {
	c := Chunk{Number: number}
	d.bytes(c.Hash[:])
	n := d.uvarint(ChunkSize)
	if d.err == nil && n == 0 {
		d.fail(damaged("chunk %d is empty", number))
	}
	pos, end := number*ChunkSize, (number+1)*ChunkSize
	for i := range n {
		gap := int64(d.uvarint(uint64(end - pos)))
		length := int64(d.uvarint(uint64(end - pos - gap)))
		if d.err == nil && (length == 0 || gap == 0 && i > 0) {
			d.fail(damaged("chunk %d: extents are not merged", number))
		}
		if d.err != nil {
			break
		}
		c.Used = append(c.Used, Extent{pos + gap, length})
		pos += gap + length
	}
	return c
}

// end checks the checksum, and that nothing follows it.
func (d *indexDecoder) end() {
	want := d.hash.Sum(nil)
	got := make([]byte, len(want))
	d.bytes(got)
	if d.err == nil && !bytes.Equal(got, want) {
		d.fail(damaged("checksum differs"))
	}
	if _, err := d.r.ReadByte(); err == nil {
		d.fail(damaged("data follows the end"))
	} else if err != io.EOF {
		d.fail(err)
	}
}
