package format

import (
	"bufio"
	"io"
)

// sourceBuffer is how much is read at once from the source.
const sourceBuffer = 64 << 10

// Decompress returns the plain stream below the compressor of r and the compressor's name; None when there is none. What the stream holds
// is not looked at, and when it is compressed once more, it stays so.
//
// It decodes ahead in goroutines of its own, which Close ends; Close does not close r and waits for a Read of r that is under way. Errors
// are as of Reader.Next; whatever came before one may be wrong.
func Decompress(r io.Reader) (plain io.ReadCloser, compressor string, err error) {
	stream, compressor, err := openStream(r)
	if err != nil {
		return nil, "", err
	}
	return stream, compressor, nil
}

// openStream is Decompress.
func openStream(r io.Reader) (*pipeline, string, error) {
	src := &source{r: r}
	in := bufio.NewReaderSize(src, sourceBuffer)
	compressor, err := sniffCompressor(in)
	if err != nil {
		return nil, "", err
	}
	return newPipeline(in, src, compressor), compressor, nil
}
