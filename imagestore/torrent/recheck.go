package torrent

import (
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"sync"

	"golang.org/x/sys/unix"

	"aula/imagestore/torrent/metainfo"
)

const recheckBuffer = 1 << 20 // bytes that a core reads at once

// A recheck hashes pieces that a file may have, on all cores.
type recheck struct {
	torrent *metainfo.Torrent
	file    io.ReaderAt
	pieces  []int                             // to be hashed
	found   func(piece int, right bool) error // is told of each, one at a time, in any order; its error ends the recheck
	tell    func(done, total int64)           // is told of bytes that were hashed, one at a time; nil for nobody
}

// run hashes until every piece has been told of. Its error is found's, the context's, or that of a file that cannot be read.
func (r recheck) run(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var total int64
	queue := make(chan int, len(r.pieces))
	for _, p := range r.pieces {
		queue <- p
		total += r.torrent.Size(p)
	}
	close(queue)
	var mu sync.Mutex
	var done int64
	hashed := func(n int) {
		mu.Lock()
		defer mu.Unlock()
		if done += int64(n); r.tell != nil {
			r.tell(done, total)
		}
	}
	found := func(piece int, right bool) error {
		mu.Lock()
		defer mu.Unlock()
		return r.found(piece, right)
	}
	var cores sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), len(r.pieces)) {
		cores.Go(func() {
			b := make([]byte, min(recheckBuffer, r.torrent.PieceLength))
			for piece := range queue {
				right, err := r.hash(ctx, piece, b, hashed)
				if err == nil {
					err = found(piece, right)
				}
				if err != nil {
					cancel(err)
					return
				}
			}
		})
	}
	cores.Wait()
	return context.Cause(ctx)
}

// hash tells whether the file has the piece. A file that ends before has it not.
func (r recheck) hash(ctx context.Context, piece int, b []byte, hashed func(n int)) (bool, error) {
	sum := sha1.New()
	from := r.torrent.Offset(piece)
	for end := from + r.torrent.Size(piece); from < end; {
		if ctx.Err() != nil {
			return false, context.Cause(ctx)
		}
		part := b[:min(int64(len(b)), end-from)]
		n, err := r.file.ReadAt(part, from)
		if n < len(part) {
			hashed(int(end - from))
			if errors.Is(err, io.EOF) {
				return false, nil
			}
			return false, fmt.Errorf("piece %d of %s cannot be read: %w", piece, r.torrent.Name, err)
		}
		sum.Write(part)
		hashed(n)
		from += int64(n)
	}
	return [sha1.Size]byte(sum.Sum(nil)) == r.torrent.Sum(piece), nil
}

// written returns of each piece how many of its bytes the file has in extents with data. What was never written, and what was preallocated
// only, is none (lseek(2), SEEK_DATA); a filesystem that cannot tell has data everywhere.
func written(f *os.File, t *metainfo.Torrent) []int64 {
	bytes := make([]int64, t.Count())
	fd := int(f.Fd())
	for at := int64(0); at < t.Length; {
		from, err := unix.Seek(fd, at, unix.SEEK_DATA)
		if errors.Is(err, unix.ENXIO) {
			break // nothing but a hole
		}
		to := t.Length
		if err != nil {
			from = at
		} else if hole, err := unix.Seek(fd, from, unix.SEEK_HOLE); err == nil {
			to = min(hole, t.Length)
		}
		for at = from; at < to; {
			piece := int(at / t.PieceLength)
			end := min(to, t.Offset(piece)+t.Size(piece))
			bytes[piece] += end - at
			at = end
		}
		at = max(at, to)
	}
	return bytes
}
