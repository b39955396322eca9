// Package bzip2 decompresses bzip2 files with all cores.
//
// The blocks of a bzip2 file depend on nothing before them, but nothing tells where they are: they begin at any bit, with a mark of 48 bits. A Reader
// looks for that mark ahead of its consumer and lets workers decode what follows each. That is a guess, since the mark can be in the middle of a
// block too, by chance or by malice; so the file is parsed in order nevertheless, and what the workers have made is taken for those blocks
// that are really there. The result is always that of decoding one after the other.
//
// Everything that is read may be hostile: nothing panics, memory is bounded whatever a file claims or unpacks to, and the checksums of all blocks
// and streams are verified. It does not read the randomised blocks of bzip2 before 0.9.5, and it does not compress.
package bzip2

import (
	"errors"
	"fmt"
)

var (
	// ErrCorrupt is wrapped by every error about data that is no valid bzip2 file, except by those about one that ends too early, which
	// are io.ErrUnexpectedEOF.
	ErrCorrupt = errors.New("bzip2 data is damaged")

	// ErrUnsupported is wrapped by every error about valid files that this package does not read.
	ErrUnsupported = errors.New("bzip2 file not supported")
)

// The marks before a block and before the end of a stream.
const (
	markLen    = 48
	markMask   = 1<<markLen - 1
	blockMark  = 0x314159265359
	streamMark = 0x177245385090
)

const (
	// unit is how many bytes before their second packing a block has for each level.
	unit = 100_000
	// maxBlock is how many of them it has at most, at level 9.
	maxBlock = 9 * unit

	// maxPacked bounds the bytes of a block: 20 bits for each of maxBlock symbols and the last, with the tables before them:
	// 18002 selectors of 6 bits and 6 tables of 258 lengths, each of which may go up and down before it is right.
	maxPacked = (maxBlock+1)*20/8 + 64<<10
)

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrCorrupt, fmt.Errorf(format, args...))
}
