package lzop

import (
	"bufio"
	"encoding/binary"
	"io"
	"slices"
	"strings"
)

// A Reader takes the blocks of an lzop file off a stream without unpacking them. It belongs to one goroutine at a time.
type Reader struct {
	r      *bufio.Reader
	header header
	at     int64 // plain bytes of all blocks so far
	err    error // what every further Next answers
}

// NewReader reads the first header. A stream that does not begin with Magic answers ErrCorrupt.
func NewReader(r *bufio.Reader) (*Reader, error) {
	magic, err := r.Peek(len(Magic))
	if err != nil && err != io.EOF {
		return nil, err
	}
	if string(magic) != Magic {
		if strings.HasPrefix(Magic, string(magic)) {
			return nil, io.ErrUnexpectedEOF
		}
		return nil, corrupt("it does not begin as an lzop file")
	}
	x := &Reader{r: r}
	return x, x.readHeader()
}

func (x *Reader) readHeader() (err error) {
	if _, err = x.r.Discard(len(Magic)); err != nil {
		return err
	}
	x.header, err = readHeader(x.r)
	return err
}

// Next reads a block into b, whose memory it uses again. After the end of the last member it answers io.EOF, when the stream ends
// before that io.ErrUnexpectedEOF, and a failure of the stream as it is.
//
// Members follow each other directly. Behind the last there may be zeros, as a tape or a disk leaves them. Anything else is damage: lzop ignores it, but
// it could be a member whose first bytes are wrong, with all that was in it.
func (x *Reader) Next(b *Block) error {
	if x.err == nil {
		x.err = x.next(b)
	}
	return x.err
}

func (x *Reader) next(b *Block) error {
	for {
		size, err := x.uint32()
		switch {
		case err != nil:
			return err
		case size > 0:
			return x.readBlock(b, size)
		}
		if err := x.nextMember(); err != nil {
			return err
		}
	}
}

// nextMember reads the header of the member that follows.
func (x *Reader) nextMember() error {
	magic, err := x.r.Peek(len(Magic))
	switch {
	case err != nil && err != io.EOF:
		return err
	case len(magic) == 0:
		return io.EOF
	case string(magic) == Magic:
		return x.readHeader()
	case strings.HasPrefix(Magic, string(magic)):
		return io.ErrUnexpectedEOF
	case magic[0] == 0:
		return x.padding()
	}
	return corrupt("what follows after %d bytes is not lzop", x.at)
}

// padding reads zeros up to the end of the stream.
func (x *Reader) padding() error {
	for {
		b, err := x.r.ReadByte()
		if err != nil {
			return err
		}
		if b != 0 {
			return corrupt("what follows after %d bytes and zeros is not the end", x.at)
		}
	}
}

// readBlock reads the rest of a block: its head, then the packed bytes.
func (x *Reader) readBlock(b *Block, size uint32) error {
	packed, err := x.readHead(b, size)
	if err != nil {
		return err
	}
	b.packed, err = x.fill(b.packed[:0], packed)
	return err
}

// readHead reads the packed size, then the checksums that the header promises, all as big-endian uint32, and returns how many packed bytes follow.
// A block that would not shrink is stored as it is, and has no checksums of packed bytes.
func (x *Reader) readHead(b *Block, size uint32) (int, error) {
	packed, err := x.uint32()
	switch {
	case err != nil:
		return 0, err
	case size == 0xffffffff:
		return 0, unsupported("it is a part of a file that lzop split")
	case size > MaxBlock:
		return 0, corrupt("block after %d bytes claims %d bytes, more than lzop's %d MiB", x.at, size, MaxBlock>>20)
	case packed > size:
		return 0, corrupt("block after %d bytes claims %d bytes packed into %d", x.at, size, packed)
	case uint64(size) > uint64(packed)*maxRatio:
		return 0, corrupt("block after %d bytes claims %d bytes packed into only %d", x.at, size, packed)
	}
	b.at, b.size, b.flags = x.at, int(size), x.header.flags
	if packed == size {
		b.flags &^= flagPackedAdler | flagPackedCRC
	}
	for i, flag := range sumFlags {
		if b.flags&flag == 0 {
			continue
		}
		if b.sums[i], err = x.uint32(); err != nil {
			return 0, err
		}
	}
	x.at += int64(size)
	return int(packed), nil
}

// firstRead is the most that is believed of a claimed size without having seen any of it.
const firstRead = BlockSize

// fill appends n bytes of the stream to buf, for which it takes memory as they come, and slack behind them.
func (x *Reader) fill(buf []byte, n int) ([]byte, error) {
	for at := 0; at < n; at = len(buf) {
		step := min(n-at, max(at, firstRead))
		buf = slices.Grow(buf, step+slack)[:at+step]
		if _, err := io.ReadFull(x.r, buf[at:]); err != nil {
			return buf, noEOF(err)
		}
	}
	return buf, nil
}

func (x *Reader) uint32() (uint32, error) {
	b, err := x.r.Peek(4)
	if err != nil {
		return 0, noEOF(err)
	}
	x.r.Discard(4)
	return binary.BigEndian.Uint32(b), nil
}
