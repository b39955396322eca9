package clone

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"aula/clientos/protocol"
	"aula/imagestore/format"
)

const (
	// chunksAhead is how many chunks may wait between the decoder and the disk.
	chunksAhead = 8
	// writeback is how many bytes are written before the kernel is asked to bring them to the disk, so that neither memory fills
	// with them nor progress tells of bytes that are in no disk yet.
	writeback = 32 << 20
)

// write decodes the image of a part in one goroutine and writes complete chunks, which have the right hash, in another. It returns
// when all is on the disk.
func (r *restore) write(ctx context.Context, p *part) error {
	source, err := r.open(ctx, p)
	if err != nil {
		return err
	}
	defer source.close()
	group, ctx := errgroup.WithContext(ctx)
	// A Read of the stream that waits must end when the writing has failed.
	defer context.AfterFunc(ctx, source.stream.stop)()
	chunks := make(chan filled, chunksAhead)
	free := make(chan []byte, chunksAhead+2)
	for range cap(free) {
		free <- make([]byte, format.ChunkSize)
	}
	group.Go(func() error {
		defer close(chunks)
		return decode(ctx, source.reader, p.index, chunks, free)
	})
	group.Go(func() error {
		sink := &sink{f: p.file, size: p.place.Bytes}
		scratch := make([]byte, format.ChunkSize)
		for c := range chunks {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if err := p.index.VerifyChunk(c.Chunk, window{c.base(), c.data}, scratch); err != nil {
				return fmt.Errorf("%w: what arrived is not what is in its index: %w", format.ErrCorrupt, err)
			}
			written := r.strain.waitForDisk(1)
			if err := sink.write(c); err != nil {
				return err
			}
			written()
			r.meter.add(c.UsedBytes())
			free <- c.data
		}
		return nil
	})
	if err := group.Wait(); err != nil {
		return err
	}
	defer r.strain.waitForDisk(1)()
	if err := p.file.Sync(); err != nil {
		return writeFailure(p.file.Name(), err)
	}
	return nil
}

// decode puts the image together chunk by chunk.
func decode(ctx context.Context, reader *format.Reader, index *format.Index, chunks chan<- filled, free <-chan []byte) error {
	a := assembler{
		chunks: index.Chunks,
		fresh: func() ([]byte, error) {
			select {
			case data := <-free:
				return data, nil
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			}
		},
		emit: func(c filled) error {
			select {
			case chunks <- c:
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		},
	}
	for ctx.Err() == nil {
		off, run, err := reader.Next()
		if err == io.EOF {
			return errors.Join(a.finish(), checkInfo(reader.Info(), index.Info))
		}
		if err != nil {
			return err
		}
		if err := a.add(off, run); err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

// A sink writes to a partition, and to nothing beyond its size.
type sink struct {
	f    *os.File
	size int64

	mu       sync.Mutex
	pending  extentRange // written, not yet sent to the disk
	underway extentRange // being sent to the disk
}

// An extentRange is the range of bytes that was written to in the course of some time.
type extentRange struct{ low, high, bytes int64 }

// write writes a chunk.
func (s *sink) write(c filled) error {
	for _, e := range c.Used {
		if err := s.put(e.Offset, c.extent(e)); err != nil {
			return err
		}
	}
	return nil
}

// put writes used bytes. It may be called from several goroutines.
func (s *sink) put(off int64, b []byte) error {
	end := off + int64(len(b))
	if off < 0 || end > s.size {
		return failure(protocol.ErrSize,
			fmt.Sprintf("the image has bytes up to %d and %s ends at %d", end, s.f.Name(), s.size),
			"restore to a larger partition or disk")
	}
	if _, err := s.f.WriteAt(b, off); err != nil {
		return writeFailure(s.f.Name(), err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending.bytes == 0 {
		s.pending.low, s.pending.high = off, end
	}
	s.pending.low, s.pending.high = min(s.pending.low, off), max(s.pending.high, end)
	s.pending.bytes += int64(len(b))
	if s.pending.bytes < writeback {
		return nil
	}
	return s.push()
}

// push starts sending what is pending to the disk and waits for what was sent before.
func (s *sink) push() error {
	if err := syncRange(s.f, s.pending, unix.SYNC_FILE_RANGE_WRITE); err != nil {
		return err
	}
	const wait = unix.SYNC_FILE_RANGE_WAIT_BEFORE | unix.SYNC_FILE_RANGE_WRITE | unix.SYNC_FILE_RANGE_WAIT_AFTER
	if err := syncRange(s.f, s.underway, wait); err != nil {
		return err
	}
	s.underway, s.pending = s.pending, extentRange{}
	return nil
}

func syncRange(f *os.File, r extentRange, flags int) error {
	if r.bytes == 0 {
		return nil
	}
	if err := unix.SyncFileRange(int(f.Fd()), r.low, r.high-r.low, flags); err != nil {
		return writeFailure(f.Name(), err)
	}
	return nil
}

func writeFailure(device string, err error) error {
	advice := "the disk is failing: check its cable and its SMART state, then restore again; it does not hold a usable system now"
	if errors.Is(err, unix.ENOSPC) {
		advice = "the disk is smaller than it says: replace it"
	}
	return failure(protocol.ErrPartition, fmt.Sprintf("%s cannot be written: %v", device, err), advice).because(err)
}
