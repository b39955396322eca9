package torrent

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"aula/imagestore/torrent/metainfo"
)

// A Storage keeps the pieces of one torrent. WritePiece is called from one goroutine at a time, ReadAt from many.
type Storage interface {
	// Have tells, once and first, which pieces are there; the answer has a flag for each piece. What is doubtful has been checked against the torrent.
	Have() ([]bool, error)
	// WritePiece stores a piece whose SHA-1 is right, and keeps nothing of b. Pieces come in any order. An error ends the task.
	WritePiece(piece int, b []byte) error
	// ReadAt reads bytes of pieces that are there, as io.ReaderAt has it. A piece that is there no longer is an error wrapping ErrGone.
	io.ReaderAt
	// Finish is called once every piece is there, even when Have told so of all: the file is complete and on the disk once it returns nil.
	Finish() error
	// Close frees what is held. What was not finished can be gone on with later.
	Close() error
}

// A Forgetful storage does not keep what it has written.
type Forgetful interface {
	Storage
	// Forgotten returns pieces that were written and can be read no more, each once.
	Forgotten() []int
}

// A Filed storage has all of its pieces in a file, at the offsets that they have in the content: they can be sent without being read.
type Filed interface {
	// File returns the file, for reading at offsets (pread, sendfile): its own offset means nothing, and Close of the storage closes it.
	// It is nil when the file must not be read any more; ReadAt says why. Ask again for each block: it notices a file that has changed.
	File() *os.File
}

// ErrGone is answered when a piece is asked for that was there and is no longer.
var ErrGone = errors.New("it is no longer there")

// storable refuses torrents that no storage could keep, whatever they were read from: the name must be that of a file in a folder, and the
// pieces must add up.
func storable(t *metainfo.Torrent) error {
	if t.Name != filepath.Base(t.Name) || !filepath.IsLocal(t.Name) || t.Name == "." || strings.ContainsRune(t.Name, 0) {
		return fmt.Errorf("the torrent is of %q, which is no name of a file", t.Name)
	}
	if t.PieceLength < 1 || t.Length < 0 || len(t.Pieces)%20 != 0 || t.Count() > metainfo.MaxPieces {
		return fmt.Errorf("torrent of %s: %d bytes in pieces of %d: that is no torrent", t.Name, t.Length, t.PieceLength)
	}
	pieces := t.Length / t.PieceLength
	if t.Length%t.PieceLength > 0 {
		pieces++
	}
	if int64(t.Count()) != pieces {
		return fmt.Errorf("torrent of %s: it has %d pieces, and its %d bytes are %d", t.Name, t.Count(), t.Length, pieces)
	}
	return nil
}

// fits tells whether bytes are those of one piece.
func fits(t *metainfo.Torrent, piece int, b []byte) error {
	if piece < 0 || piece >= t.Count() || int64(len(b)) != t.Size(piece) {
		return fmt.Errorf("%s: %d bytes are no piece %d of it", t.Name, len(b), piece)
	}
	return nil
}

// whole returns the flags of a storage that has every piece.
func whole(t *metainfo.Torrent) []bool {
	have := make([]bool, t.Count())
	for i := range have {
		have[i] = true
	}
	return have
}
