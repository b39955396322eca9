package format

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/zstd"

	"aula/imagestore/format/formattest"
)

// bitsOf makes patterns of used blocks.
func bitsOf(name string) func(int) bool {
	switch name {
	case "every second block":
		return func(i int) bool { return i%2 == 1 }
	case "a hole":
		return func(i int) bool { return i < 7 || i > 40 }
	case "only the last block":
		return func(i int) bool { return i == 99 }
	case "none":
		return func(int) bool { return false }
	}
	return nil
}

func TestChecksumModes(t *testing.T) {
	t.Parallel()
	for _, mode := range []int{formattest.ChecksumNone, formattest.ChecksumCRC32, formattest.ChecksumXXH64, formattest.ChecksumXXH128} {
		for _, running := range []bool{false, true} {
			for _, strip := range []int{0, 1, 7, 50} {
				for _, used := range []string{"all", "every second block", "a hole", "only the last block", "none"} {
					name := fmt.Sprintf("mode %#x/running %t/%d blocks per checksum/%s", mode, running, strip, used)
					t.Run(name, func(t *testing.T) {
						t.Parallel()
						image := formattest.Partclone{
							BlockSize: 1024, Blocks: 100, Used: bitsOf(used),
							Checksum: mode, Running: running, StripBlocks: strip,
						}
						_, disk, err := restore(bytes.NewReader(image.Encode()))
						if err != nil {
							t.Fatal(err)
						}
						if !sameStart(disk, image.Partition()) {
							t.Error("restored partition differs")
						}
					})
				}
			}
		}
	}
}

func TestBlockSizes(t *testing.T) {
	t.Parallel()
	for size := 512; size <= 2<<20; size *= 2 {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			t.Parallel()
			image := formattest.Partclone{
				BlockSize: size, Blocks: max(11, 3<<20/size), Used: func(i int) bool { return i%5 != 3 },
				Checksum: formattest.ChecksumCRC32,
			}
			info, disk, err := restore(bytes.NewReader(packFrames(t, image.Encode(), 1)))
			if err != nil {
				t.Fatal(err)
			}
			if !sameStart(disk, image.Partition()) {
				t.Error("restored partition differs")
			}
			if info.BlockSize != size {
				t.Errorf("block size = %d, want %d", info.BlockSize, size)
			}
		})
	}
}

// TestBitmapLongerThanPage makes runs that cross the pages in which a bitmap is kept.
func TestBitmapLongerThanPage(t *testing.T) {
	t.Parallel()
	for _, blocks := range []int{pageBits - 1, pageBits, pageBits + 1, 5*pageBits + 77} {
		image := formattest.Partclone{
			BlockSize: 512, Blocks: blocks,
			Used: func(i int) bool {
				return i < 3 || i > pageBits-3 && i < pageBits+5 || i > 3*pageBits-2 && i < 3*pageBits+2 || i == blocks-1
			},
			Checksum: formattest.ChecksumXXH64,
		}
		_, disk, err := restore(bytes.NewReader(image.Encode()))
		if err != nil {
			t.Fatalf("%d blocks: %v", blocks, err)
		}
		if !sameStart(disk, image.Partition()) {
			t.Errorf("%d blocks: restored partition differs", blocks)
		}
	}
}

