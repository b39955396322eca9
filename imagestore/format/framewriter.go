package format

import (
	"encoding/binary"
	"fmt"
	"io"
	"runtime"

	"github.com/klauspost/compress/zstd"
)

// FrameSize is the plain size of one frame.
const FrameSize = 1 << 20

const (
	maxZstdLevel     = 19
	defaultZstdLevel = 3

	// The seek table's skippable frame (zstd, contrib/seekable_format): magic, size, then for each frame its
	// compressed and plain sizes, then the number of frames, a descriptor byte (0: no checksums, which the
	// frames have themselves) and the table's own magic.
	skippableMagic = 0x184D2A5E
	seekTableMagic = 0x8F92EAB1
	seekEntryLen   = 8
	seekFooterLen  = 9
)

// A FrameWriter compresses into independent zstd frames of FrameSize plain bytes and ends with the seek table of the seekable
// zstd format in a skippable frame; every zstd tool reads the result as one plain .zst.
//
// Frames are compressed side by side on all cores, in bounded memory, and written in order by a goroutine that Close
// ends; so Close must be called, after an error as well. Write and Close belong to one goroutine at a time.
type FrameWriter struct{ *pieceWriter }

// NewFrameWriter starts a file on w; level is zstd's (1 to 19), 0 for the default of 3.
func NewFrameWriter(w io.Writer, level int) (*FrameWriter, error) {
	if level < 0 || level > maxZstdLevel {
		return nil, fmt.Errorf("zstd level %d is not between 1 and %d", level, maxZstdLevel)
	}
	if level == 0 {
		level = defaultZstdLevel
	}
	enc, err := zstd.NewWriter(nil,
		zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(level)),
		zstd.WithEncoderConcurrency(min(runtime.GOMAXPROCS(0), 8)),
		zstd.WithWindowSize(FrameSize),
		zstd.WithEncoderCRC(true))
	if err != nil {
		return nil, err
	}
	return &FrameWriter{newPieceWriter(w, framePacker(enc))}, nil
}

// framePacker packs frames and keeps the entries of the seek table.
func framePacker(enc *zstd.Encoder) packer {
	var entries []byte
	return packer{
		size: FrameSize,
		pack: func(dst, plain []byte) []byte { return enc.EncodeAll(plain, dst) },
		wrote: func(plain, packed int) {
			entries = binary.LittleEndian.AppendUint32(entries, uint32(packed))
			entries = binary.LittleEndian.AppendUint32(entries, uint32(plain))
		},
		end:   func() []byte { return seekTable(entries) },
		close: func() { enc.Close() },
	}
}

// seekTable wraps entries in their skippable frame.
func seekTable(entries []byte) []byte {
	le := binary.LittleEndian
	b := make([]byte, 0, 8+len(entries)+seekFooterLen)
	b = le.AppendUint32(b, skippableMagic)
	b = le.AppendUint32(b, uint32(len(entries)+seekFooterLen))
	b = append(b, entries...)
	b = le.AppendUint32(b, uint32(len(entries)/seekEntryLen))
	b = append(b, 0)
	return le.AppendUint32(b, seekTableMagic)
}
