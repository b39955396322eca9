package bzip2

import (
	"errors"
	"io"
	"math/bits"
	"sync"
	"sync/atomic"
)

const (
	// ahead is how many plain bytes of a block a worker puts out.
	ahead = 1 << 20

	// maxWrong is how many guesses may be wrong until there are no more. A mark that is in a file by chance is one in thousands of the largest files.
	maxWrong = 3
)

var errClosed = errors.New("bzip2 reader is closed")

// A Reader decompresses one bzip2 file of any number of streams. It belongs to one goroutine at a time.
type Reader struct {
	free    chan *chunk // chunks nobody uses
	order   chan *chunk // chunks in the order of the file; closed after the last
	work    chan *chunk // the same, for the workers
	stop    chan struct{}
	wg      sync.WaitGroup
	inOrder atomic.Bool // workers are not to guess any more
	slip    error       // why the goroutine that cuts failed; set before order is closed

	window []byte // bytes of the file that have come and are still needed
	from   int64  // position in the file of the first of them
	at     int64  // position in the file of the bit that is parsed next
	ended  error  // why no more of the file will come
	wrong  int    // guesses

	guess  *chunk // the last that came, if it was decoded
	expect func(*Reader) error
	level  int    // of the stream
	crc    uint32 // of its blocks so far

	own    block  // for what no worker has decoded
	block  *block // whose plain bytes are being read: own, or that of guess
	plain  []byte // of them, put out and not read yet
	buf    []byte // for plain
	err    error  // what every further Read answers
	closed bool
}

// NewReader starts to decompress what r yields, with as many workers as told; each takes about 7 MB of memory. The Reader must be
// closed; it reads ahead, so that where r is after that is not defined.
func NewReader(r io.Reader, workers int) *Reader {
	workers = max(workers, 1)
	chunks := workers + 4 // one is filled, one read, and one parsed; a small one lies between two streams
	x := &Reader{
		free:   make(chan *chunk, chunks),
		order:  make(chan *chunk, chunks),
		work:   make(chan *chunk, chunks),
		stop:   make(chan struct{}),
		expect: (*Reader).parseHeader,
	}
	for range chunks {
		x.free <- &chunk{ready: make(chan struct{}, 1)}
	}
	x.wg.Go(func() { x.split(r) })
	for range workers {
		x.wg.Go(x.decodeAll)
	}
	return x
}

// Read implements io.Reader. A file that ends too early answers io.ErrUnexpectedEOF, and a failure of the source is returned as it is.
func (x *Reader) Read(p []byte) (int, error) {
	for len(x.plain) == 0 {
		if x.err != nil {
			return 0, x.err
		}
		x.err = x.advance()
	}
	n := copy(p, x.plain)
	x.plain = x.plain[n:]
	return n, nil
}

// Close stops decompressing and waits for it, for which a Read of the source that is under way must end.
func (x *Reader) Close() error {
	if x.closed {
		return nil
	}
	x.closed = true
	x.inOrder.Store(true)
	close(x.stop)
	x.wg.Wait()
	x.plain, x.err = nil, errClosed
	return nil
}

// advance puts out more of the block, or parses on when there is no more.
func (x *Reader) advance() error {
	if x.block == nil {
		return x.expect(x)
	}
	if !x.block.done() {
		if x.buf == nil {
			x.buf = make([]byte, 64<<10)
		}
		x.plain = x.buf[:x.block.expand(x.buf)]
		return nil
	}
	err := x.block.check()
	x.crc = bits.RotateLeft32(x.crc, 1) ^ x.block.crc
	x.block = nil
	return err
}

// parseHeader parses what a stream begins with: "BZh" and the level as a digit.
func (x *Reader) parseHeader() error {
	if err := x.need(32); err != nil {
		return err
	}
	magic := x.peek(32)
	level := int(magic&0xff) - '0'
	if magic>>8 != 'B'<<16|'Z'<<8|'h' || level < 1 || level > 9 {
		return corrupt("no stream begins at byte %d", x.at/8)
	}
	x.at += 32
	x.level, x.crc = level, 0
	x.expect = (*Reader).parseMark
	return nil
}

// parseMark parses a block, or the end of a stream.
func (x *Reader) parseMark() error {
	if err := x.need(markLen); err != nil {
		return err
	}
	switch x.peek(markLen) {
	case blockMark:
		return x.parseBlock()
	case streamMark:
		return x.parseEnd()
	}
	return corrupt("neither a block nor the end is where the block before byte %d ends", x.at/8)
}

// parseBlock takes the block from the worker who has decoded it, or decodes it.
func (x *Reader) parseBlock() error {
	if x.guess != nil && x.guess.start == x.at {
		x.block, x.plain = &x.guess.block, x.guess.plain
		x.at = 8*x.guess.from + int64(x.block.end)
	} else {
		if err := x.decodeHere(); err != nil {
			return err
		}
		x.block = &x.own
		x.at = 8*x.from + int64(x.own.end)
	}
	if x.block.size > x.level*unit {
		return corrupt("block of %d bytes in a stream for %d", x.block.size, x.level*unit)
	}
	return nil
}

// decodeHere decodes the block at the window's bit at, for which no guess was right: the chunk that began here was too short, as a mark is in the
// middle of the block, or nobody has guessed. So more chunks are taken until the block is whole.
func (x *Reader) decodeHere() error {
	for {
		if x.inOrder.Load() {
			if err := x.need(8 * maxPacked); err != nil && err != io.ErrUnexpectedEOF {
				return err
			}
		}
		err := x.own.decode(x.slacked(), int(x.at-8*x.from))
		switch {
		case err != io.ErrUnexpectedEOF:
			return err
		case x.ended != nil:
			return x.ended
		case x.has(8 * maxPacked):
			return corrupt("block at byte %d is longer than any can be", x.at/8)
		}
		if x.wrong++; x.wrong > maxWrong {
			x.inOrder.Store(true)
		}
		x.takeChunk()
	}
}

// parseEnd parses the end of a stream: the checksum of its blocks, and zeros to fill the last byte.
func (x *Reader) parseEnd() error {
	if err := x.need(markLen + 32); err != nil {
		return err
	}
	x.at += markLen
	if want := uint32(x.peek(32)); x.crc != want {
		return corrupt("stream has checksum %08x and should have %08x", x.crc, want)
	}
	x.at = (x.at + 32 + 7) &^ 7
	x.expect = (*Reader).parseNext
	return nil
}

// parseNext looks for another stream. Zeros up to the end are no stream, and nothing else may be there.
func (x *Reader) parseNext() error {
	for {
		err := x.need(8)
		switch {
		case err == io.ErrUnexpectedEOF:
			return io.EOF
		case err != nil:
			return err
		case x.peek(8) != 0:
			x.expect = (*Reader).parseHeader
			return nil
		}
		x.at += 8
	}
}
