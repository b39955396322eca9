package clone

import (
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sync/errgroup"

	"aula/clientos/disk"
	"aula/clientos/protocol"
	"aula/imagestore/format"
)

// directAlign is what reads past the page cache must be aligned to: the largest sector.
const directAlign = 4096

// verify reads every used byte of a part's image back from the disk itself and compares it with the index. It returns how many
// there were.
func (r *restore) verify(ctx context.Context, p *part) (int64, error) {
	if err := disk.DropCache(p.file); err != nil {
		return 0, err
	}
	direct, err := disk.OpenDirect(p.file)
	if err != nil {
		return 0, err
	}
	defer direct.Close()
	size, err := p.file.Seek(0, io.SeekEnd)
	if err != nil {
		return 0, err
	}
	verified, err := verifyChunks(ctx, p.index, direct, size, r.meter.add)
	if err != nil {
		return 0, err
	}
	if verified != p.image.UsedBytes {
		return 0, failure(protocol.ErrImage,
			fmt.Sprintf("%d bytes were verified and the image has %d", verified, p.image.UsedBytes),
			"this is a mistake in Aula: report it; do not use the computer's disk")
	}
	return verified, nil
}

// verifyChunks compares the chunks of index with what r holds, in several goroutines, and calls done with the bytes of each.
func verifyChunks(ctx context.Context, index *format.Index, r io.ReaderAt, size int64, done func(int64)) (int64, error) {
	group, ctx := errgroup.WithContext(ctx)
	var next, verified atomic.Int64
	for range min(runtime.GOMAXPROCS(0), 4) {
		group.Go(func() error {
			aligned := alignedReader{r: r, size: size, buf: alignedBuffer(format.ChunkSize + 2*directAlign)}
			scratch := make([]byte, format.ChunkSize)
			for {
				i := next.Add(1) - 1
				if i >= int64(len(index.Chunks)) {
					return nil
				}
				if ctx.Err() != nil {
					return context.Cause(ctx)
				}
				c := index.Chunks[i]
				if err := index.VerifyChunk(c, aligned, scratch); err != nil {
					return verifyFailure(c, err)
				}
				verified.Add(c.UsedBytes())
				done(c.UsedBytes())
			}
		})
	}
	err := group.Wait()
	return verified.Load(), err
}

func verifyFailure(c format.Chunk, err error) error {
	where := fmt.Sprintf("chunk %d, bytes %d to %d of the image", c.Number, c.Used[0].Offset, c.Used[len(c.Used)-1].End()-1)
	problem := "the disk does not hold what was written to it: " + where
	if !errors.Is(err, format.ErrMismatch) {
		problem = "the disk cannot be read back: " + where
	}
	return failure(protocol.ErrImage, problem,
		"the disk, its cable or the computer's memory is failing: do not use it; replace the disk and restore again").because(err)
}

// An alignedReader reads from r in whole blocks of directAlign bytes, as O_DIRECT wants it, and gives out any part of them.
type alignedReader struct {
	r    io.ReaderAt
	size int64 // of what is behind r
	buf  []byte
}

// ReadAt implements io.ReaderAt for at most a chunk; it uses buf, so it is for one goroutine.
func (a alignedReader) ReadAt(p []byte, off int64) (int, error) {
	low := off - off%directAlign
	high := off + int64(len(p)) + directAlign - 1
	high = min(high-high%directAlign, a.size)
	if off < 0 || high-low > int64(len(a.buf)) || off+int64(len(p)) > high {
		return 0, fmt.Errorf("%d bytes at %d of %d: %w", len(p), off, a.size, errOutside)
	}
	if n, err := a.r.ReadAt(a.buf[:high-low], low); int64(n) < high-low {
		return 0, fmt.Errorf("%d bytes at %d: %w", high-low, low, errors.Join(err, io.ErrUnexpectedEOF))
	}
	return copy(p, a.buf[off-low:]), nil
}

// alignedBuffer returns n bytes at an address that O_DIRECT can use.
func alignedBuffer(n int) []byte {
	b := make([]byte, n+directAlign)
	shift := int(directAlign-uintptr(unsafe.Pointer(&b[0]))%directAlign) % directAlign
	return b[shift:][:n]
}
