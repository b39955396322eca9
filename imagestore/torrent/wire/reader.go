package wire

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// readerBuffer is for the short messages, in bytes: 200 requests. The bytes of blocks pass it by, but for those that came with the head.
const readerBuffer = 4 << 10

// A Reader reads messages.
type Reader struct {
	in     *bufio.Reader
	pieces int
	block  uint32 // bytes of the longest block that is taken
	left   int    // bytes of the Block last returned that have not been read
}

// NewReader reads from r the messages about a torrent of that many pieces, of which no block is longer than that many bytes.
func NewReader(r io.Reader, pieces, block int) *Reader {
	return &Reader{in: bufio.NewReaderSize(r, readerBuffer), pieces: pieces, block: uint32(block)}
}

// Next returns the next message; those of an unknown kind are passed over. Its Bits and Body are good until the next call. After a Block, the caller
// reads its bytes with ReadFull before the next call; those left are passed over. A message longer than it can be, or that names a piece
// that is none, is an error. It is io.EOF where the peer ended between two messages.
func (r *Reader) Next() (Message, error) {
	if err := r.discard(&r.left); err != nil {
		return Message{}, err
	}
	for {
		head, err := r.in.Peek(4)
		if err != nil {
			if len(head) > 0 {
				err = unexpected(err)
			}
			return Message{}, err
		}
		size := binary.BigEndian.Uint32(head)
		if size == 0 {
			r.in.Discard(4)
			return Message{Kind: KeepAlive}, nil
		}
		if head, err = r.in.Peek(5); err != nil {
			return Message{}, unexpected(err)
		}
		kind := Kind(head[4])
		if err := r.check(kind, size); err != nil {
			return Message{}, err
		}
		if known(kind) {
			return r.read(kind, size)
		}
		passed := 4 + int(size)
		if err := r.discard(&passed); err != nil {
			return Message{}, err
		}
	}
}

// known tells the kinds that peers send. KeepAlive has no number: a message of kind 255 is one that nobody knows.
func known(k Kind) bool {
	return k <= Port || k >= Suggest && k <= AllowedFast || k == Extended
}

// check says whether a message of the kind can be of that size.
func (r *Reader) check(k Kind, size uint32) error {
	low, high := uint32(1), uint32(extendedLimit) // of what is not known
	if fixed, is := fixedSize(k); is {
		low, high = fixed, fixed
	}
	switch k {
	case Bitfield:
		low = 1 + uint32((r.pieces+7)/8)
		high = low
	case Block:
		low, high = blockHead, blockHead+r.block
	case Extended:
		low, high = 2, 2+extendedLimit
	}
	if size < low || size > high {
		return fmt.Errorf("%w: a message %q of %d bytes, which is from %d to %d long", ErrProtocol, k, size, low, high)
	}
	return nil
}

// read reads the message whose size and kind have been looked at.
func (r *Reader) read(k Kind, size uint32) (Message, error) {
	m := Message{Kind: k}
	switch k {
	case Bitfield:
		b, err := r.whole(4 + int(size))
		if err != nil {
			return Message{}, err
		}
		m.Bits = b[5:]
		return m, r.checkBits(m.Bits)
	case Extended:
		b, err := r.whole(4 + int(size))
		if err != nil {
			return Message{}, err
		}
		m.Number, m.Body = b[5], b[6:]
		return m, nil
	case Block:
		m.Length = size - blockHead
		size = blockHead
	}

	b, err := r.whole(4 + int(size))
	if err != nil {
		return Message{}, err
	}
	order := binary.BigEndian
	b = b[5:]
	switch k {
	case Port:
		m.Port = order.Uint16(b)
		return m, nil
	case Have, Suggest, AllowedFast:
		m.Piece = order.Uint32(b)
	case Request, Cancel, Reject:
		m.Piece, m.Begin, m.Length = order.Uint32(b), order.Uint32(b[4:]), order.Uint32(b[8:])
	case Block:
		m.Piece, m.Begin = order.Uint32(b), order.Uint32(b[4:])
		r.left = int(m.Length)
	default:
		return m, nil
	}
	if int64(m.Piece) >= int64(r.pieces) {
		return Message{}, fmt.Errorf("%w: a message %q names piece %d of a torrent of %d pieces", ErrProtocol, k, m.Piece, r.pieces)
	}
	return m, nil
}

// checkBits refuses bits of pieces that are none (BEP 3).
func (r *Reader) checkBits(bits []byte) error {
	if spare := 8*len(bits) - r.pieces; spare > 0 && bits[len(bits)-1]<<(8-spare) != 0 {
		return fmt.Errorf("%w: a bitfield has pieces beyond the last of %d", ErrProtocol, r.pieces)
	}
	return nil
}

// whole returns the next bytes, good until the next read: in the buffer where they fit, so that nothing is allocated for what comes often.
func (r *Reader) whole(n int) ([]byte, error) {
	if n > readerBuffer {
		b := make([]byte, n)
		_, err := io.ReadFull(r.in, b)
		return b, unexpected(err)
	}
	b, err := r.in.Peek(n)
	if err != nil {
		return nil, unexpected(err)
	}
	r.in.Discard(n)
	return b, nil
}

// ReadFull reads the bytes of the Block last returned into b, all of them or the next that fit; large ones go straight from the
// connection to b.
func (r *Reader) ReadFull(b []byte) error {
	if len(b) > r.left {
		return fmt.Errorf("reading %d bytes of a block of which %d are left", len(b), r.left)
	}
	n, err := io.ReadFull(r.in, b)
	r.left -= n
	return unexpected(err)
}

// Buffered is how many bytes were read from the connection and not yet returned.
func (r *Reader) Buffered() int { return r.in.Buffered() }

// discard passes over the bytes.
func (r *Reader) discard(left *int) error {
	n, err := r.in.Discard(*left)
	*left -= n
	return unexpected(err)
}

// unexpected is the error of a connection that ends within a message.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
