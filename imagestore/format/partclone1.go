package format

import (
	"bufio"
	"encoding/binary"
	"io"
)

// Partclone's format 0001, which versions before 0.3.0 wrote: the bitmap has a byte per block and ends with a mark, each block
// has a checksum, and neither header nor bitmap has one.
const (
	partclone1HeaderLen = 4160
	partclone1Mark      = "BiTmAgIc"
)

// openPartclone opens an image of either format.
func openPartclone(in *bufio.Reader, _ int64) (decoder, error) {
	head, err := in.Peek(34)
	if len(head) < 34 {
		if err == io.EOF {
			err = damaged("partclone header: the file is truncated")
		}
		return nil, err
	}
	switch version := string(head[30:34]); version {
	case "0001":
		return openPartclone1(in)
	case "0002":
		return openPartclone2(in)
	default:
		return nil, unsupported("partclone image of version %q", version)
	}
}

// openPartclone1 reads the header and the bitmap of format 0001.
func openPartclone1(in *bufio.Reader) (decoder, error) {
	var head [partclone1HeaderLen]byte
	if err := readFull(in, head[:], "partclone header"); err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	h := partcloneHeader{version: "before 0.3.0", stripBlocks: 1}
	if err := h.setGeometry(le.Uint64(head[40:]), le.Uint64(head[48:]), le.Uint32(head[36:])); err != nil {
		return nil, err
	}
	if err := h.setFilesystem(head[15:30]); err != nil {
		return nil, err
	}
	used, err := readByteBitmap(in, h.blocks, unknownCount)
	if err != nil {
		return nil, err
	}
	in = bufio.NewReaderSize(in, int(2*h.blockSize+16))
	p := newPartcloneReader(in, h, used, &firstByteChecksum{block: h.blockSize})
	if wideChecksums(in, used.count, h.blockSize) {
		p.pad = 4
	}
	return p, nil
}

// readByteBitmap reads a bitmap of a byte per block and the mark that ends it.
func readByteBitmap(in io.Reader, blocks, want int64) (*bitmap, error) {
	used, err := readFlags(in, blocks, want)
	if err != nil {
		return nil, err
	}
	var mark [len(partclone1Mark)]byte
	if err := readFull(in, mark[:], "end of the bitmap"); err != nil {
		return nil, err
	}
	if string(mark[:]) != partclone1Mark {
		return nil, damaged("bitmap: ends with %q, want %q", mark, partclone1Mark)
	}
	return used, nil
}

// wideChecksums tells whether each checksum takes 8 bytes, the last 4 of them meaningless, as 64-bit versions before 0.1.0
// wrote them: the second block's checksum is right in only one of the two places, and a single block ends the file. What is
// in neither place is taken for damage later.
func wideChecksums(in *bufio.Reader, used, blockSize int64) bool {
	n := int(blockSize)
	head, _ := in.Peek(2*n + 12) // an error comes again when it is read
	if used < 2 {
		return used == 1 && len(head) == n+8
	}
	for _, wide := range []bool{false, true} {
		second := n + 4
		if wide {
			second += 4
		}
		if len(head) < second+n+4 {
			break
		}
		sum := firstByteChecksum{block: blockSize}
		sum.update(head[:n])
		sum.update(head[second:][:n])
		var got [4]byte
		sum.put(got[:])
		if string(got[:]) == string(head[second+n:][:4]) {
			return wide
		}
	}
	return false
}
