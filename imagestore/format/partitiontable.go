package format

import (
	"encoding/binary"
	"fmt"
	"hash/crc32"
)

// parseGPT recognises a disk with a GUID partition table, of sectors of 512 or 4096 bytes (UEFI Specification 2.10, 5.3.2).
func parseGPT(head []byte) (content, bool) {
	le := binary.LittleEndian
	for _, sector := range []int64{512, 4096} {
		b := at(head, 0, sector, sector)
		if b == nil || string(b[:8]) != "EFI PART" {
			continue
		}
		length := le.Uint32(b[12:])
		if length < 92 || int64(length) > sector || le.Uint64(b[24:]) != 1 {
			continue
		}
		header := append([]byte(nil), b[:length]...)
		clear(header[16:20])
		if crc32.ChecksumIEEE(header) != le.Uint32(b[16:]) {
			continue
		}
		// The table's copy is in the last sector.
		last := le.Uint64(b[32:])
		if last >= uint64(maxRawBytes) {
			last = maxRawBytes // refused as too large
		}
		return content{filesystem: Disk, bytes: (int64(last) + 1) * sector, uuid: guid(b[56:72])}, true
	}
	return content{}, false
}

// guid is the text of a GUID, of which the first three parts are little-endian (UEFI Specification, appendix A).
func guid(b []byte) string {
	le := binary.LittleEndian
	return fmt.Sprintf("%08x-%04x-%04x-%x-%x", le.Uint32(b), le.Uint16(b[4:]), le.Uint16(b[6:]), b[8:10], b[10:16])
}

// parseMBR recognises a disk with a DOS partition table. Its size is at least the end of its last partition.
func parseMBR(head []byte) (content, bool) {
	le := binary.LittleEndian
	b := at(head, 0, 0, 512)
	if b == nil || le.Uint16(b[0x1FE:]) != 0xAA55 {
		return content{}, false
	}
	c := content{filesystem: Disk}
	partitions := 0
	for e := b[0x1BE:0x1FE]; len(e) > 0; e = e[16:] {
		status, kind, start, sectors := e[0], e[4], int64(le.Uint32(e[8:])), int64(le.Uint32(e[12:]))
		switch {
		case status&0x7F != 0:
			return content{}, false // code, not a table
		case kind == 0:
			continue
		case start == 0 || sectors == 0:
			return content{}, false
		}
		partitions++
		if kind != 0xEE { // stands for the whole disk, and may say that it has 2^32 sectors
			c.bytes = max(c.bytes, (start+sectors)*sectorSize)
		}
	}
	if id := le.Uint32(b[0x1B8:]); id != 0 {
		c.uuid = fmt.Sprintf("%08x", id)
	}
	return c, partitions > 0
}
