package imagestore

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"sync/atomic"

	"github.com/zeebo/blake3"
	"golang.org/x/sync/errgroup"

	"aula/imagestore/format"
)

// findings are what one pass over an image file yields.
type findings struct {
	md5, blake3 string
	info        format.Info
}

// examine reads size bytes of an image file once, at the speed of the slowest of what it does side by side: MD5,
// BLAKE3, and decoding it whole with all its checksums into a chunk index.
func examine(ctx context.Context, file io.Reader, size int64, chunks io.Writer, progress func(done, total int64)) (findings, error) {
	var found findings
	sum, digest := md5.New(), blake3.New()
	group, ctx := errgroup.WithContext(ctx)
	tee := newTee(3)
	group.Go(func() error { return tee.feed(ctx, file, size, progress) })
	group.Go(func() error { return tee.reader(ctx, 0).hash(sum) })
	group.Go(func() error { return tee.reader(ctx, 1).hash(digest) })
	group.Go(func() (err error) {
		found.info, err = index(tee.reader(ctx, 2), chunks)
		return err
	})
	if err := group.Wait(); err != nil {
		return findings{}, err
	}
	found.md5, found.blake3 = hex.EncodeToString(sum.Sum(nil)), hex.EncodeToString(digest.Sum(nil))
	return found, nil
}

// index decodes an image and writes its chunk index.
func index(file io.Reader, chunks io.Writer) (format.Info, error) {
	image, err := format.NewReader(file)
	if err != nil {
		return format.Info{}, err
	}
	defer image.Close()
	info := image.Info()
	w, err := format.NewIndexWriter(chunks, info)
	if err != nil {
		return info, err
	}
	for {
		off, run, err := image.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return info, err
		}
		if err := w.Add(off, run); err != nil {
			return info, err
		}
	}
	if err := w.Close(); err != nil {
		return info, err
	}
	if w.UsedBytes() != info.UsedBytes {
		return info, fmt.Errorf("%w: it says %d used bytes and holds %d", format.ErrCorrupt, info.UsedBytes, w.UsedBytes())
	}
	return info, nil
}

const (
	teeBlocks   = 8 // in memory at once
	teeBlockLen = 1 << 20
)

// A tee gives the blocks of one file to several readers, which share them and may not run further apart than
// teeBlocks.
type tee struct {
	free chan *teeBlock
	outs []chan *teeBlock
}

// A teeBlock is a piece of the file.
type teeBlock struct {
	buf   []byte
	data  []byte
	users atomic.Int32 // readers that have not finished with it
}

func newTee(readers int) *tee {
	t := &tee{free: make(chan *teeBlock, teeBlocks)}
	for range teeBlocks {
		t.free <- &teeBlock{buf: make([]byte, teeBlockLen)}
	}
	for range readers {
		t.outs = append(t.outs, make(chan *teeBlock, teeBlocks))
	}
	return t
}

// feed reads size bytes of the file, which must end there.
func (t *tee) feed(ctx context.Context, file io.Reader, size int64, progress func(done, total int64)) error {
	for done := int64(0); ; {
		var b *teeBlock
		select {
		case b = <-t.free:
		case <-ctx.Done():
			return ctx.Err()
		}
		n, err := io.ReadFull(file, b.buf)
		if err != nil && err != io.EOF && err != io.ErrUnexpectedEOF {
			return fmt.Errorf("reading the staged file: %w", err)
		}
		if n > 0 {
			b.data = b.buf[:n]
			b.users.Store(int32(len(t.outs)))
			for _, out := range t.outs {
				out <- b // has room for every block there is
			}
			done += int64(n)
			if progress != nil {
				progress(done, size)
			}
		}
		if err == nil {
			continue
		}
		if done != size {
			return fmt.Errorf("reading the staged file: it has %d bytes, %d were written", done, size)
		}
		for _, out := range t.outs {
			close(out)
		}
		return nil
	}
}

// reader returns the reader number i.
func (t *tee) reader(ctx context.Context, i int) *teeReader {
	return &teeReader{ctx: ctx, tee: t, in: t.outs[i]}
}

// A teeReader is one of a tee's readers.
type teeReader struct {
	ctx  context.Context // of the pass to which it belongs
	tee  *tee
	in   chan *teeBlock
	cur  *teeBlock
	rest []byte
}

// advance gives the current block back and takes the next. It answers io.EOF after the last.
func (r *teeReader) advance() error {
	if r.cur != nil && r.cur.users.Add(-1) == 0 {
		r.tee.free <- r.cur
	}
	r.cur, r.rest = nil, nil
	select {
	case b, ok := <-r.in:
		if !ok {
			return io.EOF
		}
		r.cur, r.rest = b, b.data
		return nil
	case <-r.ctx.Done():
		return r.ctx.Err()
	}
}

// Read implements io.Reader.
func (r *teeReader) Read(p []byte) (int, error) {
	if len(r.rest) == 0 {
		if err := r.advance(); err != nil {
			return 0, err
		}
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// hash feeds all to h.
func (r *teeReader) hash(h hash.Hash) error {
	for {
		err := r.advance()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		h.Write(r.rest)
	}
}
