package torrent

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"aula/imagestore/torrent/metainfo"
)

// A pieceJournal says which pieces of a torrent are on the disk, for the time after this process.
type pieceJournal struct {
	hash        metainfo.Hash
	length      int64
	pieceLength int64
	file        fileIdentity // that has the pieces
	have        []bool
}

// A fileIdentity tells a file from another that was put in its place.
type fileIdentity struct {
	inode uint64
	born  int64 // ns since 1970; 0 on a filesystem that does not tell
}

// A journal's file is, in big-endian: magic, info-hash, length (u64), length of pieces (u64), inode (u64), birth (u64), number of pieces (u32), their
// flags as in a bitfield of BEP 3 (the first piece in the highest bit; spare bits are 0), and the SHA-256 of all that.
const (
	pieceJournalMagic = "AULABF01"
	pieceJournalFixed = len(pieceJournalMagic) + 20 + 4*8 + 4 + sha256.Size
	maxPieceJournal   = pieceJournalFixed + metainfo.MaxPieces/8
)

var errPieceJournal = errors.New("the journal is damaged, or not one of Aula's")

func newPieceJournal(t *metainfo.Torrent, file fileIdentity, have []bool) pieceJournal {
	return pieceJournal{hash: t.Hash, length: t.Length, pieceLength: t.PieceLength, file: file, have: have}
}

// encode writes a journal as its file has it.
func (j pieceJournal) encode() []byte {
	b := append(make([]byte, 0, pieceJournalFixed+(len(j.have)+7)/8), pieceJournalMagic...)
	b = append(b, j.hash[:]...)
	for _, n := range []uint64{uint64(j.length), uint64(j.pieceLength), j.file.inode, uint64(j.file.born)} {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	b = binary.BigEndian.AppendUint32(b, uint32(len(j.have)))
	flags := make([]byte, (len(j.have)+7)/8)
	for i, has := range j.have {
		if has {
			flags[i/8] |= 0x80 >> (i % 8)
		}
	}
	b = append(b, flags...)
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

// decodePieceJournal reads what encode wrote. Anything else is errPieceJournal.
func decodePieceJournal(b []byte) (pieceJournal, error) {
	if len(b) < pieceJournalFixed || len(b) > maxPieceJournal || string(b[:len(pieceJournalMagic)]) != pieceJournalMagic {
		return pieceJournal{}, errPieceJournal
	}
	b, sum := b[:len(b)-sha256.Size], b[len(b)-sha256.Size:]
	if want := sha256.Sum256(b); !bytes.Equal(sum, want[:]) {
		return pieceJournal{}, errPieceJournal
	}
	b = b[len(pieceJournalMagic):]
	var j pieceJournal
	b = b[copy(j.hash[:], b):]
	var numbers [4]uint64
	for i := range numbers {
		numbers[i], b = binary.BigEndian.Uint64(b), b[8:]
	}
	j.length, j.pieceLength = int64(numbers[0]), int64(numbers[1])
	j.file = fileIdentity{inode: numbers[2], born: int64(numbers[3])}
	count, b := int(binary.BigEndian.Uint32(b)), b[4:]
	if count > metainfo.MaxPieces || len(b) != (count+7)/8 {
		return pieceJournal{}, errPieceJournal
	}
	j.have = make([]bool, count)
	for i := range 8 * len(b) {
		has := b[i/8]&(0x80>>(i%8)) != 0
		if i < count {
			j.have[i] = has
		} else if has {
			return pieceJournal{}, errPieceJournal
		}
	}
	return j, nil
}

// serves tells whether the journal speaks of that torrent's pieces in that file.
func (j pieceJournal) serves(t *metainfo.Torrent, file fileIdentity) bool {
	return j.hash == t.Hash && j.length == t.Length && j.pieceLength == t.PieceLength && len(j.have) == t.Count() && j.file == file
}

// readPieceJournal reads a journal's file. Its error wraps fs.ErrNotExist when there is none, and errPieceJournal when it is none.
func readPieceJournal(path string) (pieceJournal, error) {
	f, err := os.Open(path)
	if err != nil {
		return pieceJournal{}, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, int64(maxPieceJournal)+1))
	if err != nil {
		return pieceJournal{}, err
	}
	j, err := decodePieceJournal(b)
	if err != nil {
		return pieceJournal{}, fmt.Errorf("%s: %w", path, err)
	}
	return j, nil
}

// write replaces a journal's file: at any moment there is the old one or the new one, whole. Of one path, one process writes at a time.
func (j pieceJournal) write(path string) error {
	next := path + ".new"
	f, err := os.OpenFile(next, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(j.encode())
	if err = errors.Join(err, f.Sync(), f.Close()); err == nil {
		err = os.Rename(next, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(next))
	}
	return nil
}

// identify returns which file it is.
func identify(f *os.File) (fileIdentity, error) {
	var s unix.Statx_t
	if err := unix.Statx(int(f.Fd()), "", unix.AT_EMPTY_PATH, unix.STATX_INO|unix.STATX_BTIME, &s); err != nil {
		return fileIdentity{}, fmt.Errorf("%s: %w", f.Name(), err)
	}
	id := fileIdentity{inode: s.Ino}
	if s.Mask&unix.STATX_BTIME != 0 {
		id.born = s.Btime.Sec*1e9 + int64(s.Btime.Nsec)
	}
	return id, nil
}
