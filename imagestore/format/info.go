package format

import "fmt"

// Info is what an image says of itself.
type Info struct {
	Tool          string `json:"tool"`          // Partclone
	Compressor    string `json:"compressor"`    // Zstd, None ...
	Filesystem    string `json:"filesystem"`    // EXT4, NTFS, FAT32 ... as OpenGnsys writes them
	RequiredBytes int64  `json:"requiredBytes"` // exact size that the target partition must have
	UsedBytes     int64  `json:"usedBytes"`     // bytes that restoring writes
	BlockSize     int    `json:"blockSize"`     // unit of the used-block bitmap
}

// String is OpenGnsys' line TOOL:COMPRESSOR:FILESYSTEM:KIB, the size exact and rounded up to whole KiB.
func (i Info) String() string {
	kib := i.RequiredBytes / 1024
	if i.RequiredBytes%1024 != 0 {
		kib++
	}
	return fmt.Sprintf("%s:%s:%s:%d", i.Tool, i.Compressor, i.Filesystem, kib)
}
