package format

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"
)

// numbered is a bitmap in which every page begins with its number and has zeros behind. It is read page by page.
type numbered struct{ page int64 }

func (n *numbered) Read(p []byte) (int, error) {
	clear(p[:pageBytes])
	binary.LittleEndian.PutUint64(p, uint64(n.page))
	n.page++
	return pageBytes, nil
}

// TestBitmapMemory reads bitmaps that claim and hold as much as they can. Tests that measure memory must not be parallel.
func TestBitmapMemory(t *testing.T) {
	const pages = 16 << 20 / pageBytes
	two := append(make([]byte, pageBytes), bytes.Repeat([]byte{0xFF}, pageBytes)...)
	var err error
	used := memory(func() {
		_, _, err = readBits(bytes.NewReader(bytes.Repeat(two, pages/2)), pages*pageBits, pages/2*pageBits)
	})
	if err != nil || used > 17<<20 { // 16 of them what is read
		t.Errorf("two pages in turn: %v, took %d KiB for %d pages", err, used>>10, pages)
	}
	used = memory(func() { _, _, err = readBits(new(numbered), maxBitmapBlocks, unknownCount) })
	if !errors.Is(err, ErrUnsupported) || used > 160<<20 {
		t.Errorf("pages of which no two are alike: %v, took %d MiB", err, used>>20)
	}
}

// TestBitmapEndsEarly: a bitmap that cannot be what the header says is not read to its end.
func TestBitmapEndsEarly(t *testing.T) {
	t.Parallel()
	const pages = 50
	ones, none := bytes.Repeat([]byte{0xFF}, pages*pageBytes), make([]byte, pages*pageBytes)
	tests := []struct {
		name string
		bits []byte
		want int64
		read int64 // pages; all when it is right
	}{
		{"all used", ones, pages * pageBits, pages},
		{"none used", none, 0, pages},
		{"more than wanted", ones, 2 * pageBits, 3},
		{"fewer than can still come", none, 40 * pageBits, 11},
	}
	for _, test := range tests {
		in := bytes.NewReader(test.bits)
		m, _, err := readBits(in, pages*pageBits, test.want)
		if test.read == pages && (err != nil || m.count != test.want) || test.read < pages && !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: got %v", test.name, err)
		}
		if got := (in.Size() - int64(in.Len())) / pageBytes; got != test.read {
			t.Errorf("%s: read %d pages, want %d", test.name, got, test.read)
		}
	}
	flags := bytes.NewReader(bytes.Repeat([]byte{1}, pages*pageBits))
	if _, err := readFlags(flags, pages*pageBits, 5); !errors.Is(err, ErrCorrupt) || flags.Len() != (pages-1)*pageBits {
		t.Errorf("flags: got %v with %d left", err, flags.Len())
	}
	if m, _, err := readBits(bytes.NewReader([]byte{0xFF}), 3, 3); err != nil || m.count != 3 { // spare bits are set
		t.Errorf("spare bits: got %v", err)
	}
}
