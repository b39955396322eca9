package metainfo

import (
	"crypto/sha1"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

const maxName = 255 // bytes of a file name on Linux

// blockLength is what clients ask each other for; pieces are multiples of it in what any tool writes.
const blockLength = 16 << 10

// CheckName tells why a torrent may not have a file of that name: the name must be that of a file in any folder, and show as it is.
func CheckName(name string) error {
	switch {
	case name == "":
		return errors.New("torrent: its file has no name")
	case len(name) > maxName:
		return fmt.Errorf("torrent: the name of its file %.40q… is longer than %d bytes", name, maxName)
	case !utf8.ValidString(name):
		return fmt.Errorf("torrent: the name of its file %q is not UTF-8", name)
	case strings.ContainsAny(name, `/\`):
		return fmt.Errorf("torrent: the name of its file %q is a path: it must be a name", name)
	case name[0] == '.':
		return fmt.Errorf("torrent: the name of its file %q begins with a dot", name)
	case strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsGraphic(r) }):
		return fmt.Errorf("torrent: the name of its file %q has characters that do not show", name)
	}
	return nil
}

// check tells why the fields of an info dictionary are not taken.
func (t *Torrent) check() error {
	if err := CheckName(t.Name); err != nil {
		return err
	}
	switch {
	case t.Length <= 0:
		return fmt.Errorf("torrent of %q: a file of %d bytes cannot be shared", t.Name, t.Length)
	case t.PieceLength < MinPieceLength || t.PieceLength > MaxPieceLength || t.PieceLength%blockLength != 0:
		return fmt.Errorf("torrent of %q: pieces of %d bytes are not taken: make it with a power of two from %d KiB to %d MiB",
			t.Name, t.PieceLength, MinPieceLength>>10, MaxPieceLength>>20)
	case len(t.Pieces)%sha1.Size != 0:
		return fmt.Errorf("torrent of %q: the sums of its pieces are cut off", t.Name)
	case (t.Length-1)/t.PieceLength+1 != int64(t.Count()):
		return fmt.Errorf("torrent of %q: it has sums of %d pieces, and %d bytes in pieces of %d have %d",
			t.Name, t.Count(), t.Length, t.PieceLength, (t.Length-1)/t.PieceLength+1)
	case t.Count() > MaxPieces:
		return fmt.Errorf("torrent of %q: it has %d pieces, more than %d: make it with larger ones", t.Name, t.Count(), MaxPieces)
	}
	return nil
}
