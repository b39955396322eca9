package xz

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"hash/crc32"
	"hash/crc64"
	"io"
	"math"
	"slices"
)

const (
	streamHeaderLen = 12
	footerLen       = 12
	footerMagic     = "YZ"
	filterLZMA2     = 0x21
)

// A check is a way to protect the plain bytes of blocks (section 2.1.1.2).
type check struct {
	size  int
	start func() hash.Hash // which is nil when there is none
}

func checkOf(id byte) (check, error) {
	switch id {
	case 0x00:
		return check{0, func() hash.Hash { return nil }}, nil
	case 0x01:
		return check{crc32.Size, func() hash.Hash { return crc32.NewIEEE() }}, nil
	case 0x04:
		return check{crc64.Size, func() hash.Hash { return crc64.New(crc64.MakeTable(crc64.ECMA)) }}, nil
	case 0x0A:
		return check{sha256.Size, sha256.New}, nil
	}
	return check{}, unsupported("its check is of kind %d", id)
}

// verify compares the check of the bytes that h has seen with the one in the file.
func (c check) verify(h hash.Hash, want []byte) error {
	if h == nil {
		return nil
	}
	got := h.Sum(nil)
	if c.size < sha256.Size { // CRCs are stored with the lowest byte first
		slices.Reverse(got)
	}
	if !bytes.Equal(got, want) {
		return corrupt("block has the check %x and should have %x", got, want)
	}
	return nil
}

// parseStreamHeader reads the header of a stream (section 2.1.1); the flags are repeated in its footer.
func parseStreamHeader(b *[streamHeaderLen]byte) (flags [2]byte, c check, err error) {
	if string(b[:6]) != Magic {
		return flags, c, corrupt("what follows the compressed data is not xz")
	}
	flags = [2]byte(b[6:8])
	if crc32.ChecksumIEEE(flags[:]) != binary.LittleEndian.Uint32(b[8:]) {
		return flags, c, corrupt("checksum of the stream header is wrong")
	}
	if flags[0] != 0 || flags[1] > 0x0F {
		return flags, c, unsupported("its stream flags are %x", flags)
	}
	c, err = checkOf(flags[1])
	return flags, c, err
}

// parseFooter reads the footer of a stream (section 2.1.2), which must have its flags and the size of its index.
func parseFooter(b *[footerLen]byte, flags [2]byte, index int64) error {
	le := binary.LittleEndian
	switch {
	case string(b[10:]) != footerMagic:
		return corrupt("stream does not end with its magic")
	case crc32.ChecksumIEEE(b[4:10]) != le.Uint32(b[:]):
		return corrupt("checksum of the stream footer is wrong")
	case [2]byte(b[8:10]) != flags:
		return corrupt("stream flags are %x at its end and %x at its beginning", b[8:10], flags)
	case (int64(le.Uint32(b[4:]))+1)*4 != index:
		return corrupt("index of %d bytes, the stream footer says %d", index, (int64(le.Uint32(b[4:]))+1)*4)
	}
	return nil
}

// A blockHeader is the header of a block (section 3.1).
type blockHeader struct {
	size   int64 // of the header itself
	packed int64 // -1 if it does not say that
	plain  int64 // likewise
	window int   // size of the dictionary
}

// parseBlockHeader reads a header from its first byte, which tells its length, to its checksum.
func parseBlockHeader(b []byte) (blockHeader, error) {
	h := blockHeader{size: int64(len(b)), packed: -1, plain: -1}
	body := b[:len(b)-4]
	if crc32.ChecksumIEEE(body) != binary.LittleEndian.Uint32(b[len(b)-4:]) {
		return h, corrupt("checksum of a block header is wrong")
	}
	flags := body[1]
	in := bytes.NewReader(body[2:])
	var err error
	if flags&0x40 != 0 {
		if h.packed, err = readNumber(in); err == nil && h.packed == 0 {
			err = corrupt("block of no packed bytes")
		}
	}
	if err == nil && flags&0x80 != 0 {
		h.plain, err = readNumber(in)
	}
	switch {
	case err != nil:
		return h, inHeader(err)
	case flags&0x3F != 0:
		return h, unsupported("a filter comes before compression")
	}
	return h, h.parseFilter(in)
}

// parseFilter reads the only filter, LZMA2 (section 5.3.1), and the padding behind it.
func (h *blockHeader) parseFilter(in *bytes.Reader) error {
	id, err := readNumber(in)
	if err != nil {
		return inHeader(err)
	}
	size, err := readNumber(in)
	switch {
	case err != nil:
		return inHeader(err)
	case id != filterLZMA2:
		return unsupported("it is compressed with filter %#x", id)
	case size != 1:
		return corrupt("LZMA2 has %d bytes of properties", size)
	}
	bits, err := in.ReadByte()
	if err != nil {
		return inHeader(err)
	}
	if bits > 40 {
		return corrupt("LZMA2 dictionary of size %d", bits)
	}
	window := uint64(2|bits&1) << (bits/2 + 11)
	if window > MaxDictionary {
		return unsupported("its dictionary of %d MiB is larger than %d MiB", window>>20, MaxDictionary>>20)
	}
	h.window = int(window)
	for in.Len() > 0 {
		if b, _ := in.ReadByte(); b != 0 {
			return unsupported("a block header has more fields")
		}
	}
	return nil
}

// inHeader tells that a header, which is there whole, is too short for its fields.
func inHeader(err error) error {
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return corrupt("block header is too short for its fields")
	}
	return err
}

// readNumber reads a number of 7 bits in each byte, the lowest first (section 1.2).
func readNumber(r io.ByteReader) (int64, error) {
	var n uint64
	for shift := 0; shift < 63; shift += 7 {
		b, err := r.ReadByte()
		if err != nil {
			return 0, noEOF(err)
		}
		n |= uint64(b&0x7F) << shift
		if b < 0x80 {
			if b == 0 && shift > 0 || n > math.MaxInt64 {
				break
			}
			return int64(n), nil
		}
	}
	return 0, corrupt("number is not encoded as it must be")
}
