package bzip2

import (
	"io"
	"slices"
)

// A chunk is a piece of the file on its way, from a mark to the next.
type chunk struct {
	packed []byte // with capacity for bitSlack bytes behind
	from   int64  // position in the file of the first byte of packed
	start  int64  // position in the file of the bit where the mark begins
	isMark bool   // there is the mark of a block at start, so that it can be decoded
	err    error  // why the file ends after it: io.EOF or a failure of the source

	block   block
	decoded bool          // block is what begins at start; its first plain bytes are in plain
	plain   []byte        // that were put out by the worker
	ready   chan struct{} // gets one value when the worker has finished
}

// marks are, for each byte, how far a mark that has this byte in its middle could be from ending with a byte: bit s is set for s bits.
// Most bytes have none, so that looking for marks costs hardly more than reading.
var marks = makeMarks()

// middle is how many bits behind its byte of marks there are when a mark has ended with a byte.
const middle = 16

func makeMarks() (m [256]uint8) {
	for s := range 8 {
		for _, mark := range []uint64{blockMark, streamMark} {
			m[byte(mark<<s>>middle)] |= 1 << s
		}
	}
	return m
}

// split cuts what r yields into chunks and sends them, until it ends, fails or is stopped.
func (x *Reader) split(r io.Reader) {
	defer close(x.order)
	defer close(x.work)
	defer func() {
		// Nobody else would recover here, and the whole program must not end for a file.
		if cause := recover(); cause != nil {
			x.slip = corrupt("looking for blocks failed: %v", cause)
		}
	}()
	var (
		buf  = make([]byte, 64<<10)
		last uint64 // the last 8 bytes
		at   int64  // bytes read
	)
	c := x.take(0, 0, false)
	for c != nil {
		n, err := r.Read(buf)
		rest := 0 // of buf not in c yet
		for i, v := range buf[:n] {
			last = last<<8 | uint64(v)
			if marks[byte(last>>middle)] == 0 || x.inOrder.Load() {
				continue
			}
			bit, isBlock, ok := markIn(last)
			if !ok {
				continue
			}
			start := 8*(at+int64(i)+1) - int64(bit) - markLen
			if start < 8*c.from {
				continue // it begins before a cut where there was no mark
			}
			c.packed = append(c.packed, buf[rest:i+1]...)
			rest = i + 1
			if c = x.cut(c, start, isBlock); c == nil {
				return
			}
		}
		c.packed = append(c.packed, buf[rest:n]...)
		at += int64(n)
		if err != nil {
			c.err = err
			x.send(c)
			return
		}
		if len(c.packed) > maxPacked {
			c = x.cut(c, 8*at, false)
		}
	}
}

// markIn looks for a mark that ends with one of the last 8 bits.
func markIn(last uint64) (bit int, isBlock, ok bool) {
	for bit := range 8 {
		switch last >> bit & markMask {
		case blockMark:
			return bit, true, true
		case streamMark:
			return bit, false, true
		}
	}
	return 0, false, false
}

// cut sends c as far as to the bit start, and begins the next chunk there.
func (x *Reader) cut(c *chunk, start int64, isMark bool) *chunk {
	next := x.take(start/8, start, isMark)
	if next == nil {
		return nil
	}
	next.packed = append(next.packed, c.packed[start/8-c.from:]...)
	c.packed = c.packed[:(start+7)/8-c.from]
	x.send(c)
	return next
}

// take returns a chunk to fill, or nil when the Reader has been closed.
func (x *Reader) take(from, start int64, isMark bool) *chunk {
	select {
	case c := <-x.free:
		c.packed, c.plain, c.decoded, c.err = c.packed[:0], c.plain[:0], false, nil
		c.from, c.start, c.isMark = from, start, isMark
		return c
	case <-x.stop:
		return nil
	}
}

// send hands c over to the consumer and to a worker.
func (x *Reader) send(c *chunk) {
	c.packed = slices.Grow(c.packed, bitSlack)
	x.order <- c
	x.work <- c
}

// decodeAll is a worker.
func (x *Reader) decodeAll() {
	for c := range x.work {
		if c.isMark && !x.inOrder.Load() {
			c.guess()
		}
		c.ready <- struct{}{}
	}
}

// guess decodes what begins at the mark, if it is a block. A panic, which nobody else would recover from in this goroutine, makes it a wrong
// guess, so that the block is decoded by whoever reads.
func (c *chunk) guess() {
	defer func() {
		if recover() != nil {
			c.decoded = false
		}
	}()
	bit := int(c.start - 8*c.from)
	if c.block.decode(c.packed[:len(c.packed)+bitSlack], bit) != nil {
		return
	}
	c.plain = slices.Grow(c.plain, min(c.block.size+c.block.size/8, ahead))
	c.plain = c.plain[:c.block.expand(c.plain[:cap(c.plain)])]
	c.decoded = true
}
