package format

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"testing"
	"testing/iotest"

	"github.com/zeebo/blake3"

	"aula/imagestore/format/formattest"
)

// indexOf builds the index of an image.
func indexOf(t testing.TB, file []byte) *Index {
	t.Helper()
	r, err := NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var b IndexBuilder
	for {
		off, run, err := r.Next()
		if err == io.EOF {
			return b.Index(r.Info())
		}
		if err != nil {
			t.Fatal(err)
		}
		if err := b.Add(off, run); err != nil {
			t.Fatal(err)
		}
	}
}

// indexed is an image of four chunks and a bit, the third of them empty.
func indexed() formattest.Partclone {
	return formattest.Partclone{
		BlockSize: 4096, Blocks: 4*256 + 10,
		Used: func(i int) bool { return i/256 != 2 && i%11 != 5 },
	}
}

func encodeIndex(t testing.TB, x *Index) []byte {
	t.Helper()
	var b bytes.Buffer
	n, err := x.WriteTo(&b)
	if err != nil {
		t.Fatal(err)
	}
	if n != int64(b.Len()) {
		t.Errorf("WriteTo says %d bytes, wrote %d", n, b.Len())
	}
	return b.Bytes()
}

func TestIndex(t *testing.T) {
	t.Parallel()
	image := indexed()
	partition := image.Partition()
	x := indexOf(t, image.Encode())
	if got, want := x.UsedBytes(), x.Info.UsedBytes; got != want {
		t.Errorf("used bytes of the index = %d, info says %d", got, want)
	}
	var numbers []int64
	for _, c := range x.Chunks {
		numbers = append(numbers, c.Number)
		var used []byte
		for i, e := range c.Used {
			if e.Offset/ChunkSize != c.Number || (e.End()-1)/ChunkSize != c.Number {
				t.Errorf("chunk %d: extent %v is outside", c.Number, e)
			}
			if i > 0 && e.Offset <= c.Used[i-1].End() {
				t.Errorf("chunk %d: extents %v and %v are not merged", c.Number, c.Used[i-1], e)
			}
			used = append(used, partition[e.Offset:e.End()]...)
		}
		if blake3.Sum256(used) != c.Hash {
			t.Errorf("chunk %d: hash is not that of its used bytes", c.Number)
		}
	}
	if want := []int64{0, 1, 3, 4}; !slices.Equal(numbers, want) {
		t.Errorf("chunks = %v, want %v", numbers, want)
	}
}

// TestIndexOfAnyRuns cuts the same bytes into other runs.
func TestIndexOfAnyRuns(t *testing.T) {
	t.Parallel()
	data := bytes.Repeat([]byte("0123456789abcde"), 3*ChunkSize/15)
	var want *Index
	for _, size := range []int{len(data), 1 << 20, 4096, 1000_003} {
		var b IndexBuilder
		for off := 0; off < len(data); off += size {
			if err := b.Add(int64(off)+5*ChunkSize-100, data[off:min(off+size, len(data))]); err != nil {
				t.Fatal(err)
			}
		}
		got := b.Index(Info{})
		if want == nil {
			want = got
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("runs of %d bytes: another index", size)
		}
	}
}

func TestIndexBuilderOrder(t *testing.T) {
	t.Parallel()
	var b IndexBuilder
	if err := b.Add(1000, make([]byte, 10)); err != nil {
		t.Fatal(err)
	}
	if err := b.Add(1009, make([]byte, 10)); err == nil {
		t.Error("overlapping run: no error")
	}
}

