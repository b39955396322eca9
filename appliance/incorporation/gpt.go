package incorporation

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
	"unicode/utf16"
)

// A gpt is a GUID partition table (UEFI 2.10, 5.3) as it was saved in a file.
type gpt struct {
	sectorSize  int
	id          string
	first, last uint64 // sectors that partitions may use
	diskSectors uint64 // of the whole disk: the backup header is in the last one
	length      int    // entries in the table
	entries     []gptEntry
	head        []byte // the disk from byte 0 on, as far as data has it
}

// A gptEntry is one partition.
type gptEntry struct {
	number      int
	typ, id     string
	start, last uint64 // sectors, both included
	attributes  uint64
	name        string
}

// The fields of the header and of an entry.
const (
	gptMagic      = "EFI PART"
	gptHeaderLen  = 92
	gptEntryLen   = 128
	maxGPTEntries = 1024
)

// parseGPT reads a table from a copy of the first sectors of a disk, or from the file that `sgdisk --backup` makes: sector 0, the
// header, the backup header, the entries. Its checksums tell which of the two it is.
func parseGPT(data []byte) (gpt, error) {
	for _, sector := range []int{512, 4096} {
		if len(data) < 2*sector || !bytes.HasPrefix(data[sector:], []byte(gptMagic)) {
			continue
		}
		for _, entriesAt := range []int{2 * sector, 3 * sector} {
			if t, err := readGPT(data, sector, entriesAt); err == nil {
				return t, nil
			}
		}
		return gpt{}, errors.New("its checksums do not hold: it is damaged")
	}
	return gpt{}, errors.New("there is no GUID partition table in it")
}

// readGPT reads a table whose entries begin at a byte of data.
func readGPT(data []byte, sector, entriesAt int) (gpt, error) {
	le := binary.LittleEndian
	h := bytes.Clone(data[sector : sector+gptHeaderLen])
	if n := le.Uint32(h[12:]); n != gptHeaderLen {
		return gpt{}, fmt.Errorf("header of %d bytes", n)
	}
	sum := le.Uint32(h[16:])
	clear(h[16:20])
	if crc32.ChecksumIEEE(h) != sum {
		return gpt{}, errors.New("checksum of the header")
	}
	length, size := le.Uint32(h[80:]), le.Uint32(h[84:])
	if length == 0 || length > maxGPTEntries || size != gptEntryLen || entriesAt+int(length)*gptEntryLen > len(data) {
		return gpt{}, fmt.Errorf("%d entries of %d bytes", length, size)
	}
	table := data[entriesAt:][:int(length)*gptEntryLen]
	if crc32.ChecksumIEEE(table) != le.Uint32(h[88:]) {
		return gpt{}, errors.New("checksum of the entries")
	}
	t := gpt{
		sectorSize: sector, id: guid(h[56:]), first: le.Uint64(h[40:]), last: le.Uint64(h[48:]),
		diskSectors: max(le.Uint64(h[24:]), le.Uint64(h[32:])) + 1, length: int(length), head: data,
	}
	if entriesAt != 2*sector { // the backup of sgdisk is no copy of the disk beyond its first sector
		t.head = data[:mbrLen]
	}
	for i := range t.length {
		if e := table[i*gptEntryLen:][:gptEntryLen]; !allZero(e[:16]) {
			t.entries = append(t.entries, gptEntry{
				number: i + 1, typ: guid(e), id: guid(e[16:]), start: le.Uint64(e[32:]), last: le.Uint64(e[40:]),
				attributes: le.Uint64(e[48:]), name: gptName(e[56:]),
			})
		}
	}
	return t, nil
}

// dump writes the table as sfdisk would.
func (t gpt) dump() string {
	var b strings.Builder
	fmt.Fprintf(&b, "label: gpt\nlabel-id: %s\nunit: sectors\nfirst-lba: %d\nlast-lba: %d\n", t.id, t.first, t.last)
	if t.length != 128 {
		fmt.Fprintf(&b, "table-length: %d\n", t.length)
	}
	fmt.Fprintf(&b, "sector-size: %d\n\n", t.sectorSize)
	for _, e := range t.entries {
		fmt.Fprintf(&b, "/dev/sda%d : start=%d, size=%d, type=%s, uuid=%s", e.number, e.start, e.last-e.start+1, e.typ, e.id)
		if e.name != "" {
			fmt.Fprintf(&b, `, name="%s"`, quoted(e.name))
		}
		if words := attributeWords(e.attributes); words != "" {
			fmt.Fprintf(&b, `, attrs="%s"`, words)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// attributeWords are an entry's attributes as sfdisk names them (UEFI 2.10, table 5-8): bits 0 to 2 by name, 48 to 63 by number.
func attributeWords(bits uint64) string {
	var words, numbers []string
	for i, name := range []string{"RequiredPartition", "NoBlockIOProtocol", "LegacyBIOSBootable"} {
		if bits&(1<<i) != 0 {
			words = append(words, name)
		}
	}
	for i := 48; i < 64; i++ {
		if bits&(1<<i) != 0 {
			numbers = append(numbers, fmt.Sprint(i))
		}
	}
	if len(numbers) > 0 {
		words = append(words, "GUID:"+strings.Join(numbers, ","))
	}
	return strings.Join(words, " ")
}

// quoted writes what sfdisk would misread inside quotes as \xNN.
func quoted(name string) string {
	var b strings.Builder
	for _, c := range []byte(name) {
		if c < ' ' || c == '"' || c == '\\' || c >= 0x7F {
			fmt.Fprintf(&b, `\x%02x`, c)
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// guid is the text of a GUID, whose first three parts are little-endian.
func guid(b []byte) string {
	le := binary.LittleEndian
	return fmt.Sprintf("%08X-%04X-%04X-%X-%X", le.Uint32(b), le.Uint16(b[4:]), le.Uint16(b[6:]), b[8:10], b[10:16])
}

// gptName reads up to 36 units of UTF-16.
func gptName(b []byte) string {
	var units []uint16
	for i := 0; i+1 < len(b) && i < 72; i += 2 {
		u := binary.LittleEndian.Uint16(b[i:])
		if u == 0 {
			break
		}
		units = append(units, u)
	}
	return string(utf16.Decode(units))
}

func allZero(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }
