package xz

import (
	"bytes"
	"errors"
	"io"
	"slices"
)

var errStopped = errors.New("decoding was stopped")

// A Block is a block of an xz file that is unpacked without the others. The zero Block is ready for Reader.Next. It belongs to
// one goroutine at a time, which need not be that of the Reader.
type Block struct {
	header blockHeader
	check  check
	sum    []byte
	packed []byte // LZMA2 chunks, without the padding
	chunks lzma2
}

// Size returns the number of plain bytes, from 0 to MaxBlock, as the block claims it. Nothing was allocated for the claim.
func (b *Block) Size() int { return int(b.header.plain) }

// PackedSize returns the number of packed bytes.
func (b *Block) PackedSize() int { return len(b.packed) }

// Decode unpacks the block and verifies its check. It uses the memory of dst, from its beginning, when there is enough for Size bytes, and
// returns the plain bytes. What it returns with an error is for using the memory again only. When stop is closed, it ends soon
// with an error.
func (b *Block) Decode(dst []byte, stop <-chan struct{}) ([]byte, error) {
	in := bytes.NewReader(b.packed)
	b.chunks.reset(in, b.header.window)
	dst = slices.Grow(dst[:0], b.Size())
	hash := b.check.start()
	for {
		select {
		case <-stop:
			return dst[:0], errStopped
		default:
		}
		at := len(dst)
		size, err := b.chunks.next(at)
		if err == io.EOF {
			break
		}
		if err == nil && size > b.Size()-at {
			err = corrupt("block has more than the %d bytes it claims", b.Size())
		}
		if err == nil {
			dst = dst[:at+size]
			err = b.chunks.body(dst, at)
		}
		if err == io.ErrUnexpectedEOF { // of the block, not of the file
			err = corrupt("block has no end")
		}
		if err != nil {
			return dst[:0], err
		}
		if hash != nil {
			hash.Write(dst[at:])
		}
	}
	if len(dst) != b.Size() || in.Len() > 0 {
		return dst[:0], corrupt("block of %d bytes claims %d", len(dst), b.Size())
	}
	return dst, b.check.verify(hash, b.sum)
}
