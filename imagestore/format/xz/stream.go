package xz

import (
	"io"
	"slices"
)

// Read returns plain bytes of a block that Next left to be read, and after the last io.EOF. Bytes come before the check over all of them was
// verified.
func (x *Reader) Read(p []byte) (int, error) {
	for x.from == len(x.window) {
		if !x.open {
			return 0, io.EOF
		}
		if x.problem == nil {
			x.problem = x.advance()
		}
		if x.problem != nil {
			return 0, x.problem
		}
	}
	n := copy(p, x.window[x.from:])
	x.from += n
	return n, nil
}

// advance unpacks a chunk, or finishes the block.
func (x *Reader) advance() error {
	size, err := x.chunks.next(len(x.window))
	if err == io.EOF {
		return x.close()
	}
	if err != nil {
		return err
	}
	x.makeRoom(size)
	at := len(x.window)
	x.window = x.window[:at+size]
	if err := x.chunks.body(x.window, at); err != nil {
		x.window = x.window[:at]
		return err
	}
	if x.hash != nil {
		x.hash.Write(x.window[at:])
	}
	x.size += int64(size)
	return nil
}

// makeRoom makes sure that the window can grow by a chunk; all that is in it, Read has returned. It begins small, since a dictionary of 128 MiB
// is quickly claimed; when it is large enough, the bytes that no match reaches any more make room, once in a quarter of the dictionary.
func (x *Reader) makeRoom(size int) {
	most := x.header.window + x.header.window/4 + maxChunk
	if have := len(x.window); have+size > most {
		gone := have - x.header.window
		x.window = x.window[:copy(x.window, x.window[gone:])]
		x.chunks.begin -= gone
		x.from = len(x.window)
	}
	if have := len(x.window); have+size > cap(x.window) {
		x.window = slices.Grow(x.window, min(max(have, size), most-have))
	}
}

// close compares the block with what its header says, and verifies its check. After that the open block is none.
func (x *Reader) close() error {
	h, packed := x.header, x.chunks.packed
	if h.packed >= 0 && h.packed != packed || h.plain >= 0 && h.plain != x.size {
		return corrupt("block of %d bytes in %d packed ones claims %d in %d", x.size, packed, h.plain, h.packed)
	}
	sum, err := x.finish(packed, x.size, nil)
	if err != nil {
		return err
	}
	if err := x.check.verify(x.hash, sum); err != nil {
		return err
	}
	x.open = false
	return io.EOF
}
