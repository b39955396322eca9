package format

import "fmt"

// Info is what an image says of itself.
type Info struct {
	Tool          string `json:"tool"`          // Partclone, Partimage, Ntfsclone or Raw
	Compressor    string `json:"compressor"`    // Zstd, None ...
	Filesystem    string `json:"filesystem"`    // EXT4, NTFS, FAT32 ... as OpenGnsys writes them, or Disk
	RequiredBytes int64  `json:"requiredBytes"` // exact size that the target partition must have
	UsedBytes     int64  `json:"usedBytes"`     // bytes that restoring writes
	BlockSize     int    `json:"blockSize"`     // unit of the used-block bitmap

	// What follows is for people; an image need not tell it.

	Blocks      int64  `json:"blocks,omitempty"`      // of the filesystem, as the image counts them
	ToolVersion string `json:"toolVersion,omitempty"` // of the program that wrote the image, or of its format
	Checksum    string `json:"checksum,omitempty"`    // that the tool put into the image: None, CRC32, XXH64, XXH128 ...
	Label       string `json:"label,omitempty"`       // of the filesystem
	UUID        string `json:"uuid,omitempty"`        // of the filesystem, or its serial number; of a disk, its identifier
}

// String is OpenGnsys' line TOOL:COMPRESSOR:FILESYSTEM:KIB, the size exact and rounded up to whole KiB.
func (i Info) String() string {
	kib := i.RequiredBytes / 1024
	if i.RequiredBytes%1024 != 0 {
		kib++
	}
	return fmt.Sprintf("%s:%s:%s:%d", i.Tool, i.Compressor, i.Filesystem, kib)
}
