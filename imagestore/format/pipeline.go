package format

import (
	"bufio"
	"errors"
	"io"
	"runtime"
	"sync"
)

// Plain size of the blocks of a stream that is decoded in one goroutine: the first is small, so that a look at the
// header costs little, then they grow.
const (
	firstBlockLen = 64 << 10
	blockLen      = 1 << 20
)

// maxAhead bounds the memory of blocks that are larger than blockLen and not yet consumed, unless it is a single one.
const maxAhead = 256 << 20

var errClosed = errors.New("image reader is closed")

// A pipeline decodes a stream a few blocks ahead of its consumer. Pieces that stand for themselves, as the frames of Aula's own
// files or the blocks of lzop, are decoded side by side; everything else in one goroutine. Memory is bounded by a fixed set of
// blocks. Read and Close belong to one consumer.
type pipeline struct {
	src   *source
	free  chan *block // blocks nobody uses
	order chan *block // blocks in the order of the stream; closed after the last
	stop  chan struct{}
	wg    sync.WaitGroup // the decoding goroutine
	aside sync.WaitGroup // goroutines of single blocks

	ahead    int64      // memory of large blocks under way; the decoding goroutine's
	consumed chan int64 // what it is less by, for each large block that came back to free

	current *block
	rest    []byte // of current, not consumed yet
	err     error  // what every further Read answers
	closed  bool
}

// A block is a piece of the stream on its way.
type block struct {
	packed []byte // scratch for decoders
	plain  []byte
	err    error         // after plain: io.EOF, an error of the source, or damage
	ready  chan struct{} // gets one value when plain and err are there
	memory int64         // if it is large
}

// newPipeline starts to decode src, from which in reads.
func newPipeline(in *bufio.Reader, src *source, compressor string) *pipeline {
	for _, c := range compressors() {
		if c.name == compressor {
			return startPipeline(in, src, c.decode)
		}
	}
	return startPipeline(in, src, (*pipeline).decodePlain)
}

// startPipeline starts a given decoder.
func startPipeline(in *bufio.Reader, src *source, decode decodeFunc) *pipeline {
	workers := min(runtime.GOMAXPROCS(0), 8)
	blocks := 2*workers + 1
	p := &pipeline{
		src:      src,
		free:     make(chan *block, blocks),
		order:    make(chan *block, blocks),
		stop:     make(chan struct{}),
		consumed: make(chan int64, blocks),
	}
	for range blocks {
		p.free <- &block{ready: make(chan struct{}, 1)}
	}
	p.wg.Go(func() {
		defer close(p.order)
		defer p.aside.Wait()
		err := guard(func() error {
			decode(p, in, src, workers)
			return nil
		})
		if err != nil {
			p.fail(err)
		}
	})
	return p
}

// guard returns what decode returns, or that it panicked: nobody else would recover in a goroutine, and a file that
// finds a mistake in a decoder must not end the whole program, with everything else that is under way.
func guard(decode func() error) (err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = damaged("the decoder failed: %v", cause)
		}
	}()
	return decode()
}

// decodePlain delivers the bytes of a file that is not compressed.
func (p *pipeline) decodePlain(in *bufio.Reader, src *source, _ int) { p.copyFrom(in, src.failure) }

// take returns a block to fill, or nil when the pipeline has been closed.
func (p *pipeline) take() *block {
	select {
	case b := <-p.free:
		b.err = nil
		return b
	case <-p.stop:
		return nil
	}
}

// takeLarge is take for a block that needs a given memory, for packed and plain bytes and for what decoding takes. It waits until
// there is room for it.
func (p *pipeline) takeLarge(memory int64) *block {
	b := p.take()
	if b == nil || memory <= 2*blockLen {
		return b
	}
	for p.ahead > 0 && p.ahead+memory > maxAhead || len(p.consumed) > 0 {
		select {
		case n := <-p.consumed:
			p.ahead -= n
		case <-p.stop:
			return nil
		}
	}
	p.ahead += memory
	b.memory = memory
	return b
}

// deliver hands over a finished block.
func (p *pipeline) deliver(b *block) {
	b.ready <- struct{}{}
	p.order <- b
}

// deliverLater hands over a block that unpack fills meanwhile.
func (p *pipeline) deliverLater(b *block, unpack func(b *block) error) {
	p.order <- b
	p.aside.Go(func() {
		if b.err = guard(func() error { return unpack(b) }); b.err != nil {
			b.plain = b.plain[:0]
		}
		b.ready <- struct{}{}
	})
}

// fail ends the stream with err.
func (p *pipeline) fail(err error) {
	if b := p.take(); b != nil {
		b.plain, b.err = b.plain[:0], err
		p.deliver(b)
	}
}

// copyFrom delivers what r yields and ends the stream where r ends; explain says what an error of r means.
func (p *pipeline) copyFrom(r io.Reader, explain func(error) error) {
	err := p.relay(r)
	if err == nil {
		err = io.EOF
	} else {
		err = explain(err)
	}
	p.fail(err)
}

// relay delivers what r yields. At its end it returns nil, and the stream may go on.
func (p *pipeline) relay(r io.Reader) error {
	for size := firstBlockLen; ; size = min(2*size, blockLen) {
		b := p.take()
		if b == nil {
			return errClosed
		}
		if cap(b.plain) < size {
			b.plain = make([]byte, size)
		}
		n, err := fill(r, b.plain[:size])
		b.plain = b.plain[:n]
		p.deliver(b)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// fill reads until p is full or r answers an error, which it returns as it is.
func fill(r io.Reader, p []byte) (n int, err error) {
	for idle := 0; n < len(p) && err == nil; idle++ {
		var m int
		m, err = r.Read(p[n:])
		if n += m; m > 0 {
			idle = 0
		} else if idle > 100 {
			return n, io.ErrNoProgress
		}
	}
	return n, err
}

// Read implements io.Reader.
func (p *pipeline) Read(out []byte) (int, error) {
	for len(p.rest) == 0 {
		if p.err != nil {
			return 0, p.err
		}
		p.recycle()
		b, ok := <-p.order
		if !ok {
			p.err = errClosed
			continue
		}
		<-b.ready
		p.current, p.rest, p.err = b, b.plain, b.err
	}
	n := copy(out, p.rest)
	p.rest = p.rest[n:]
	return n, nil
}

// recycle gives the current block back. A large one leaves its memory.
func (p *pipeline) recycle() {
	b := p.current
	if b == nil {
		return
	}
	p.current = nil
	if b.memory > 0 {
		p.consumed <- b.memory
		b.packed, b.plain, b.memory = nil, nil, 0
	}
	p.free <- b
}

// Close stops decoding and waits for it, for which a Read of the source that is under way must end. It never fails.
func (p *pipeline) Close() error {
	if p.closed {
		return nil
	}
	p.closed = true
	close(p.stop)
	p.src.stop()
	p.wg.Wait()
	p.rest, p.err = nil, errClosed
	return nil
}
