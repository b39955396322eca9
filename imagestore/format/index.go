package format

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/zeebo/blake3"
)

// ChunkSize is the grid of the chunk index: chunk i covers the bytes from i*ChunkSize of the partition.
const ChunkSize = 1 << 20

// ErrMismatch is wrapped by VerifyChunk's error when the bytes read are not those of the image.
var ErrMismatch = errors.New("data differs from the image")

// An Index says, for each chunk of a partition, which bytes the image fills and the BLAKE3 hash of those bytes
// in ascending order. A chunk without used bytes is absent.
type Index struct {
	Info   Info
	Chunks []Chunk
}

// A Chunk is one cell of the grid.
type Chunk struct {
	Number int64    // covers bytes Number*ChunkSize up to the next
	Hash   [32]byte // BLAKE3 of the used bytes, ascending
	Used   []Extent // absolute, ascending, disjoint, merged
}

// An Extent is a range of bytes of the partition.
type Extent struct{ Offset, Length int64 }

// End is the offset of the first byte after e.
func (e Extent) End() int64 { return e.Offset + e.Length }

// UsedBytes is the sum of the chunk's extents.
func (c Chunk) UsedBytes() int64 {
	var n int64
	for _, e := range c.Used {
		n += e.Length
	}
	return n
}

// UsedBytes is the sum of all extents.
func (x *Index) UsedBytes() int64 {
	var n int64
	for _, c := range x.Chunks {
		n += c.UsedBytes()
	}
	return n
}

// VerifyChunk reads the used bytes of c from r (a partition, offset 0 its first byte) and compares their hash.
// buf is scratch of at least ChunkSize. The error wraps ErrMismatch when the bytes were read and differ.
func (x *Index) VerifyChunk(c Chunk, r io.ReaderAt, buf []byte) error {
	if len(c.Used) == 0 {
		return fmt.Errorf("chunk %d has no used bytes", c.Number)
	}
	// One read of the whole span is faster on every disk than a read for each extent.
	start := c.Used[0].Offset
	span := c.Used[len(c.Used)-1].End() - start
	if start < 0 || span < 1 || span > int64(len(buf)) {
		return fmt.Errorf("chunk %d spans %d bytes, scratch has %d", c.Number, span, len(buf))
	}
	if n, err := r.ReadAt(buf[:span], start); int64(n) < span {
		if err == nil || err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return fmt.Errorf("reading back %d bytes at byte %d: %w", span, start, err)
	}
	h := blake3.New()
	for _, e := range c.Used {
		if e.Offset < start || e.Length < 0 || e.End() > start+span {
			return fmt.Errorf("chunk %d: extents are out of order", c.Number)
		}
		h.Write(buf[e.Offset-start:][:e.Length])
	}
	if !bytes.Equal(h.Sum(nil), c.Hash[:]) {
		return fmt.Errorf("%w in the %d bytes from byte %d of the partition", ErrMismatch, span, start)
	}
	return nil
}

// An IndexBuilder makes an Index from the runs of a Reader, in the order in which they come. The zero value is ready.
type IndexBuilder struct {
	chunks  []Chunk
	chunker chunker
}

// Add takes the next run. Runs must ascend and not overlap.
func (b *IndexBuilder) Add(off int64, run []byte) error {
	return b.chunker.add(off, run, func(c Chunk) error {
		b.chunks = append(b.chunks, c)
		return nil
	})
}

// Index finishes.
func (b *IndexBuilder) Index(info Info) *Index {
	if c, ok := b.chunker.take(); ok {
		b.chunks = append(b.chunks, c)
	}
	return &Index{Info: info, Chunks: b.chunks}
}

// A chunker cuts runs at the grid.
type chunker struct {
	hash *blake3.Hasher
	cur  Chunk
	end  int64 // of the last run
}

// add takes a run and gives every chunk that it completes to emit.
func (k *chunker) add(off int64, run []byte, emit func(Chunk) error) error {
	if off < k.end {
		return fmt.Errorf("run at byte %d begins before the end of the one before, byte %d", off, k.end)
	}
	for len(run) > 0 {
		number := off / ChunkSize
		if number != k.cur.Number {
			if c, ok := k.take(); ok {
				if err := emit(c); err != nil {
					return err
				}
			}
			k.cur.Number = number
		}
		n := min(int64(len(run)), (number+1)*ChunkSize-off)
		k.grow(off, run[:n])
		off, run = off+n, run[n:]
	}
	k.end = off
	return nil
}

// grow adds bytes to the current chunk.
func (k *chunker) grow(off int64, run []byte) {
	if k.hash == nil {
		k.hash = blake3.New()
	}
	k.hash.Write(run)
	if n := len(k.cur.Used); n > 0 && k.cur.Used[n-1].End() == off {
		k.cur.Used[n-1].Length += int64(len(run))
		return
	}
	k.cur.Used = append(k.cur.Used, Extent{off, int64(len(run))})
}

// take finishes the current chunk, if it has anything.
func (k *chunker) take() (Chunk, bool) {
	if len(k.cur.Used) == 0 {
		return Chunk{}, false
	}
	c := k.cur
	k.hash.Sum(c.Hash[:0])
	k.hash.Reset()
	k.cur = Chunk{}
	return c, true
}
