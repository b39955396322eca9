package incorporation

import (
	"encoding/binary"
	"fmt"
	"strings"
)

// The places in sector 0 of a disk.
const (
	mbrLen       = 512
	bootCodeLen  = 446
	mbrSignature = 0x1B8 // 4 bytes: the disk's identifier
	mbrTable     = 0x1BE // 4 entries of 16 bytes
)

// isMBR tells whether data begins with a boot sector.
func isMBR(data []byte) bool {
	return len(data) >= mbrLen && data[510] == 0x55 && data[511] == 0xAA
}

// dosID is the identifier of a disk with a dos table, as sfdisk writes it. One that is zero is never written by today's tools.
func dosID(mbr []byte) string {
	return fmt.Sprintf("0x%08x", binary.LittleEndian.Uint32(mbr[mbrSignature:]))
}

// dumpOfMBR writes the table in sector 0 as sfdisk would. It answers "" for one with an extended partition, whose logical
// partitions are told elsewhere on the disk, and for one that is no table of a dos disk.
func dumpOfMBR(mbr []byte) string {
	if !isMBR(mbr) {
		return ""
	}
	var b strings.Builder
	fmt.Fprintf(&b, "label: dos\nlabel-id: %s\nunit: sectors\n\n", dosID(mbr))
	le := binary.LittleEndian
	found := false
	for i := range 4 {
		e := mbr[mbrTable+16*i:][:16]
		typ, start, size := e[4], le.Uint32(e[8:]), le.Uint32(e[12:])
		switch {
		case typ == 0 || size == 0:
			continue
		case typ == 0x05 || typ == 0x0F || typ == 0x85 || typ == 0xEE || e[0]&0x7F != 0:
			return ""
		}
		found = true
		fmt.Fprintf(&b, "/dev/sda%d : start=%d, size=%d, type=%02X", i+1, start, size, typ)
		if e[0] == 0x80 {
			b.WriteString(", bootable")
		}
		b.WriteByte('\n')
	}
	if !found {
		return ""
	}
	return b.String()
}
