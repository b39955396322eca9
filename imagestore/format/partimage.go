package format

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"io"
	"math"
	"strings"
)

// Partimage's format 0.6.1, which versions 0.6.0 to 0.6.9 write: a volume header, a main header, optional records, a bitmap of
// used blocks, the used blocks with a check after every 64 KiB, and a tail with the sum of all bytes. All numbers are
// little-endian. Offsets in docs/formats.md. A set of volumes has a volume header in each; JoinPartimage makes one stream of it.
const (
	partimageMagic     = "PaRtImAgE-VoLuMe"
	partimageVolumeLen = 512   // volume header
	partimageRecordLen = 16384 // main header, local header, filesystem's information, tail
	partimageTailMark  = "MAGIC-BEGIN-TAIL"

	partimageStrip    = 64 << 10 // data under one check
	partimageCheckLen = 16

	partimageMBRLen     = 2048    // a disk's boot record that is saved along
	maxPartimageMBRs    = 64      //
	partimageExtensions = 10      // records for later versions, empty so far
	maxPartimageRecord  = 1 << 20 // of one of those
	maxPartimageSurplus = 4 << 20 // bytes of bitmap behind the last block: NTFS rounds up to a cluster
)

// A partimageHeader is what matters of the headers.
type partimageHeader struct {
	version    string // of the format
	filesystem string
	label      string
	partition  int64 // bytes
	blockSize  int64
	blocks     int64
}

// A partimageReader reads a partimage image of one volume.
type partimageReader struct {
	in     *summedReader
	header partimageHeader
	walk   walk

	left  int64  // used bytes that have not come yet
	strip []byte // data since the last check
	done  bool
}

// openPartimage reads up to the data.
func openPartimage(in *bufio.Reader, _ int64) (decoder, error) {
	volume := make([]byte, partimageVolumeLen)
	if err := readFull(in, volume, "partimage volume header"); err != nil {
		return nil, err
	}
	if n := binary.LittleEndian.Uint32(volume[96:]); n != 0 {
		return nil, unsupported("this is volume %d of a split partimage image, counted from 0: all volumes must be joined, in their order", n)
	}
	p := &partimageReader{in: &summedReader{r: in}, strip: make([]byte, 0, partimageStrip+partimageCheckLen)}
	p.header.version = text(volume[32:96])
	if !strings.HasPrefix(p.header.version, "0.6.") {
		return nil, unsupported("partimage image of version %q", p.header.version)
	}
	if err := p.readHeaders(); err != nil {
		return nil, err
	}
	p.left = p.walk.bytes()
	return p, nil
}

// readHeaders reads from the main header to the mark before the data.
func (p *partimageReader) readHeaders() error {
	main, err := p.record("main header")
	if err != nil {
		return err
	}
	mbrs, err := p.header.setMain(main)
	if err != nil {
		return err
	}
	if err := p.mark("MAGIC-BEGIN-MBRBACKUP"); err != nil {
		return err
	}
	if err := p.skip(int64(mbrs)*partimageMBRLen, "boot records"); err != nil {
		return err
	}
	for i := range partimageExtensions {
		if err := p.skipExtension(byte('0' + i)); err != nil {
			return err
		}
	}
	if err := p.mark("MAGIC-BEGIN-LOCALHEADER"); err != nil {
		return err
	}
	local, err := p.record("local header")
	if err != nil {
		return err
	}
	bitmapBytes, err := p.header.setLocal(local)
	if err != nil {
		return err
	}
	if err := p.readBitmap(bitmapBytes); err != nil {
		return err
	}
	if err := p.mark("MAGIC-BEGIN-INFO"); err != nil {
		return err
	}
	if _, err := p.record("filesystem information"); err != nil {
		return err
	}
	return p.mark("MAGIC-BEGIN-DATABLOCKS")
}

