package format

import "io"

// maxRawBytes is the largest partition or disk that is supported, 16 TiB.
const maxRawBytes = 16 << 40

// In something compressed, where bytes cost nothing, these bound what may follow a filesystem or the last partition of an MBR; unless what
// is before it is larger yet.
const (
	// maxBehindFilesystem leaves room for one that was shrunk in its partition, as long as a classroom's whole disk.
	maxBehindFilesystem = 512 << 30
	// maxBehindPartitions is as much as an MBR can describe.
	maxBehindPartitions = 2 << 40
)

// sectorSize is the unit of raw images.
const sectorSize = 512

// A content is what a partition or disk holds, as its first bytes tell.
type content struct {
	filesystem string // as Info.Filesystem says it
	bytes      int64  // that it takes by its own account; 0 when it gives none
	label      string
	uuid       string
}

// findContent recognises a partition or a disk by its first bytes. A GPT goes before all else, because its header has a checksum. An
// MBR comes after the filesystems that have a boot sector, which look like one, and before those whose superblock lies further in:
// making these clears the first sectors, while making a partition table leaves what it does not need.
func findContent(head []byte) (content, bool) {
	if c, ok := parseGPT(head); ok {
		return c, true
	}
	if c, ok := findSuperblock(bootSectors(), head); ok {
		return c, true
	}
	if c, ok := parseMBR(head); ok {
		return c, true
	}
	return findSuperblock(superblocks(), head)
}

// findSuperblock returns what the first superblock in head that makes sense says.
func findSuperblock(table []superblock, head []byte) (content, bool) {
	for _, s := range table {
		if b := at(head, 0, s.offset, s.length); b != nil {
			if c, ok := s.parse(b); ok {
				return c, true
			}
		}
	}
	return content{}, false
}

// most is how many bytes something compressed may have that holds c.
func (c content) most() int64 {
	behind := int64(maxBehindFilesystem)
	switch {
	case c.bytes == 0:
		return maxRawBytes
	case c.filesystem == Disk:
		behind = maxBehindPartitions
	}
	return min(c.bytes+max(c.bytes, behind), maxRawBytes)
}

// A rawReader reads the bytes of a partition or disk, all of which are used.
type rawReader struct {
	in      io.Reader
	content content
	size    int64 // of the stream, or unknownSize
	pos     int64
	buf     []byte
}

// openRaw begins at the first byte.
func openRaw(in io.Reader, c content, size int64) (decoder, error) {
	switch {
	case c.bytes > maxRawBytes || size > maxRawBytes:
		return nil, unsupported("raw image of %d bytes, more than the %d that are supported", max(c.bytes, size), int64(maxRawBytes))
	case size != unknownSize && size < c.bytes:
		return nil, rawTruncated(c, size)
	}
	return &rawReader{in: in, content: c, size: size}, nil
}

func rawTruncated(c content, size int64) error {
	return damaged("the %s takes %d bytes and the file has %d: it is truncated", c.filesystem, c.bytes, size)
}

func (r *rawReader) describe() (info Info, final bool) {
	size := max(r.size, r.pos, r.content.bytes)
	return Info{
		Tool:          Raw,
		Filesystem:    r.content.filesystem,
		RequiredBytes: size,
		UsedBytes:     size,
		BlockSize:     sectorSize,
		Checksum:      None,
		Label:         r.content.label,
		UUID:          r.content.uuid,
	}, r.size != unknownSize
}

func (r *rawReader) next() (off int64, data []byte, err error) {
	if r.buf == nil {
		r.buf = make([]byte, MaxRun)
	}
	n, err := io.ReadFull(r.in, r.buf)
	off, data = r.pos, r.buf[:n]
	r.pos += int64(n)
	switch {
	case err != nil && err != io.EOF && err != io.ErrUnexpectedEOF:
		return 0, nil, err
	case r.pos > maxRawBytes:
		return 0, nil, unsupported("raw image of more than %d bytes", int64(maxRawBytes))
	case r.size == unknownSize && r.pos > r.content.most():
		return 0, nil, unsupported("compressed raw image of more than %d bytes, of which the %s takes %d: decompress it first",
			r.content.most(), r.content.filesystem, r.content.bytes)
	case r.size != unknownSize && (r.pos > r.size || err != nil && r.pos < r.size):
		return 0, nil, damaged("the file had %d bytes and changed while it was read", r.size)
	case n > 0:
		return off, data, nil
	case r.pos < r.content.bytes:
		return 0, nil, rawTruncated(r.content, r.pos)
	case r.pos%sectorSize != 0:
		return 0, nil, damaged("it has %d bytes, which are no whole sectors: it is truncated", r.pos)
	}
	return 0, nil, io.EOF
}