func TestCompressedForms(t *testing.T) {
	t.Parallel()
	image := formattest.Partclone{Blocks: 400, Checksum: formattest.ChecksumCRC32}
	plain := image.Encode()
	stream := func(opts ...zstd.EOption) []byte {
		var b bytes.Buffer
		w, err := zstd.NewWriter(&b, opts...)
		if err != nil {
			t.Fatal(err)
		}
		// In pieces, so that the encoder does not know the size.
		if _, err := io.Copy(w, iotest.HalfReader(bytes.NewReader(plain))); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	half := len(plain) / 2
	skippable := "\x53\x2A\x4D\x18\x04\x00\x00\x00abcd"
	forms := map[string][]byte{
		"plain":                           plain,
		"frames":                          packFrames(t, plain, 0),
		"one stream":                      stream(),
		"one stream, 8 MiB window":        stream(zstd.WithWindowSize(8 << 20)),
		"two files joined":                append(packFrames(t, plain[:half], 1), packFrames(t, plain[half:], 1)...),
		"frames, then a stream":           append(packFrames(t, plain[:0], 1), stream()...),
		"behind a skippable frame":        append([]byte(skippable), stream()...),
		"frames behind a skippable frame": append([]byte(skippable), packFrames(t, plain, 1)...),
	}
	for name, file := range forms {
		want := Zstd
		if name == "plain" {
			want = None
		}
		readers := map[string]io.Reader{
			"":                  bytes.NewReader(file),
			" in single bytes":  iotest.OneByteReader(bytes.NewReader(file)),
			" with data at EOF": iotest.DataErrReader(bytes.NewReader(file)),
		}
		for how, r := range readers {
			info, disk, err := restore(r)
			if err != nil {
				t.Errorf("%s%s: %v", name, how, err)
				continue
			}
			if info.Compressor != want {
				t.Errorf("%s%s: compressor = %s, want %s", name, how, info.Compressor, want)
			}
			if !sameStart(disk, image.Partition()) {
				t.Errorf("%s%s: restored partition differs", name, how)
			}
		}
	}
}

// TestSourceError makes sure that a broken connection is not taken for a damaged image.
func TestSourceError(t *testing.T) {
	t.Parallel()
	broken := errors.New("connection reset")
	plain := formattest.Partclone{Blocks: 900, Checksum: formattest.ChecksumCRC32}.Encode()
	for name, file := range map[string][]byte{"plain": plain, "frames": packFrames(t, plain, 1)} {
		for _, n := range []int{0, 5, 60, 1000, len(file) / 2, len(file) - 1, len(file)} {
			for _, cause := range []error{broken, io.ErrUnexpectedEOF} {
				r := io.MultiReader(bytes.NewReader(file[:n]), iotest.ErrReader(cause))
				_, _, err := restore(r)
				if !errors.Is(err, cause) || errors.Is(err, ErrCorrupt) {
					t.Errorf("%s, %v after %d of %d bytes: got %v", name, cause, n, len(file), err)
				}
			}
		}
	}
}

// TestCloseEarly must not leave goroutines behind (TestMain looks).
func TestCloseEarly(t *testing.T) {
	t.Parallel()
	plain := formattest.Partclone{Blocks: 3000}.Encode()
	for _, file := range [][]byte{plain, packFrames(t, plain, 1)} {
		r, err := NewReader(bytes.NewReader(file))
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := r.Next(); err != nil {
			t.Error(err)
		}
		r.Close()
		r.Close()
		if _, _, err := r.Next(); err == nil || err == io.EOF {
			t.Errorf("Next after Close: got %v, want an error", err)
		}
	}
}

func TestRequiredBytes(t *testing.T) {
	t.Parallel()
	const cluster, sector = 4096, 512
	boot := func(sectorSize, sectors int) []byte {
		content := make([]byte, 100*cluster)
		copy(content[3:], "NTFS    ")
		content[0x0B], content[0x0C] = byte(sectorSize), byte(sectorSize>>8)
		for i := range 8 {
			content[0x28+i] = byte(sectors >> (8 * i))
		}
		return content
	}
	const data = 100 * cluster
	tests := []struct {
		name  string
		image formattest.Partclone
		want  int64
	}{
		{"ext has the device's size", formattest.Partclone{Filesystem: "EXTFS", DeviceSize: data + 1024}, data + 1024},
		{"NTFS that fills its partition", formattest.Partclone{Filesystem: "NTFS", DeviceSize: data + 4096, Content: boot(512, data/512+7)}, data + 4096},
		{"NTFS in a partition of one sector more than its clusters", formattest.Partclone{Filesystem: "NTFS", DeviceSize: data + 512, Content: boot(512, data/512)}, data + 512},
		{"NTFS shrunk within its partition", formattest.Partclone{Filesystem: "NTFS", DeviceSize: 10 * data, Content: boot(512, data/512)}, data + 512},
		{"NTFS on 4096-byte sectors", formattest.Partclone{Filesystem: "NTFS", DeviceSize: 10 * data, Content: boot(4096, data/4096)}, data + 4096},
		{"NTFS whose boot sector says nonsense", formattest.Partclone{Filesystem: "NTFS", DeviceSize: 10 * data, Content: boot(512, 1<<40)}, data + 4096},
		{"NTFS without a boot sector", formattest.Partclone{Filesystem: "NTFS", DeviceSize: 10 * data, Content: make([]byte, data)}, data + 4096},
	}
	for _, test := range tests {
		test.image.Blocks = 100
		info, _, err := restore(bytes.NewReader(test.image.Encode()))
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
		} else if info.RequiredBytes != test.want {
			t.Errorf("%s: required bytes = %d, want %d", test.name, info.RequiredBytes, test.want)
		}
	}
}

func TestInfoString(t *testing.T) {
	t.Parallel()
	tests := []struct {
		bytes int64
		want  string
	}{
		{72100000 << 10, "PARTCLONE:LZOP:NTFS:72100000"},
		{72100000<<10 + 1, "PARTCLONE:LZOP:NTFS:72100001"},
		{512, "PARTCLONE:LZOP:NTFS:1"},
	}
	for _, test := range tests {
		info := Info{Tool: Partclone, Compressor: "LZOP", Filesystem: "NTFS", RequiredBytes: test.bytes}
		if got := info.String(); got != test.want {
			t.Errorf("%d bytes: got %s, want %s", test.bytes, got, test.want)
		}
	}
}
