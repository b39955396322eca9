package bzip2

import (
	"bytes"
	"compress/bzip2"
	"errors"
	"io"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"aula/imagestore/format/formattest"
)

// samples are small files that bzip2 1.0.8 made of testdata/plain.
func samples(t testing.TB) map[string][]byte {
	t.Helper()
	return formattest.Samples(t, "testdata/*.bz2")
}

// isBad tells whether err is one of those that a bad file has.
func isBad(err error) bool {
	return errors.Is(err, ErrCorrupt) || errors.Is(err, ErrUnsupported) || errors.Is(err, io.ErrUnexpectedEOF)
}

// TestSamples reads files of the real tool without that tool.
func TestSamples(t *testing.T) {
	t.Parallel()
	plain, err := os.ReadFile("testdata/plain")
	if err != nil {
		t.Fatal(err)
	}
	for name, file := range samples(t) {
		if got, err := unpack(iotest.OneByteReader(bytes.NewReader(file)), 2); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%s: got %d bytes, %v, want %d", name, len(got), err, len(plain))
		}
	}
}

func TestTruncated(t *testing.T) {
	t.Parallel()
	for name, file := range samples(t) {
		for n := range len(file) {
			whole := n > 0 && strings.HasPrefix(string(file[n:]), "BZh") // is the first stream of two
			if _, err := unpack(bytes.NewReader(file[:n]), 1); !whole && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%s, %d of %d bytes: got %v, want io.ErrUnexpectedEOF", name, n, len(file), err)
			}
		}
	}
}

// TestChanged changes every bit of a file. What is read without an error must be the same as without the change.
func TestChanged(t *testing.T) {
	t.Parallel()
	for name, file := range samples(t) {
		plain, err := unpack(bytes.NewReader(file), 1)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 8 * len(file) {
			damaged := bytes.Clone(file)
			damaged[i/8] ^= 1 << (i % 8)
			got, err := unpack(bytes.NewReader(damaged), 1)
			if err == nil && !bytes.Equal(got, plain) || err != nil && !isBad(err) {
				t.Errorf("%s, bit %d of byte %d: got %d of %d bytes, %v", name, i%8, i/8, len(got), len(plain), err)
			}
		}
	}
}

// TestSource tells failures of the stream apart from damage.
func TestSource(t *testing.T) {
	t.Parallel()
	broken := errors.New("cable pulled")
	for name, file := range samples(t) {
		for n := 0; n < len(file); n += 13 {
			in := io.MultiReader(bytes.NewReader(file[:n]), iotest.ErrReader(broken))
			if _, err := unpack(in, 1); !errors.Is(err, broken) {
				t.Errorf("%s, broken after %d of %d bytes: got %v, want %v", name, n, len(file), err, broken)
			}
		}
	}
}

// TestRubbishBehind: a damaged second stream must not be taken for the end.
func TestRubbishBehind(t *testing.T) {
	t.Parallel()
	for _, file := range samples(t) {
		for _, tail := range []string{"B", "BZ", "BZh9", "BZx9", "something else", "\x00\x00rubbish"} {
			if _, err := unpack(bytes.NewReader(append(bytes.Clone(file), tail...)), 1); !isBad(err) {
				t.Errorf("%q behind: got %v, want an error about it", tail, err)
			}
		}
	}
}

// A bitWriter makes a file bit by bit.
type bitWriter struct {
	file []byte
	n    int
}

// put appends the lowest n bits of v.
func (b *bitWriter) put(v uint64, n int) {
	for i := n - 1; i >= 0; i-- {
		if b.n%8 == 0 {
			b.file = append(b.file, 0)
		}
		b.file[b.n/8] |= byte(v>>i&1) << (7 - b.n%8)
		b.n++
	}
}

// marked is a file with a block that makes as many bytes 'a' as told, from 1 to 2, and in which marks of blocks stand, up to 1000: among the
// selectors, which are 0, 10 and 110 for three codes. A mark and a 0 behind it are 29 of them.
func marked(marks, size int) []byte {
	b := new(bitWriter)
	b.put('B'<<24|'Z'<<16|'h'<<8|'9', 32)
	crc := ^updateCRC(^uint32(0), bytes.Repeat([]byte("a"), size))
	b.put(blockMark, markLen)
	b.put(uint64(crc), 32)
	b.put(0, 1+24)            // not randomised, begins with the first byte
	b.put(1<<(15-'a'/16), 16) // only 'a' occurs
	b.put(1<<(15-'a'%16), 16)
	b.put(3, 3)
	b.put(uint64(1+29*marks), 15)
	b.put(0, 1)
	for range marks {
		b.put(blockMark<<1, markLen+1)
	}
	for range 3 { // codes: 0 and 10 for runs, 11 for the end
		b.put(1<<5|0b01000, 5+5)
	}
	b.put(uint64(size-1), size) // of one: 0; of two: 10, with what is 1 less
	b.put(0b11, 2)
	b.put(streamMark, markLen)
	b.put(uint64(crc), 32)
	return b.file
}

