package format

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"math"
)

// The special image format of ntfsclone: a header, then records of which each is a gap of so many clusters or one cluster of
// data. All numbers are little-endian; there are no checksums. Offsets in docs/formats.md.
const (
	ntfscloneMagic     = "\x00ntfsclone-image"
	ntfscloneHeaderLen = 0x32
	ntfscloneOldLen    = 0x2E // of a header before version 10.0, behind which the first record is
	// maxNtfscloneData bounds the offset of the first record; all known versions have it at 0x38.
	maxNtfscloneData = 4096

	ntfscloneGap  = 0
	ntfscloneData = 1
)

// An ntfscloneHeader is the header of an ntfsclone image after validation.
type ntfscloneHeader struct {
	major, minor byte
	clusterSize  int64
	deviceSize   int64 // bytes of the partition that was imaged
	clusters     int64
	used         int64 // clusters in the image, without the last, partial one
	data         int64 // offset of the first record
}

// parseNtfsclone reads a header of ntfscloneHeaderLen bytes and believes none of it.
func parseNtfsclone(b []byte) (ntfscloneHeader, error) {
	le := binary.LittleEndian
	h := ntfscloneHeader{major: b[0x10], minor: b[0x11], data: int64(le.Uint32(b[0x2E:]))}
	cluster, device, clusters, used := le.Uint32(b[0x12:]), le.Uint64(b[0x16:]), le.Uint64(b[0x1E:]), le.Uint64(b[0x26:])
	if h.major < 10 {
		// The version is that of NTFS, and the numbers are as in the writer's memory.
		h.data, h.minor = ntfscloneOldLen, 0
	}
	switch {
	case h.major > 10 || h.minor > 1:
		return h, unsupported("ntfsclone image of version %d.%d", h.major, h.minor)
	case cluster < 512 || cluster > maxBlockSize || cluster&(cluster-1) != 0:
		return h, damaged("ntfsclone header: cluster size %d is not a power of two from 512 to %d", cluster, maxBlockSize)
	case device > math.MaxInt64:
		return h, damaged("ntfsclone header: device of %d bytes", device)
	case device > maxRawBytes:
		return h, unsupported("ntfsclone image of a device of %d bytes, more than the %d that are supported", device, int64(maxRawBytes))
	case clusters == 0 || clusters > device/uint64(cluster):
		return h, damaged("ntfsclone header: %d clusters of %d bytes on a device of %d bytes", clusters, cluster, device)
	case used > clusters:
		return h, damaged("ntfsclone header: %d clusters in use of %d", used, clusters)
	case h.major == 10 && (h.data < ntfscloneHeaderLen || h.data > maxNtfscloneData):
		return h, damaged("ntfsclone header: data begins at byte %d", h.data)
	}
	h.clusterSize, h.deviceSize, h.clusters, h.used = int64(cluster), int64(device), int64(clusters), int64(used)
	return h, nil
}

// tail is the size of the partial cluster behind the last, which holds the copy of the boot sector. Images have it from
// version 10.1 on.
func (h *ntfscloneHeader) tail() int64 {
	if h.minor == 0 {
		return 0
	}
	return min(h.deviceSize-h.clusters*h.clusterSize, h.clusterSize)
}

// requiredBytes is what the filesystem needs, which may have been shrunk in its partition: its clusters and what is behind them, at most a
// cluster, with the copy of the boot sector. It is also in a partition whose image does not have that.
func (h *ntfscloneHeader) requiredBytes() int64 {
	return min((h.clusters+1)*h.clusterSize, h.deviceSize)
}

// An ntfscloneReader reads the records of an ntfsclone image.
type ntfscloneReader struct {
	in      *bufio.Reader
	header  ntfscloneHeader
	cluster int64 // of the next record
	used    int64 // clusters that came
	buf     []byte

	run []byte // read and not handed out yet
	off int64  // of run
}

// openNtfsclone reads the header.
func openNtfsclone(in *bufio.Reader, _ int64) (decoder, error) {
	head := make([]byte, ntfscloneHeaderLen)
	length := int64(ntfscloneOldLen)
	if err := readFull(in, head[:length], "ntfsclone header"); err != nil {
		return nil, err
	}
	if head[0x10] >= 10 {
		length = ntfscloneHeaderLen
		if err := readFull(in, head[ntfscloneOldLen:], "ntfsclone header"); err != nil {
			return nil, err
		}
	}
	h, err := parseNtfsclone(head)
	if err != nil {
		return nil, err
	}
	if err := readFull(in, make([]byte, h.data-length), "ntfsclone header"); err != nil {
		return nil, err
	}
	return &ntfscloneReader{in: in, header: h}, nil
}

