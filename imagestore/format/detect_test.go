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
		{"lzip", []byte("LZIP\x01\x0C"), ErrUnsupported, "lzip"},
		{"lrzip", []byte("LRZI\x00\x06"), ErrUnsupported, "lrzip"},
		{"lzop cut in its header", []byte("\x89LZO\x00\r\n\x1A\n\x10\x40"), ErrCorrupt, "truncated"},
		{"gzip cut in its header", []byte("\x1F\x8B\x08\x00\x00\x00\x00\x00"), ErrCorrupt, "truncated"},
		{"ntfsclone header", fileWith(100, 0, "\x00ntfsclone-image\x0A\x01"), ErrCorrupt, "ntfsclone header: cluster size 0"},
		{"partimage volume header", fileWith(600, 0, "PaRtImAgE-VoLuMe"), ErrUnsupported, `version ""`},
		{"second partimage volume", fileWith(600, 0, "PaRtImAgE-VoLuMe"+strings.Repeat("\x00", 80)+"\x01"), ErrUnsupported, "must be joined"},
		{"compressed partimage volume header", packFrames(t, fileWith(600, 0, "PaRtImAgE-VoLuMe"), 3), ErrUnsupported, "partimage"},
		{"partclone version 3", fileWith(5000, 0, "partclone-imageEXT4\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x000003"), ErrUnsupported, `"0003"`},
		{"qcow2", fileWith(100, 0, "QFI\xFB"), ErrUnsupported, "qcow2"},
		{"Windows image", fileWith(100, 0, "MSWIM\x00\x00\x00"), ErrUnsupported, "WIM"},
		{"only the mark of ext4", fileWith(9000, 0x438, "\x53\xEF"), ErrNotImage, ""},
		{"only the mark of btrfs", fileWith(100_000, 0x10040, "_BHRfS_M"), ErrNotImage, ""},
		{"only the mark of NTFS", fileWith(9000, 3, "NTFS    "), ErrNotImage, ""},
		{"only the mark of XFS", fileWith(9000, 0, "XFSB"), ErrNotImage, ""},
		{"swap area", fileWith(9000, 0xFF6, "SWAPSPACE2"), ErrUnsupported, "swap"},
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
