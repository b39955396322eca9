package clone

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"

	"aula/clientos/protocol"
	"aula/imagestore/format"
)

// scatterMemory is the Memory of a Scatter that is not told.
const scatterMemory = 256 << 20

// ErrScattered is wrapped by the error about blocks that came in such an order that what waits for its neighbours does not fit in memory.
var ErrScattered = errors.New("too many bytes wait for those beside them")

// A Scatter writes the image of a partition from blocks of its file that come in any order, as the engines of BitTorrent and multicast deliver them.
//
// A part of the file (format.Part) is decoded as soon as its last byte has come, on all cores, and written to its place at once. A chunk of the index
// is read back as soon as its last byte is written, from the kernel's memory for the most part, and must have its hash. What a restore promises
// in the end, that the disk has it all, is for verify to prove, as after a stream.
//
// Only what cannot be decoded or written yet is kept in memory: of each stretch of the file that has come the parts cut at its two ends, and of what they
// decode to the blocks of the disk cut at its ends, 4 KiB each. ScatterNeeds and StretchNeeds tell how much that is.
//
// WriteBlock, Sync, Finish and Close belong to one goroutine at a time.
type Scatter struct {
	config ScatterConfig
	places places
	sink   sink
	ctx    context.Context // of the workers; ended by the first error, which is its cause
	group  *errgroup.Group
	crew   int         // workers
	loads  chan load   // to the workers
	free   chan []byte // what loads have their bytes in
	closed bool

	came Ranges           // of the file
	cut  map[int]*cutPart // by their places in the map

	budget *Budget // of cut parts and edges

	mu    sync.Mutex
	held  int64 // of the budget
	most  int64 // that held ever was
	edges map[int64]*edge
	left  []int64 // used bytes of each chunk that are not written yet
}

// A ScatterConfig says what a Scatter is to write, and where.
type ScatterConfig struct {
	Map    *format.FileMap
	Index  *format.Index // which checkIndex has passed
	Target *os.File      // the partition, or a file; open for reading and writing
	Size   int64         // of the target
	Memory int64         // bytes that may be kept; 0 for 256 MiB
	Budget *Budget       // shared with others, instead of Memory; nil for one of its own
	Done   func(int64)   // told of used bytes that are written and have the right hash, from several goroutines; nil for nobody
	strain *strain       // told what is waited for; nil for nobody
}

// A load is bytes for the workers.
type load struct {
	b     []byte
	part  format.Part // that b holds, packed
	plain int64       // offset in the plain stream, of a file that is not compressed
}

// NewScatter starts the workers, which Close ends.
func NewScatter(ctx context.Context, c ScatterConfig) *Scatter {
	if c.Budget == nil {
		c.Budget = NewBudget(c.Memory)
	}
	if c.Done == nil {
		c.Done = func(int64) {}
	}
	workers := min(runtime.GOMAXPROCS(0), 8)
	s := &Scatter{
		config: c, crew: workers, places: newPlaces(c.Index), sink: sink{f: c.Target, size: c.Size}, budget: c.Budget,
		loads: make(chan load), free: make(chan []byte, 2*workers),
		cut: map[int]*cutPart{}, edges: map[int64]*edge{}, left: make([]int64, len(c.Index.Chunks)),
	}
	for i, chunk := range c.Index.Chunks {
		s.left[i] = chunk.UsedBytes()
	}
	for range cap(s.free) {
		s.free <- nil
	}
	s.group, s.ctx = errgroup.WithContext(ctx)
	for range workers {
		s.group.Go(s.work)
	}
	return s
}

// WriteBlock takes the next bytes of the file, and keeps nothing of b. Bytes that come twice are an error. So is what went wrong with others before, for
// they are decoded and written while more come.
func (s *Scatter) WriteBlock(offset int64, b []byte) error {
	end := offset + int64(len(b))
	defer s.config.strain.take()()
	if s.ctx.Err() != nil {
		return context.Cause(s.ctx)
	}
	if offset < 0 || end > s.config.Map.Size {
		return fmt.Errorf("%w: bytes %d to %d of a file of %d", format.ErrCorrupt, offset, end-1, s.config.Map.Size)
	}
	if len(b) == 0 {
		return nil
	}
	if !s.came.Add(format.Extent{Offset: offset, Length: int64(len(b))}) {
		return fmt.Errorf("some of the bytes %d to %d of the image file came before", offset, end-1)
	}
	if s.config.Map.Parts == nil {
		return s.takePlain(offset, b)
	}
	first, last := s.config.Map.Overlapping(offset, len(b))
	for i := first; i < last; i++ {
		if err := s.takePart(i, offset, b); err != nil {
			return err
		}
	}
	return nil
}

// takePlain passes on bytes that stand for themselves.
func (s *Scatter) takePlain(offset int64, b []byte) error {
	for len(b) > 0 {
		n := min(len(b), format.ChunkSize)
		if err := s.pass(load{plain: offset}, b[:n]); err != nil {
			return err
		}
		b, offset = b[n:], offset+int64(n)
	}
	return nil
}

