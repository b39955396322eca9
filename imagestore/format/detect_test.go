package format

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
)

// at returns a file of n zeros with text at an offset.
func fileWith(n, offset int, text string) []byte {
	b := make([]byte, n)
	copy(b[offset:], text)
	return b
}

func TestDetect(t *testing.T) {
	t.Parallel()
	random := make([]byte, 100_000)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range random {
		random[i] = byte(r.Uint32())
	}
	tests := []struct {
		name string
		file []byte
		want error
		says string
	}{
		{"no bytes", nil, ErrNotImage, "empty"},
		{"one byte", []byte{7}, ErrNotImage, ""},
		{"text", []byte(strings.Repeat("not an image\n", 9999)), ErrNotImage, ""},
		{"noise", random, ErrNotImage, ""},
		{"zeros", make([]byte, 1<<20), ErrNotImage, ""},
		{"compressed text", packFrames(t, []byte("not an image"), 3), ErrNotImage, ""},
		{"compressed nothing", packFrames(t, nil, 3), ErrNotImage, ""},
		{"compressed twice", packFrames(t, packFrames(t, []byte("x"), 3), 3), ErrUnsupported, "twice"},
		{"compressed by two tools", packFrames(t, []byte("\x1F\x8B\x08 and so on"), 3), ErrUnsupported, "twice"},
		{"lzop", []byte("\x89LZO\x00\r\n\x1A\n\x10\x40"), ErrUnsupported, "lzop"},
		{"gzip", []byte("\x1F\x8B\x08\x00\x00\x00\x00\x00"), ErrUnsupported, "gzip"},
		{"lz4", []byte("\x04\x22\x4D\x18\x64\x40"), ErrUnsupported, "lz4"},
		{"xz", []byte("\xFD7zXZ\x00\x00\x04"), ErrUnsupported, "xz"},
		{"bzip2", []byte("BZh91AY&SY"), ErrUnsupported, "bzip2"},
		{"ntfsclone", fileWith(100, 0, "\x00ntfsclone-image\x0A\x01"), ErrUnsupported, "ntfsclone"},
		{"partimage", fileWith(600, 0, "PaRtImAgE-VoLuMe"), ErrUnsupported, "partimage"},
		{"compressed partimage", packFrames(t, fileWith(600, 0, "PaRtImAgE-VoLuMe"), 3), ErrUnsupported, "partimage"},
		{"partclone version 1", fileWith(5000, 0, "partclone-imageEXT4\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x000001"), ErrUnsupported, `"0001"`},
		{"qcow2", fileWith(100, 0, "QFI\xFB"), ErrUnsupported, "qcow2"},
		{"Windows image", fileWith(100, 0, "MSWIM\x00\x00\x00"), ErrUnsupported, "WIM"},
		{"ext4 filesystem", fileWith(9000, 0x438, "\x53\xEF"), ErrUnsupported, "ext4"},
		{"btrfs filesystem", fileWith(100_000, 0x10040, "_BHRfS_M"), ErrUnsupported, "btrfs"},
		{"NTFS filesystem", fileWith(9000, 3, "NTFS    "), ErrUnsupported, "NTFS"},
		{"boot sector", fileWith(512, 510, "\x55\xAA"), ErrUnsupported, "boot sector"},
		{"boot sector cut", fileWith(511, 510, "\x55"), ErrNotImage, ""},
	}
	for _, test := range tests {
		rd, err := NewReader(bytes.NewReader(test.file))
		if err == nil {
			rd.Close()
		}
		if !errors.Is(err, test.want) {
			t.Errorf("%s: got error %v, want %v", test.name, err, test.want)
		} else if !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: got %q, want it to say %q", test.name, err, test.says)
		}
	}
}

func TestExtGeneration(t *testing.T) {
	t.Parallel()
	sb := func(compatible, incompatible, readOnly byte) []byte {
		b := make([]byte, 1024)
		b[0x38], b[0x39] = 0x53, 0xEF
		b[0x5C], b[0x60], b[0x64] = compatible, incompatible, readOnly
		return b
	}
	tests := []struct {
		name string
		sb   []byte
		want string
	}{
		{"plain", sb(0x38, 0x02, 0x03), "EXT2"},
		{"with a journal", sb(0x3C, 0x02, 0x03), "EXT3"},
		{"with a journal to replay", sb(0x3C, 0x06, 0x03), "EXT3"},
		{"with extents", sb(0x3C, 0x42, 0x03), "EXT4"},
		{"with extents, without a journal", sb(0x38, 0x42, 0x03), "EXT4"},
		{"with huge files only", sb(0x3C, 0x02, 0x0B), "EXT4"},
		{"no superblock", make([]byte, 1024), "EXTFS"},
	}
	for _, test := range tests {
		if got := extGeneration(test.sb); got != test.want {
			t.Errorf("%s: got %s, want %s", test.name, got, test.want)
		}
	}
}
