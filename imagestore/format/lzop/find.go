package lzop

import (
	"bufio"
	"errors"
	"io"
)

// ErrMembers says that a file has more than one member, or something behind its only one.
var ErrMembers = errors.New("the lzop file has more than one member")

// findBuffer is how much is read at once where a block is looked for: heads of blocks are 8 to 24 bytes.
const findBuffer = 512

// Find finds the blocks of a file of one member without reading what is in them, and calls found with the offset of each, the bytes that it takes
// with its head, and those that it unpacks to. It returns how many bytes the header of the file takes. A file of more members is refused with an
// error wrapping ErrMembers: a block of theirs cannot be unpacked with the header of the first.
//
// To unpack such a block, a Reader is given the header and then the block.
func Find(r io.ReaderAt, size int64, found func(offset int64, packed, plain int) error) (header int64, err error) {
	section := io.NewSectionReader(r, 0, size)
	in := bufio.NewReaderSize(section, findBuffer)
	here := func() int64 {
		at, _ := section.Seek(0, io.SeekCurrent) // which never fails
		return at - int64(in.Buffered())
	}
	x, err := NewReader(in)
	if err != nil {
		return 0, err
	}
	header = here()
	for b := new(Block); ; {
		at := here()
		n, err := x.uint32()
		if err != nil {
			return header, err
		}
		if n == 0 {
			if here() != size {
				return header, ErrMembers
			}
			return header, nil
		}
		packed, err := x.readHead(b, n)
		if err != nil {
			return header, err
		}
		end := here() + int64(packed)
		if end > size {
			return header, io.ErrUnexpectedEOF
		}
		if err := found(at, int(end-at), b.size); err != nil {
			return header, err
		}
		if packed <= in.Buffered() {
			_, err = in.Discard(packed)
		} else if _, err = section.Seek(end, io.SeekStart); err == nil {
			in.Reset(section)
		}
		if err != nil {
			return header, err
		}
	}
}