// setMain takes what matters of the main header, and returns the number of boot records that follow.
func (h *partimageHeader) setMain(b []byte) (mbrs uint32, err error) {
	le := binary.LittleEndian
	partition := le.Uint64(b[10104-partimageVolumeLen:])
	mbrs, mbrLen := le.Uint32(b[10304-partimageVolumeLen:]), le.Uint32(b[10308-partimageVolumeLen:])
	switch {
	case le.Uint32(b[10312-partimageVolumeLen:]) != 0:
		return 0, unsupported("partimage image that is encrypted")
	case partition > math.MaxInt64:
		return 0, damaged("partimage header: partition of %d bytes", partition)
	case partition > maxRawBytes:
		return 0, unsupported("partimage image of a partition of %d bytes, more than the %d that are supported", partition, int64(maxRawBytes))
	case mbrs > maxPartimageMBRs || mbrs > 0 && mbrLen != partimageMBRLen:
		return 0, damaged("partimage header: %d boot records of %d bytes", mbrs, mbrLen)
	}
	h.partition = int64(partition)
	if h.filesystem = partimageFilesystem(text(b[:512])); h.filesystem == "" {
		return 0, damaged("partimage header: no filesystem name")
	}
	return mbrs, nil
}

// partimageFilesystem takes partimage's name for a filesystem as OpenGnsys writes it.
func partimageFilesystem(name string) string {
	name = strings.ToUpper(name)
	switch {
	case strings.HasPrefix(name, "REISERFS"):
		return "REISERFS"
	case name == "EXT2FS" || name == "EXT3FS":
		return strings.TrimSuffix(name, "FS")
	}
	return strings.ReplaceAll(name, " ", "")
}

// setLocal takes what matters of the local header, and returns the length of the bitmap.
func (h *partimageHeader) setLocal(b []byte) (bitmapBytes int64, err error) {
	le := binary.LittleEndian
	size, blocks, length := le.Uint64(b), le.Uint64(b[16:]), le.Uint64(b[24:])
	switch {
	case size < 512 || size > maxBlockSize || size&(size-1) != 0:
		return 0, damaged("partimage header: block size %d is not a power of two from 512 to %d", size, maxBlockSize)
	case blocks == 0 || blocks > uint64(h.partition)/size:
		return 0, damaged("partimage header: %d blocks of %d bytes in a partition of %d bytes", blocks, size, h.partition)
	case blocks > maxBitmapBlocks:
		return 0, unsupported("partimage image of %d blocks, more than the %d that are supported", blocks, int64(maxBitmapBlocks))
	case length < (blocks+7)/8 || length > (blocks+7)/8+maxPartimageSurplus:
		return 0, damaged("partimage header: bitmap of %d bytes for %d blocks", length, blocks)
	}
	h.blockSize, h.blocks, h.label = int64(size), int64(blocks), text(b[40:104])
	return int64(length), nil
}

func (p *partimageReader) readBitmap(length int64) error {
	if err := p.mark("MAGIC-BEGIN-BITMAP"); err != nil {
		return err
	}
	// Bits behind the last block say nothing; NTFS has them set.
	used, _, err := readBits(p.in, p.header.blocks, unknownCount)
	if err != nil {
		return err
	}
	p.walk = walk{used: used, blockSize: p.header.blockSize}
	return p.skip(length-(p.header.blocks+7)/8, "bitmap")
}

// record reads a record and the sum of its bytes, which are added as signed numbers.
func (p *partimageReader) record(what string) ([]byte, error) {
	b := make([]byte, partimageRecordLen+4)
	if err := readFull(p.in, b, what); err != nil {
		return nil, err
	}
	var sum uint32
	for _, c := range b[:partimageRecordLen] {
		sum += uint32(int8(c))
	}
	if want := binary.LittleEndian.Uint32(b[partimageRecordLen:]); sum != want {
		return nil, damaged("%s: sum is %08x, image says %08x", what, sum, want)
	}
	return b[:partimageRecordLen], nil
}

// mark reads the words that stand before each part.
func (p *partimageReader) mark(want string) error {
	b := make([]byte, len(want))
	if err := readFull(p.in, b, want); err != nil {
		return err
	}
	if string(b) != want {
		return damaged("%q in place of %q", b, want)
	}
	return nil
}

func (p *partimageReader) skipExtension(number byte) error {
	if err := p.mark("MAGIC-BEGIN-EXT00" + string(rune(number))); err != nil {
		return err
	}
	var size [4]byte
	if err := readFull(p.in, size[:], "record"); err != nil {
		return err
	}
	n := binary.LittleEndian.Uint32(size[:])
	if n > maxPartimageRecord {
		return damaged("partimage header: record of %d bytes", n)
	}
	return p.skip(int64(n), "record")
}

