package format

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"aula/imagestore/format/formattest"
)

// mappedModel is a small image of partclone and its index.
func mappedModel(t *testing.T, compressor string) ([]byte, *Index) {
	t.Helper()
	content := make([]byte, 900*4096)
	rand.NewChaCha8([32]byte{11}).Read(content[:len(content)/2])
	model := formattest.Partclone{
		Filesystem: "EXTFS", BlockSize: 4096, DeviceSize: int64(len(content)), Blocks: 900,
		Used: func(i int) bool { return i%7 != 3 }, Content: content, Checksum: 0x20,
	}
	var b bytes.Buffer
	w, err := NewWriter(&b, compressor, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(model.Encode()); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes(), indexOf(t, b.Bytes())
}

// decodeMap decodes the parts from the last to the first and returns the used bytes of the image.
func decodeMap(m *FileMap, file []byte) ([]byte, error) {
	used := make([]byte, m.shape.used)
	put := func(at int64, b []byte) error {
		copy(used[at:], b)
		return nil
	}
	if m.Parts == nil {
		return used, m.Used(0, file, put)
	}
	u, err := m.NewUnpacker()
	if err != nil {
		return nil, err
	}
	defer u.Close()
	for i := len(m.Parts) - 1; i >= 0; i-- {
		p := m.Parts[i]
		b, err := u.Unpack(p, file[p.Offset:p.End()], nil)
		if err == nil {
			err = m.Used(p.Plain, b, put)
		}
		if err != nil {
			return nil, err
		}
	}
	return used, nil
}

func TestFileMap(t *testing.T) {
	for _, compressor := range []string{None, Zstd, Lzop, Gzip} {
		file, index := mappedModel(t, compressor)
		m, err := MapFile(bytes.NewReader(file), int64(len(file)), index)
		if err != nil {
			t.Fatalf("%s: %v", compressor, err)
		}
		_, disk, err := restore(bytes.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		var want []byte
		for _, c := range index.Chunks {
			for _, e := range c.Used {
				want = append(want, disk[e.Offset:e.End()]...)
			}
		}
		var form bytes.Buffer
		if n, err := m.WriteTo(&form); err != nil || n != int64(form.Len()) {
			t.Fatalf("%s: wrote %d bytes of %d, %v", compressor, n, form.Len(), err)
		}
		if m, err = ReadFileMap(&form, int64(len(file)), index); err != nil {
			t.Fatalf("%s: %v", compressor, err)
		}
		got, err := decodeMap(m, file)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes and %v, want %d", compressor, len(got), err, len(want))
		}
		first, err := m.First(bytes.NewReader(file))
		if err != nil || len(first) < 4096 || !bytes.HasPrefix(want, first) {
			t.Errorf("%s: the first used bytes are %d others, %v", compressor, len(first), err)
		}
	}
}

// TestFileMapOverlapping looks for parts at the ends of others.
func TestFileMapOverlapping(t *testing.T) {
	m := &FileMap{Parts: []Part{{Offset: 10, Packed: 5}, {Offset: 15, Packed: 1}, {Offset: 16, Packed: 20}}}
	for _, test := range []struct {
		offset     int64
		n          int
		first, end int
	}{{0, 10, 0, 0}, {0, 11, 0, 1}, {14, 1, 0, 1}, {14, 2, 0, 2}, {15, 1, 1, 2}, {10, 26, 0, 3}, {35, 1, 2, 3}, {36, 5, 3, 3}} {
		if first, end := m.Overlapping(test.offset, test.n); first != test.first || end != test.end {
			t.Errorf("%d bytes from %d: parts %d to %d, want %d to %d", test.n, test.offset, first, end, test.first, test.end)
		}
	}
}

// TestFileMapOfDamagedFiles changes bytes where the map is read from: what does not fit must be an error, whatever it is, and what is
// taken in spite of it must not be decoded to other bytes than the index's without being noticed by its user, who compares hashes.
func TestFileMapOfDamagedFiles(t *testing.T) {
	random := rand.New(rand.NewPCG(12, 1))
	for _, compressor := range []string{None, Zstd, Lzop, Gzip} {
		good, index := mappedModel(t, compressor)
		for range 300 {
			file := bytes.Clone(good)
			for range 1 + random.IntN(3) {
				at := random.IntN(200)
				if random.IntN(2) == 0 {
					at = len(file) - 1 - at
				}
				file[at] ^= 1 << random.IntN(8)
			}
			if random.IntN(4) == 0 {
				file = file[:len(file)-random.IntN(len(file)/2)]
			}
			m, err := MapFile(bytes.NewReader(file), int64(len(file)), index)
			switch {
			case err == nil:
				_, err = decodeMap(m, file)
				if err != nil && !errors.Is(err, ErrCorrupt) {
					t.Errorf("%s: decoding: %v", compressor, err)
				}
			case !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrOrdered) && !errors.Is(err, ErrUnsupported):
				t.Errorf("%s: %v is none of the errors", compressor, err)
			}
		}
	}
}

func TestFileMapRefusesAnotherIndex(t *testing.T) {
	file, index := mappedModel(t, Zstd)
	other := *index
	other.Chunks = other.Chunks[1:]
	if _, err := MapFile(bytes.NewReader(file), int64(len(file)), &other); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "its index has") {
		t.Errorf("got %v, want ErrCorrupt", err)
	}
	if _, err := MapFile(failingReader{}, int64(len(file)), index); !errors.Is(err, errBroken) || errors.Is(err, ErrCorrupt) {
		t.Errorf("a disk that cannot be read: got %v", err)
	}
}

func TestReadFileMapOfDamagedMaps(t *testing.T) {
	file, index := mappedModel(t, Lzop)
	m, err := MapFile(bytes.NewReader(file), int64(len(file)), index)
	if err != nil {
		t.Fatal(err)
	}
	var form bytes.Buffer
	if _, err := m.WriteTo(&form); err != nil {
		t.Fatal(err)
	}
	read := func(b []byte, size int) error {
		_, err := ReadFileMap(bytes.NewReader(b), int64(size), index)
		return err
	}
	for at := range form.Len() {
		wrong := bytes.Clone(form.Bytes())
		wrong[at] ^= 0x41
		for _, b := range [][]byte{wrong, form.Bytes()[:at]} {
			if err := read(b, len(file)); !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrNotImage) && !errors.Is(err, ErrUnsupported) {
				t.Fatalf("byte %d wrong, or the first missing: %v", at, err)
			}
		}
	}
	if err := read(form.Bytes(), len(file)+1); !errors.Is(err, ErrCorrupt) {
		t.Errorf("of another file: %v", err)
	}
}

var errBroken = errors.New("input/output error")

type failingReader struct{}

func (failingReader) ReadAt([]byte, int64) (int, error) { return 0, errBroken }

var _ io.ReaderAt = failingReader{}
