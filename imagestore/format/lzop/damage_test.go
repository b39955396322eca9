package lzop

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"aula/imagestore/format/formattest"
)

// samples are small files that lzop 1.04 made of testdata/plain.
func samples(t testing.TB) map[string][]byte {
	t.Helper()
	return formattest.Samples(t, "testdata/*.lzo")
}

// TestSamples reads files of the real tool without that tool.
func TestSamples(t *testing.T) {
	t.Parallel()
	plain, err := os.ReadFile("testdata/plain")
	if err != nil {
		t.Fatal(err)
	}
	for name, file := range samples(t) {
		if got, err := unpack(file); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("%s: got %d bytes, %v, want %d", name, len(got), err, len(plain))
		}
	}
}

func TestTruncated(t *testing.T) {
	t.Parallel()
	for name, file := range samples(t) {
		for n := range len(file) {
			whole := n > 0 && strings.HasPrefix(string(file[n:]), Magic) // is the first member of two
			if _, err := unpack(file[:n]); !whole && !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%s, %d of %d bytes: got %v, want io.ErrUnexpectedEOF", name, n, len(file), err)
			}
		}
	}
}

// TestChanged changes every bit of a file. What has a checksum must not be read as something else; that a change makes other
// packed bytes of the same plain ones is possible.
func TestChanged(t *testing.T) {
	t.Parallel()
	for name, file := range samples(t) {
		plain, err := unpack(file)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 8 * len(file) {
			damaged := bytes.Clone(file)
			damaged[i/8] ^= 1 << (i % 8)
			got, err := unpack(damaged)
			wrong := err == nil && !bytes.Equal(got, plain) && name != "nosum.lzo"
			if wrong || err != nil && !isBad(err) {
				t.Errorf("%s, bit %d of byte %d: got %d of %d bytes, %v", name, i%8, i/8, len(got), len(plain), err)
			}
		}
	}
}

// TestHostile: claims that the bytes cannot keep are refused at once and without memory for them.
func TestHostile(t *testing.T) { // alone, as it measures memory
	f := sample()
	whole := f.encode()
	head := whole[:len(whole)-4-len(f.plain)-3*4]
	extra := sample()
	extra.flags |= flagExtra
	block := func(numbers string, data int) []byte {
		return append(append(bytes.Clone(head), numbers...), make([]byte, data)...)
	}
	tests := []struct {
		name string
		file []byte
		want error
	}{
		{"largest block in hardly any bytes", block("\x04\x00\x00\x00\x00\x00\x00\x10", 100), ErrCorrupt},
		{"largest block of which little comes", block("\x04\x00\x00\x00\x03\xff\xff\xff", 100), io.ErrUnexpectedEOF},
		{"largest stored block of which little comes", block("\x04\x00\x00\x00\x04\x00\x00\x00", 100), io.ErrUnexpectedEOF},
		{"block larger than any", block("\x04\x00\x00\x01\x04\x00\x00\x01", 100), ErrCorrupt},
		{"packed block larger than plain", block("\x00\x04\x00\x00\x00\x04\x00\x01", 300<<10), ErrCorrupt},
		{"packed block without bytes", block("\x00\x04\x00\x00\x00\x00\x00\x00", 100), ErrCorrupt},
		{"split file", block("\xff\xff\xff\xff\x00\x00\x00\x10", 100), ErrUnsupported},
		{"extra field of 4 GiB", append(extra.encode()[:38], "\xff\xff\xff\xff few bytes"...), io.ErrUnexpectedEOF},
		{"block of zeros", block("\x00\x00\x20\x00\x00\x00\x01\x00\x00\x00\x00\x00", 256), ErrCorrupt},
		{"no lzop file", []byte("something else"), ErrCorrupt},
		{"nothing", nil, io.ErrUnexpectedEOF},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := unpack(test.file); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
			// Besides the buffer of bufio there is at most that of the first bytes of a block.
			const most = 2 * BlockSize
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			unpack(test.file)
			runtime.ReadMemStats(&after)
			if got := after.TotalAlloc - before.TotalAlloc; got > most {
				t.Errorf("took %d bytes of memory, want at most %d", got, most)
			}
		})
	}
}

// TestSource tells failures of the stream apart from damage, and reads one that yields little at a time.
func TestSource(t *testing.T) {
	t.Parallel()
	broken := errors.New("cable pulled")
	for name, file := range samples(t) {
		for n := 0; n < len(file); n += 7 {
			in := io.MultiReader(iotest.HalfReader(bytes.NewReader(file[:n])), iotest.ErrReader(broken))
			r, err := NewReader(bufio.NewReaderSize(in, 16))
			for b := new(Block); err == nil; {
				err = r.Next(b)
			}
			if !errors.Is(err, broken) {
				t.Errorf("%s, broken after %d of %d bytes: got %v, want %v", name, n, len(file), err, broken)
			}
		}
	}
}
