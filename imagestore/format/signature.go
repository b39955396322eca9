package format

import "bytes"

// sniffLen is how much of the decompressed stream detection looks at: the furthest signature is that of
// btrfs, 8 bytes at 0x10040.
const sniffLen = 0x10048

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

// foreignCompressors are recognised and not read.
func foreignCompressors() []signature {
	return []signature{
		// Each of these leaves the table when its reader is there.
		{"lzop", 0, "\x89LZO\x00\r\n\x1A\n"},
		{"gzip", 0, "\x1F\x8B\x08"},
		{"lz4", 0, "\x04\x22\x4D\x18"},
		{"lz4 (legacy)", 0, "\x02\x21\x4C\x18"},
		{"xz", 0, "\xFD7zXZ\x00"},
		{"bzip2", 0, "BZh"},
		{"lzip", 0, "LZIP"},
		{"lrzip", 0, "LRZI"},
	}
}

// foreignImages are recognised and not read. Filesystems stand before boot sectors, because NTFS and FAT
// have the mark of a boot sector as well.
func foreignImages() []signature {
	return []signature{
		{"an ntfsclone image", 0, "\x00ntfsclone-image"},
		{"a partimage volume", 0, "PaRtImAgE-VoLuMe"},
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
		{"a raw XFS filesystem", 0, "XFSB"},
		{"a raw LUKS volume", 0, "LUKS\xBA\xBE"},
		{"a raw NTFS filesystem", 3, "NTFS    "},
		{"a raw BitLocker volume", 3, "-FVE-FS-"},
		{"a raw exFAT filesystem", 3, "EXFAT   "},
		{"a raw FAT32 filesystem", 0x52, "FAT32   "},
		{"a raw FAT16 filesystem", 0x36, "FAT16   "},
		{"a raw FAT12 filesystem", 0x36, "FAT12   "},
		{"a raw F2FS filesystem", 0x400, "\x10\x20\xF5\xF2"},
		{"a raw ext2, ext3 or ext4 filesystem", 0x438, "\x53\xEF"},
		{"a raw btrfs filesystem", 0x10040, "_BHRfS_M"},
		{"a raw swap area", 0xFF6, "SWAPSPACE2"},
		{"a raw LVM volume", 0x200, "LABELONE"},
		{"a raw disk with a GPT", 0x200, "EFI PART"},
		{"a raw disk with a GPT", 0x1000, "EFI PART"},
		{"a raw disk or boot sector", 0x1FE, "\x55\xAA"},
	}
}
