package bzip2

import (
	"encoding/binary"
	"io"
	"slices"
)

// need takes chunks until n bits from at on are in the window. When the file has ended before, it answers io.ErrUnexpectedEOF.
func (x *Reader) need(n int64) error {
	for !x.has(n) {
		if x.ended != nil {
			return x.ended
		}
		x.takeChunk()
	}
	return nil
}

// has tells whether n bits from at on are in the window.
func (x *Reader) has(n int64) bool { return 8*(x.from+int64(len(x.window))) >= x.at+n }

// takeChunk appends the next chunk to the window.
func (x *Reader) takeChunk() {
	c, ok := <-x.order
	if !ok {
		if x.ended = errClosed; x.slip != nil {
			x.ended = x.slip
		}
		return
	}
	<-c.ready
	// It begins in the last byte of the window or right behind.
	x.window = append(x.window, c.packed[x.from+int64(len(x.window))-c.from:]...)
	if done := x.at/8 - x.from; done > int64(len(x.window))/2 {
		done = min(done, int64(len(x.window)))
		x.window = x.window[:copy(x.window, x.window[done:])]
		x.from += done
	}
	if x.ended = c.err; x.ended == io.EOF {
		x.ended = io.ErrUnexpectedEOF
	}
	x.release()
	if c.decoded {
		x.guess = c
	} else {
		x.free <- c
	}
}

// release gives the last guess back.
func (x *Reader) release() {
	if x.guess != nil {
		x.free <- x.guess
		x.guess = nil
	}
}

// peek returns the next n bits, 1 to 56, which must be in the window.
func (x *Reader) peek(n int) uint64 {
	var word [8]byte
	copy(word[:], x.window[x.at/8-x.from:])
	return binary.BigEndian.Uint64(word[:]) << (x.at % 8) >> (64 - n)
}

// slacked is the window with slack behind.
func (x *Reader) slacked() []byte {
	x.window = slices.Grow(x.window, bitSlack)
	return x.window[:len(x.window)+bitSlack]
}
