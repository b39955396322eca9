package qcow2

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"aula/imagestore/format"
)

// Incompatible features of version 3.
const (
	featureDirty    = 1 << 0 // reference counts may be wrong; they are not read
	featureCorrupt  = 1 << 1
	featureExternal = 1 << 2
	featurePacking  = 1 << 3 // the header says how clusters are compressed
	featureExtended = 1 << 4
)

// Lengths of headers.
const (
	headerLen2 = 72
	headerLen3 = 104
	headerLen  = 112 // with the kind of compression
)

// A header is what is needed of a file's header, checked.
type header struct {
	version     int
	clusterBits uint
	cluster     int64 // bytes
	size        int64 // of the disk
	l1Offset    int64
	l1Len       int64 // entries
	zstd        bool  // else deflate
}

func readHeader(file io.ReaderAt, fileSize int64) (header, error) {
	b := make([]byte, headerLen)
	n, err := file.ReadAt(b, 0)
	if err != nil && err != io.EOF {
		return header{}, fmt.Errorf("reading the qcow2 file: %w", err)
	}
	return parseHeader(b[:n], fileSize)
}

// parseHeader reads the first headerLen bytes of a file, or all of a shorter one.
func parseHeader(b []byte, fileSize int64) (header, error) {
	if !bytes.HasPrefix(b, []byte(Magic)) {
		return header{}, fmt.Errorf("%w: it is no qcow2 file", format.ErrNotImage)
	}
	if len(b) < headerLen2 {
		return header{}, damaged("its header is cut short")
	}
	be := binary.BigEndian
	h := header{version: int(be.Uint32(b[4:]))}
	var features uint64
	switch h.version {
	case 2:
	case 3:
		if len(b) < headerLen3 {
			return header{}, damaged("its header is cut short")
		}
		features = be.Uint64(b[72:])
		if be.Uint32(b[100:]) > headerLen3 && len(b) > headerLen3 {
			h.zstd = b[104] == 1
			if b[104] > 1 {
				return header{}, unsupported("its clusters are compressed in an unknown way (%d)", b[104])
			}
		}
	default:
		return header{}, unsupported("its version is %d, and 2 and 3 are read", h.version)
	}
	switch {
	case be.Uint64(b[8:]) != 0:
		return header{}, unsupported("it holds only what differs from another file (its backing file)")
	case be.Uint32(b[32:]) != 0:
		return header{}, unsupported("it is encrypted")
	case features&featureCorrupt != 0:
		return header{}, damaged("QEMU has marked it as corrupt: try `qemu-img check -r all`")
	case features&featureExternal != 0:
		return header{}, unsupported("its data is in another file")
	case features&featureExtended != 0:
		return header{}, unsupported("it has extended L2 entries")
	case features&^(featureDirty|featurePacking) != 0:
		return header{}, unsupported("it uses unknown features (%#x)", features)
	}
	return h, h.readTables(b, fileSize)
}

// readTables reads and checks where the clusters are said to be.
func (h *header) readTables(b []byte, fileSize int64) error {
	be := binary.BigEndian
	bits, size, l1Offset := be.Uint32(b[20:]), be.Uint64(b[24:]), be.Uint64(b[40:])
	if bits < minClusterBits || bits > maxClusterBits {
		return damaged("clusters of 2^%d bytes", bits)
	}
	if size == 0 || size > 1<<62 {
		return damaged("a disk of %d bytes", size)
	}
	h.clusterBits, h.cluster, h.size = uint(bits), 1<<bits, int64(size)
	h.l1Len = int64(be.Uint32(b[36:]))
	perEntry := h.cluster / 8 * h.cluster // bytes of the disk
	switch {
	case h.l1Len*8 > maxL1Bytes:
		return unsupported("its table has %d entries", h.l1Len)
	case h.l1Len < (h.size-1)/perEntry+1:
		return damaged("its table has %d entries, too few for a disk of %d bytes", h.l1Len, h.size)
	case l1Offset < headerLen2 || l1Offset&511 != 0 || l1Offset > uint64(fileSize) || h.l1Len*8 > fileSize-int64(l1Offset):
		return damaged("its table is said to be at byte %d of a file of %d", l1Offset, fileSize)
	}
	h.l1Offset = int64(l1Offset)
	return nil
}

// unsupported makes an error that wraps format.ErrUnsupported and says what helps.
func unsupported(text string, args ...any) error {
	return fmt.Errorf("%w: qcow2: %s; `qemu-img convert -O qcow2 OLD NEW` makes a file that can be read",
		format.ErrUnsupported, fmt.Sprintf(text, args...))
}
