package bzip2

import (
	"bytes"
	"compress/bzip2"
	"io"
	"testing"
)

// fuzzSize is how much of a fuzzed file is unpacked, so that a run takes no time worth mentioning.
const fuzzSize = 1 << 20

// FuzzReader reads whatever comes. The result must not depend on how many guess, and what the standard library reads must be read the same.
func FuzzReader(f *testing.F) {
	for _, file := range samples(f) {
		f.Add(file)
	}
	f.Add(marked(0, 1))
	f.Add(marked(3, 2))
	f.Fuzz(func(t *testing.T, file []byte) {
		run := func(workers int) ([]byte, error) {
			r := NewReader(bytes.NewReader(file), workers)
			defer r.Close()
			return io.ReadAll(io.LimitReader(r, fuzzSize))
		}
		one, oneErr := run(1)
		two, twoErr := run(2)
		if !bytes.Equal(one, two) || (oneErr == nil) != (twoErr == nil) {
			t.Errorf("1 worker: %d bytes, %v; 2 workers: %d bytes, %v", len(one), oneErr, len(two), twoErr)
		}
		if oneErr != nil && !isBad(oneErr) {
			t.Errorf("got %v", oneErr)
		}
		// Up to the limit is not up to the checksum, which alone tells that the other has read it right.
		want, err := io.ReadAll(io.LimitReader(bzip2.NewReader(bytes.NewReader(file)), fuzzSize))
		if err == nil && len(want) < fuzzSize && (oneErr != nil || !bytes.Equal(one, want)) {
			t.Errorf("got %d bytes, %v, and %d from compress/bzip2", len(one), oneErr, len(want))
		}
	})
}

// FuzzBlock decodes whatever comes behind the checksum of a block, with that checksum put right, so that more than its tables is looked at.
func FuzzBlock(f *testing.F) {
	const behind = 4 + markLen/8 + 4 // of a file's beginning
	for _, file := range samples(f) {
		f.Add(file[behind:])
	}
	f.Add(marked(3, 2)[behind:])
	f.Fuzz(func(t *testing.T, rest []byte) {
		data := append(make([]byte, markLen/8+4, markLen/8+4+len(rest)+bitSlack), rest...)
		k := new(block)
		if k.decode(data[:len(data)+bitSlack], 0) != nil {
			return
		}
		if k.end > 8*len(data) || k.size < 1 || k.size > maxBlock {
			t.Fatalf("block of %d bytes ends at bit %d of %d", k.size, k.end, 8*len(data))
		}
		for buf := make([]byte, 4096); !k.done(); {
			if n := k.expand(buf); n == 0 && !k.done() {
				t.Fatal("no more comes, and it is not done")
			}
		}
	})
}
