package format

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"aula/imagestore/format/lzop"
)

// An Unpacker decodes parts of the files of a FileMap. It belongs to one goroutine at a time.
type Unpacker struct {
	decode func(p Part, b *block) error
	close  func()
}

// NewUnpacker returns one, which is to be closed.
func (m *FileMap) NewUnpacker() (*Unpacker, error) {
	u := &Unpacker{close: func() {}}
	switch m.compressor {
	case Zstd:
		dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(FrameSize), zstd.WithDecodeAllCapLimit(true))
		if err != nil {
			return nil, err
		}
		u.decode = func(p Part, b *block) error { return b.unzstd(dec, p.Size) }
		u.close = dec.Close
	case Lzop:
		u.decode = lzopUnpacker(m.header)
	case Gzip:
		var zr gzip.Reader
		u.decode = func(_ Part, b *block) error { return b.gunzip(&zr) }
	default:
		u.decode = func(Part, *block) error { return errors.New("nothing is packed") }
	}
	return u, nil
}

// lzopUnpacker decodes blocks of the file that begins with header.
func lzopUnpacker(header []byte) func(Part, *block) error {
	in := bufio.NewReaderSize(nil, 4<<10)
	var piece lzop.Block
	return func(_ Part, b *block) error {
		in.Reset(io.MultiReader(bytes.NewReader(header), bytes.NewReader(b.packed)))
		file, err := lzop.NewReader(in)
		if err != nil {
			return damaged("%w", err)
		}
		if err := file.Next(&piece); err != nil {
			if err == io.EOF || err == io.ErrUnexpectedEOF {
				err = errTruncated
			}
			return damaged("%w", err)
		}
		if b.plain, err = piece.Decode(b.plain); err != nil {
			return damaged("%w", err)
		}
		return nil
	}
}

// Unpack decodes a part into the memory of dst, from its beginning, when that is large enough, and returns the plain bytes. An error wraps ErrCorrupt
// and says which part it is.
func (u *Unpacker) Unpack(p Part, packed, dst []byte) ([]byte, error) {
	b := block{packed: packed, plain: dst}
	err := guard(func() error { return u.decode(p, &b) })
	if err == nil && len(b.plain) != p.Size {
		err = damaged("it holds %d bytes and should hold %d", len(b.plain), p.Size)
	}
	if err != nil {
		return dst[:0], fmt.Errorf("bytes %d to %d of the image file: %w", p.Offset, p.End()-1, err)
	}
	return b.plain, nil
}

// Close frees what decoding took.
func (u *Unpacker) Close() { u.close() }