// takePart passes on a part, if all of its bytes are there now.
func (s *Scatter) takePart(i int, offset int64, b []byte) error {
	p := s.config.Map.Parts[i]
	low, high := max(p.Offset, offset), min(p.End(), offset+int64(len(b)))
	b = b[low-offset : high-offset]
	if len(b) == p.Packed {
		return s.pass(load{part: p}, b)
	}
	c := s.cut[i]
	if c == nil {
		c = &cutPart{}
		s.cut[i] = c
	}
	if c.bytes+len(b) < p.Packed {
		c.keep(int(low-p.Offset), b)
		return s.hold(int64(len(b)))
	}
	s.release(int64(c.bytes))
	delete(s.cut, i)
	c.add(int(low-p.Offset), b)
	return s.pass(load{part: p}, c.pieces...)
}

// pass hands a load of pieces to the workers.
func (s *Scatter) pass(l load, pieces ...[]byte) error {
	select {
	case l.b = <-s.free:
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	}
	l.b = l.b[:0]
	for _, piece := range pieces {
		l.b = append(l.b, piece...)
	}
	select {
	case s.loads <- l:
		return nil
	case <-s.ctx.Done():
		return context.Cause(s.ctx)
	}
}

// hold counts bytes that are kept.
func (s *Scatter) hold(n int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.holdLocked(n)
}

func (s *Scatter) holdLocked(n int64) error {
	if !s.budget.take(n) {
		return failure(protocol.ErrImage,
			fmt.Sprintf("the image came in such an order that more than %d MiB of it wait for what belongs beside them", s.budget.limit>>20),
			"restore it through the computer's cache, or as a stream from the server: the partition does not hold a usable system now").
			because(ErrScattered)
	}
	s.held += n
	s.most = max(s.most, s.held)
	return nil
}

func (s *Scatter) release(n int64) {
	s.mu.Lock()
	s.releaseLocked(n)
	s.mu.Unlock()
}

func (s *Scatter) releaseLocked(n int64) {
	s.held -= n
	s.budget.give(n)
}

// work is a worker.
func (s *Scatter) work() error {
	unpacker, err := s.config.Map.NewUnpacker()
	if err != nil {
		return err
	}
	defer unpacker.Close()
	var plain []byte
	scratch := make([]byte, format.ChunkSize)
	for l := range s.loads {
		if s.ctx.Err() != nil {
			return context.Cause(s.ctx)
		}
		at, b := l.plain, l.b
		if l.part.Packed > 0 {
			if plain, err = unpacker.Unpack(l.part, l.b, plain); err != nil {
				return err
			}
			at, b = l.part.Plain, plain
		}
		err := s.config.Map.Used(at, b, func(used int64, b []byte) error {
			return s.places.each(used, b, func(p spot) error { return s.put(p, scratch) })
		})
		if err != nil {
			return err
		}
		s.free <- l.b
	}
	return nil
}

// Sync waits until what has come is decoded and written, as far as it can be, and on the disk.
func (s *Scatter) Sync() error {
	idle := make([][]byte, 0, cap(s.free))
	for len(idle) < cap(idle) {
		select {
		case b := <-s.free:
			idle = append(idle, b)
		case <-s.ctx.Done():
			return context.Cause(s.ctx)
		}
	}
	for _, b := range idle {
		s.free <- b
	}
	if s.ctx.Err() != nil {
		return context.Cause(s.ctx)
	}
	if err := s.config.Target.Sync(); err != nil {
		return writeFailure(s.config.Target.Name(), err)
	}
	return nil
}

// Finish is Sync, and then tells by a *MissingError what has not come. After it has returned nil, the target has each chunk, with the right hash.
func (s *Scatter) Finish() error {
	if err := s.Sync(); err != nil {
		return err
	}
	if missing := s.Missing(); len(missing) > 0 {
		return &MissingError{Missing: missing}
	}
	for i, left := range s.left {
		if left != 0 {
			return fmt.Errorf("%w: all of its file came, and %d bytes of chunk %d did not", format.ErrCorrupt, left, s.config.Index.Chunks[i].Number)
		}
	}
	return nil
}

// Close ends the workers. What they have not written by then is lost, unless Sync was called.
func (s *Scatter) Close() {
	if s.closed {
		return
	}
	s.closed = true
	close(s.loads)
	_ = s.group.Wait() // WriteBlock, Sync and Finish have told
}

// Budget is what this Scatter keeps its bytes in.
func (s *Scatter) Budget() *Budget { return s.budget }

// StretchNeeds is the most that one stretch of the file that has come takes of the Budget: a part and an edge, cut, at each of its ends.
func (s *Scatter) StretchNeeds() int64 { return stretchNeeds(s.config.Map) }

// Missing returns what of the file has not come, ascending.
func (s *Scatter) Missing() []format.Extent { return s.came.Missing(0, s.config.Map.Size) }

// A cutPart is what has come of a part.
type cutPart struct {
	bytes  int
	at     []int // where in the part the pieces belong; ascending
	pieces [][]byte
}

// keep adds a copy of a piece.
func (c *cutPart) keep(at int, b []byte) { c.add(at, bytes.Clone(b)) }

func (c *cutPart) add(at int, b []byte) {
	i := len(c.at)
	for i > 0 && c.at[i-1] > at {
		i--
	}
	c.at = append(c.at, 0)
	c.pieces = append(c.pieces, nil)
	copy(c.at[i+1:], c.at[i:])
	copy(c.pieces[i+1:], c.pieces[i:])
	c.at[i], c.pieces[i] = at, b
	c.bytes += len(b)
}