// describe is exact from the start, because next makes sure that the stream holds what the header says.
func (n *ntfscloneReader) describe() (info Info, final bool) {
	h := n.header
	version := fmt.Sprintf("%d.%d", h.major, h.minor)
	if h.major < 10 {
		version = "before 10.0"
	}
	return Info{
		Tool:          Ntfsclone,
		ToolVersion:   version,
		Filesystem:    "NTFS",
		RequiredBytes: h.requiredBytes(),
		UsedBytes:     h.used*h.clusterSize + h.tail(),
		BlockSize:     int(h.clusterSize),
		Blocks:        h.clusters,
		Checksum:      None,
	}, true
}

func (n *ntfscloneReader) next() (off int64, data []byte, err error) {
	if len(n.run) == 0 {
		if err := n.fill(); err != nil {
			return 0, nil, err
		}
	}
	off, data = n.off, n.run[:min(len(n.run), MaxRun)]
	n.off, n.run = n.off+int64(len(data)), n.run[len(data):]
	return off, data, nil
}

// fill reads clusters that follow one another, of which one may be larger than MaxRun.
func (n *ntfscloneReader) fill() error {
	h := &n.header
	data := n.buf[:0]
	for n.cluster < h.clusters && (len(data) == 0 || int64(len(data))+h.clusterSize <= MaxRun) {
		kind, err := n.kind()
		switch {
		case err != nil:
			return err
		case kind == ntfscloneData:
			if data, err = n.addCluster(data, h.clusterSize); err != nil {
				return err
			}
			n.cluster++
			n.used++
			continue
		case len(data) > 0:
			n.keep(data)
			return nil
		}
		if err := n.skipGap(); err != nil {
			return err
		}
	}
	if len(data) > 0 {
		n.keep(data)
		return nil
	}
	return n.fillTail()
}

// keep takes data, which ends where the next record begins.
func (n *ntfscloneReader) keep(data []byte) {
	n.buf, n.run, n.off = data, data, n.cluster*n.header.clusterSize-int64(len(data))
}

// fillTail reads the partial cluster, and when it has been read answers io.EOF.
func (n *ntfscloneReader) fillTail() error {
	h := &n.header
	if n.used != h.used {
		return damaged("the header says %d clusters in use, and %d came", h.used, n.used)
	}
	if n.cluster > h.clusters || h.tail() == 0 {
		return expectEnd(n.in)
	}
	kind, err := n.kind()
	if err != nil {
		return err
	}
	if kind != ntfscloneData {
		return damaged("a gap in place of the copy of the boot sector")
	}
	data, err := n.addCluster(n.buf[:0], h.tail())
	if err != nil {
		return err
	}
	n.buf, n.run, n.off = data, data, h.clusters*h.clusterSize
	n.cluster++
	return nil
}

// kind looks at the next record without taking it.
func (n *ntfscloneReader) kind() (byte, error) {
	b, err := n.in.Peek(1)
	switch {
	case err == io.EOF:
		return 0, damaged("cluster %d: the file is truncated", n.cluster)
	case err != nil:
		return 0, err
	case b[0] != ntfscloneGap && b[0] != ntfscloneData:
		return 0, damaged("cluster %d: unknown record %#x", n.cluster, b[0])
	}
	return b[0], nil
}

func (n *ntfscloneReader) skipGap() error {
	var record [9]byte
	if err := readFull(n.in, record[:], "gap"); err != nil {
		return err
	}
	count := int64(binary.LittleEndian.Uint64(record[1:]))
	switch {
	case count < 0:
		return unsupported("ntfsclone image of metadata only (ntfsclone --metadata): it has no files to restore")
	case count == 0 || count > n.header.clusters-n.cluster:
		return damaged("gap of %d clusters at cluster %d of %d", count, n.cluster, n.header.clusters)
	}
	n.cluster += count
	return nil
}

// addCluster appends the size bytes of a data record.
func (n *ntfscloneReader) addCluster(data []byte, size int64) ([]byte, error) {
	if _, err := n.in.Discard(1); err != nil {
		return nil, err
	}
	end := len(data) + int(size)
	if cap(data) < end {
		grown := make([]byte, len(data), max(end, min(MaxRun, 2*cap(data))))
		copy(grown, data)
		data = grown
	}
	err := readFull(n.in, data[len(data):end], "cluster")
	return data[:end], err
}
