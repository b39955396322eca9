package disk

import (
	"fmt"
	"strings"
	"unicode/utf16"
)

// swapArea is OpenGnsys' name of what is in a swap partition, and of such a partition.
const swapArea = "LINUX-SWAP"

// A filesystem is one that can be made.
type filesystem struct {
	name string
	typ  string // of the partition that it is usually in
	tool string // that makes it
	// least and most are the sizes in bytes of the partitions that the tool makes it on; 0: without a limit that matters.
	least, most int64
	label       int // how long the label may be
	units       func(string) int
	flags       []string // of the tool, beside those that Format adds
	labelFlag   string
}

// filesystems are those that Format makes. The sizes are those below or above which the tools refuse, rounded to the safe side.
var filesystems = []filesystem{
	{name: "EXT4", typ: "LINUX", tool: "mkfs.ext4", least: 2 << 20, label: 16, units: byteCount, flags: []string{"-q", "-F"}, labelFlag: "-L"},
	{name: "EXT3", typ: "LINUX", tool: "mkfs.ext3", least: 2 << 20, most: 16 << 40, label: 16, units: byteCount, flags: []string{"-q", "-F"}, labelFlag: "-L"},
	{name: "EXT2", typ: "LINUX", tool: "mkfs.ext2", least: 1 << 20, most: 16 << 40, label: 16, units: byteCount, flags: []string{"-q", "-F"}, labelFlag: "-L"},
	{name: "NTFS", typ: "NTFS", tool: "mkntfs", least: 2 << 20, label: 32, units: utf16Count, flags: []string{"-q", "-Q", "-F"}, labelFlag: "-L"},
	{name: "FAT32", typ: "FAT32", tool: "mkfs.fat", least: 34 << 20, most: 2 << 40, label: 11, units: byteCount, flags: []string{"-F", "32"}, labelFlag: "-n"},
	{name: "FAT16", typ: "FAT16", tool: "mkfs.fat", least: 16 << 20, most: 2 << 30, label: 11, units: byteCount, flags: []string{"-F", "16"}, labelFlag: "-n"},
	{name: "EXFAT", typ: "NTFS", tool: "mkfs.exfat", least: 4 << 20, label: 11, units: utf16Count, labelFlag: "-L"},
	{name: "XFS", typ: "LINUX", tool: "mkfs.xfs", least: 300 << 20, label: 12, units: byteCount, flags: []string{"-q", "-f"}, labelFlag: "-L"},
	{name: "BTRFS", typ: "LINUX", tool: "mkfs.btrfs", least: 128 << 20, label: 255, units: byteCount, flags: []string{"-q", "-f"}, labelFlag: "-L"},
	{name: "F2FS", typ: "LINUX", tool: "mkfs.f2fs", least: 64 << 20, most: 16 << 40, label: 255, units: byteCount, flags: []string{"-q", "-f"}, labelFlag: "-l"},
	{name: swapArea, typ: "LINUX-SWAP", tool: "mkswap", least: 1 << 20, label: 15, units: byteCount, flags: []string{"-q", "-f"}, labelFlag: "-L"},
}

func byteCount(s string) int { return len(s) }

func utf16Count(s string) int { return len(utf16.Encode([]rune(s))) }

// Filesystems returns the names of the filesystems that Format makes.
func Filesystems() []string {
	names := make([]string, len(filesystems))
	for i, f := range filesystems {
		names[i] = f.name
	}
	return names
}

func filesystemNamed(name string) (filesystem, bool) {
	name = strings.ToUpper(name)
	for _, f := range filesystems {
		if f.name == name {
			return f, true
		}
	}
	return filesystem{}, false
}

// checkLabel refuses a label that the filesystem cannot have, or that would make it pass for the cache.
func (f filesystem) checkLabel(label string) error {
	switch {
	case label == cacheName:
		return fmt.Errorf("the label %s is that of the cache partition alone", cacheName)
	case !plainText(label):
		return fmt.Errorf("label %.40q is not plain text", label)
	case f.units(label) > f.label:
		return fmt.Errorf("label %q has %d characters and %s has room for %d", label, f.units(label), f.name, f.label)
	case f.tool == "mkfs.fat" && strings.ContainsFunc(label, notInFAT):
		return fmt.Errorf("label %q has letters that %s cannot have", label, f.name)
	case f.tool == "mkfs.exfat" && strings.ContainsFunc(label, func(r rune) bool { return r > '~' }):
		return fmt.Errorf("label %q has letters that %s is not given here: its tool reads them by the locale, of which the client OS has none", label, f.name)
	}
	return nil
}

// notInFAT tells what may not be in the label of a FAT volume (Microsoft's FAT specification 1.03), and what depends on the code page.
func notInFAT(r rune) bool { return r > '~' || strings.ContainsRune(`"*+,./:;<=>?[\]|`, r) }

// checkSize refuses a partition on which the filesystem cannot be made.
func (f filesystem) checkSize(size int64) error {
	switch {
	case size < f.least:
		return fmt.Errorf("%s needs at least %s and gets %s", f.name, FormatBytes(f.least), FormatBytes(size))
	case f.most > 0 && size > f.most:
		return fmt.Errorf("%s can have at most %s and gets %s", f.name, FormatBytes(f.most), FormatBytes(size))
	}
	return nil
}
