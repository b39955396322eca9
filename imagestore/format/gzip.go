package format

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
)

const gzipMagic = "\x1F\x8B\x08" // with deflate, the only method there is (RFC 1952, section 2.3.1)

// Aula's own gzip files consist of members of FrameSize plain bytes whose headers have an extra field (RFC 1952, section 2.3.1.1) with
// the length of the packed member, so that they can be decoded side by side. To every other reader they are plain gzip files.
const (
	gzipSizedHeader = 20                   // bytes of a header with that field and nothing else
	gzipSizeField   = "\x08\x00Au\x04\x00" // from byte 10 on: 8 bytes of extra fields, of which one is "Au" with 4 bytes
	gzipSizeAt      = 16                   // where these are
	gzipTrailer     = 8                    // CRC-32 and plain size
)

// decodeGzip delivers the plain bytes of a gzip file of one or more members.
func (p *pipeline) decodeGzip(in *bufio.Reader, src *source, _ int) {
	members := sync.Pool{New: func() any { return new(gzip.Reader) }}
	for {
		size := sizedMember(in)
		if size == 0 {
			break
		}
		b := p.take()
		if b == nil {
			return
		}
		var err error
		if b.packed, err = appendN(in, b.packed[:0], size); err != nil {
			b.plain, b.err = b.plain[:0], src.failure(err)
			p.deliver(b)
			return
		}
		p.deliverLater(b, func(b *block) error {
			zr := members.Get().(*gzip.Reader)
			defer members.Put(zr)
			return b.gunzip(zr)
		})
	}
	p.copyFrom(&gzipReader{in: in}, src.failure)
}

// sizedMember returns the packed length of the member that comes next, if it says that; else 0.
func sizedMember(in *bufio.Reader) int {
	head, err := in.Peek(gzipSizedHeader)
	if err != nil || string(head[:3]) != gzipMagic || head[3] != 1<<2 || string(head[10:gzipSizeAt]) != gzipSizeField {
		return 0
	}
	size := binary.LittleEndian.Uint32(head[gzipSizeAt:])
	if size < gzipSizedHeader+gzipTrailer || size > maxPackedFrame {
		return 0
	}
	return int(size)
}

// gunzip decompresses packed, which is a single member.
func (b *block) gunzip(zr *gzip.Reader) error {
	size := binary.LittleEndian.Uint32(b.packed[len(b.packed)-4:])
	if size > FrameSize {
		return damaged("gzip member claims %d bytes, more than the %d of its kind", size, FrameSize)
	}
	in := bytes.NewReader(b.packed)
	if err := zr.Reset(in); err != nil {
		return damaged("%w", err)
	}
	zr.Multistream(false)
	if cap(b.plain) <= int(size) {
		b.plain = make([]byte, FrameSize+1)
	}
	// One byte more than there should be, in order to come to the end.
	n, err := fill(zr, b.plain[:size+1])
	b.plain = b.plain[:n]
	if err == io.EOF && in.Len() > 0 || err == nil {
		err = errors.New("member is not as long as it says")
	}
	if err != io.EOF {
		return damaged("gzip: %w", err)
	}
	return nil
}

// A gzipReader reads the members of a gzip file one after the other. Zeros after the last one, as a tape leaves them, are passed over.
type gzipReader struct {
	in     *bufio.Reader
	zr     gzip.Reader
	inside bool // of a member
}

// Read implements io.Reader.
func (g *gzipReader) Read(p []byte) (int, error) {
	for {
		if !g.inside {
			if err := g.next(); err != nil {
				return 0, err
			}
		}
		n, err := g.zr.Read(p)
		if err == io.EOF {
			g.inside, err = false, nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// next begins the next member. After the last it answers io.EOF.
func (g *gzipReader) next() error {
	for padded := false; ; padded = true {
		c, err := g.in.ReadByte()
		if err != nil {
			return err
		}
		if c == 0 {
			continue
		}
		if padded || c != gzipMagic[0] {
			return errors.New("what follows the compressed data is not gzip")
		}
		break
	}
	g.in.UnreadByte()
	if err := g.zr.Reset(g.in); err != nil {
		return err
	}
	g.zr.Multistream(false)
	g.inside = true
	return nil
}

const (
	maxGzipLevel     = 9
	defaultGzipLevel = 6
)

// gzipPacker packs members of FrameSize plain bytes that say how long they are.
func gzipPacker(level int) packer {
	if level == 0 {
		level = defaultGzipLevel
	}
	writers := sync.Pool{New: func() any {
		zw, _ := gzip.NewWriterLevel(nil, level) // NewWriter has checked the level
		return zw
	}}
	pack := func(dst, plain []byte) []byte {
		zw := writers.Get().(*gzip.Writer)
		defer writers.Put(zw)
		return gzipMember(zw, dst, plain)
	}
	empty := true
	return packer{
		size:  FrameSize,
		pack:  pack,
		wrote: func(int, int) { empty = false },
		end: func() []byte {
			if empty { // a gzip file has one member at least
				return pack(nil, nil)
			}
			return nil
		},
	}
}

// gzipMember appends a member to dst.
func gzipMember(zw *gzip.Writer, dst, plain []byte) []byte {
	at := len(dst)
	out := bytes.NewBuffer(dst)
	zw.Reset(out)
	zw.Extra = []byte(gzipSizeField[2:] + "\x00\x00\x00\x00") // the length is not known yet
	zw.Write(plain)                                           // a Buffer takes everything
	zw.Close()
	dst = out.Bytes()
	binary.LittleEndian.PutUint32(dst[at+gzipSizeAt:], uint32(len(dst)-at))
	return dst
}
