package format

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"aula/imagestore/format/formattest"
)

// splitPartimage cuts an image into volumes with size bytes of content, as partimage does: each has a header of its own, and the
// tail says in which volume it is.
func splitPartimage(file []byte, size int) [][]byte {
	header, content := file[:partimageVolumeLen], slices.Clone(file[partimageVolumeLen:])
	last := uint32((len(content) - 1) / size)
	binary.LittleEndian.PutUint32(content[len(content)-partimageRecordLen+8:], last)
	var volumes [][]byte
	for part := range slices.Chunk(content, size) {
		volume := append(slices.Clone(header), part...)
		binary.LittleEndian.PutUint32(volume[96:], uint32(len(volumes)))
		volumes = append(volumes, volume)
	}
	return volumes
}

func readersOf(volumes ...[]byte) []io.Reader {
	var readers []io.Reader
	for _, v := range volumes {
		readers = append(readers, bytes.NewReader(v))
	}
	return readers
}

func TestJoinPartimage(t *testing.T) {
	t.Parallel()
	file := formattest.Partimage{Partclone: formattest.Partclone{Blocks: 100}}.Encode()
	for _, size := range []int{1000, 16_000, 100_000, len(file) - partimageVolumeLen - 1, len(file)} {
		volumes := splitPartimage(file, size)
		var joined bytes.Buffer
		if err := JoinPartimage(&joined, readersOf(volumes...)); err != nil || !bytes.Equal(joined.Bytes(), file) {
			t.Errorf("%d volumes of %d bytes: not the whole image, %v", len(volumes), size, err)
		}
		for i, v := range volumes {
			if i%2 == 0 {
				volumes[i] = packFrames(t, v, 1)
			}
		}
		joined.Reset()
		if err := JoinPartimage(&joined, readersOf(volumes...)); err != nil || !bytes.Equal(joined.Bytes(), file) {
			t.Errorf("%d volumes of %d bytes, some compressed: not the whole image, %v", len(volumes), size, err)
		}
	}
}

func TestJoinPartimageRefuses(t *testing.T) {
	t.Parallel()
	file := formattest.Partimage{Partclone: formattest.Partclone{Blocks: 100}}.Encode()
	v := splitPartimage(file, 150_000)
	foreign := slices.Clone(v[1])
	foreign[100]++
	tests := []struct {
		name    string
		volumes [][]byte
		want    error
		says    string
	}{
		{"none", nil, nil, "no partimage volumes"},
		{"the first is missing", v[1:], ErrCorrupt, "out of order"},
		{"the second is missing", [][]byte{v[0], v[2]}, ErrCorrupt, "partimage volume 2 of 2: "},
		{"the last is missing", v[:2], ErrCorrupt, "volumes are missing"},
		{"out of order", [][]byte{v[0], v[2], v[1]}, ErrCorrupt, "out of order"},
		{"one twice", [][]byte{v[0], v[1], v[1], v[2]}, ErrCorrupt, "out of order"},
		{"one of another image", [][]byte{v[0], foreign, v[2]}, ErrCorrupt, "another image"},
		{"the last is cut", [][]byte{v[0], v[1], v[2][:len(v[2])-1]}, ErrCorrupt, "truncated"},
		{"the last is only a header", [][]byte{v[0], v[1], v[2][:512]}, ErrCorrupt, "truncated"},
		{"one is empty", [][]byte{v[0], nil, v[2]}, ErrNotImage, "partimage volume 2 of 3"},
		{"one is cut within its header", [][]byte{v[0], v[1][:511], v[2]}, ErrNotImage, "too short"},
		{"one is something else", [][]byte{v[0], bytes.Repeat([]byte("text"), 1000), v[2]}, ErrNotImage, "no partimage volume header"},
	}
	for _, test := range tests {
		err := JoinPartimage(io.Discard, readersOf(test.volumes...))
		if err == nil || test.want != nil && !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: got %v, want %v and that it says %q", test.name, err, test.want, test.says)
		}
	}
	broken := errors.New("disk on fire")
	if err := JoinPartimage(io.Discard, []io.Reader{bytes.NewReader(v[0]), iotest.ErrReader(broken)}); !errors.Is(err, broken) {
		t.Errorf("broken volume: got %v", err)
	}
	if err := JoinPartimage(&failingWriter{0, broken}, readersOf(v...)); !errors.Is(err, broken) {
		t.Errorf("broken target: got %v", err)
	}
}
