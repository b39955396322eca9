package format

import (
	"bufio"
	"bytes"
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
	final  bool // info is exact
	ahead  *run // read by NewReader in order to know the filesystem, not yet handed out
}

// A decoder reads the decompressed stream of one deployment tool.
type decoder interface {
	// describe returns what the header says, and after next has answered io.EOF what the whole stream says; final tells
	// whether sizes are exact. Compressor is left empty.
	describe() (info Info, final bool)
	// next is Reader.Next, but runs may reach beyond the RequiredBytes of a description that is not final.
	next() (off int64, data []byte, err error)
}

// A run is an answer of Next.
type run struct {
	off  int64
	data []byte
	err  error
}

// NewReader reads as much of r as recognising the image takes (at most a few MiB more than its bitmap).
// When r is an io.Seeker, its size is asked for, so that the sizes of an uncompressed raw image are known at once.
// It answers an error wrapping ErrNotImage, ErrUnsupported or ErrCorrupt, or the error of r.
func NewReader(r io.Reader) (*Reader, error) {
	size := sizeOf(r)
	stream, compressor, err := openStream(r)
	if err != nil {
		return nil, err
	}
	if compressor != None {
		size = unknownSize
	}
	image, err := openImage(bufio.NewReaderSize(stream, 80<<10), size)
	if err != nil {
		stream.Close()
		return nil, err
	}
	rd := &Reader{stream: stream, image: image}
	rd.info, rd.final = image.describe()
	rd.info.Compressor = compressor
	off, data, err := image.next()
	if err != nil && err != io.EOF {
		stream.Close()
		return nil, err
	}
	rd.ahead = &run{off, data, err}
	refine(&rd.info, off, data)
	rd.settle(off+int64(len(data)), err)
	return rd, nil
}

// unknownSize stands for the size of a stream that only its end tells.
const unknownSize = -1

// sizeOf returns how many bytes r has left, or unknownSize.
func sizeOf(r io.Reader) int64 {
	s, ok := r.(io.Seeker)
	if !ok {
		return unknownSize
	}
	here, err := s.Seek(0, io.SeekCurrent)
	if err != nil {
		return unknownSize // a pipe
	}
	end, err := s.Seek(0, io.SeekEnd)
	if _, back := s.Seek(here, io.SeekStart); err != nil || back != nil || end < here {
		return unknownSize
	}
	return end - here
}

// openImage tells what tool made the image and reads up to its data. The size is that of the plain stream.
func openImage(in *bufio.Reader, size int64) (decoder, error) {
	head, err := in.Peek(sniffLen)
	if len(head) == 0 || err != nil && err != io.EOF && !errors.Is(err, ErrCorrupt) {
		if err == io.EOF {
			err = fmt.Errorf("%w: nothing is in it", ErrNotImage)
		}
		return nil, err
	}
	for _, t := range tools() {
		if bytes.HasPrefix(head, []byte(t.magic)) {
			return t.open(in, size)
		}
	}
	if err != nil && err != io.EOF {
		return nil, err
	}
	if name := lookup(foreignImages(), head); name != "" {
		return nil, unsupported("the file is %s", name)
	}
	// Filesystems come last: an image may hold anything at their marks.
	if content, ok := findContent(head); ok {
		return openRaw(in, content, size)
	}
	if name := lookup(foreignContents(), head); name != "" {
		return nil, unsupported("the file is %s", name)
	}
	if isCompressed(head) {
		return nil, unsupported("the file is compressed twice")
	}
	return nil, ErrNotImage
}

// Info returns what the image says of itself. It is exact once Next has answered io.EOF; before that, RequiredBytes and
// UsedBytes of an image whose tool is Raw are the least that its first bytes say, unless Final.
func (r *Reader) Info() Info { return r.info }

// Final tells whether the sizes in Info are exact already.
func (r *Reader) Final() bool { return r.final }

// Next returns the next run of used bytes: at most MaxRun of them, that belong at byte offset off of
// the partition. The slice is valid until the next call. After the last run it checks that the stream ends where
// it must and that every checksum of the format and of the compressor held, and only then answers io.EOF. Bytes that
// came before an error may be wrong. No run reaches beyond Info().RequiredBytes as it is after the call; it grows only
// until Final.
func (r *Reader) Next() (off int64, data []byte, err error) {
	if a := r.ahead; a != nil {
		if a.err == nil {
			r.ahead = nil
		}
		return a.off, a.data, a.err
	}
	off, data, err = r.image.next()
	end := off + int64(len(data))
	if err == nil && r.final && end > r.info.RequiredBytes {
		err = damaged("block at byte %d lies beyond the filesystem's end", off)
	}
	r.settle(end, err)
	if err != nil {
		r.ahead = &run{err: err}
		return 0, nil, err
	}
	return off, data, nil
}

// settle brings sizes that were not exact up to date after a run up to end, or the end of the image.
func (r *Reader) settle(end int64, err error) {
	switch {
	case r.final:
	case err == io.EOF:
		info, _ := r.image.describe()
		r.info.RequiredBytes, r.info.UsedBytes, r.final = info.RequiredBytes, info.UsedBytes, true
	case err == nil:
		r.info.RequiredBytes = max(r.info.RequiredBytes, end)
	}
}

// Close stops the decoder; it does not close the underlying reader. It waits for a Read of that reader which is
// under way, so cancel or close a reader that may block for long before Close.
func (r *Reader) Close() error {
	r.stream.Close()
	r.ahead = &run{err: errClosed}
	return nil
}

// Inspect returns the exact Info of the image in r, for which it decodes an image to its end only when its size is told nowhere
// else; then all that Next checks is checked. That takes as long as decompressing: to give up earlier, let a Read of r fail. It answers the errors of NewReader and of Next.
func Inspect(r io.Reader) (Info, error) {
	rd, err := NewReader(r)
	if err != nil {
		return Info{}, err
	}
	defer rd.Close()
	for !rd.Final() {
		if _, _, err := rd.Next(); err != nil && err != io.EOF {
			return Info{}, err
		}
	}
	return rd.Info(), nil
}
