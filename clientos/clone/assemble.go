package clone

import (
	"errors"
	"fmt"
	"io"

	"aula/imagestore/format"
)

// A filled chunk is a chunk of the image whose used bytes are all there and have the hash that the index says.
type filled struct {
	format.Chunk
	data []byte // of format.ChunkSize: byte i belongs at base()+i; only the used extents mean anything
}

func (c filled) base() int64 { return c.Number * format.ChunkSize }

// extent returns the bytes of one of the chunk's extents.
func (c filled) extent(e format.Extent) []byte {
	return c.data[e.Offset-c.base():][:e.Length]
}

// An assembler puts the runs of an image together to the chunks of its index. Runs that the index does not foresee
// are errors wrapping format.ErrCorrupt.
type assembler struct {
	chunks []format.Chunk // not yet complete; the first is being filled
	data   []byte
	extent int   // of the first chunk, being filled
	done   int64 // bytes of that extent
	fresh  func() ([]byte, error)
	emit   func(filled) error
}

// add takes the next run.
func (a *assembler) add(off int64, run []byte) error {
	for len(run) > 0 {
		if len(a.chunks) == 0 {
			return fmt.Errorf("%w: bytes at %d that are not in its index", format.ErrCorrupt, off)
		}
		chunk := a.chunks[0]
		extent := chunk.Used[a.extent]
		if want := extent.Offset + a.done; off != want {
			return fmt.Errorf("%w: bytes at %d where its index has bytes at %d", format.ErrCorrupt, off, want)
		}
		if a.data == nil {
			var err error
			if a.data, err = a.fresh(); err != nil {
				return err
			}
		}
		n := min(int64(len(run)), extent.Length-a.done)
		copy(a.data[off-chunk.Number*format.ChunkSize:], run[:n])
		run, off, a.done = run[n:], off+n, a.done+n
		if a.done == extent.Length {
			a.extent, a.done = a.extent+1, 0
		}
		if a.extent == len(chunk.Used) {
			complete := filled{chunk, a.data}
			a.chunks, a.data, a.extent = a.chunks[1:], nil, 0
			if err := a.emit(complete); err != nil {
				return err
			}
		}
	}
	return nil
}

// finish is called after the last run.
func (a *assembler) finish() error {
	if len(a.chunks) > 0 {
		return fmt.Errorf("%w: it ends before byte %d, which is in its index", format.ErrCorrupt, a.chunks[0].Used[a.extent].Offset+a.done)
	}
	return nil
}

// checkIndex refuses an index that does not belong to the image or that reaches beyond limit bytes, so that those who use
// it need not look again: chunks ascend, none is empty, and their extents ascend and lie inside them.
func checkIndex(index *format.Index, used, limit int64) error {
	var sum int64
	last := int64(-1)
	for _, c := range index.Chunks {
		if c.Number <= last || c.Number > limit/format.ChunkSize || len(c.Used) == 0 {
			return fmt.Errorf("%w: its index is out of order at chunk %d", format.ErrCorrupt, c.Number)
		}
		last = c.Number
		low, high := c.Number*format.ChunkSize, min((c.Number+1)*format.ChunkSize, limit)
		for _, e := range c.Used {
			if e.Offset < low || e.Length <= 0 || e.Length > high-e.Offset {
				return fmt.Errorf("%w: its index has bytes %d to %d in chunk %d", format.ErrCorrupt, e.Offset, e.Offset+e.Length-1, c.Number)
			}
			low = e.Offset + e.Length
			sum += e.Length
		}
	}
	if sum != used {
		return fmt.Errorf("%w: its index has %d used bytes, its record says %d", format.ErrCorrupt, sum, used)
	}
	return nil
}

// A window is a piece of a partition in memory, read as if it were the partition.
type window struct {
	base int64
	data []byte
}

var errOutside = errors.New("outside of what was read")

// ReadAt implements io.ReaderAt.
func (w window) ReadAt(p []byte, off int64) (int, error) {
	if off < w.base || off > w.base+int64(len(w.data)) {
		return 0, errOutside
	}
	n := copy(p, w.data[off-w.base:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}