func (p *partimageReader) skip(n int64, what string) error {
	_, err := io.CopyN(io.Discard, p.in, n)
	if err == io.EOF {
		return damaged("%s: the file is truncated", what)
	}
	return err
}

func (p *partimageReader) describe() (info Info, final bool) {
	return Info{
		Tool:          Partimage,
		ToolVersion:   p.header.version,
		Filesystem:    p.header.filesystem,
		RequiredBytes: p.header.partition,
		UsedBytes:     p.walk.bytes(),
		BlockSize:     int(p.header.blockSize),
		Blocks:        p.header.blocks,
		Checksum:      "CRC32",
		Label:         p.header.label,
	}, true
}

func (p *partimageReader) next() (off int64, data []byte, err error) {
	off, data = p.walk.next()
	if data == nil {
		return 0, nil, p.finish()
	}
	for rest := data; len(rest) > 0; {
		part := rest[:min(len(rest), partimageStrip-len(p.strip))]
		if err := p.readPart(part, "block data"); err != nil {
			return 0, nil, err
		}
		p.strip = append(p.strip, part...)
		rest = rest[len(part):]
		p.left -= int64(len(part))
		if len(p.strip) == partimageStrip {
			if err := p.check(); err != nil {
				return 0, nil, err
			}
		}
	}
	return off, data, nil
}

// readPart is readFull for where a volume of a set may end.
func (p *partimageReader) readPart(b []byte, what string) error {
	_, err := io.ReadFull(p.in, b)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return damaged("%s: the file is truncated; if it is one of several volumes, all of them must be joined, in their order", what)
	}
	return err
}

// check reads what follows each full strip. The last strip has a check only when it is full.
func (p *partimageReader) check() error {
	all := p.strip[:partimageStrip+partimageCheckLen]
	b := all[partimageStrip:]
	if err := p.readPart(b, "checksum"); err != nil {
		return err
	}
	used := p.walk.bytes() - p.left
	got, want := crc32.ChecksumIEEE(p.strip), binary.LittleEndian.Uint32(b[4:])
	switch marked := string(b[:4]) == "CHK\x00"; {
	case marked && got == want:
		p.strip = p.strip[:0]
		return nil
	case bytes.Contains(all, []byte(partimageMagic)):
		return damaged("a volume header lies within the data: partimage volumes were put together as they are; join them again, from the volumes, without their headers")
	case !marked:
		return damaged("no checksum after the data that ends %d bytes into the used blocks", used)
	}
	return damaged("checksum of the data that ends %d bytes into the used blocks is %08x, image says %08x", used, got, want)
}

// finish reads the tail.
func (p *partimageReader) finish() error {
	if p.done {
		return io.EOF
	}
	if err := p.mark(partimageTailMark); err != nil {
		return err
	}
	sum := p.in.sum
	tail := make([]byte, partimageRecordLen)
	if err := readFull(p.in, tail, "tail"); err != nil {
		return err
	}
	if want := binary.LittleEndian.Uint64(tail); sum != want {
		return damaged("sum of all bytes is %d, image says %d", sum, want)
	}
	p.done = true
	return expectEnd(p.in)
}

// A summedReader adds up the bytes that it yields.
type summedReader struct {
	r   io.Reader
	sum uint64
}

// Read implements io.Reader.
func (s *summedReader) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	s.sum += byteSum(p[:n])
	return n, err
}

// byteSum adds up bytes, eight at a time: a word is split into its even and odd bytes, and 16-bit lanes hold their
// sums over at most 128 words.
func byteSum(p []byte) (sum uint64) {
	const lanes = 0x00FF00FF00FF00FF
	for len(p) >= 8 {
		n := min(len(p)/8, 128)
		var acc uint64
		for i := range n {
			word := binary.LittleEndian.Uint64(p[8*i:])
			acc += word&lanes + word>>8&lanes
		}
		p = p[8*n:]
		for ; acc > 0; acc >>= 16 {
			sum += acc & 0xFFFF
		}
	}
	for _, b := range p {
		sum += uint64(b)
	}
	return sum
}
