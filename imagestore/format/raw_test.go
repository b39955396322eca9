package format

import (
	"errors"
	"io"
	"testing"
)

// TestCompressedRawEnds: in something compressed the bytes behind a filesystem are bounded.
func TestCompressedRawEnds(t *testing.T) {
	t.Parallel()
	const gib, tib = int64(1 << 30), int64(1 << 40)
	tests := []struct {
		name    string
		content content
		want    int64
	}{
		{"a small filesystem", content{filesystem: "EXT4", bytes: gib}, 513 * gib},
		{"a large one", content{filesystem: "NTFS", bytes: 3 * tib}, 6 * tib},
		{"a disk", content{filesystem: Disk, bytes: gib}, 2*tib + gib},
		{"one that does not say its size", content{filesystem: "LUKS"}, maxRawBytes},
		{"the largest", content{filesystem: "XFS", bytes: maxRawBytes}, maxRawBytes},
	}
	for _, test := range tests {
		if got := test.content.most(); got != test.want {
			t.Errorf("%s: got %d, want %d", test.name, got, test.want)
			continue
		}
		r := &rawReader{in: zeros{}, content: test.content, size: unknownSize, pos: test.want - MaxRun}
		if _, _, err := r.next(); err != nil {
			t.Errorf("%s, the last bytes: %v", test.name, err)
		}
		if _, _, err := r.next(); !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s, more of them: got %v, want ErrUnsupported", test.name, err)
		}
	}
	r := &rawReader{in: io.LimitReader(zeros{}, MaxRun), content: tests[0].content, size: 600 * gib, pos: 600*gib - MaxRun}
	if _, _, err := r.next(); err != nil {
		t.Errorf("a file that is not compressed: %v", err)
	}
}
