package lzop

import (
	"bufio"
	"encoding/binary"
	"errors"
	"hash"
	"hash/adler32"
	"hash/crc32"
	"io"
)

// Versions of the lzop tool, which a header has its fields by.
const (
	versionOldest = 0x0900
	versionLevel  = 0x0940 // the first whose headers have the version needed, the level and 64 bits of time
	versionNewest = 0x1040 // the last whose files are known
	versionLZO    = 0x20a0 // of the LZO library, which is only told
)

// A header is what follows the magic of a member, as far as it matters for reading it.
type header struct {
	flags uint32
}

// readHeader reads the rest of a header, after the magic. All numbers are big-endian:
//
//	version, version of the LZO library                    uint16 each
//	version needed                                         uint16, from version 0x0940 on
//	method                                                 byte
//	level                                                  byte, from version 0x0940 on
//	flags                                                  uint32
//	filter                                                 uint32, with flagFilter
//	mode, time                                             uint32 each
//	upper half of the time                                 uint32, from version 0x0940 on
//	length of the name, name                               byte, then as many
//	checksum of all of them                                uint32
//	length of the extra field, its data, their checksum    uint32, as many, uint32; with flagExtra
func readHeader(r *bufio.Reader) (header, error) {
	f := fields{r: r}
	version := f.uint16()
	f.uint16()
	needed := version
	if version >= versionLevel {
		needed = f.uint16()
	}
	method := f.byte()
	if version >= versionLevel {
		f.byte()
	}
	h := header{flags: f.uint32()}
	if h.flags&flagFilter != 0 {
		f.uint32()
	}
	f.skip(4 + 4)
	if version >= versionLevel {
		f.skip(4)
	}
	f.skip(int(f.byte()))
	sum := h.checksum()
	sum.Write(f.read)
	want := f.uint32()
	switch {
	case f.err != nil:
		return h, f.err
	case sum.Sum32() != want:
		return h, corrupt("header has checksum %08x and should have %08x", sum.Sum32(), want)
	case version < versionOldest:
		return h, unsupported("it was made by version %x of lzop, which is too old", version)
	case needed > versionNewest:
		return h, unsupported("it needs version %x of lzop or newer", needed)
	case method < methodLZO1X1 || method > methodLZO1X999:
		return h, unsupported("compression method %d", method)
	case h.flags&flagFilter != 0:
		return h, unsupported("it was made with a filter: unpack it with lzop and pack it again without --filter")
	case h.flags&flagMultipart != 0:
		return h, unsupported("it is a part of a file that lzop split")
	}
	if h.flags&flagExtra != 0 {
		return h, h.skipExtra(r)
	}
	return h, nil
}

// checksum is that of the header and its extra field.
func (h header) checksum() hash.Hash32 {
	if h.flags&flagHeaderCRC != 0 {
		return crc32.NewIEEE()
	}
	return adler32.New()
}

// skipExtra reads over the extra field, which nothing is known to write. Its checksum covers its length too.
func (h header) skipExtra(r *bufio.Reader) error {
	f := fields{r: r}
	length := f.uint32()
	sum := h.checksum()
	sum.Write(f.read)
	if f.err == nil {
		_, f.err = io.CopyN(sum, r, int64(length))
		f.err = noEOF(f.err)
	}
	want := f.uint32()
	if f.err == nil && sum.Sum32() != want {
		f.err = corrupt("extra field of the header has checksum %08x and should have %08x", sum.Sum32(), want)
	}
	return f.err
}

// fields reads the fields of a header and keeps their bytes. After an error everything is zero.
type fields struct {
	r    *bufio.Reader
	read []byte
	err  error
}

func (f *fields) next(n int) []byte {
	at := len(f.read)
	f.read = append(f.read, make([]byte, n)...)
	if f.err == nil {
		_, err := io.ReadFull(f.r, f.read[at:])
		f.err = noEOF(err)
	}
	if f.err != nil {
		clear(f.read[at:])
	}
	return f.read[at:]
}

func (f *fields) skip(n int)     { f.next(n) }
func (f *fields) byte() byte     { return f.next(1)[0] }
func (f *fields) uint16() uint16 { return binary.BigEndian.Uint16(f.next(2)) }
func (f *fields) uint32() uint32 { return binary.BigEndian.Uint32(f.next(4)) }

// noEOF is for reading what must be there.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// appendHeader appends magic and header of a file as lzop makes it of its standard input: without name, and here without time.
func appendHeader(dst []byte) []byte {
	dst = append(dst, Magic...)
	at := len(dst)
	dst = binary.BigEndian.AppendUint16(dst, versionNewest)
	dst = binary.BigEndian.AppendUint16(dst, versionLZO)
	dst = binary.BigEndian.AppendUint16(dst, versionLevel)
	dst = append(dst, methodLZO1X1, 5) // level 5, as lzop says for -2 to -6
	dst = binary.BigEndian.AppendUint32(dst, flagUnix|flagStdin|flagStdout|flagPlainAdler)
	dst = append(dst, make([]byte, 4+4+4+1)...) // mode, time, length of the name
	return binary.BigEndian.AppendUint32(dst, adler32.Checksum(dst[at:]))
}
