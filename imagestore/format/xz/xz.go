// Package xz decompresses xz files, with LZMA in plain Go.
//
// A Reader takes the blocks of a file off a stream in order. A block that says its sizes, as those of "xz -T" and of pixz do, is decoded
// wherever there is a core for it; any other is read as it comes.
//
// Everything that is read may be hostile: nothing panics, memory is taken for what really came and is bounded by MaxDictionary and MaxBlock,
// and every checksum that the file has is verified, of the data, of headers and of the index.
//
// It is not for files made with filters for programs or with the delta filter, which no imaging tool uses: they end in
// ErrUnsupported, as do checks that are not CRC-32, CRC-64 or SHA-256. It does not compress.
//
// The format is that of "The .xz File Format", version 1.2.1; sections named in comments are its.
package xz

import (
	"errors"
	"fmt"
)

const (
	// Magic is what every xz file begins with.
	Magic = "\xFD7zXZ\x00"

	// MaxDictionary is the largest dictionary that is believed; that of xz -9 has 64 MiB.
	MaxDictionary = 128 << 20

	// MaxBlock is the largest plain size of a block that is decoded apart from the others; xz -8 -T makes blocks of 96 MiB.
	MaxBlock = 96 << 20
)

var (
	// ErrCorrupt is wrapped by every error about data that is no valid xz file, except by those about one that ends too early, which are
	// io.ErrUnexpectedEOF.
	ErrCorrupt = errors.New("xz data is damaged")

	// ErrUnsupported is wrapped by every error about valid files that this package does not read.
	ErrUnsupported = errors.New("xz file not supported")
)

func corrupt(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrCorrupt, fmt.Errorf(format, args...))
}

func unsupported(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrUnsupported, fmt.Errorf(format, args...))
}
