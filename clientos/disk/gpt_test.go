package disk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"testing"
)

// gptDisk is a disk of 100 sectors with a GPT of 4 entries.
func gptDisk() []byte {
	const sector, sectors, entries = 512, 100, 4
	b := make([]byte, sector*sectors)
	le := binary.LittleEndian
	put := func(self, other, entriesAt int) {
		list := b[entriesAt*sector:][:entries*gptEntryBytes]
		copy(list, "an entry")
		h := b[self*sector:][:gptHeaderLen]
		copy(h, gptMark)
		le.PutUint32(h[gptLength:], gptHeaderLen)
		le.PutUint64(h[gptSelf:], uint64(self))
		le.PutUint64(h[gptOther:], uint64(other))
		le.PutUint64(h[gptEntriesAt:], uint64(entriesAt))
		le.PutUint32(h[gptEntryCount:], entries)
		le.PutUint32(h[gptEntrySize:], gptEntryBytes)
		le.PutUint32(h[gptEntriesCRC:], crc32.ChecksumIEEE(list))
		le.PutUint32(h[gptCRC:], crc32.ChecksumIEEE(h))
	}
	put(1, sectors-1, 2)
	put(sectors-1, 1, sectors-2)
	return b
}

func TestCheckGPT(t *testing.T) {
	t.Parallel()
	good := gptDisk()
	check := func(b []byte) error { return checkGPT(bytes.NewReader(b), int64(len(b)), 512) }
	if err := check(good); err != nil {
		t.Fatalf("a good table: %v", err)
	}
	for name, spoil := range map[string]func(b []byte) []byte{
		"no mark":                       func(b []byte) []byte { b[512] = 0; return b },
		"header changed":                func(b []byte) []byte { b[512+gptGUID] ^= 1; return b },
		"entry changed":                 func(b []byte) []byte { b[1024+3] ^= 1; return b },
		"copy of the header changed":    func(b []byte) []byte { b[99*512+gptGUID] ^= 1; return b },
		"copy of an entry changed":      func(b []byte) []byte { b[98*512] ^= 1; return b },
		"copy not at the end":           func(b []byte) []byte { return append(b, make([]byte, 512)...) },
		"header of a huge length":       func(b []byte) []byte { b[512+gptLength+2] = 0xFF; return b },
		"huge entries, right checksum":  func(b []byte) []byte { return resum(b, gptEntryCount+3, 0xFF) },
		"entries beyond the disk's end": func(b []byte) []byte { return resum(b, gptEntriesAt+1, 1) },
		"entries at a negative offset":  func(b []byte) []byte { return resum(b, gptEntriesAt+7, 0x80) },
		"names another sector as other": func(b []byte) []byte { return resum(b, gptOther, 50) },
	} {
		if err := check(spoil(bytes.Clone(good))); !errors.Is(err, errBadGPT) {
			t.Errorf("%s: got %v, want an error wrapping %q", name, err, errBadGPT)
		}
	}
}

// resum changes a byte of the first header and gives the header the checksum that it then has.
func resum(b []byte, at int, value byte) []byte {
	h := b[512:][:gptHeaderLen]
	h[at] = value
	clear(h[gptCRC:][:4])
	binary.LittleEndian.PutUint32(h[gptCRC:], crc32.ChecksumIEEE(h))
	return b
}

// FuzzReadGPT checks that no bytes make readGPT fail otherwise than with an error.
func FuzzReadGPT(f *testing.F) {
	f.Add(gptDisk())
	f.Add(resum(gptDisk(), gptEntryCount+3, 0xFF))
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<20 {
			return
		}
		// The checksum that the header ought to have lets the fuzzer behind it.
		if len(b) >= 1024 {
			b = resum(bytes.Clone(b), 0, b[512])
		}
		if _, err := readGPT(bytes.NewReader(b), 1, 512); err == nil && !bytes.HasPrefix(b[512:], []byte(gptMark)) {
			t.Error("a GPT without its mark is accepted")
		}
	})
}
