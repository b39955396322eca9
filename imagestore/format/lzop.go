package format

import (
	"bufio"
	"errors"
	"io"
	"sync"

	"aula/imagestore/format/lzop"
)

// decodeLzop delivers the plain bytes of an lzop file, whose blocks are decoded side by side.
func (p *pipeline) decodeLzop(in *bufio.Reader, src *source, _ int) {
	file, err := lzop.NewReader(in)
	if err != nil {
		p.fail(explainLzop(src, err))
		return
	}
	pieces := sync.Pool{New: func() any { return new(lzop.Block) }}
	for {
		piece := pieces.Get().(*lzop.Block)
		if err := file.Next(piece); err != nil {
			p.fail(explainLzop(src, err))
			return
		}
		b := p.takeLarge(2 * int64(piece.Size()))
		if b == nil {
			return
		}
		p.deliverLater(b, func(b *block) (err error) {
			if b.plain, err = piece.Decode(b.plain); err != nil {
				return explainLzop(src, err)
			}
			if piece.Size() <= blockLen {
				pieces.Put(piece)
			}
			return nil
		})
	}
}

// explainLzop tells the errors of package lzop in words.
func explainLzop(src *source, err error) error {
	switch {
	case err == io.EOF:
		return io.EOF
	case errors.Is(err, lzop.ErrUnsupported):
		return unsupported(`%w: decompress it first with "lzop -d"`, err)
	}
	return src.failure(err)
}

// maxLzopLevel is the last of the levels of lzop that use the algorithm which its default uses.
const maxLzopLevel = 6

// lzopPacker packs the blocks of an lzop file.
func lzopPacker() packer {
	encoders := sync.Pool{New: func() any { return new(lzop.Encoder) }}
	var frame lzop.Encoder
	return packer{
		size:  lzop.BlockSize,
		begin: frame.AppendHeader(nil),
		pack: func(dst, plain []byte) []byte {
			e := encoders.Get().(*lzop.Encoder)
			defer encoders.Put(e)
			return e.AppendBlock(dst, plain)
		},
		end: func() []byte { return frame.AppendEnd(nil) },
	}
}
