package format

import "bytes"

// sniffLen is how much of the decompressed stream detection looks at: the furthest mark is the superblock of
// btrfs, at 64 KiB.
const sniffLen = btrfsOffset + superblockLen

// A signature is a mark by which a kind of file is known.
type signature struct {
	name   string // for people
	offset int
	magic  string
}

func (s signature) in(head []byte) bool {
	return len(head) >= s.offset+len(s.magic) && bytes.HasPrefix(head[s.offset:], []byte(s.magic))
}

// lookup returns the name of the first signature found in head, or "".
func lookup(table []signature, head []byte) string {
	for _, s := range table {
		if s.in(head) {
			return s.name
		}
	}
	return ""
}

const (
	partcloneMagic = "partclone-image"
	zstdMagic      = "\x28\xB5\x2F\xFD"
)

// isZstd tells whether head begins with a zstd frame or with a skippable frame, as files of pzstd do.
func isZstd(head []byte) bool {
	return bytes.HasPrefix(head, []byte(zstdMagic)) ||
		len(head) >= 4 && head[0]&0xF0 == 0x50 && string(head[1:4]) == "\x2A\x4D\x18"
}

// foreignImages are recognised and not read.
func foreignImages() []signature {
	return []signature{
		{"an FSArchiver archive", 0, "FsA0"},
		{"a Windows image (WIM)", 0, "MSWIM\x00\x00\x00"},
		{"a qcow2 virtual disk", 0, "QFI\xFB"},
		{"a VHDX virtual disk", 0, "vhdxfile"},
		{"a VHD virtual disk", 0, "conectix"},
		{"a VMDK virtual disk", 0, "KDMV"},
		{"an Emulab imagezip file", 0, "\x69\x69\x69\x69"},
		{"an Emulab imagezip file", 0, "\x6A\x69\x69\x69"},
		{"an Emulab imagezip file", 0, "\x6B\x69\x69\x69"},
		{"an Emulab imagezip file", 0, "\x6C\x69\x69\x69"},
	}
}

// foreignContents are the marks of what has nothing to restore. They count only when no filesystem or partition
// table is there.
func foreignContents() []signature {
	return []signature{
		{"a swap area, which needs no image", 0xFF6, "SWAPSPACE2"},
		{"a boot sector without partitions", 0x1FE, "\x55\xAA"},
	}
}
