package format

import (
	"bufio"
	"errors"
	"io"

	"github.com/therootcompany/xz"
)

const (
	xzMagic = "\xFD7zXZ\x00"

	// maxXZDictionary is the largest dictionary that is believed; that of xz -9 has 64 MiB.
	maxXZDictionary = 128 << 20
)

// decodeXZ delivers the plain bytes of an xz file of one or more streams.
func (p *pipeline) decodeXZ(in *bufio.Reader, src *source, _ int) {
	explain := func(err error) error { return explainXZ(src, err) }
	xr, err := xz.NewReader(in, maxXZDictionary)
	if err != nil {
		p.fail(explain(err))
		return
	}
	p.copyFrom(xr, explain)
}

// explainXZ tells the errors of the xz library in words.
func explainXZ(src *source, err error) error {
	switch {
	case errors.Is(err, xz.ErrMemlimit):
		return unsupported(`xz dictionary is larger than %d MiB: decompress the file with "xz -d" and compress it again without --lzma2=dict`, maxXZDictionary>>20)
	case errors.Is(err, xz.ErrUnsupportedCheck), errors.Is(err, xz.ErrOptions):
		return unsupported(`%w: decompress the file first with "xz -d"`, err)
	case errors.Is(err, xz.ErrFormat):
		return src.failure(errors.New("what follows the compressed data is not xz"))
	case errors.Is(err, xz.ErrBuf):
		return src.failure(io.ErrUnexpectedEOF)
	}
	return src.failure(err)
}
