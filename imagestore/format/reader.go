package format

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// A Reader decodes one image, whatever its tool and compressor, to runs of used bytes in ascending order.
// It decodes ahead in goroutines of its own, which Close ends. Its methods belong to one goroutine at a time.
type Reader struct {
	stream *pipeline
	image  decoder
	info   Info
	ahead  *run // read by NewReader in order to know the filesystem, not yet handed out
}

// A decoder reads the decompressed stream of one deployment tool.
type decoder interface {
	// describe returns what the header says; Compressor is left empty.
	describe() Info
	// next is Reader.Next.
	next() (off int64, data []byte, err error)
}

// A run is an answer of Next.
type run struct {
	off  int64
	data []byte
	err  error
}

// NewReader reads as much of r as recognising the image takes (at most a few MiB more than its bitmap).
// It answers an error wrapping ErrNotImage, ErrUnsupported or ErrCorrupt, or the error of r.
func NewReader(r io.Reader) (*Reader, error) {
	src := &source{r: r}
	in := bufio.NewReaderSize(src, 64<<10)
	compressor, err := sniffCompressor(in)
	if err != nil {
		return nil, err
	}
	stream := newPipeline(in, src, compressor)
	image, err := openImage(bufio.NewReaderSize(stream, 80<<10))
	if err != nil {
		stream.Close()
		return nil, err
	}
	rd := &Reader{stream: stream, image: image, info: image.describe()}
	rd.info.Compressor = compressor
	off, data, err := image.next()
	if err != nil && err != io.EOF {
		stream.Close()
		return nil, err
	}
	rd.ahead = &run{off, data, err}
	refine(&rd.info, off, data)
	return rd, nil
}

// sniffCompressor tells how the file is compressed, by its first bytes.
func sniffCompressor(in *bufio.Reader) (string, error) {
	head, err := in.Peek(16)
	switch {
	case err != nil && err != io.EOF:
		return "", fmt.Errorf("reading the image: %w", err)
	case len(head) == 0:
		return "", fmt.Errorf("%w: it is empty", ErrNotImage)
	}
	for _, c := range compressors() {
		if c.is(head) {
			return c.name, nil
		}
	}
	if name := lookup(foreignCompressors(), head); name != "" {
		return "", unsupported("the file is compressed with %s", name)
	}
	return None, nil
}

// openImage tells what tool made the image and reads up to its data.
func openImage(in *bufio.Reader) (decoder, error) {
	head, err := in.Peek(sniffLen)
	if len(head) == 0 || err != nil && err != io.EOF && !errors.Is(err, ErrCorrupt) {
		if err == io.EOF {
			err = fmt.Errorf("%w: nothing is in it", ErrNotImage)
		}
		return nil, err
	}
	for _, t := range tools() {
		if t.is(head) {
			return t.open(in)
		}
	}
	if err != nil && err != io.EOF {
		return nil, err
	}
	if name := lookup(foreignImages(), head); name != "" {
		return nil, unsupported("the file is %s", name)
	}
	if isCompressed(head) || lookup(foreignCompressors(), head) != "" {
		return nil, unsupported("the file is compressed twice")
	}
	return nil, ErrNotImage
}

// Info returns what the header and the filesystem's own first blocks said.
func (r *Reader) Info() Info { return r.info }

// Next returns the next run of used bytes: at most MaxRun of them, that belong at byte offset off of
// the partition. The slice is valid until the next call. After the last run it checks that the stream ends where
// it must and that every checksum of the format and of the compressor held, and only then answers io.EOF. Bytes that
// came before an error may be wrong. No run reaches beyond Info().RequiredBytes.
func (r *Reader) Next() (off int64, data []byte, err error) {
	if a := r.ahead; a != nil {
		if a.err == nil {
			r.ahead = nil
		}
		return a.off, a.data, a.err
	}
	off, data, err = r.image.next()
	if err == nil && off+int64(len(data)) > r.info.RequiredBytes {
		err = damaged("block at byte %d lies beyond the filesystem's end", off)
	}
	if err != nil {
		r.ahead = &run{err: err}
		return 0, nil, err
	}
	return off, data, nil
}

// Close stops the decoder; it does not close the underlying reader. It waits for a Read of that reader which is
// under way, so cancel or close a reader that may block for long before Close.
func (r *Reader) Close() error {
	r.stream.Close()
	r.ahead = &run{err: errClosed}
	return nil
}
