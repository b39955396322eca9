package fetch

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"os"

	"github.com/zeebo/blake3"

	"aula/clientos/clone"
	"aula/imagestore/format"
)

// A journal says which bytes of an image's file are on the disk, for the time after this process.
type journal struct {
	id   [32]byte
	size int64
	have clone.Ranges
}

// A journal's file is, in big-endian: magic, ID, size (u64), then offset and length (u64) of each range, ascending, and the BLAKE3 of all that.
const (
	journalMagic = "AULAPRT1"
	journalFixed = len(journalMagic) + 32 + 8 + 32
	maxJournal   = 64 << 20 // bytes: 4 million ranges
)

var errJournal = errors.New("the journal is damaged, or not one")

func (j journal) encode() []byte {
	b := append(make([]byte, 0, journalFixed+16*len(j.have)), journalMagic...)
	b = append(b, j.id[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(j.size))
	for _, e := range j.have {
		b = binary.BigEndian.AppendUint64(b, uint64(e.Offset))
		b = binary.BigEndian.AppendUint64(b, uint64(e.Length))
	}
	sum := blake3.Sum256(b)
	return append(b, sum[:]...)
}

// decodeJournal reads what encode wrote; anything else is errJournal.
func decodeJournal(b []byte) (journal, error) {
	if len(b) < journalFixed || string(b[:len(journalMagic)]) != journalMagic || (len(b)-journalFixed)%16 != 0 {
		return journal{}, errJournal
	}
	b, sum := b[:len(b)-32], b[len(b)-32:]
	if want := blake3.Sum256(b); !bytes.Equal(sum, want[:]) {
		return journal{}, errJournal
	}
	var j journal
	b = b[len(journalMagic):]
	b = b[copy(j.id[:], b):]
	j.size, b = int64(binary.BigEndian.Uint64(b)), b[8:]
	at := int64(0)
	for ; len(b) > 0; b = b[16:] {
		e := format.Extent{Offset: int64(binary.BigEndian.Uint64(b)), Length: int64(binary.BigEndian.Uint64(b[8:]))}
		if e.Offset < at || e.Length < 1 || e.Length > j.size-e.Offset {
			return journal{}, errJournal
		}
		at = e.End()
		j.have = append(j.have, e)
	}
	return j, nil
}

// end is how long a file is at least that has all of it.
func (j journal) end() int64 {
	if len(j.have) == 0 {
		return 0
	}
	return j.have[len(j.have)-1].End()
}

// readJournal reads a journal's file. Its error wraps fs.ErrNotExist when there is none, and errJournal when it is none.
func readJournal(path string) (journal, error) {
	f, err := os.Open(path)
	if err != nil {
		return journal{}, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxJournal))
	if err != nil {
		return journal{}, err
	}
	return decodeJournal(b)
}

// write replaces a journal's file: at any moment there is the old one or the new one, whole.
func (j journal) write(path string) error {
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
