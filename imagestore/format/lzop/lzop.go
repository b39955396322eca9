// Package lzop reads and writes the files of the lzop tool, with the LZO1X algorithm in plain Go.
//
// Its blocks depend on nothing before them, so reading is split in two: a Reader takes the packed blocks off a stream in order, and a
// Block is decoded wherever there is a core for it. An Encoder makes blocks in the same way. Whatever is written here, the lzop
// tool reads; whatever lzop 1.04 writes with its LZO methods, levels and checksums is read here.
//
// Everything that is read may be hostile: nothing panics, a block takes memory only for bytes that really came and at most 255 times as
// much (and never more than MaxBlock) for its plain form, and every checksum that the file has is verified.
//
// It is not for files made with lzop's filters or with zlib inside, which no imaging tool makes: they end in ErrUnsupported. Names
// and times of files are skipped.
package lzop

import (
	"errors"
	"fmt"
)

const (
	// Magic is what every lzop file begins with.
	Magic = "\x89LZO\x00\r\n\x1a\n"

	// BlockSize is the plain size of the blocks that lzop and an Encoder make, the last of a file excepted.
	BlockSize = 256 << 10

	// MaxBlock is the largest plain size of a block that the format allows.
	MaxBlock = 64 << 20
)

var (
	// ErrCorrupt is wrapped by every error about data that is no valid lzop file, except by those about one that ends too early, which wrap
	// io.ErrUnexpectedEOF.
	ErrCorrupt = errors.New("lzop data is damaged")

	// ErrUnsupported is wrapped by every error about valid files that this package does not read.
	ErrUnsupported = errors.New("lzop file not supported")
)

// The flags of a header that say how a file is to be read; the others tell where it came from.
const (
	flagPlainAdler  = 0x0001 // blocks have the Adler-32 of their plain bytes
	flagPackedAdler = 0x0002 // and of their packed bytes
	flagStdin       = 0x0004
	flagStdout      = 0x0008
	flagExtra       = 0x0040 // an extra field follows the header
	flagPlainCRC    = 0x0100 // as flagPlainAdler, with CRC-32
	flagPackedCRC   = 0x0200
	flagMultipart   = 0x0400 // part of a file that was split
	flagFilter      = 0x0800 // plain bytes went through a filter
	flagHeaderCRC   = 0x1000 // the header's checksum is a CRC-32, not an Adler-32
	flagUnix        = 0x03000000
)

// Methods. All three are packed differently and unpacked in the same way.
const (
	methodLZO1X1   = 1
	methodLZO1X115 = 2
	methodLZO1X999 = 3
)

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrCorrupt, fmt.Errorf(format, args...))
}

func unsupported(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrUnsupported, fmt.Errorf(format, args...))
}
