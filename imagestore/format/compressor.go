package format

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"

	"aula/imagestore/format/lzop"
	"aula/imagestore/format/xz"
)

// A compressor is one way in which image files are packed.
type compressor struct {
	name   string // as in Info.Compressor
	is     func(head []byte) bool
	decode decodeFunc
}

// A decodeFunc delivers the plain bytes of in to p until they end, with fail(io.EOF) or a block whose err is io.EOF, or p is closed.
// It answers a damaged stream with src.failure, so that a broken connection is not taken for damage.
type decodeFunc func(p *pipeline, in *bufio.Reader, src *source, workers int)

// compressors are all that are read.
func compressors() []compressor {
	return []compressor{
		{Zstd, isZstd, (*pipeline).decodeZstd},
		{Lzop, signature{magic: lzop.Magic}.in, (*pipeline).decodeLzop},
		{Gzip, signature{magic: gzipMagic}.in, (*pipeline).decodeGzip},
		{LZ4, isLZ4, (*pipeline).decodeLZ4},
		{XZ, signature{magic: xz.Magic}.in, (*pipeline).decodeXZ},
		{Bzip2, isBzip2, (*pipeline).decodeBzip2},
	}
}

// refuse returns the reason not to read something that begins with head, when that is packed by a compressor which nobody
// reads here; else nil.
func refuse(head []byte) error {
	var tool string
	switch {
	case bytes.HasPrefix(head, []byte("LZIP")):
		tool = "lzip"
	case bytes.HasPrefix(head, []byte("LRZI")):
		tool = "lrzip"
	case isLzma(head):
		tool = "lzma"
	default:
		return nil
	}
	return unsupported(`the file is compressed with %s: decompress it first with "%[1]s -d"`, tool)
}

// isLzma tells whether head is the header of the format that was before xz: it has no magic, but what every encoder writes
// into it is as good. The properties byte, the size of the dictionary, the plain size or -1.
func isLzma(head []byte) bool {
	if len(head) < 13 || head[0] != 0x5D {
		return false
	}
	dict, size := binary.LittleEndian.Uint32(head[1:]), int64(binary.LittleEndian.Uint64(head[5:]))
	return dict >= 4<<10 && dict&(dict-1) == 0 && size >= -1 && size < 1<<50
}

// isCompressed tells whether head is the beginning of something that has to be decompressed.
func isCompressed(head []byte) bool {
	for _, c := range compressors() {
		if c.is(head) {
			return true
		}
	}
	return refuse(head) != nil
}

// sniffCompressor tells how the file is compressed, by its first bytes.
func sniffCompressor(in *bufio.Reader) (string, error) {
	head, err := in.Peek(16)
	switch {
	case err != nil && err != io.EOF:
		return "", fmt.Errorf("reading the image: %w", err)
	case len(head) == 0:
		return "", fmt.Errorf("%w: it is empty", ErrNotImage)
	}
	for _, c := range compressors() {
		if c.is(head) {
			return c.name, nil
		}
	}
	if err := refuse(head); err != nil {
		return "", err
	}
	return None, nil
}
