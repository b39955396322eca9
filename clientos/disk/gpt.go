package disk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

// Fields of the header of a GPT (UEFI 2.10, 5.3.2), little-endian.
const (
	gptMark       = "EFI PART"
	gptHeaderLen  = 92
	gptLength     = 12 // u32: bytes of the header that its CRC covers
	gptCRC        = 16 // u32: of the header, with this field zero
	gptSelf       = 24 // u64: sector of this header
	gptOther      = 32 // u64: sector of the other one
	gptGUID       = 56 // 16 bytes
	gptEntriesAt  = 72 // u64: first sector of the entries
	gptEntryCount = 80 // u32
	gptEntrySize  = 84 // u32
	gptEntriesCRC = 88 // u32
)

// maxGPTEntries bounds the entries that are read: 1024 of the usual size.
const maxGPTEntries = 1024 * gptEntryBytes

// errBadGPT says that what was read is no header of a GPT, or a damaged one.
var errBadGPT = errors.New("no whole GPT")

// A gptHeader is what both headers of a GPT must agree on.
type gptHeader struct {
	other   int64 // sector of the other header
	guid    [16]byte
	entries uint32 // CRC of the entries
}

// readGPT reads and checks the header in a sector and its entries. It answers an error wrapping errBadGPT for what can be read and is no
// whole GPT.
func readGPT(r io.ReaderAt, sector int64, sectorSize int) (gptHeader, error) {
	b := make([]byte, sectorSize)
	if _, err := r.ReadAt(b, sector*int64(sectorSize)); err != nil {
		return gptHeader{}, err
	}
	if !bytes.HasPrefix(b, []byte(gptMark)) {
		return gptHeader{}, fmt.Errorf("%w: no header in sector %d", errBadGPT, sector)
	}
	le := binary.LittleEndian
	length, sum := le.Uint32(b[gptLength:]), le.Uint32(b[gptCRC:])
	if length < gptHeaderLen || int64(length) > int64(sectorSize) {
		return gptHeader{}, fmt.Errorf("%w: header of %d bytes in sector %d", errBadGPT, length, sector)
	}
	clear(b[gptCRC:][:4])
	if crc32.ChecksumIEEE(b[:length]) != sum {
		return gptHeader{}, fmt.Errorf("%w: checksum of the header in sector %d differs", errBadGPT, sector)
	}
	if self := le.Uint64(b[gptSelf:]); self != uint64(sector) {
		return gptHeader{}, fmt.Errorf("%w: header in sector %d says that it is in sector %d", errBadGPT, sector, self)
	}
	size := uint64(le.Uint32(b[gptEntryCount:])) * uint64(le.Uint32(b[gptEntrySize:]))
	at := le.Uint64(b[gptEntriesAt:])
	if size == 0 || size > maxGPTEntries || at > 1<<49 {
		return gptHeader{}, fmt.Errorf("%w: header in sector %d has %d bytes of entries in sector %d", errBadGPT, sector, size, at)
	}
	entries := make([]byte, size)
	if _, err := r.ReadAt(entries, int64(at)*int64(sectorSize)); errors.Is(err, io.EOF) {
		return gptHeader{}, fmt.Errorf("%w: header in sector %d has its entries beyond the end", errBadGPT, sector)
	} else if err != nil {
		return gptHeader{}, err
	}
	h := gptHeader{other: int64(le.Uint64(b[gptOther:])), guid: [16]byte(b[gptGUID:]), entries: le.Uint32(b[gptEntriesCRC:])}
	if crc32.ChecksumIEEE(entries) != h.entries {
		return gptHeader{}, fmt.Errorf("%w: checksum of the entries in sector %d differs", errBadGPT, at)
	}
	return h, nil
}

// checkGPT refuses a GPT whose two halves are not both whole, at the two ends of a disk of size bytes, and about the same disk.
func checkGPT(r io.ReaderAt, size int64, sectorSize int) error {
	last := size/int64(sectorSize) - 1
	first, err := readGPT(r, 1, sectorSize)
	if err != nil {
		return err
	}
	second, err := readGPT(r, last, sectorSize)
	switch {
	case err != nil:
		return err
	case first.other != last || second.other != 1:
		return fmt.Errorf("%w: headers in sectors 1 and %d name sectors %d and %d as each other's", errBadGPT, last, first.other, second.other)
	case first.guid != second.guid || first.entries != second.entries:
		return fmt.Errorf("%w: headers in sectors 1 and %d are of different tables", errBadGPT, last)
	}
	return nil
}
