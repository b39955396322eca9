// Package format knows what an image is: it recognises image files by their bytes, decodes them to the
// used bytes of a partition, writes Aula's own form, and keeps the chunk index by which a restored
// partition is verified.
//
// It knows neither repositories nor computers; it reads and writes streams. Everything that it reads may be
// hostile: memory is bounded, sizes claimed by headers are checked before they are believed, and bad input ends
// in an error, never in a panic.
package format

import (
	"errors"
	"fmt"
)

// ErrNotImage is what detection answers to bytes that are no known image.
var ErrNotImage = errors.New("not a disk image in a known format")

// ErrCorrupt is wrapped by every error about an image that was recognised and is damaged.
var ErrCorrupt = errors.New("image is damaged")

// ErrUnsupported is wrapped by every error about an image that was recognised and that this version does not read.
var ErrUnsupported = errors.New("image format not supported")

// Deployment tools, by OpenGnsys' names where it has one.
const (
	Partclone = "PARTCLONE"
	Partimage = "PARTIMAGE"
	Ntfsclone = "NTFSCLONE"
	Raw       = "RAW" // the bytes of a partition or a disk as they are; OpenGnsys says partclone.dd
)

// Compressors, by OpenGnsys' names where it has one.
const (
	None  = "NONE"
	Lzop  = "LZOP"
	Gzip  = "GZIP"
	Zstd  = "ZSTD"
	LZ4   = "LZ4"
	XZ    = "XZ"
	Bzip2 = "BZIP2"
)

// Disk is the Filesystem of an image of a whole disk: its first byte is the disk's.
const Disk = "DISK"

// MaxRun bounds the runs that Reader.Next returns.
const MaxRun = 1 << 20

// damaged makes an error that wraps ErrCorrupt.
func damaged(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrCorrupt, fmt.Errorf(format, args...))
}

// unsupported makes an error that wraps ErrUnsupported.
func unsupported(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrUnsupported, fmt.Errorf(format, args...))
}
