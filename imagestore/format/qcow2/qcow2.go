// Package qcow2 reads QEMU's disk files of versions 2 and 3 (docs/interop/qcow2 of QEMU) as the disk that a virtual machine saw.
//
// It reads the active disk, not its snapshots, and only what stands for itself: files with a backing file, an external data file,
// encryption or extended L2 entries are refused by name. Every offset is checked against the file before it is followed, and
// memory is bounded by two clusters (at most 2 MiB each) and two windows on the tables, whatever the header claims.
//
// It is not for writing.
package qcow2

import (
	"encoding/binary"
	"fmt"
	"io"
	"sync"

	"aula/imagestore/format"
)

// Magic is what every file begins with.
const Magic = "QFI\xFB"

const (
	minClusterBits = 9
	maxClusterBits = 21
	maxL1Bytes     = 32 << 20 // as QEMU
	windowLen      = 64 << 10

	// offsetMask is bits 9 to 55 of an entry of the L1 and L2 tables.
	offsetMask    = 0x00FF_FFFF_FFFF_FE00
	entryZero     = 1 << 0  // L2: reads as zeros
	entryPacked   = 1 << 62 // L2: a compressed cluster
	entryReserved = 0x3F00_0000_0000_0000
)

// A Disk is the content of one file. Its methods are safe for concurrent use.
type Disk struct {
	file     io.ReaderAt
	fileSize int64
	h        header

	mu     sync.Mutex
	l1, l2 window
	packed unpacked
}

// Open reads the header of a file of fileSize bytes. It answers an error wrapping format.ErrNotImage, format.ErrUnsupported or
// format.ErrCorrupt, or the error of file.
func Open(file io.ReaderAt, fileSize int64) (*Disk, error) {
	h, err := readHeader(file, fileSize)
	if err != nil {
		return nil, err
	}
	d := &Disk{file: file, fileSize: fileSize, h: h}
	d.packed.zstd = h.zstd
	return d, nil
}

// Size is the size of the disk in bytes.
func (d *Disk) Size() int64 { return d.h.size }

// ReadAt implements io.ReaderAt on the bytes of the disk.
func (d *Disk) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("reading a qcow2 disk at byte %d", off)
	}
	var end error
	if off >= d.h.size {
		return 0, io.EOF
	}
	if rest := d.h.size - off; int64(len(p)) > rest {
		p, end = p[:rest], io.EOF
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for n := 0; n < len(p); {
		within := (off + int64(n)) & (d.h.cluster - 1)
		piece := p[n:min(int64(len(p)), int64(n)+d.h.cluster-within)]
		if err := d.read(piece, (off+int64(n))>>d.h.clusterBits, within); err != nil {
			return n, err
		}
		n += len(piece)
	}
	return len(p), end
}

// read fills p from byte within of one cluster of the disk.
func (d *Disk) read(p []byte, cluster, within int64) error {
	entry, err := d.lookup(cluster)
	if err != nil {
		return err
	}
	if entry&entryPacked != 0 {
		data, err := d.unpack(entry)
		if err == nil {
			copy(p, data[within:])
		}
		return err
	}
	at := int64(entry & offsetMask)
	switch {
	case entry&entryReserved != 0:
		return damaged("cluster %d has the unknown entry %#x", cluster, entry)
	case entry&entryZero != 0 && d.h.version >= 3, at == 0:
		clear(p)
		return nil
	case at&(d.h.cluster-1) != 0 || at >= d.fileSize:
		return damaged("cluster %d is said to be at byte %d of a file of %d", cluster, at, d.fileSize)
	}
	n, err := d.file.ReadAt(p, at+within)
	if err == io.EOF { // QEMU need not write the end of the last cluster
		clear(p[n:])
		err = nil
	}
	return err
}

// lookup returns the L2 entry of a cluster of the disk, 0 for one that was never written.
func (d *Disk) lookup(cluster int64) (uint64, error) {
	perTable := d.h.cluster / 8
	entry, err := d.l1.entry(d.file, d.h.l1Offset, d.h.l1Len*8, cluster/perTable)
	if err != nil {
		return 0, err
	}
	table := int64(entry & offsetMask)
	if table == 0 {
		return 0, nil
	}
	if table&(d.h.cluster-1) != 0 || table > d.fileSize-d.h.cluster {
		return 0, damaged("the L2 table of cluster %d is said to be at byte %d of a file of %d", cluster, table, d.fileSize)
	}
	return d.l2.entry(d.file, table, d.h.cluster, cluster%perTable)
}

// A window is the part of a table that was read last.
type window struct {
	at   int64 // in the file
	data []byte
}

// entry returns entry i of the table of length bytes at byte table of the file.
func (w *window) entry(file io.ReaderAt, table, length, i int64) (uint64, error) {
	from := i * 8 / windowLen * windowLen
	if w.at != table+from || len(w.data) == 0 {
		if cap(w.data) == 0 {
			w.data = make([]byte, windowLen)
		}
		w.at, w.data = table+from, w.data[:min(windowLen, length-from)]
		if n, err := file.ReadAt(w.data, w.at); n < len(w.data) {
			w.data = w.data[:0]
			return 0, damagedBy(err, "a table at byte %d cannot be read", table+from)
		}
	}
	return binary.BigEndian.Uint64(w.data[i*8-from:]), nil
}

// damaged makes an error that wraps format.ErrCorrupt.
func damaged(text string, args ...any) error {
	return fmt.Errorf("%w: qcow2: %s", format.ErrCorrupt, fmt.Sprintf(text, args...))
}

// damagedBy is damaged for a file that ends too early, and else the file's own error.
func damagedBy(err error, text string, args ...any) error {
	if err == nil || err == io.EOF || err == io.ErrUnexpectedEOF {
		return damaged(text+": the file is cut short", args...)
	}
	return fmt.Errorf("reading the qcow2 file: %w", err)
}