func TestIndexFile(t *testing.T) {
	t.Parallel()
	x := indexOf(t, indexed().Encode())
	file := encodeIndex(t, x)
	got, err := ReadIndex(iotest.OneByteReader(bytes.NewReader(file)))
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, x) {
		t.Error("index read differs from the one written")
	}
	t.Run("empty", func(t *testing.T) {
		got, err := ReadIndex(bytes.NewReader(encodeIndex(t, &Index{Info: x.Info})))
		if err != nil || len(got.Chunks) != 0 || got.Info != x.Info {
			t.Errorf("got %v, %v", got, err)
		}
	})
	t.Run("truncated", func(t *testing.T) {
		for n := range file {
			_, err := ReadIndex(bytes.NewReader(file[:n]))
			if n < 9 && !errors.Is(err, ErrNotImage) || n >= 9 && !errors.Is(err, ErrCorrupt) {
				t.Errorf("cut after %d bytes: %v", n, err)
			}
		}
	})
	t.Run("flipped", func(t *testing.T) {
		for i := range file {
			for bit := range 8 {
				file[i] ^= 1 << bit
				if _, err := ReadIndex(bytes.NewReader(file)); err == nil {
					t.Errorf("bit %d of byte %d flipped: no error", bit, i)
				}
				file[i] ^= 1 << bit
			}
		}
	})
	t.Run("followed", func(t *testing.T) {
		if _, err := ReadIndex(bytes.NewReader(append(file[:len(file):len(file)], 0))); !errors.Is(err, ErrCorrupt) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("broken connection", func(t *testing.T) {
		broken := errors.New("connection reset")
		for _, n := range []int{0, 3, 100, len(file)} {
			if _, err := ReadIndex(io.MultiReader(bytes.NewReader(file[:n]), iotest.ErrReader(broken))); !errors.Is(err, broken) {
				t.Errorf("after %d bytes: got %v", n, err)
			}
		}
	})
}

// TestIndexVersion1 reads a file as the first version wrote it, with the info before the chunks.
func TestIndexVersion1(t *testing.T) {
	t.Parallel()
	want := &Index{
		Info:   Info{Tool: Partclone, Compressor: Zstd, Filesystem: "EXT4", RequiredBytes: 4096, UsedBytes: 2, BlockSize: 1},
		Chunks: []Chunk{{Number: 0, Hash: blake3.Sum256([]byte("ab")), Used: []Extent{{7, 2}}}},
	}
	info := `{"tool":"PARTCLONE","compressor":"ZSTD","filesystem":"EXT4","requiredBytes":4096,"usedBytes":2,"blockSize":1}`
	b := append([]byte(indexMagic), 1)
	b = binary.AppendUvarint(b, ChunkSize)
	b = append(binary.AppendUvarint(b, uint64(len(info))), info...)
	b = append(b, 1) // chunk 0 is one after "chunk -1"
	b = append(b, want.Chunks[0].Hash[:]...)
	b = append(b, 1, 7, 2) // one extent: 2 bytes after a gap of 7
	b = append(b, 0, 1)    // no more, 1 chunk
	sum := blake3.Sum256(b)
	got, err := ReadIndex(bytes.NewReader(append(b, sum[:]...)))
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}

// TestHostileIndex claims more than there is, with the right checksum at the end.
func TestHostileIndex(t *testing.T) {
	seal := func(parts ...[]byte) []byte {
		b := append([]byte(indexMagic), indexVersion)
		b = binary.AppendUvarint(b, ChunkSize)
		for _, p := range parts {
			b = append(b, p...)
		}
		b = append(b, 2, '{', '}')
		sum := blake3.Sum256(b)
		return append(b, sum[:]...)
	}
	v := func(numbers ...uint64) (b []byte) {
		for _, n := range numbers {
			b = binary.AppendUvarint(b, n)
		}
		return b
	}
	hash := make([]byte, 32)
	tests := map[string][]byte{
		"a million extents that are not there": seal(v(1), hash, v(1<<20, 0, 1)),
		"2^60 extents":                         seal(v(1), hash, v(1<<60, 0, 1)),
		"extent beyond the chunk":              seal(v(1), hash, v(1, 5, ChunkSize), v(0, 1)),
		"extent of 2^63 bytes":                 seal(v(1), hash, v(1, 0, 1<<63), v(0, 1)),
		"empty extent":                         seal(v(1), hash, v(1, 0, 0), v(0, 1)),
		"extents that touch":                   seal(v(1), hash, v(2, 0, 5, 0, 5), v(0, 1)),
		"empty chunk":                          seal(v(1), hash, v(0), v(0, 1)),
		"chunk number 2^63":                    seal(v(1<<63), hash, v(1, 0, 1), v(0, 1)),
		"chunk at the end of the numbers":      seal(v(1<<43), hash, v(1, 0, 1), v(0, 1)),
		"other number of chunks":               seal(v(1), hash, v(1, 0, 1), v(0, 2)),
		"number without end":                   seal(bytes.Repeat([]byte{0xFF}, 100)),
	}
	for name, file := range tests {
		var err error
		used := memory(func() { _, err = ReadIndex(bytes.NewReader(file)) })
		if err == nil {
			t.Errorf("%s: no error", name)
		}
		if used > 4<<20 {
			t.Errorf("%s: allocated %d KiB", name, used>>10)
		}
	}
	if _, err := ReadIndex(bytes.NewReader(seal(v(1), hash, v(1, 0, 1), v(0, 1)))); err != nil {
		t.Errorf("honest file: %v", err)
	}
}

func TestVerifyChunk(t *testing.T) {
	t.Parallel()
	image := indexed()
	x := indexOf(t, image.Encode())
	disk := image.Partition()
	for i := range disk {
		if !image.Used(i / image.BlockSize) {
			disk[i] = 0xAA // what was on the disk before does not matter
		}
	}
	buf := make([]byte, ChunkSize)
	for _, c := range x.Chunks {
		if err := x.VerifyChunk(c, bytes.NewReader(disk), buf); err != nil {
			t.Errorf("chunk %d: %v", c.Number, err)
		}
	}
	c := x.Chunks[1]
	for _, at := range []int64{c.Used[0].Offset, c.Used[len(c.Used)-1].End() - 1} {
		disk[at] ^= 1
		if err := x.VerifyChunk(c, bytes.NewReader(disk), buf); !errors.Is(err, ErrMismatch) {
			t.Errorf("byte %d changed: got %v, want a mismatch", at, err)
		}
		disk[at] ^= 1
	}
	if err := x.VerifyChunk(c, bytes.NewReader(disk[:c.Used[0].End()]), buf); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("partition too short: got %v", err)
	}
	broken := errors.New("medium error")
	if err := x.VerifyChunk(c, failingDisk{broken}, buf); !errors.Is(err, broken) || errors.Is(err, ErrMismatch) {
		t.Errorf("unreadable disk: got %v", err)
	}
	for _, used := range [][]Extent{nil, {{0, 5}, {3, 4}, {1, 1}}, {{10, 2}, {0, 1}}, {{0, 2 * ChunkSize}}, {{-5, 3}}} {
		if err := x.VerifyChunk(Chunk{Used: used}, bytes.NewReader(disk), buf); err == nil {
			t.Errorf("extents %v: no error", used)
		}
	}
}

type failingDisk struct{ err error }

func (d failingDisk) ReadAt([]byte, int64) (int, error) { return 0, d.err }

func ExampleInfo_String() {
	fmt.Println(Info{Tool: Partclone, Compressor: Zstd, Filesystem: "NTFS", RequiredBytes: 73830400000})
	// Output: PARTCLONE:ZSTD:NTFS:72100000
}

// resealIndex puts the right checksum at the end of what may be an index.
func resealIndex(file []byte) []byte {
	body := file[:max(0, len(file)-32)]
	sum := blake3.Sum256(body)
	return append(slices.Clone(body), sum[:]...)
}
