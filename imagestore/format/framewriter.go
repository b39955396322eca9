package format

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"runtime"
	"sync"

	"github.com/klauspost/compress/zstd"
)

// FrameSize is the plain size of one frame.
const FrameSize = 1 << 20

const (
	maxLevel     = 19
	defaultLevel = 3

	// The seek table's skippable frame (zstd, contrib/seekable_format): magic, size, then for each frame its
	// compressed and plain sizes, then the number of frames, a descriptor byte (0: no checksums, which the
	// frames have themselves) and the table's own magic.
	skippableMagic = 0x184D2A5E
	seekTableMagic = 0x8F92EAB1
	seekEntryLen   = 8
	seekFooterLen  = 9
)

// A FrameWriter compresses into independent zstd frames of FrameSize plain bytes and ends with the seek table of the seekable
// zstd format in a skippable frame; every zstd tool reads the result as one plain .zst.
//
// Frames are compressed side by side on all cores, in bounded memory, and written in order by a goroutine that Close
// ends; so Close must be called, after an error as well. Write and Close belong to one goroutine at a time.
type FrameWriter struct {
	w     io.Writer
	enc   *zstd.Encoder
	free  chan *frame // frames nobody uses
	order chan *frame // frames to be written, in order
	done  chan struct{}
	cur   *frame // being filled
	err   error  // of Write and Close

	mu     sync.Mutex
	failed error // of the writing goroutine

	table []byte // entries of the seek table; the writing goroutine's until done
}

// A frame is a piece of the stream on its way.
type frame struct {
	plain, packed []byte
	ready         chan struct{} // gets one value when packed is there
}

// NewFrameWriter starts a file on w; level is zstd's (1 to 19), 0 for the default of 3.
func NewFrameWriter(w io.Writer, level int) (*FrameWriter, error) {
	if level < 0 || level > maxLevel {
		return nil, fmt.Errorf("zstd level %d is not between 1 and %d", level, maxLevel)
	}
	if level == 0 {
		level = defaultLevel
	}
	workers := min(runtime.GOMAXPROCS(0), 8)
	enc, err := zstd.NewWriter(nil,
		zstd.WithEncoderLevel(zstd.EncoderLevelFromZstd(level)),
		zstd.WithEncoderConcurrency(workers),
		zstd.WithWindowSize(FrameSize),
		zstd.WithEncoderCRC(true))
	if err != nil {
		return nil, err
	}
	f := &FrameWriter{
		w:     w,
		enc:   enc,
		free:  make(chan *frame, 2*workers+1),
		order: make(chan *frame, 2*workers+1),
		done:  make(chan struct{}),
	}
	for range cap(f.free) {
		f.free <- &frame{ready: make(chan struct{}, 1)}
	}
	go f.write()
	return f, nil
}

// Write implements io.Writer. An error of the underlying writer may come some frames late.
func (f *FrameWriter) Write(p []byte) (int, error) {
	total := len(p)
	for len(p) > 0 {
		if f.err == nil {
			f.err = f.failure()
		}
		if f.err != nil {
			return total - len(p), f.err
		}
		if f.cur == nil {
			f.cur = <-f.free
			if f.cur.plain == nil {
				f.cur.plain = make([]byte, 0, FrameSize)
			}
			f.cur.plain = f.cur.plain[:0]
		}
		n := min(len(p), FrameSize-len(f.cur.plain))
		f.cur.plain = append(f.cur.plain, p[:n]...)
		p = p[n:]
		if len(f.cur.plain) == FrameSize {
			f.flush()
		}
	}
	return total, nil
}

// Close writes the last frame and the seek table; it does not close w.
func (f *FrameWriter) Close() error {
	if f.order == nil {
		return nil
	}
	if f.cur != nil && len(f.cur.plain) > 0 {
		f.flush()
	}
	close(f.order)
	<-f.done
	f.order = nil
	f.enc.Close()
	if f.err == nil {
		f.err = f.failure()
	}
	if f.err == nil {
		_, f.err = f.w.Write(seekTable(f.table))
	}
	err := f.err
	if f.err == nil {
		f.err = errors.New("frame writer is closed")
	}
	return err
}

// flush sends the current frame on its way.
func (f *FrameWriter) flush() {
	c := f.cur
	f.cur = nil
	f.order <- c
	go func() {
		c.packed = f.enc.EncodeAll(c.plain, c.packed[:0])
		c.ready <- struct{}{}
	}()
}

// write is the goroutine that writes frames in order. After an error it goes on taking frames, so that
// nobody waits for it.
func (f *FrameWriter) write() {
	defer close(f.done)
	var failed error
	for c := range f.order {
		<-c.ready
		if failed == nil {
			if _, failed = f.w.Write(c.packed); failed != nil {
				f.mu.Lock()
				f.failed = failed
				f.mu.Unlock()
			}
			f.table = binary.LittleEndian.AppendUint32(f.table, uint32(len(c.packed)))
			f.table = binary.LittleEndian.AppendUint32(f.table, uint32(len(c.plain)))
		}
		f.free <- c
	}
}

func (f *FrameWriter) failure() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.failed
}

// seekTable wraps entries in their skippable frame.
func seekTable(entries []byte) []byte {
	le := binary.LittleEndian
	b := make([]byte, 0, 8+len(entries)+seekFooterLen)
	b = le.AppendUint32(b, skippableMagic)
	b = le.AppendUint32(b, uint32(len(entries)+seekFooterLen))
	b = append(b, entries...)
	b = le.AppendUint32(b, uint32(len(entries)/seekEntryLen))
	b = append(b, 0)
	return le.AppendUint32(b, seekTableMagic)
}
