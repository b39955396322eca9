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
	"io"
)

// ErrNotImage is what detection answers to bytes that are no known image.
var ErrNotImage = errors.New("not a disk image in a known format")

// ErrCorrupt is wrapped by every error about an image that was recognised and is damaged.
var ErrCorrupt = errors.New("image is damaged")

// ErrUnsupported is wrapped by every error about an image that was recognised and that this version does not read.
var ErrUnsupported = errors.New("image format not supported")

// Deployment tools, compressors and filesystems, by OpenGnsys' names.
const (
	Partclone = "PARTCLONE"

	None = "NONE"
	Zstd = "ZSTD"
)

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
func (i Info) String() string { return "" }

// A Reader decodes one image, whatever its tool and compressor, to runs of used bytes in ascending order.
type Reader struct{}

// NewReader reads as much of r as recognising the image takes (at most a few MiB more than its bitmap).
// It answers ErrNotImage, ErrUnsupported or ErrCorrupt.
func NewReader(r io.Reader) (*Reader, error) { return nil, ErrNotImage }

// Info returns what the header said.
func (r *Reader) Info() Info { return Info{} }

// Next returns the next run of used bytes: at most MaxRun of them, that belong at byte offset off of
// the partition. The slice is valid until the next call. After the last run it checks that the stream ends where
// it must and that every checksum of the format and of the compressor held, and only then answers io.EOF.
func (r *Reader) Next() (off int64, run []byte, err error) { return 0, nil, io.EOF }

// Close frees the decoder; it does not close the underlying reader.
func (r *Reader) Close() error { return nil }

// MaxRun bounds the runs that Next returns.
const MaxRun = 1 << 20

// ChunkSize is the grid of the chunk index: chunk i covers the bytes from i*ChunkSize of the partition.
const ChunkSize = 1 << 20

// An Index says, for each chunk of a partition, which bytes the image fills and the BLAKE3 hash of those bytes
// in ascending order. A chunk without used bytes is absent.
type Index struct {
	Info   Info
	Chunks []Chunk
}

// A Chunk is one cell of the grid.
type Chunk struct {
	Number int64    // covers bytes Number*ChunkSize up to the next
	Hash   [32]byte // BLAKE3 of the used bytes, ascending
	Used   []Extent // absolute, ascending, disjoint, merged
}

// An Extent is a range of bytes of the partition.
type Extent struct{ Offset, Length int64 }

// An IndexBuilder makes an Index from the runs of a Reader, in the order in which they come.
type IndexBuilder struct{}

// Add takes the next run.
func (b *IndexBuilder) Add(off int64, run []byte) error { return nil }

// Index finishes.
func (b *IndexBuilder) Index(info Info) *Index { return nil }

// WriteTo and ReadIndex are the form of the .chunks sidecar (documented in docs/formats.md).
func (x *Index) WriteTo(w io.Writer) (int64, error) { return 0, nil }

// ReadIndex reads what WriteTo wrote; memory is bounded by what the stream really holds.
func ReadIndex(r io.Reader) (*Index, error) { return nil, ErrNotImage }

// VerifyChunk reads the used bytes of c from r (a partition, offset 0 its first byte) and compares their hash.
// buf is scratch of at least ChunkSize.
func (x *Index) VerifyChunk(c Chunk, r io.ReaderAt, buf []byte) error { return nil }

// A FrameWriter compresses into independent zstd frames of FrameSize plain bytes and ends with the seek table of the seekable
// zstd format in a skippable frame; every zstd tool reads the result as one plain .zst.
type FrameWriter struct{}

// FrameSize is the plain size of one frame.
const FrameSize = 1 << 20

// NewFrameWriter starts a file on w; level is zstd's (1 to 19), 0 for the default of 3.
func NewFrameWriter(w io.Writer, level int) (*FrameWriter, error) { return nil, nil }

func (f *FrameWriter) Write(p []byte) (int, error) { return len(p), nil }

// Close writes the last frame and the seek table; it does not close w.
func (f *FrameWriter) Close() error { return nil }
