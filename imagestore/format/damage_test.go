package format

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"aula/imagestore/format/formattest"
)

// smallImage is a whole image in a few KiB.
func smallImage(mode int) formattest.Partclone {
	return formattest.Partclone{
		BlockSize: 512, Blocks: 60, Used: func(i int) bool { return i%9 < 4 },
		Checksum: mode, StripBlocks: map[bool]int{true: 0, false: 5}[mode == formattest.ChecksumNone],
	}
}

// TestBitFlips flips every bit of the header and the bitmap of an image with checksums, and some of the data and its
// checksums; none may go unnoticed.
func TestBitFlips(t *testing.T) {
	t.Parallel()
	image := smallImage(formattest.ChecksumCRC32)
	file := image.Encode()
	for i := 0; i < len(file); i += stride(i, 130, len(file)) {
		for bit := range 8 {
			if i > 130 && bit != i%8 {
				continue
			}
			file[i] ^= 1 << bit
			_, _, err := restore(bytes.NewReader(file))
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrUnsupported) && !errors.Is(err, ErrNotImage) {
				t.Errorf("bit %d of byte %d flipped: got error %v", bit, i, err)
			}
			if i >= 34 && !errors.Is(err, ErrCorrupt) {
				t.Errorf("bit %d of byte %d flipped: got error %v, want damage", bit, i, err)
			}
			file[i] ^= 1 << bit
		}
	}
}

// TestBitFlipsCompressed flips bits of Aula's own files. What still decodes must decode to the same.
func TestBitFlipsCompressed(t *testing.T) {
	t.Parallel()
	image := smallImage(formattest.ChecksumNone)
	want := image.Partition()
	file := packFrames(t, image.Encode(), 3)
	unnoticed := 0
	for i := 0; i < len(file); i += stride(i, 130, len(file)) {
		bit := byte(1) << (i % 8)
		file[i] ^= bit
		_, disk, err := restore(bytes.NewReader(file))
		file[i] ^= bit
		if err == nil && !sameStart(disk, want) {
			t.Errorf("bit of byte %d flipped: restored another partition without an error", i)
		}
		if err == nil {
			unnoticed++
		}
	}
	// The seek table is not needed for decoding: 8 bytes of header, an entry of 8, a footer of 9.
	if unnoticed > 8+8+9 {
		t.Errorf("%d flips were not noticed, more than the seek table has bytes", unnoticed)
	}
}

// stride steps over a file of n bytes: every byte up to dense and at the end, some between.
func stride(i, dense, n int) int {
	if i < dense || i > n-40 {
		return 1
	}
	return 13
}

func TestTruncation(t *testing.T) {
	t.Parallel()
	for _, mode := range []int{formattest.ChecksumNone, formattest.ChecksumCRC32, formattest.ChecksumXXH128} {
		plain := smallImage(mode).Encode()
		for name, file := range map[string][]byte{"plain": plain, "frames": packFrames(t, plain, 3)} {
			whole := len(file)
			if name == "frames" {
				whole -= 8 + 8 + 9 // all but the seek table
			}
			for n := 0; n < len(file); n += stride(n, 130, len(file)) {
				_, _, err := restore(bytes.NewReader(file[:n]))
				switch {
				case n == whole && name == "frames": // only the seek table is missing
					if err != nil {
						t.Errorf("mode %#x, %s without seek table: %v", mode, name, err)
					}
				case n < 16:
					if err == nil {
						t.Errorf("mode %#x, %s cut after %d bytes: no error", mode, name, n)
					}
				case !errors.Is(err, ErrCorrupt):
					t.Errorf("mode %#x, %s cut after %d bytes: got error %v, want damage", mode, name, n, err)
				}
			}
		}
	}
}

func TestTrailingData(t *testing.T) {
	t.Parallel()
	plain := smallImage(formattest.ChecksumCRC32).Encode()
	files := map[string][]byte{
		"plain with a byte more":         append(plain[:len(plain):len(plain)], 0),
		"frames with a byte more inside": packFrames(t, append(plain[:len(plain):len(plain)], 0), 3),
		"frames with a byte more":        append(packFrames(t, plain, 3), 0),
		"frames with a frame more":       append(packFrames(t, plain, 3), packFrames(t, []byte("more"), 3)...),
		"frames with text behind":        append(packFrames(t, plain, 3), "0123456789abcdefghijklmnop"...),
	}
	for name, file := range files {
		if _, _, err := restore(bytes.NewReader(file)); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: got error %v, want damage", name, err)
		}
	}
}

// TestMessages makes sure that what a technician reads says what is wrong.
func TestMessages(t *testing.T) {
	t.Parallel()
	plain := smallImage(formattest.ChecksumCRC32).Encode()
	flipped := bytes.Clone(plain)
	flipped[len(flipped)-20] ^= 4
	tests := []struct {
		name string
		file []byte
		want string
	}{
		{"cut in the data", plain[:len(plain)-1], "truncated"},
		{"cut in the bitmap", plain[:115], "bitmap: the file is truncated"},
		{"cut while compressed", packFrames(t, plain, 3)[:1000], "truncated"},
		{"damaged data", flipped, "checksum of the data"},
		{"nothing", nil, "empty"},
	}
	for _, test := range tests {
		_, _, err := restore(bytes.NewReader(test.file))
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want it to say %q", test.name, err, test.want)
		}
	}
}