// TestFalseMarks has marks where no block begins: what is there must be read as if nobody had guessed.
func TestFalseMarks(t *testing.T) {
	t.Parallel()
	for _, marks := range []int{0, 1, 2, 5, 1000} {
		file := marked(marks, 1)
		want, err := io.ReadAll(bzip2.NewReader(bytes.NewReader(file)))
		if err != nil || string(want) != "a" {
			t.Fatalf("%d marks: compress/bzip2 says %q, %v", marks, want, err)
		}
		for _, workers := range []int{1, 2, 4} {
			three := slices.Concat(file, file, file)
			if got, err := unpack(bytes.NewReader(three), workers); err != nil || string(got) != "aaa" {
				t.Errorf("%d marks, %d workers: got %q, %v, want aaa", marks, workers, got, err)
			}
		}
		if _, err := unpack(bytes.NewReader(file[:len(file)-15]), 2); err != io.ErrUnexpectedEOF {
			t.Errorf("%d marks, truncated: got %v, want io.ErrUnexpectedEOF", marks, err)
		}
	}
}

// TestMarkAcrossCut has a mark across each place where a chunk may end because it is as long as any block: for every read of the
// file one, so that wherever that is, one of them is hit.
func TestMarkAcrossCut(t *testing.T) {
	t.Parallel()
	const cuts = 64 << 10 // where reads end
	for _, before := range []int{1, 3, 5} {
		file := append([]byte("BZh91AY&SY"), bytes.Repeat([]byte{0x55}, maxPacked+3*cuts)...)
		cut := (maxPacked/cuts + 1) * cuts
		for range 2 {
			copy(file[cut-before:], "1AY&SY")
			cut += cuts
		}
		if _, err := unpack(bytes.NewReader(file), 2); !isBad(err) {
			t.Errorf("%d bytes before: got %v, want an error about damage", before, err)
		}
	}
}

// panics is a stream that fails in the worst way after its first bytes.
type panics struct{ first io.Reader }

func (p panics) Read(b []byte) (int, error) {
	n, err := p.first.Read(b)
	if err != nil {
		panic("out of luck")
	}
	return n, nil
}

// TestPanics: what goes wrong in a goroutine ends the file and not the program.
func TestPanics(t *testing.T) {
	t.Parallel()
	for name, file := range samples(t) {
		for _, n := range []int{0, 20, len(file)} {
			if _, err := unpack(panics{bytes.NewReader(file[:n])}, 2); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "out of luck") {
				t.Errorf("%s, after %d bytes: got %v, want what happened", name, n, err)
			}
		}
	}
	x := &Reader{work: make(chan *chunk, 1)}
	c := &chunk{ready: make(chan struct{}, 1), isMark: true} // without slack, as no chunk is
	x.work <- c
	close(x.work)
	x.decodeAll()
	<-c.ready
	if c.decoded {
		t.Error("a guess that failed is taken for right")
	}
}

// TestRandomised: such blocks have not been written since 1999.
func TestRandomised(t *testing.T) {
	t.Parallel()
	file := marked(0, 1)
	file[4+6+4] |= 0x80
	if _, err := unpack(bytes.NewReader(file), 1); !errors.Is(err, ErrUnsupported) {
		t.Errorf("got %v, want ErrUnsupported", err)
	}
}

// TestBomb reads a file that unpacks to several times what it may take of memory, and one that never ends its block.
func TestBomb(t *testing.T) { // alone, as it measures memory
	needTool(t)
	bomb := bytes.Repeat(tool(t, make([]byte, 45_000_000), "-9"), 5)
	endless := append(marked(0, 1)[:14], bytes.Repeat([]byte{0x55}, 5_000_000)...)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	r := NewReader(io.MultiReader(bytes.NewReader(bomb), bytes.NewReader(endless)), 2)
	defer r.Close()
	n, err := io.Copy(io.Discard, r)
	runtime.ReadMemStats(&after)
	if n != 5*45_000_000 || !errors.Is(err, ErrCorrupt) {
		t.Errorf("got %d bytes, %v, want %d, then ErrCorrupt", n, err, 5*45_000_000)
	}
	if got, most := after.TotalAlloc-before.TotalAlloc, uint64(100<<20); got > most {
		t.Errorf("took %d MiB of memory, want at most %d", got>>20, most>>20)
	}
}

// TestClose ends a Reader in the middle.
func TestClose(t *testing.T) {
	t.Parallel()
	needTool(t)
	file := tool(t, words(5, 1_000_000), "-1")
	for _, n := range []int64{0, 1, 100_000, 500_000} {
		r := NewReader(bytes.NewReader(file), 3)
		if _, err := io.CopyN(io.Discard, r, n); err != nil {
			t.Fatal(err)
		}
		r.Close()
		if _, err := r.Read(make([]byte, 10)); err == nil {
			t.Error("a closed Reader was read")
		}
	}
}
