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

var errClosed = errors.New("image reader is closed")

// A pipeline decodes a stream a few blocks ahead of its consumer. Frames that stand for themselves, as in Aula's own
// files, are decoded side by side; everything else in one goroutine. Memory is bounded by a fixed set of blocks.
// Read and Close belong to one consumer.
type pipeline struct {
	free  chan *block // blocks nobody uses
	order chan *block // blocks in the order of the stream; closed after the last
	stop  chan struct{}
	wg    sync.WaitGroup

	current *block
	rest    []byte // of current, not consumed yet
	err     error  // what every further Read answers
	closed  bool
}

// A block is a piece of the stream on its way.
type block struct {
	packed []byte // one compressed frame
	size   int    // that the frame says its plain bytes have
	plain  []byte
	err    error         // after plain: io.EOF, an error of the source, or damage
	ready  chan struct{} // gets one value when plain and err are there
}

// newPipeline starts to decode src, from which in reads.
func newPipeline(in *bufio.Reader, src *source, compressor string) *pipeline {
	workers := min(runtime.GOMAXPROCS(0), 8)
	p := &pipeline{
		free:  make(chan *block, 2*workers+1),
		order: make(chan *block, 2*workers+1),
		stop:  make(chan struct{}),
	}
	for range cap(p.free) {
		p.free <- &block{ready: make(chan struct{}, 1)}
	}
	p.wg.Go(func() {
		defer close(p.order)
		for _, c := range compressors() {
			if c.name == compressor {
				c.decode(p, in, src, workers)
				return
			}
		}
		p.copyFrom(in, src.failure)
	})
	return p
}

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

// deliver hands over a finished block.
func (p *pipeline) deliver(b *block) {
	b.ready <- struct{}{}
	p.order <- b
}

// fail ends the stream with err.
func (p *pipeline) fail(err error) {
	if b := p.take(); b != nil {
		b.plain, b.err = b.plain[:0], err
		p.deliver(b)
	}
}

// copyFrom delivers what r yields until it ends; explain says what an error of r means.
func (p *pipeline) copyFrom(r io.Reader, explain func(error) error) {
	for size := firstBlockLen; ; size = min(2*size, blockLen) {
		b := p.take()
		if b == nil {
			return
		}
		if cap(b.plain) < size {
			b.plain = make([]byte, size)
		}
		n, err := fill(r, b.plain[:size])
		if err != nil && err != io.EOF {
			err = explain(err)
		}
		b.plain, b.err = b.plain[:n], err
		p.deliver(b)
		if err != nil {
			return
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
		if p.current != nil {
			p.free <- p.current
			p.current = nil
		}
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

// Close stops decoding and waits for it, for which a Read of the source that is under way must end.
func (p *pipeline) Close() {
	if p.closed {
		return
	}
	p.closed = true
	close(p.stop)
	p.wg.Wait()
	p.rest, p.err = nil, errClosed
}
