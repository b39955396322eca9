package multicast

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/zeebo/blake3"
)

// A journal says which blocks of a content are on the disk, for the time after this process.
type journal struct {
	content Content
	have    *Blocks
}

// A journal's file is, in big-endian: magic, size of blocks (u32), ID, size (i64), length of the name (u16), name, number of words (u32), words (u64)
// with the lowest block in the lowest bit, and the BLAKE3 of all that.
const (
	journalMagic = "AULABLK1"
	journalFixed = len(journalMagic) + 4 + 32 + 8 + 2 + 4 + 32
	journalName  = 255      // bytes at most
	maxJournal   = 64 << 20 // bytes: of blocks of more than 80 TB
)

var errJournal = errors.New("the journal is damaged, or not one")

// encode writes a journal as its file has it.
func (j journal) encode() []byte {
	name := j.content.Name[:min(len(j.content.Name), journalName)]
	b := append(make([]byte, 0, journalFixed+len(name)+8*len(j.have.words)), journalMagic...)
	b = binary.BigEndian.AppendUint32(b, BlockSize)
	b = append(b, j.content.ID[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(j.content.Size))
	b = binary.BigEndian.AppendUint16(b, uint16(len(name)))
	b = append(b, name...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(j.have.words)))
	for _, w := range j.have.words {
		b = binary.BigEndian.AppendUint64(b, w)
	}
	sum := blake3.Sum256(b)
	return append(b, sum[:]...)
}

// decodeJournal reads what encode wrote. Anything else, and a journal of blocks of another size, is errJournal.
func decodeJournal(b []byte) (journal, error) {
	if len(b) < journalFixed || string(b[:len(journalMagic)]) != journalMagic {
		return journal{}, errJournal
	}
	b, sum := b[:len(b)-32], b[len(b)-32:]
	if want := blake3.Sum256(b); !bytes.Equal(sum, want[:]) {
		return journal{}, errJournal
	}
	b = b[len(journalMagic):]
	blockSize, b := binary.BigEndian.Uint32(b), b[4:]
	var j journal
	b = b[copy(j.content.ID[:], b):]
	size, b := int64(binary.BigEndian.Uint64(b)), b[8:]
	name, b := int(binary.BigEndian.Uint16(b)), b[2:]
	if blockSize != BlockSize || size < Unknown || len(b) < name+4 {
		return journal{}, errJournal
	}
	j.content.Size, j.content.Name = size, string(b[:name])
	words, b := binary.BigEndian.Uint32(b[name:]), b[name+4:]
	if int64(len(b)) != 8*int64(words) {
		return journal{}, errJournal
	}
	j.have = &Blocks{words: make([]uint64, words)}
	for i := range j.have.words {
		j.have.words[i] = binary.BigEndian.Uint64(b[8*i:])
	}
	j.have.recount()
	if size != Unknown && j.have.next(blocks(size)) >= 0 {
		return journal{}, errJournal
	}
	return j, nil
}

// serves tells whether the journal's blocks are those of the content: the ID is the same for the same bytes only.
func (j journal) serves(c Content) bool {
	if j.have == nil || j.content.ID != c.ID {
		return false
	}
	sizes := j.content.Size == c.Size || j.content.Size == Unknown || c.Size == Unknown
	return sizes && (c.Size == Unknown || j.have.next(blocks(c.Size)) < 0)
}

// end is how long a file is at least that has all the journal's blocks.
func (j journal) end() int64 {
	last := j.have.last()
	if j.content.Size != Unknown {
		return min((last+1)*BlockSize, j.content.Size)
	}
	return last*BlockSize + 1 // the last block of a stream may be of any length
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
	j, err := decodeJournal(b)
	if err != nil {
		return journal{}, fmt.Errorf("%s: %w", path, err)
	}
	return j, nil
}

// write replaces a journal's file: at any moment there is the old one or the new one, whole. Of one path, one process writes at a time.
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
