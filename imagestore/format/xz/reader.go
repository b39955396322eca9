package xz

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"hash/crc32"
	"io"
	"slices"
	"strings"
)

// A Reader takes the blocks of an xz file off a stream. It belongs to one goroutine at a time.
type Reader struct {
	in  *bufio.Reader
	err error // what every further Next answers

	inside bool // of a stream
	flags  [2]byte
	check  check
	blocks int64     // of the stream so far
	sizes  hash.Hash // of theirs, to be compared with those in the index

	open    bool // a block that is read as it comes is not at its end
	header  blockHeader
	chunks  lzma2
	hash    hash.Hash // for its check
	size    int64     // plain bytes of the block so far
	window  []byte    // the last of them, at least as many as the dictionary has
	from    int       // of these, where those begin that Read has not yet returned
	problem error     // what every further Read of the block answers
}

// NewReader returns a Reader of what in yields. It reads nothing yet.
func NewReader(in *bufio.Reader) *Reader { return &Reader{in: in} }

// Next goes to the next block. When whole is true, the block was read into b, whose memory is used again. When it is not, the block does not
// say its sizes or is larger than MaxBlock: it must be read from the Reader itself, up to io.EOF, before Next is called again.
//
// After the end of the last stream Next answers io.EOF, when the file ends before that io.ErrUnexpectedEOF, and a failure of the source as
// it is. Zeros behind a stream are passed over, as the format wants it.
func (x *Reader) Next(b *Block) (whole bool, err error) {
	if x.err == nil {
		whole, x.err = x.next(b)
	}
	return whole, x.err
}

func (x *Reader) next(b *Block) (whole bool, err error) {
	if x.open {
		return false, corrupt("block was not read to its end")
	}
	for {
		if !x.inside {
			if err := x.begin(); err != nil {
				return false, err
			}
		}
		head, err := x.in.Peek(1)
		if err != nil {
			return false, noEOF(err)
		}
		if head[0] != 0 {
			return x.nextBlock(b, (int(head[0])+1)*4)
		}
		if err := x.end(); err != nil {
			return false, err
		}
	}
}

// begin reads the header of the next stream, and the padding before it, in fours (section 2.2).
func (x *Reader) begin() error {
	for {
		head, err := x.in.Peek(4)
		if err != nil && err != io.EOF {
			return err
		}
		if len(head) == 0 {
			return io.EOF
		}
		if string(head) != "\x00\x00\x00\x00" {
			break
		}
		x.in.Discard(4)
	}
	var b [streamHeaderLen]byte
	n, err := io.ReadFull(x.in, b[:])
	if err != nil {
		if err == io.ErrUnexpectedEOF && !strings.HasPrefix(Magic, string(b[:min(n, len(Magic))])) {
			err = corrupt("what follows the compressed data is not xz")
		}
		return err
	}
	x.flags, x.check, err = parseStreamHeader(&b)
	x.inside, x.blocks, x.sizes = true, 0, sha256.New()
	return err
}

// nextBlock reads a block whose header has n bytes.
func (x *Reader) nextBlock(b *Block, n int) (whole bool, err error) {
	head := make([]byte, n)
	if _, err := io.ReadFull(x.in, head); err != nil {
		return false, noEOF(err)
	}
	if x.header, err = parseBlockHeader(head); err != nil {
		return false, err
	}
	h := x.header
	// What packing does not shrink, it makes larger by 3 bytes for each 64 KiB.
	if h.packed < 0 || h.plain < 0 || h.plain > MaxBlock || h.packed > h.plain+h.plain/1024+1024 {
		x.chunks.reset(x.in, h.window)
		x.open, x.problem, x.size, x.hash = true, nil, 0, x.check.start()
		x.window, x.from = x.window[:0], 0
		return false, nil
	}
	b.header, b.check = h, x.check
	if b.packed, err = x.fill(b.packed[:0], int(h.packed)); err != nil {
		return false, err
	}
	b.sum, err = x.finish(h.packed, h.plain, b.sum)
	return err == nil, err
}

// firstRead is the most that is believed of a claimed size without having seen any of it.
const firstRead = 1 << 20

// fill appends n bytes of the file to buf, for which it takes memory as they come.
func (x *Reader) fill(buf []byte, n int) ([]byte, error) {
	for at := 0; at < n; at = len(buf) {
		step := min(n-at, max(at, firstRead))
		buf = slices.Grow(buf, step)[:at+step]
		if _, err := io.ReadFull(x.in, buf[at:]); err != nil {
			return buf, noEOF(err)
		}
	}
	return buf, nil
}

// finish reads what comes behind the packed bytes of a block, padding and check, and keeps its sizes for the index. It returns
// the check, for which it uses the memory of sum.
func (x *Reader) finish(packed, plain int64, sum []byte) ([]byte, error) {
	var padding [3]byte
	n := int(-packed & 3)
	if _, err := io.ReadFull(x.in, padding[:n]); err != nil {
		return sum, noEOF(err)
	}
	if padding != [3]byte{} {
		return sum, corrupt("padding of a block is not zero")
	}
	sum = slices.Grow(sum[:0], x.check.size)[:x.check.size]
	if _, err := io.ReadFull(x.in, sum); err != nil {
		return sum, noEOF(err)
	}
	x.blocks++
	addSizes(x.sizes, x.header.size+packed+int64(x.check.size), plain)
	return sum, nil
}

// addSizes adds a record of the index to its hash.
func addSizes(h hash.Hash, unpadded, plain int64) {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:], uint64(unpadded))
	binary.LittleEndian.PutUint64(b[8:], uint64(plain))
	h.Write(b[:])
}

// end reads the index of a stream (section 4), which must list the blocks that have come, and its footer.
func (x *Reader) end() error {
	index := &indexReader{in: x.in}
	index.ReadByte() // 0, which tells it from a block
	count, err := readNumber(index)
	if err != nil {
		return err
	}
	if count != x.blocks {
		return corrupt("index lists %d blocks, there are %d", count, x.blocks)
	}
	sizes := sha256.New()
	for range count {
		unpadded, err := readNumber(index)
		if err != nil {
			return err
		}
		plain, err := readNumber(index)
		if err != nil {
			return err
		}
		addSizes(sizes, unpadded, plain)
	}
	if !bytes.Equal(sizes.Sum(nil), x.sizes.Sum(nil)) {
		return corrupt("index lists other sizes than the blocks have")
	}
	for index.size%4 != 0 {
		b, err := index.ReadByte()
		if err != nil {
			return noEOF(err)
		}
		if b != 0 {
			return corrupt("padding of the index is not zero")
		}
	}
	var sum [4]byte
	if _, err := io.ReadFull(x.in, sum[:]); err != nil {
		return noEOF(err)
	}
	if binary.LittleEndian.Uint32(sum[:]) != index.crc {
		return corrupt("checksum of the index is wrong")
	}
	var footer [footerLen]byte
	if _, err := io.ReadFull(x.in, footer[:]); err != nil {
		return noEOF(err)
	}
	x.inside = false
	return parseFooter(&footer, x.flags, index.size+int64(len(sum)))
}

// An indexReader counts and sums up the bytes of an index.
type indexReader struct {
	in   *bufio.Reader
	size int64
	crc  uint32
}

// ReadByte implements io.ByteReader.
func (r *indexReader) ReadByte() (byte, error) {
	b, err := r.in.ReadByte()
	if err == nil {
		r.size++
		r.crc = crc32.Update(r.crc, crc32.IEEETable, []byte{b})
	}
	return b, err
}
