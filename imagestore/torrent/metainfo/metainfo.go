// Package metainfo reads and writes .torrent files (BEP 3): what a torrent is of, and where its peers are told.
//
// A torrent of Aula is of one file, and private (BEP 27). What comes from outside is believed only as far as it is of one file with a plain
// name, of sizes that add up; everything else is refused by name. It knows nothing of peers.
package metainfo

import (
	"encoding/hex"
	"fmt"
)

// A Hash is the info-hash that names a torrent to trackers and peers: the SHA-1 of its info dictionary as it was written.
type Hash [20]byte

// String returns it in hexadecimal.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// ParseHash reads what String wrote.
func ParseHash(s string) (Hash, error) {
	var h Hash
	if len(s) != hex.EncodedLen(len(h)) {
		return Hash{}, fmt.Errorf("info-hash %.60q is not 40 hexadecimal digits", s)
	}
	if _, err := hex.Decode(h[:], []byte(s)); err != nil {
		return Hash{}, fmt.Errorf("info-hash %q is not 40 hexadecimal digits", s)
	}
	return h, nil
}

// Sizes that are taken.
const (
	MaxFile        = 64 << 20 // bytes of a .torrent
	MinPieceLength = 16 << 10
	MaxPieceLength = 64 << 20
	MaxPieces      = 1 << 20
)

// A Torrent is the metainfo of one file.
type Torrent struct {
	Announce    []string // URLs of trackers, the first to be asked first; nil for none
	Comment     string   // of Aula's and OpenGnsys': the MD5 of the file
	Name        string   // of the file; it has no slash and no leading dot
	Length      int64    // bytes of the file
	PieceLength int64    // bytes of each piece but the last
	Pieces      []byte   // the SHA-1 of each piece, 20 bytes each
	Private     bool     // peers come from its trackers only (BEP 27)
	Hash        Hash     // of the info dictionary

	info []byte // the info dictionary as it was written; nil in one that was not made by this package
}

// Count returns the number of pieces.
func (t *Torrent) Count() int { return len(t.Pieces) / 20 }

// Size returns the bytes of the piece, of which the last may be shorter.
func (t *Torrent) Size(piece int) int64 {
	return min(t.PieceLength, t.Length-int64(piece)*t.PieceLength)
}

// Offset returns where in the file the piece begins.
func (t *Torrent) Offset(piece int) int64 { return int64(piece) * t.PieceLength }

// Sum returns the SHA-1 that the piece must have.
func (t *Torrent) Sum(piece int) [20]byte { return [20]byte(t.Pieces[20*piece:]) }
