package clone

import (
	"errors"
	"fmt"
	"sort"
	"strings"

	"aula/imagestore/format"
)

// places tells where in the partition the used bytes of an image belong.
type places struct {
	chunks []format.Chunk
	before []int64 // used bytes of the image before each chunk
}

func newPlaces(x *format.Index) places {
	p := places{chunks: x.Chunks, before: make([]int64, len(x.Chunks))}
	for i := 1; i < len(x.Chunks); i++ {
		p.before[i] = p.before[i-1] + x.Chunks[i-1].UsedBytes()
	}
	return p
}

// A spot is where a stretch of used bytes belongs.
type spot struct {
	chunk  int // by its place in the index
	extent format.Extent
	offset int64 // in the partition
	data   []byte
}

// each cuts used bytes of the image, from a given one on, at the extents of the index.
func (p places) each(used int64, b []byte, found func(spot) error) error {
	i := sort.Search(len(p.before), func(i int) bool { return p.before[i] > used }) - 1
	for ; len(b) > 0; i++ {
		if i < 0 || i >= len(p.chunks) {
			return fmt.Errorf("%w: it has more used bytes than its index", format.ErrCorrupt)
		}
		skip := used - p.before[i]
		for _, e := range p.chunks[i].Used {
			if skip >= e.Length {
				skip -= e.Length
				continue
			}
			if len(b) == 0 {
				break
			}
			n := min(int64(len(b)), e.Length-skip)
			if err := found(spot{i, e, e.Offset + skip, b[:n]}); err != nil {
				return err
			}
			b, used, skip = b[n:], used+n, 0
		}
	}
	return nil
}

// edgeSize is what is written at once at least. Were less of one of its blocks written to a disk, the kernel would read the block first, and a hard disk
// would seek for it.
const edgeSize = 4096

// An edge is a block of the partition, or what of it is used, that is cut between two parts.
type edge struct {
	data []byte
	got  int
}

// put writes a stretch of used bytes, but for its two edges, which wait for what is beside them.
func (s *Scatter) put(p spot, scratch []byte) error {
	if over := p.offset % edgeSize; over != 0 && p.offset != p.extent.Offset {
		n := min(int64(len(p.data)), edgeSize-over)
		if err := s.putEdge(p, p.offset, p.data[:n], scratch); err != nil {
			return err
		}
		p.offset, p.data = p.offset+n, p.data[n:]
	}
	end := p.offset + int64(len(p.data))
	if over := min(end%edgeSize, int64(len(p.data))); over != 0 && end != p.extent.End() {
		if err := s.putEdge(p, end-over, p.data[int64(len(p.data))-over:], scratch); err != nil {
			return err
		}
		p.data = p.data[:int64(len(p.data))-over]
	}
	if len(p.data) == 0 {
		return nil
	}
	if err := s.toDisk(p.offset, p.data); err != nil {
		return err
	}
	return s.arrived(p.chunk, len(p.data), scratch)
}

// putEdge adds bytes to an edge, which is written once it has all.
func (s *Scatter) putEdge(p spot, offset int64, b []byte, scratch []byte) error {
	low := max(p.extent.Offset, offset-offset%edgeSize)
	e, err := s.fillEdge(low, min(p.extent.End(), offset-offset%edgeSize+edgeSize), offset, b)
	if err != nil || e == nil {
		return err
	}
	if err := s.toDisk(low, e.data); err != nil {
		return err
	}
	return s.arrived(p.chunk, len(e.data), scratch)
}

func (s *Scatter) toDisk(offset int64, b []byte) error {
	defer s.config.strain.waitForDisk(s.crew)()
	return s.sink.put(offset, b)
}

// fillEdge adds bytes to the edge from low to high and returns it if it has all then.
func (s *Scatter) fillEdge(low, high, offset int64, b []byte) (*edge, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.edges[low]
	if e == nil {
		if err := s.holdLocked(high - low); err != nil {
			return nil, err
		}
		e = &edge{data: make([]byte, high-low)}
		s.edges[low] = e
	}
	copy(e.data[offset-low:], b)
	if e.got += len(b); e.got < len(e.data) {
		return nil, nil
	}
	delete(s.edges, low)
	s.releaseLocked(high - low)
	return e, nil
}

// arrived is told of used bytes of a chunk that are written. When they were the last of it, it compares the chunk with the index.
func (s *Scatter) arrived(chunk, n int, scratch []byte) error {
	s.mu.Lock()
	s.left[chunk] -= int64(n)
	whole := s.left[chunk] == 0
	s.mu.Unlock()
	if !whole {
		return nil
	}
	c := s.config.Index.Chunks[chunk]
	err := s.config.Index.VerifyChunk(c, s.config.Target, scratch)
	switch {
	case errors.Is(err, format.ErrMismatch):
		return fmt.Errorf("%w: what arrived is not what is in its index: chunk %d: %w", format.ErrCorrupt, c.Number, err)
	case err != nil:
		return verifyFailure(c, err)
	}
	s.config.Done(c.UsedBytes())
	return nil
}

// A MissingError says which bytes of an image's file have not come.
type MissingError struct{ Missing []format.Extent }

// Error names the first of them.
func (e *MissingError) Error() string {
	const most = 5
	var named []string
	var bytes int64
	for i, m := range e.Missing {
		bytes += m.Length
		if i < most {
			named = append(named, fmt.Sprintf("%d to %d", m.Offset, m.End()-1))
		}
	}
	if more := len(e.Missing) - most; more > 0 {
		named = append(named, fmt.Sprintf("and in %d places more", more))
	}
	return fmt.Sprintf("%d bytes of the image file have not come: %s", bytes, strings.Join(named, ", "))
}
