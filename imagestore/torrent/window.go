package torrent

import (
	"fmt"
	"io"
	"io/fs"
	"slices"
	"sync"

	"aula/imagestore/torrent/metainfo"
)

// A PieceSink takes what is fetched and puts it where it belongs, as onto a partition.
type PieceSink interface {
	// WriteBlock takes bytes that are verified, and keeps nothing of b. They come in any order, each once, a piece at a time, from one goroutine.
	WriteBlock(offset int64, b []byte) error
}

// A Window is a Storage that hands each piece on to a sink, and keeps the last ones in memory for others to fetch. It is for PCs that
// have no room for the file.
//
// Nothing can be gone on with later. Of a piece that it has forgotten, ReadAt answers ErrGone.
type Window struct {
	torrent *metainfo.Torrent
	sink    PieceSink
	memory  int64 // bytes at most

	mu        sync.RWMutex
	written   []bool
	missing   int
	kept      map[int][]byte
	order     []int // of the kept, the oldest first
	bytes     int64 // of the kept
	forgotten []int // and not told yet
	spare     [][]byte
}

// NewWindow makes a window that keeps pieces of so many bytes at most. A piece that is larger is kept by nobody.
func NewWindow(sink PieceSink, t *metainfo.Torrent, memory int64) (*Window, error) {
	if err := storable(t); err != nil {
		return nil, err
	}
	return &Window{torrent: t, sink: sink, memory: memory, written: make([]bool, t.Count()), missing: t.Count(), kept: map[int][]byte{}}, nil
}

// Have tells that nothing is there.
func (w *Window) Have() ([]bool, error) { return make([]bool, w.torrent.Count()), nil }

// WritePiece hands a piece to the sink, then keeps it for as long as there is memory. A piece that was handed over is not handed over again.
func (w *Window) WritePiece(piece int, b []byte) error {
	if err := fits(w.torrent, piece, b); err != nil {
		return err
	}
	w.mu.RLock()
	has := w.written[piece]
	w.mu.RUnlock()
	if has {
		return nil
	}
	if err := w.sink.WriteBlock(w.torrent.Offset(piece), b); err != nil {
		return fmt.Errorf("piece %d of %s: %w", piece, w.torrent.Name, err)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.written[piece] = true
	w.missing--
	if w.kept == nil || int64(len(b)) > w.memory {
		w.forgotten = append(w.forgotten, piece)
		return nil
	}
	w.forget(w.memory - int64(len(b)))
	w.kept[piece] = append(w.buffer(), b...)
	w.order = append(w.order, piece)
	w.bytes += int64(len(b))
	return nil
}

// buffer returns one of a forgotten piece, or a new one.
func (w *Window) buffer() []byte {
	if n := len(w.spare) - 1; n >= 0 {
		b := w.spare[n]
		w.spare = w.spare[:n]
		return b
	}
	return make([]byte, 0, w.torrent.PieceLength)
}

// forget forgets the oldest until no more bytes than that are kept.
func (w *Window) forget(bytes int64) {
	for w.bytes > bytes {
		oldest := w.order[0]
		w.order = w.order[1:]
		w.bytes -= int64(len(w.kept[oldest]))
		w.spare = append(w.spare, w.kept[oldest][:0])
		delete(w.kept, oldest)
		w.forgotten = append(w.forgotten, oldest)
	}
}

// ReadAt reads bytes of pieces that are kept. Its error wraps ErrGone when one of them is kept no more.
func (w *Window) ReadAt(b []byte, offset int64) (int, error) {
	if offset < 0 {
		return 0, fmt.Errorf("%s: %w: offset %d", w.torrent.Name, fs.ErrInvalid, offset)
	}
	w.mu.RLock()
	defer w.mu.RUnlock()
	n := 0
	for n < len(b) {
		if offset >= w.torrent.Length {
			return n, io.EOF
		}
		piece := int(offset / w.torrent.PieceLength)
		kept, ok := w.kept[piece]
		switch {
		case !w.written[piece]:
			return n, fmt.Errorf("%s: piece %d is not there yet", w.torrent.Name, piece)
		case !ok:
			return n, fmt.Errorf("piece %d of %s: %w", piece, w.torrent.Name, ErrGone)
		}
		c := copy(b[n:], kept[offset-w.torrent.Offset(piece):])
		n, offset = n+c, offset+int64(c)
	}
	return n, nil
}

// Forgotten returns pieces that are kept no more, each once.
func (w *Window) Forgotten() []int {
	w.mu.Lock()
	defer w.mu.Unlock()
	f := w.forgotten
	w.forgotten = nil
	slices.Sort(f)
	return f
}

// Finish brings to the disk what the sink was given, if the sink has a Sync() error. Otherwise that is left to whoever made the sink.
func (w *Window) Finish() error {
	w.mu.RLock()
	missing := w.missing
	w.mu.RUnlock()
	if missing > 0 {
		return fmt.Errorf("%s is not complete: %d of its %d pieces are missing", w.torrent.Name, missing, w.torrent.Count())
	}
	if s, ok := w.sink.(interface{ Sync() error }); ok {
		if err := s.Sync(); err != nil {
			return fmt.Errorf("%s: %w", w.torrent.Name, err)
		}
	}
	return nil
}

// Close frees the memory. What is asked for afterwards is gone.
func (w *Window) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.kept, w.order, w.spare, w.bytes = nil, nil, nil, 0
	return nil
}
