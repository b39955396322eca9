package format

import (
	"bufio"
	"errors"
	"io"
	"sync"

	"aula/imagestore/format/xz"
)

// decodeXZ delivers the plain bytes of an xz file. Blocks that say their sizes are decoded side by side.
func (p *pipeline) decodeXZ(in *bufio.Reader, src *source, _ int) {
	file := xz.NewReader(in)
	pieces := sync.Pool{New: func() any { return new(xz.Block) }}
	for {
		piece := pieces.Get().(*xz.Block)
		whole, err := file.Next(piece)
		if err == nil && !whole {
			err = p.relay(file)
			pieces.Put(piece)
			if err == nil {
				continue
			}
		}
		if err != nil {
			p.fail(explainXZ(src, err))
			return
		}
		b := p.takeLarge(int64(piece.Size()) + int64(piece.PackedSize()))
		if b == nil {
			return
		}
		p.deliverLater(b, func(b *block) (err error) {
			if b.plain, err = piece.Decode(b.plain, p.stop); err != nil {
				return explainXZ(src, err)
			}
			if piece.Size() <= blockLen { // its packed bytes are hardly more
				pieces.Put(piece)
			}
			return nil
		})
	}
}

// explainXZ tells the errors of package xz in words.
func explainXZ(src *source, err error) error {
	switch {
	case err == io.EOF:
		return io.EOF
	case errors.Is(err, xz.ErrUnsupported):
		return unsupported(`%w: decompress it first with "xz -d"`, err)
	}
	return src.failure(err)
}
