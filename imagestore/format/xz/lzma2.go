package xz

import (
	"encoding/binary"
	"io"
)

// Control bytes of LZMA2 chunks (xz-file-format, section 5.3.1, says little more than that they are there): what is not one of these
// and is below chunkLZMA is invalid.
const (
	chunkEnd        = 0x00
	chunkCopyFresh  = 0x01 // stored, after a reset of the dictionary
	chunkCopy       = 0x02 // stored
	chunkLZMA       = 0x80 // in the lowest 5 bits, the highest of the plain size
	chunkState      = 0xA0 // from here on, after a reset of the state,
	chunkProperties = 0xC0 // with new properties,
	chunkFresh      = 0xE0 // and of the dictionary
)

const (
	maxChunk       = 2 << 20  // plain bytes
	maxPackedChunk = 64 << 10 // packed bytes
)

// An lzma2 decodes the chunks of LZMA2 that r yields. Plain bytes go into a slice that also is the dictionary.
type lzma2 struct {
	r      io.Reader
	packed int64 // bytes of r so far
	window int   // size of the dictionary

	lzma  lzma
	begin int  // where in the slice the dictionary begins; negative when its first bytes are not there any more
	fresh bool // a chunk with a reset of the dictionary has come
	ready bool // a chunk with properties has come since

	control byte
	size    int // of the chunk's packed bytes
	in      [maxPackedChunk + inputSlack]byte
}

// reset begins anew.
func (d *lzma2) reset(r io.Reader, window int) {
	d.r, d.packed, d.window = r, 0, window
	d.begin, d.fresh, d.ready = 0, false, false
}

// next reads the header of a chunk and returns how many plain bytes it has. After the last it answers io.EOF.
func (d *lzma2) next(at int) (plain int, err error) {
	head := d.in[:6]
	if err := d.read(head[:1]); err != nil {
		return 0, err
	}
	d.control = head[0]
	switch {
	case d.control == chunkEnd:
		return 0, io.EOF
	case d.control == chunkCopyFresh, d.control >= chunkFresh:
		d.begin, d.fresh, d.ready = at, true, false
	case !d.fresh:
		return 0, corrupt("LZMA2 data does not begin with a new dictionary")
	}
	if d.control < chunkLZMA {
		if d.control > chunkCopy {
			return 0, corrupt("LZMA2 chunk of kind %#x", d.control)
		}
		if err := d.read(head[:2]); err != nil {
			return 0, err
		}
		d.size = int(binary.BigEndian.Uint16(head)) + 1
		return d.size, nil
	}
	if err := d.read(head[:4]); err != nil {
		return 0, err
	}
	plain = int(d.control&^chunkState)<<16&(maxChunk-1) + int(binary.BigEndian.Uint16(head)) + 1
	d.size = int(binary.BigEndian.Uint16(head[2:])) + 1
	return plain, d.prepare()
}

// prepare resets what an LZMA chunk wants to have reset.
func (d *lzma2) prepare() error {
	if d.control >= chunkProperties {
		if err := d.read(d.in[:1]); err != nil {
			return err
		}
		if err := d.lzma.setProperties(d.in[0]); err != nil {
			return err
		}
		d.ready = true
	}
	if !d.ready {
		return corrupt("LZMA2 chunk without properties")
	}
	if d.control >= chunkState {
		d.lzma.reset()
	}
	return nil
}

// body unpacks the chunk whose header next has read into all of out[at:].
func (d *lzma2) body(out []byte, at int) error {
	if d.control < chunkLZMA {
		return d.read(out[at:])
	}
	if err := d.read(d.in[:d.size]); err != nil {
		return err
	}
	if err := d.lzma.decode(out, at, d.begin, d.window, d.in[:d.size+inputSlack]); err != nil {
		return corrupt("LZMA chunk: %w", err)
	}
	return nil
}

func (d *lzma2) read(p []byte) error {
	n, err := io.ReadFull(d.r, p)
	d.packed += int64(n)
	return noEOF(err)
}

// noEOF tells an end where there must not be one.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
