package format

import (
	"slices"
	"strings"
)

// refine completes info from the filesystem's own first bytes, which data holds from byte off of the
// partition on. Partclone calls every ext filesystem EXTFS and does not say how small NTFS can be.
func refine(info *Info, off int64, data []byte) {
	if info.Tool == Raw {
		return // made of those bytes
	}
	if info.Filesystem == "RAW" && off == 0 { // partclone.imager copies everything, a disk's partition table too
		if c, ok := findContent(data); ok {
			info.Filesystem, info.Label, info.UUID = c.filesystem, c.label, c.uuid
		}
		return
	}
	for _, s := range slices.Concat(bootSectors(), superblocks()) {
		b := at(data, off, s.offset, s.length)
		if b == nil {
			continue
		}
		c, ok := s.parse(b)
		if !ok || family(c.filesystem) != family(info.Filesystem) {
			continue
		}
		info.Label, info.UUID = c.label, c.uuid
		switch family(c.filesystem) {
		case "EXT":
			info.Filesystem = c.filesystem
		case "NTFS":
			// The boot sector is not believed beyond a cluster of what partclone's header says.
			if cluster := int64(info.BlockSize); info.Tool == Partclone && c.bytes > info.RequiredBytes-cluster && c.bytes <= info.RequiredBytes+cluster {
				info.RequiredBytes = c.bytes
			}
		}
		return
	}
}

// family is what the kinds of one filesystem have in common.
func family(filesystem string) string {
	if strings.HasPrefix(filesystem, "EXT") {
		return "EXT"
	}
	return filesystem
}

// at returns n bytes from byte pos of the partition, if data, which starts at off, has them.
func at(data []byte, off, pos, n int64) []byte {
	if pos < off || pos-off+n > int64(len(data)) {
		return nil
	}
	return data[pos-off:][:n]
}
