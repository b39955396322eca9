package format

import (
	"bytes"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"
)

// expectEnd answers io.EOF when nothing follows the last block, for which the decompressor also checks its own end.
func expectEnd(r io.Reader) error {
	var b [1]byte
	n, err := io.ReadFull(r, b[:])
	if n > 0 {
		return damaged("data follows the last block")
	}
	return err
}

// readFull fills p with what of the image; an early end is damage.
func readFull(r io.Reader, p []byte, what string) error {
	_, err := io.ReadFull(r, p)
	if err == io.EOF || err == io.ErrUnexpectedEOF {
		return damaged("%s: the file is truncated", what)
	}
	return err
}

// text returns the printable text of a field that ends at its first zero byte, or at its end.
func text(field []byte) string {
	field, _, _ = bytes.Cut(field, []byte{0})
	return strings.TrimSpace(strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, string(field)))
}
