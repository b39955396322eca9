package multicast

import (
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
)

// fill reads a whole stream, and releases what was read, as a sender whose receivers have everything.
func fill(t *testing.T, s *Stream) (calls int) {
	t.Helper()
	s.fill(t.Context(), func() {
		calls++
		n, _ := s.progress()
		s.release(n)
	})
	return calls
}

// counter counts up.
type counter struct{ read int }

func (c *counter) Read(b []byte) (int, error) {
	for i := range b {
		b[i] = byte((c.read + i) / 1000)
	}
	c.read += len(b)
	return len(b), nil
}

func counted(n int) []byte {
	b := make([]byte, n)
	(&counter{}).Read(b)
	return b
}

func TestStreamReadsAll(t *testing.T) {
	for name, size := range map[string]int{
		"empty":             0,
		"a byte":            1,
		"less than a block": BlockSize - 1,
		"a block":           BlockSize,
		"a block and more":  BlockSize + 1,
		"three blocks":      3 * BlockSize,
		"part of a fourth":  3*BlockSize + 777,
	} {
		for way, reader := range map[string]func(io.Reader) io.Reader{
			"whole": func(r io.Reader) io.Reader { return r },
			"half":  iotest.HalfReader,
			"end with the last bytes": func(r io.Reader) io.Reader {
				return iotest.DataErrReader(r)
			},
		} {
			t.Run(name+"/"+way, func(t *testing.T) {
				want := counted(size)
				s := NewStream(reader(bytes.NewReader(want)), "disk")
				if got := s.Content(); got.Size != Unknown || got.Name != "disk" {
					t.Errorf("before the end: %+v, want an unknown size", got)
				}
				calls := fill(t, s)
				n, err := s.progress()
				if err != nil || n != blocks(int64(size)) || int64(calls) < n {
					t.Errorf("%d blocks, %v, told %d times; want %d", n, err, calls, blocks(int64(size)))
				}
				if got := s.Content().Size; got != int64(size) {
					t.Errorf("size %d, want %d", got, size)
				}
				if got, err := io.ReadAll(io.NewSectionReader(blockwise{s}, 0, int64(size))); err != nil || !bytes.Equal(got, want) {
					t.Errorf("%d bytes, %v; want those %d that were read", len(got), err, size)
				}
			})
		}
	}
}

// blockwise reads at most to the end of a block, as ReadAt of a stream does.
type blockwise struct{ *Stream }

func (s blockwise) ReadAt(b []byte, offset int64) (int, error) {
	return s.Stream.ReadAt(b[:min(int64(len(b)), BlockSize-offset%BlockSize)], offset)
}

func TestStreamsAreDifferentContents(t *testing.T) {
	if NewStream(nil, "disk").Content().ID == NewStream(nil, "disk").Content().ID {
		t.Error("two streams have the same ID: receivers would go on with one from the other")
	}
}

// Reading waits when receivers lack the oldest block, goes on when they do not, and keeps no more than it may.
func TestStreamWaitsForRelease(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &counter{}
		s := NewStream(r, "disk")
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.fill(ctx, func() {})
		}()
		check := func(when string, first, next int64) {
			t.Helper()
			synctest.Wait()
			n, err := s.progress()
			if n != next || err != nil {
				t.Errorf("%s: read up to block %d, %v; want %d", when, n, err, next)
			}
			if int64(len(s.kept)) != next-first || len(s.kept) > streamBlocks {
				t.Errorf("%s: %d blocks are kept, want %d", when, len(s.kept), next-first)
			}
			for block, want := range map[int64]bool{first - 1: false, first: true, next - 1: true, next: false} {
				if block < 0 {
					continue
				}
				b := make([]byte, 10)
				if _, err := s.ReadAt(b, block*BlockSize); (err == nil) != want || err != nil && !errors.Is(err, ErrGone) {
					t.Errorf("%s: block %d: got %v, want it kept %t, or else ErrGone", when, block, err, want)
				}
			}
		}
		check("at first", 0, streamBlocks)
		if first := s.release(0); first != 0 {
			t.Errorf("somebody lacks block 0, and block %d is the first", first)
		}
		check("nothing is released", 0, streamBlocks)
		const settled = streamBlocks/2 + 5 // of which half a store is kept all the same
		if first := s.release(settled); first != 1 {
			t.Errorf("released up to block %d, which leaves room for one: block %d is the first, want 1", settled, first)
		}
		check("room for one", 1, streamBlocks+1)
		for range 10 {
			s.release(settled)
			synctest.Wait()
		}
		check("all that is not kept for others", 5, streamBlocks+5)
		cancel()
		<-done
		if r.read != (streamBlocks+5)*BlockSize {
			t.Errorf("%d bytes were read, want %d", r.read, (streamBlocks+5)*BlockSize)
		}
	})
}

// What cannot be read to its end must never pass for a whole.
func TestStreamCannotBeRead(t *testing.T) {
	broken := errors.New("bad sector")
	for name, test := range map[string]struct {
		r      io.Reader
		want   error
		blocks int64
	}{
		"at once":            {iotest.ErrReader(broken), broken, 0},
		"in a block":         {io.MultiReader(bytes.NewReader(counted(BlockSize+10)), iotest.ErrReader(broken)), broken, 1},
		"between two blocks": {io.MultiReader(bytes.NewReader(counted(2*BlockSize)), iotest.ErrReader(broken)), broken, 2},
		"packed, cut short":  {io.MultiReader(bytes.NewReader(counted(10)), iotest.ErrReader(io.ErrUnexpectedEOF)), io.ErrUnexpectedEOF, 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := NewStream(test.r, "disk")
			fill(t, s)
			n, err := s.progress()
			if !errors.Is(err, test.want) || !strings.Contains(err.Error(), "disk") || n != test.blocks {
				t.Errorf("got %d blocks, error %v; want %d, an error of disk: %v", n, err, test.blocks, test.want)
			}
			if size := s.Content().Size; size != Unknown {
				t.Errorf("size %d, want Unknown", size)
			}
		})
	}
}
