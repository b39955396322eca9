package format

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/klauspost/compress/zstd"
)

const (
	// maxWindow is the largest zstd window that is believed: that of zstd -22, and the most that the zstd tool
	// takes without being told to.
	maxWindow = 128 << 20
	// maxPackedFrame bounds a compressed frame that is decoded whole; an encoder stores what it
	// cannot shrink, at 3 bytes more for each 128 KiB.
	maxPackedFrame = FrameSize + FrameSize/16
	// decodeSlack lets the zstd library copy in whole words at the end of a frame.
	decodeSlack = 64
	// zstdHeaderLen is the longest frame header with the header of its first block (RFC 8878, section 3.1.1).
	zstdHeaderLen = zstd.HeaderMaxSize + 3
)

// decodeZstd delivers the plain bytes of a zstd stream. Small frames that say their size are decoded side by side;
// from the first frame on that does not, the rest of the stream is decoded in order.
func (p *pipeline) decodeZstd(in *bufio.Reader, src *source, workers int) {
	dec, err := zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(workers),
		zstd.WithDecoderMaxMemory(FrameSize),
		zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		p.fail(err)
		return
	}
	defer dec.Close()
	defer p.aside.Wait() // for those that use dec
	for {
		head, err := peekFrame(in)
		switch {
		case err == io.EOF:
			p.fail(io.EOF)
			return
		case err != nil:
			p.fail(explainZstd(src, err))
			return
		case head.Skippable:
			if _, err := io.CopyN(io.Discard, in, int64(head.HeaderSize)+int64(head.SkippableSize)); err != nil {
				p.fail(explainZstd(src, io.ErrUnexpectedEOF))
				return
			}
		case !standsAlone(head):
			p.streamZstd(in, src)
			return
		default:
			b := p.take()
			if b == nil {
				return
			}
			if b.packed, err = readFrame(in, head, b.packed[:0]); err != nil {
				b.plain, b.err = b.plain[:0], explainZstd(src, err)
				p.deliver(b)
				return
			}
			size := int(head.FrameContentSize)
			p.deliverLater(b, func(b *block) error { return b.unzstd(dec, size) })
		}
	}
}

// streamZstd delivers the rest of a zstd stream whose frames may be of any size.
func (p *pipeline) streamZstd(in *bufio.Reader, src *source) {
	// A decoder with goroutines of its own takes a third more time of the cores and is not faster: this one is ahead of the
	// consumer anyway.
	dec, err := zstd.NewReader(in,
		zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderMaxWindow(maxWindow),
		zstd.WithDecoderLowmem(false))
	if err != nil {
		p.fail(explainZstd(src, err))
		return
	}
	defer dec.Close()
	p.copyFrom(dec, func(err error) error { return explainZstd(src, err) })
}

// explainZstd tells the errors of the zstd library in words.
func explainZstd(src *source, err error) error {
	switch {
	case errors.Is(err, zstd.ErrWindowSizeExceeded), errors.Is(err, zstd.ErrDecoderSizeExceeded):
		return unsupported("zstd window is larger than %d MiB (made with zstd --long): "+
			"decompress the file and compress it again without --long", maxWindow>>20)
	case errors.Is(err, zstd.ErrUnknownDictionary):
		return unsupported("zstd data needs a dictionary")
	case errors.Is(err, zstd.ErrMagicMismatch):
		return src.failure(errors.New("what follows the compressed data is not zstd"))
	case errors.Is(err, io.ErrUnexpectedEOF):
		return src.failure(err)
	}
	return src.failure(fmt.Errorf("zstd: %w", err))
}

// peekFrame looks at the frame header that comes next. At the end of the stream it answers io.EOF.
func peekFrame(in *bufio.Reader) (*zstd.Header, error) {
	b, err := in.Peek(zstdHeaderLen)
	if len(b) == 0 {
		return nil, err
	}
	if err != nil && err != io.EOF {
		return nil, err
	}
	head := new(zstd.Header)
	if err := head.Decode(b); err != nil {
		return nil, err
	}
	return head, nil
}

// standsAlone tells whether a frame can be decoded whole in little memory.
func standsAlone(head *zstd.Header) bool {
	return head.HasFCS && head.FrameContentSize <= FrameSize && head.DictionaryID == 0 &&
		(head.SingleSegment || head.WindowSize <= FrameSize)
}

// readFrame appends the whole frame that head opens to buf without decoding it: the sizes of its blocks are
// in their headers (RFC 8878, section 3.1.1.2).
func readFrame(in *bufio.Reader, head *zstd.Header, buf []byte) ([]byte, error) {
	buf, err := appendN(in, buf, head.HeaderSize)
	for last := false; err == nil && !last; {
		if buf, err = appendN(in, buf, 3); err != nil {
			break
		}
		h := buf[len(buf)-3:]
		bits := int(h[0]) | int(h[1])<<8 | int(h[2])<<16
		last = bits&1 != 0
		size := bits >> 3
		switch bits >> 1 & 3 {
		case 1: // one byte, repeated size times
			size = 1
		case 3:
			return buf, zstd.ErrReservedBlockType
		}
		buf, err = appendN(in, buf, size)
	}
	if err == nil && head.HasCheckSum {
		buf, err = appendN(in, buf, 4)
	}
	return buf, err
}

// appendN appends n bytes of in to buf; that there are less is io.ErrUnexpectedEOF.
func appendN(in *bufio.Reader, buf []byte, n int) ([]byte, error) {
	if len(buf)+n > maxPackedFrame {
		return buf, errors.New("compressed frame is longer than its data could be")
	}
	at := len(buf)
	buf = slices.Grow(buf, n)[:at+n]
	_, err := io.ReadFull(in, buf[at:])
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return buf, err
}

// unzstd decompresses packed, which is a frame of size plain bytes.
func (b *block) unzstd(dec *zstd.Decoder, size int) (err error) {
	if cap(b.plain) < size+decodeSlack {
		b.plain = make([]byte, 0, size+decodeSlack)
	}
	if b.plain, err = dec.DecodeAll(b.packed, b.plain[:0]); err != nil {
		return damaged("zstd: %w", err)
	}
	return nil
}
