package format

import "bufio"

// A compressor is one way in which image files are packed.
type compressor struct {
	name string // as in Info.Compressor
	is   func(head []byte) bool
	// decode delivers the plain bytes of in to p until they end, with fail(io.EOF) or a block whose err is io.EOF, or p is closed.
	// It answers a damaged stream with src.failure, so that a broken connection is not taken for damage.
	decode func(p *pipeline, in *bufio.Reader, src *source, workers int)
}

// compressors are all that are read.
func compressors() []compressor {
	return []compressor{
		{Zstd, isZstd, (*pipeline).decodeZstd},
	}
}

// isCompressed tells whether head is the beginning of something that is read after decompressing it.
func isCompressed(head []byte) bool {
	for _, c := range compressors() {
		if c.is(head) {
			return true
		}
	}
	return false
}
