package format

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"runtime"
	"testing"

	"github.com/klauspost/compress/zstd"

	"aula/imagestore/format/formattest"
)

// memory runs f and returns the bytes that it allocated. Tests that call it must not be parallel.
func memory(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestHostileHeaders feeds headers that lie, with the right checksum, and nothing after them but a few bytes. Several of
// them crash partclone 0.3.23.
func TestHostileHeaders(t *testing.T) {
	le := binary.LittleEndian
	u16 := func(at int, v uint16) func([]byte) { return func(h []byte) { le.PutUint16(h[at:], v) } }
	u32 := func(at int, v uint32) func([]byte) { return func(h []byte) { le.PutUint32(h[at:], v) } }
	u64 := func(at int, v uint64) func([]byte) { return func(h []byte) { le.PutUint64(h[at:], v) } }
	all := func(changes ...func([]byte)) func([]byte) {
		return func(h []byte) {
			for _, change := range changes {
				change(h)
			}
		}
	}
	tests := []struct {
		name   string
		change func([]byte)
		want   error
	}{
		{"total blocks 0", u64(60, 0), ErrCorrupt},
		{"total blocks 2^64-7", u64(60, 1<<64-7), ErrCorrupt},
		{"total blocks 2^63", u64(60, 1<<63), ErrCorrupt},
		{"total blocks times block size is 2^64", u64(60, 1<<52), ErrCorrupt},
		{"16 TiB in a small file", all(u64(52, 16<<40), u64(60, 4<<30), u64(76, 5)), ErrCorrupt},
		{"2^40 blocks on a device of 2^52 bytes", all(u64(52, 1<<52), u64(60, 1<<40)), ErrUnsupported},
		{"device of 2^63 bytes", u64(52, 1<<63), ErrCorrupt},
		{"device smaller than its blocks", u64(52, 4096), ErrCorrupt},
		{"more used than blocks", u64(76, 1<<60), ErrCorrupt},
		{"other number used than in the bitmap", u64(76, 3), ErrCorrupt},
		{"block size 0", u32(84, 0), ErrCorrupt},
		{"block size 1", u32(84, 1), ErrCorrupt},
		{"block size 4095", u32(84, 4095), ErrCorrupt},
		{"block size 2^31", u32(84, 1<<31), ErrCorrupt},
		{"block size 4 MiB", u32(84, 4<<20), ErrCorrupt},
		{"feature size 0", u32(88, 0), ErrCorrupt},
		{"feature size 2^32-1", u32(88, 1<<32-1), ErrCorrupt},
		{"image version 1", u16(92, 1), ErrCorrupt},
		{"image version 3", u16(92, 3), ErrCorrupt},
		{"checksum mode 1", u16(96, 1), ErrUnsupported},
		{"checksum mode 0xFF", u16(96, 0xFF), ErrUnsupported},
		{"checksum size 65535", u16(98, 65535), ErrCorrupt},
		{"checksum size 0", u16(98, 0), ErrCorrupt},
		{"no blocks per checksum", u32(100, 0), ErrCorrupt},
		{"2^32-1 blocks per checksum", u32(100, 1<<32-1), ErrCorrupt},
		{"blocks per checksum without checksums", all(u16(96, 0), u16(98, 0)), ErrCorrupt},
		{"reseed 2", func(h []byte) { h[104] = 2 }, ErrCorrupt},
		{"no bitmap, and not all blocks used", func(h []byte) { h[105] = 0 }, ErrCorrupt},
		{"byte bitmap that is not there", func(h []byte) { h[105] = 8 }, ErrCorrupt},
		{"bitmap mode 2", func(h []byte) { h[105] = 2 }, ErrUnsupported},
		{"no filesystem", func(h []byte) { clear(h[36:52]) }, ErrCorrupt},
		{"control characters in the filesystem", func(h []byte) { copy(h[36:52], "\x1B[2J") }, ErrCorrupt},
		{"filesystem without an end", func(h []byte) { copy(h[36:52], "\xFFAAAAAAAAAAAAAAA") }, ErrCorrupt},
		{"version 0003", func(h []byte) { copy(h[30:], "0003") }, ErrUnsupported},
		{"version 0001", func(h []byte) { copy(h[30:], "0001") }, ErrCorrupt},
		{"big-endian", func(h []byte) { h[34], h[35] = 0xC0, 0xDE }, ErrUnsupported},
		{"byte order nonsense", func(h []byte) { h[34], h[35] = 0, 0 }, ErrCorrupt},
	}
	image := smallImage(formattest.ChecksumCRC32)
	file := image.Encode()
	for _, test := range tests {
		lie := bytes.Clone(file)
		test.change(lie)
		formattest.Seal(lie[:formattest.HeaderLen])
		packed := packFrames(t, lie, 1)
		for form, data := range map[string][]byte{"plain": lie, "zstd": packed} {
			var err error
			used := memory(func() { _, _, err = restore(bytes.NewReader(data)) })
			if !errors.Is(err, test.want) {
				t.Errorf("%s, %s: got error %v, want one wrapping %q", test.name, form, err, test.want)
			}
			if used > 48<<20 {
				t.Errorf("%s, %s: allocated %d MiB", test.name, form, used>>20)
			}
		}
	}
}

// TestSpareBitmapBits marks blocks that do not exist.
func TestSpareBitmapBits(t *testing.T) {
	t.Parallel()
	image := formattest.Partclone{BlockSize: 512, Blocks: 60, Checksum: formattest.ChecksumCRC32}
	file := image.Encode()
	bitmap := file[formattest.HeaderLen:][:8]
	bitmap[7] |= 0x80
	copy(file[formattest.HeaderLen+8:], crcOf(bitmap))
	if _, _, err := restore(bytes.NewReader(file)); !errors.Is(err, ErrCorrupt) {
		t.Errorf("got error %v, want damage", err)
	}
}

func crcOf(b []byte) []byte {
	sum, _ := newChecksum(checksumCRC32)
	sum.update(b)
	out := make([]byte, 4)
	sum.put(out)
	return out
}

// TestBitmapBomb unpacks a bitmap of 512 MiB from some KiB: it takes next to no memory, because it is all alike, and ends
// where the stream ends.
func TestBitmapBomb(t *testing.T) {
	header := formattest.Partclone{Blocks: 1, DeviceSize: 1 << 50}.Header()
	binary.LittleEndian.PutUint64(header[60:], maxBitmapBlocks)
	formattest.Seal(header)
	var bomb bytes.Buffer
	w, err := zstd.NewWriter(&bomb)
	if err != nil {
		t.Fatal(err)
	}
	w.Write(header)
	io.CopyN(w, zeros{}, maxBitmapBlocks/8)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	used := memory(func() { _, _, err = restore(bytes.NewReader(bomb.Bytes())) })
	if !errors.Is(err, ErrCorrupt) {
		t.Errorf("got error %v, want damage", err)
	}
	if used > 64<<20 {
		t.Errorf("allocated %d MiB in all", used>>20)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestZstdWindow refuses a frame whose window takes 2 GiB, as zstd --long=31 makes them.
func TestZstdWindow(t *testing.T) {
	frame := []byte(zstdMagic)
	frame = append(frame, 0x00, (31-10)<<3) // no size, no checksum; window 2^31
	frame = append(frame, 0x01, 0x00, 0x00) // last block, raw, empty
	var err error
	used := memory(func() { _, err = NewReader(bytes.NewReader(frame)) })
	if !errors.Is(err, ErrUnsupported) {
		t.Errorf("got error %v, want unsupported", err)
	}
	if used > 32<<20 {
		t.Errorf("allocated %d MiB", used>>20)
	}
}

// TestZstdFrameLies makes frames that say they are small and are not.
func TestZstdFrameLies(t *testing.T) {
	enc, err := zstd.NewWriter(nil, zstd.WithSingleSegment(true))
	if err != nil {
		t.Fatal(err)
	}
	defer enc.Close()
	frame := enc.EncodeAll(make([]byte, 64<<20), nil)
	// Single segment, content size in 4 bytes at offset 5.
	if frame[4]>>6 != 2 || frame[4]&0x20 == 0 {
		t.Fatalf("frame header descriptor is %#x, the test does not know where the size is", frame[4])
	}
	binary.LittleEndian.PutUint32(frame[5:], 1000)
	endless := append([]byte(zstdMagic), 0x20, 200) // single segment of 200 bytes
	for range 1 << 20 {
		endless = append(endless, 0x00, 0x00, 0x00) // raw block, empty, not the last
	}
	for name, file := range map[string][]byte{"64 MiB in a frame of 1000 bytes": frame, "blocks without end": endless} {
		var err error
		used := memory(func() { _, err = NewReader(bytes.NewReader(file)) })
		if !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: got error %v, want damage", name, err)
		}
		if used > 48<<20 {
			t.Errorf("%s: allocated %d MiB", name, used>>20)
		}
	}
}
