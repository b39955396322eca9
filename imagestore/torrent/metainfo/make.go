package metainfo

import (
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"
)

// PieceLengthFor returns how long the pieces are in a torrent of a file of that many bytes: 4 MiB as OpenGnsys makes them, of files below
// 4 GiB the power of two that makes at least 1024 pieces, and not less than 256 KiB: a PC can pass a piece on when it has all of it, and the less of the
// file that is, the sooner the room is busy. Above 4 TiB pieces grow, so that there are not too many.
func PieceLengthFor(size int64) int64 {
	const (
		least  = 256 << 10
		usual  = 4 << 20
		pieces = 1024
	)
	n := int64(usual)
	for n > least && n*pieces > size {
		n /= 2
	}
	for n < MaxPieceLength && (size-1)/n >= MaxPieces {
		n *= 2
	}
	return n
}

// A Hasher makes the sums of the pieces of what is written to it.
type Hasher struct {
	hash   hash.Hash // of the current piece
	length int64     // of each piece
	room   int64     // bytes that the current piece still takes
	sums   []byte    // of the pieces that are complete
}

// NewHasher makes a Hasher for pieces of that many bytes, at least 1.
func NewHasher(pieceLength int64) *Hasher {
	return &Hasher{hash: sha1.New(), length: pieceLength, room: pieceLength}
}

// Write never fails.
func (h *Hasher) Write(p []byte) (int, error) {
	written := len(p)
	for len(p) > 0 {
		n := min(int64(len(p)), h.room)
		h.hash.Write(p[:n])
		h.room -= n
		p = p[n:]
		if h.room == 0 {
			h.sums = h.hash.Sum(h.sums)
			h.hash.Reset()
			h.room = h.length
		}
	}
	return written, nil
}

// Pieces returns the sums of all pieces, also of the last one, which may be shorter: what a Torrent has as Pieces.
func (h *Hasher) Pieces() []byte {
	if h.room == h.length {
		return h.sums[:len(h.sums):len(h.sums)]
	}
	return h.hash.Sum(h.sums[:len(h.sums):len(h.sums)])
}

// MakeFile makes a torrent of the file at path, as Make does.
func MakeFile(ctx context.Context, path string, progress func(done, total int64)) (*Torrent, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("making a torrent: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, fmt.Errorf("making a torrent: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("making a torrent of %s: it is no ordinary file", path)
	}
	return Make(ctx, file, filepath.Base(path), info.Size(), 0, progress)
}

// readLength is what Make reads at once.
const readLength = 1 << 20

// Make makes a private torrent of a file of size bytes, on all processors. The length of its pieces is PieceLengthFor when it is 0. progress, when
// not nil, is told how many bytes have been read, by one goroutine at a time.
func Make(ctx context.Context, file io.ReaderAt, name string, size, pieceLength int64, progress func(done, total int64)) (*Torrent, error) {
	if pieceLength == 0 {
		pieceLength = PieceLengthFor(size)
	}
	if size <= 0 || pieceLength <= 0 || (size-1)/pieceLength >= MaxPieces {
		return nil, fmt.Errorf("making a torrent of %s: %d bytes in pieces of %d cannot be shared", name, size, pieceLength)
	}
	m := maker{file: file, size: size, length: pieceLength, progress: progress, sums: make([]byte, ((size-1)/pieceLength+1)*sha1.Size)}
	if err := m.run(ctx); err != nil {
		return nil, fmt.Errorf("making a torrent of %s: %w", name, err)
	}
	return New(name, size, pieceLength, m.sums)
}

// A maker makes the sums of the pieces of one file.
type maker struct {
	file         io.ReaderAt
	size, length int64
	sums         []byte

	mu       sync.Mutex
	next     int64 // offset of the piece that nobody has taken yet
	done     int64 // bytes read
	progress func(done, total int64)
}

func (m *maker) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	for range runtime.GOMAXPROCS(0) {
		group.Go(func() error {
			buf, sum := make([]byte, min(readLength, m.length)), sha1.New()
			for at := m.take(); at < m.size; at = m.take() {
				if err := m.piece(ctx, at, sum, buf); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return group.Wait()
}

// take returns the offset of the next piece.
func (m *maker) take() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := m.next
	if at < m.size {
		m.next += m.length
	}
	return at
}

// piece makes the sum of the piece that begins there.
func (m *maker) piece(ctx context.Context, start int64, sum hash.Hash, buf []byte) error {
	sum.Reset()
	end := start + min(m.length, m.size-start)
	for at := start; at < end; {
		if err := ctx.Err(); err != nil {
			return err
		}
		b := buf[:min(int64(len(buf)), end-at)]
		if n, err := m.file.ReadAt(b, at); n < len(b) {
			if errors.Is(err, io.EOF) {
				err = fmt.Errorf("it has become shorter than %d bytes", m.size)
			}
			return err
		}
		sum.Write(b)
		at += int64(len(b))
		m.tell(int64(len(b)))
	}
	copy(m.sums[start/m.length*sha1.Size:], sum.Sum(nil))
	return nil
}

// tell counts bytes that have been read.
func (m *maker) tell(n int64) {
	if m.progress == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.done += n
	m.progress(m.done, m.size)
}
