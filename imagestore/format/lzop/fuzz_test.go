package lzop

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"io"
	"testing"
)

// fuzzSize is how much a fuzzed block may unpack to, so that a run takes no time worth mentioning.
const fuzzSize = 1 << 16

// blocksOf are the packed bytes of the blocks in a file.
func blocksOf(t testing.TB, file []byte) (packed [][]byte, sizes []int) {
	t.Helper()
	r, err := NewReader(bufio.NewReader(bytes.NewReader(file)))
	for b := new(Block); err == nil; {
		if err = r.Next(b); err == nil {
			packed = append(packed, bytes.Clone(b.packed))
			sizes = append(sizes, b.size)
		}
	}
	if err != io.EOF {
		t.Fatal(err)
	}
	return packed, sizes
}

// FuzzDecompress unpacks whatever comes. It must touch no byte behind the slack, and the result must not depend on what is in the slack.
func FuzzDecompress(f *testing.F) {
	for _, file := range samples(f) {
		packed, sizes := blocksOf(f, file)
		for i := range packed {
			f.Add(packed[i], sizes[i])
		}
	}
	f.Fuzz(func(t *testing.T, packed []byte, size int) {
		if size < 0 || size > fuzzSize {
			return
		}
		run := func(filler byte) ([]byte, error) {
			dst := bytes.Repeat([]byte{filler}, size+slack+8)
			src := append(bytes.Clone(packed), bytes.Repeat([]byte{filler}, slack)...)
			err := decompress(dst[:size+slack], src)
			if !bytes.Equal(dst[size+slack:], bytes.Repeat([]byte{filler}, 8)) {
				t.Fatal("wrote behind the slack")
			}
			return dst[:size], err
		}
		one, oneErr := run(0x00)
		two, twoErr := run(0x11)
		if (oneErr == nil) != (twoErr == nil) || oneErr == nil && !bytes.Equal(one, two) {
			t.Errorf("depends on what is behind the packed bytes: %v, %v", oneErr, twoErr)
		}
		if oneErr == nil && size > len(packed)*maxRatio {
			t.Errorf("%d bytes became %d, more than %d times as many", len(packed), size, maxRatio)
		}
	})
}

// FuzzReader reads whatever comes as a file, with the header's checksum put right.
func FuzzReader(f *testing.F) {
	for _, file := range samples(f) {
		f.Add(file)
	}
	old := sample()
	old.version, old.flags = 0x0900, old.flags|flagExtra|flagHeaderCRC
	f.Add(old.encode())
	f.Fuzz(func(t *testing.T, file []byte) {
		file = bytes.Clone(file)
		seal(file)
		r, err := NewReader(bufio.NewReaderSize(bytes.NewReader(file), 16))
		if err == nil {
			b, plain := new(Block), []byte(nil)
			for err == nil {
				if err = r.Next(b); err == nil && b.Size() <= fuzzSize {
					plain, err = b.Decode(plain)
					if err == nil && len(plain) != b.Size() {
						t.Fatalf("block of %d bytes has %d", b.Size(), len(plain))
					}
				}
			}
		}
		if err != io.EOF && !isBad(err) {
			t.Errorf("got %v", err)
		}
	})
}

// seal corrects the checksum of a header of today's version.
func seal(file []byte) {
	const flagsAt, nameAt = 17, 33
	if len(file) <= nameAt {
		return
	}
	end := nameAt + 1 + int(file[nameAt])
	if len(file) < end+4 {
		return
	}
	sum := header{flags: binary.BigEndian.Uint32(file[flagsAt:])}.checksum()
	sum.Write(file[len(Magic):end])
	binary.BigEndian.PutUint32(file[end:], sum.Sum32())
}

// FuzzRoundTrip packs whatever comes and unpacks it again.
func FuzzRoundTrip(f *testing.F) {
	for _, file := range samples(f) {
		plain, err := unpack(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(plain)
		f.Add(file)
	}
	f.Add(mixed(1, 4000))
	f.Fuzz(func(t *testing.T, plain []byte) {
		got, err := unpack(pack(plain))
		if err != nil || !bytes.Equal(got, plain) {
			t.Errorf("got %d bytes, %v, want %d", len(got), err, len(plain))
		}
	})
}
