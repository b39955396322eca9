package fetch

import (
	"errors"
	"fmt"
	"sync"

	"aula/clientos/protocol"
	"aula/imagestore/format"
	"aula/imagestore/multicast"
)

// A destination takes the bytes of one file, in any order, each once.
type destination interface {
	// missing returns which bytes from low to high-1 it has not.
	missing(low, high int64) []format.Extent
	// admits tells whether it has room for these bytes now; they come again later when it has not.
	admits(e format.Extent) bool
	write(offset int64, b []byte) error
}

// A place is where a file is in the content of a session: the files of all parts, one after the other.
type place struct {
	start, size int64
	to          destination // nil: nobody wants it
}

func (p place) end() int64 { return p.start + p.size }

// A content is a multicast.Sink that takes several files as one. It keeps across sessions what has come, so that of a session that is begun anew only
// the rest is asked for.
type content struct {
	places []place
	size   int64
	tell   *teller
	finish func() error

	passed bool // blocks in this session for which there was no room

	mu  sync.Mutex
	err error // of a destination: nothing mends it
}

// errPassed is the end of a session in which blocks came that there was no room for: they are to come again.
var errPassed = errors.New("blocks came for which there was no room in memory")

// newContent makes the content of files of these sizes; nothing is wanted yet.
func newContent(sizes []int64, tell *teller, finish func() error) *content {
	c := &content{tell: tell, finish: finish}
	for _, size := range sizes {
		c.places = append(c.places, place{start: c.size, size: size})
		c.size += size
	}
	return c
}

// overlapping calls f with the part of each wanted place from low to high-1 of the content, in offsets of its file.
func (c *content) overlapping(low, high int64, f func(p place, low, high int64) error) error {
	for _, p := range c.places {
		if l, h := max(low, p.start), min(high, p.end()); l < h && p.to != nil {
			if err := f(p, l-p.start, h-p.start); err != nil {
				return err
			}
		}
	}
	return nil
}

var errMissing = errors.New("missing")

// Begin implements multicast.Sink: a block is there when nobody lacks a byte of it.
func (c *content) Begin(m multicast.Content) (*multicast.Blocks, error) {
	if m.Size != c.size {
		return nil, c.fail(failure(protocol.ErrMulticast,
			fmt.Sprintf("the multicast session brings %d bytes, and the images of this operation have %d", m.Size, c.size),
			"an image was replaced while the operation ran: start it again", nil))
	}
	c.passed = false
	here := &multicast.Blocks{}
	for n, low := int64(0), int64(0); low < c.size; n, low = n+1, low+multicast.BlockSize {
		err := c.overlapping(low, min(low+multicast.BlockSize, c.size), func(p place, low, high int64) error {
			if len(p.to.missing(low, high)) > 0 {
				return errMissing
			}
			return nil
		})
		if err == nil {
			here.Add(n)
		}
	}
	return here, nil
}

// WriteBlock implements multicast.Sink.
func (c *content) WriteBlock(offset int64, b []byte) error {
	err := c.overlapping(offset, offset+int64(len(b)), func(p place, low, high int64) error {
		for _, e := range p.to.missing(low, high) {
			if !p.to.admits(e) {
				c.passed = true
				continue
			}
			at := p.start + e.Offset - offset
			if err := p.to.write(e.Offset, b[at:at+e.Length]); err != nil {
				return err
			}
			c.tell.add(e.Length)
		}
		return nil
	})
	return c.fail(err)
}

// Finish implements multicast.Sink.
func (c *content) Finish(multicast.Content) error {
	if c.passed {
		return errPassed
	}
	return c.fail(c.finish())
}

// fail remembers an error.
func (c *content) fail(err error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err == nil {
		c.err = err
	}
	return err
}

// failed is why nothing more can be taken; nil when it can.
func (c *content) failed() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}
