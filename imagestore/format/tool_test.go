package format

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/iotest"

	"aula/imagestore/format/formattest"
)

// A sample is a small image of one tool.
type sample struct {
	name      string
	file      []byte
	partition []byte // that it restores to over zeros
	info      Info   // without Compressor
	checked   bool   // has checksums over its data
}

// samples has one of every tool and format.
func samples(t testing.TB) []sample {
	t.Helper()
	body := smallImage(formattest.ChecksumNone)
	partition := body.Partition()
	info := Info{RequiredBytes: int64(len(partition)), UsedBytes: 28 * 512, BlockSize: 512, Blocks: 60, Checksum: None}
	with := func(change func(*Info)) Info {
		i := info
		change(&i)
		return i
	}
	partclone := with(func(i *Info) { i.Tool, i.Filesystem = Partclone, "EXTFS" })
	all := []sample{{
		"partclone 0001", body.Encode1(false), partition,
		with(func(i *Info) { *i = partclone; i.ToolVersion, i.Checksum = "before 0.3.0", "CRC32 of first bytes" }), false,
	}, {
		"partclone 0001, wide checksums", body.Encode1(true), partition,
		with(func(i *Info) { *i = partclone; i.ToolVersion, i.Checksum = "before 0.3.0", "CRC32 of first bytes" }), false,
	}}
	for name, mode := range map[string]int{
		"CRC32": formattest.ChecksumCRC32, "XXH64": formattest.ChecksumXXH64, "XXH128": formattest.ChecksumXXH128, None: formattest.ChecksumNone,
	} {
		image := smallImage(mode)
		i := with(func(i *Info) { *i = partclone; i.ToolVersion, i.Checksum = "0.3.99", name })
		all = append(all, sample{"partclone 0002, " + name, image.Encode(), partition, i, name != None})
		image.Bitmap = formattest.BitmapBytes
		all = append(all, sample{"partclone 0002, byte bitmap, " + name, image.Encode(), partition, i, name != None})
	}
	full := body
	full.Used, full.Bitmap = nil, formattest.BitmapNone
	all = append(all, sample{
		"partclone 0002, no bitmap", full.Encode(), full.Partition(),
		with(func(i *Info) { *i = partclone; i.ToolVersion, i.UsedBytes = "0.3.99", 60*512 }), false,
	})
	tail := []byte("copy of the boot sector")
	ntfs := with(func(i *Info) { i.Tool, i.ToolVersion, i.Filesystem = Ntfsclone, "10.0", "NTFS" })
	all = append(all, sample{
		"ntfsclone 10.0", formattest.Ntfsclone{Partclone: body, Major: 10}.Encode(), partition, ntfs, false,
	}, sample{
		"ntfsclone before 10", formattest.Ntfsclone{Partclone: body, Major: 3, Minor: 1}.Encode(), partition,
		with(func(i *Info) { *i = ntfs; i.ToolVersion = "before 10.0" }), false,
	}, sample{
		"ntfsclone 10.1", formattest.Ntfsclone{Partclone: body, Major: 10, Minor: 1, Tail: tail}.Encode(), append(slices.Clone(partition), tail...),
		with(func(i *Info) {
			*i = ntfs
			i.ToolVersion, i.RequiredBytes, i.UsedBytes = "10.1", ntfs.RequiredBytes+int64(len(tail)), ntfs.UsedBytes+int64(len(tail))
		}), false,
	}, sample{
		"partimage", formattest.Partimage{Partclone: body}.Encode(), partition,
		with(func(i *Info) {
			i.Tool, i.ToolVersion, i.Filesystem, i.Checksum, i.Label = Partimage, "0.6.1", "EXT2", "CRC32", "label"
		}), true,
	})
	disk := rawDisk(200)
	return append(all, sample{"raw disk", disk, disk, Info{
		Tool: Raw, Filesystem: Disk, RequiredBytes: int64(len(disk)), UsedBytes: int64(len(disk)), BlockSize: 512, Checksum: None, UUID: "deadbeef",
	}, false})
}

// rawDisk is a disk of so many sectors with an MBR of one partition, which goes up to the end.
func rawDisk(sectors int) []byte {
	le := binary.LittleEndian
	disk := make([]byte, sectors*512)
	for i := range disk {
		disk[i] = byte(i * i)
	}
	clear(disk[:512])
	le.PutUint32(disk[0x1B8:], 0xDEADBEEF)
	disk[0x1BE], disk[0x1C2] = 0x80, 0x83
	le.PutUint32(disk[0x1C6:], 8)
	le.PutUint32(disk[0x1CA:], uint32(sectors-8))
	disk[510], disk[511] = 0x55, 0xAA
	return disk
}

func TestSamples(t *testing.T) {
	t.Parallel()
	for _, s := range samples(t) {
		s.info.Compressor = None
		readers := map[string]io.Reader{
			"":                     bytes.NewReader(s.file),
			" as a stream":         bytes.NewBuffer(slices.Clone(s.file)),
			" in single bytes":     iotest.OneByteReader(bytes.NewReader(s.file)),
			" within another file": within(t, s.file),
		}
		for how, r := range readers {
			info, disk, err := restore(r)
			if err != nil {
				t.Errorf("%s%s: %v", s.name, how, err)
				continue
			}
			if info != s.info {
				t.Errorf("%s%s:\ngot  %+v\nwant %+v", s.name, how, info, s.info)
			}
			if !sameStart(disk, s.partition) {
				t.Errorf("%s%s: restored partition differs", s.name, how)
			}
		}
		s.info.Compressor = Zstd
		if info, err := Inspect(bytes.NewReader(packFrames(t, s.file, 1))); err != nil || info != s.info {
			t.Errorf("%s in frames: Inspect says %+v, %v, want %+v", s.name, info, err, s.info)
		}
	}
}

// within writes data behind other data into a file that stands at its beginning.
func within(t *testing.T, data []byte) *os.File {
	t.Helper()
	file, err := os.Create(filepath.Join(t.TempDir(), "file"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { file.Close() })
	if _, err := file.Write(append(make([]byte, 1000), data...)); err != nil {
		t.Fatal(err)
	}
	if _, err := file.Seek(1000, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	return file
}

// TestShapes makes every tool's image of every pattern of used blocks and of many block sizes.
func TestShapes(t *testing.T) {
	t.Parallel()
	for _, size := range []int{512, 4096, 64 << 10, 1 << 20, 2 << 20} {
		for _, used := range []string{"all", "every second block", "a hole", "only the last block", "none"} {
			t.Run(fmt.Sprintf("%d/%s", size, used), func(t *testing.T) {
				t.Parallel()
				body := formattest.Partclone{BlockSize: size, Blocks: 100, Used: bitsOf(used)}
				if size >= 64<<10 {
					body.Blocks = max(3, 1<<20/size)
				}
				tail := bytes.Repeat([]byte{7}, size-512)
				forms := map[string][]byte{
					"partclone 0001":                  body.Encode1(false),
					"partclone 0001, wide checksums":  body.Encode1(true),
					"ntfsclone 10.0":                  formattest.Ntfsclone{Partclone: body, Major: 10}.Encode(),
					"partimage":                       formattest.Partimage{Partclone: body}.Encode(),
					"partimage, much of the bitmap":   formattest.Partimage{Partclone: body, Surplus: 4096}.Encode(),
					"partimage, boot records as well": formattest.Partimage{Partclone: body, BootRecords: 3}.Encode(),
				}
				for name, file := range forms {
					if _, disk, err := restore(bytes.NewReader(file)); err != nil || !sameStart(disk, body.Partition()) {
						t.Errorf("%s: restored partition differs, or %v", name, err)
					}
				}
				if size == 512 {
					return
				}
				file := formattest.Ntfsclone{Partclone: body, Major: 10, Minor: 1, Tail: tail}.Encode()
				if _, disk, err := restore(bytes.NewReader(file)); err != nil || !sameStart(disk, append(body.Partition(), tail...)) {
					t.Errorf("ntfsclone 10.1: restored partition differs, or %v", err)
				}
			})
		}
	}
}

// TestNtfscloneWholeTail has a device so much larger than the filesystem that the copy of the boot sector fills a cluster.
func TestNtfscloneWholeTail(t *testing.T) {
	t.Parallel()
	tail := bytes.Repeat([]byte{9}, 4096)
	image := formattest.Ntfsclone{Partclone: formattest.Partclone{Blocks: 10, DeviceSize: 1 << 20}, Major: 10, Minor: 1, Tail: tail}
	info, disk, err := restore(bytes.NewReader(image.Encode()))
	if err != nil || !sameStart(disk, append(image.Partition(), tail...)) {
		t.Errorf("restored partition differs, or %v", err)
	}
	if want := int64(11 * 4096); info.RequiredBytes != want {
		t.Errorf("required bytes = %d, want those of 10 clusters and the tail, %d", info.RequiredBytes, want)
	}
}

// gpt is the head of a disk with a GUID partition table whose copy is in sector last.
func gpt(sector int, last uint64) []byte {
	le := binary.LittleEndian
	b := make([]byte, 8*sector)
	b[510], b[511] = 0x55, 0xAA
	b[0x1C2] = 0xEE
	le.PutUint32(b[0x1C6:], 1)
	le.PutUint32(b[0x1CA:], 1<<32-1)
	h := b[sector:][:92]
	copy(h, "EFI PART\x00\x00\x01\x00\x5C")
	le.PutUint64(h[24:], 1)
	le.PutUint64(h[32:], last)
	for i := range 16 {
		h[56+i] = byte(i)
	}
	le.PutUint32(h[16:], crc32.ChecksumIEEE(h))
	return b
}

func TestRawDisk(t *testing.T) {
	t.Parallel()
	grow := func(b []byte, n int) []byte { return append(b, make([]byte, n-len(b))...) }
	badSum := gpt(512, 99)
	badSum[512+16]++
	reused := rawDisk(100)
	copy(reused[1024:], superblockOf(t, "ext2.raw.zst", 1024, 1024))
	tests := []struct {
		name string
		file []byte
		want error
		uuid string
	}{
		{"MBR, and the superblock of what the disk was before", reused, nil, "deadbeef"},
		{"MBR", rawDisk(100), nil, "deadbeef"},
		{"MBR, and space behind the last partition", grow(rawDisk(100), 120*512), nil, "deadbeef"},
		{"MBR, cut within the last partition", rawDisk(100)[:99*512], ErrCorrupt, ""},
		{"GPT", grow(gpt(512, 99), 100*512), nil, "03020100-0504-0706-0809-0a0b0c0d0e0f"},
		{"GPT of 4096-byte sectors", grow(gpt(4096, 99), 100*4096), nil, "03020100-0504-0706-0809-0a0b0c0d0e0f"},
		{"GPT, cut before its copy", grow(gpt(512, 99), 99*512), ErrCorrupt, ""},
		{"GPT of 2^63 sectors", gpt(512, 1<<63), ErrUnsupported, ""},
		{"GPT of 2^64-1 sectors", gpt(4096, 1<<64-1), ErrUnsupported, ""},
		{"GPT of 17 TiB", gpt(4096, 17<<40/4096), ErrUnsupported, ""},
		{"GPT whose first header is damaged", grow(badSum, 100*512), nil, ""},
		{"no whole sectors", append(rawDisk(100), 1, 2, 3), ErrCorrupt, ""},
	}
	for _, test := range tests {
		for form, file := range map[string][]byte{"plain": test.file, "zstd": packFrames(t, test.file, 1)} {
			info, disk, err := restore(bytes.NewReader(file))
			switch {
			case !errors.Is(err, test.want):
				t.Errorf("%s, %s: got error %v, want %v", test.name, form, err, test.want)
			case err != nil:
			case info.Filesystem != Disk || info.UUID != test.uuid || info.RequiredBytes != int64(len(test.file)):
				t.Errorf("%s, %s: got %+v", test.name, form, info)
			case !bytes.Equal(disk, test.file):
				t.Errorf("%s, %s: restored disk differs", test.name, form)
			}
		}
	}
}

// superblockOf takes a part of a real raw image.
func superblockOf(t *testing.T, seed string, offset, length int) []byte {
	t.Helper()
	return plainOf(t, allSeeds(t)[seed])[offset:][:length]
}

// TestFinal tells when the sizes of a raw image are known.
func TestFinal(t *testing.T) {
	t.Parallel()
	disk := append(rawDisk(100), make([]byte, 3<<20)...)
	tests := []struct {
		name  string
		r     io.Reader
		final bool
	}{
		{"file", bytes.NewReader(disk), true},
		{"stream", bytes.NewBuffer(slices.Clone(disk)), false},
		{"compressed file", bytes.NewReader(packFrames(t, disk, 1)), false},
	}
	for _, test := range tests {
		r, err := NewReader(test.r)
		if err != nil {
			t.Fatal(err)
		}
		if r.Final() != test.final {
			t.Errorf("%s: final = %t", test.name, r.Final())
		}
		if got := r.Info().RequiredBytes; test.final && got != int64(len(disk)) || got < 100*512 {
			t.Errorf("%s: required bytes at first = %d", test.name, got)
		}
		for err == nil {
			_, _, err = r.Next()
		}
		if err != io.EOF || !r.Final() || r.Info().RequiredBytes != int64(len(disk)) || r.Info().UsedBytes != int64(len(disk)) {
			t.Errorf("%s: ends with %v, %+v", test.name, err, r.Info())
		}
		r.Close()
	}
}

// TestFileThatChanges makes the file shorter or longer than it said.
func TestFileThatChanges(t *testing.T) {
	t.Parallel()
	for name, size := range map[string]int64{"longer": 100 * 512, "shorter": 102 * 512} {
		file := append(rawDisk(100), make([]byte, 512)...) // 101 sectors
		if _, _, err := restore(lyingSeeker{bytes.NewBuffer(file), size}); !errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// A lyingSeeker says that it has a size.
type lyingSeeker struct {
	io.Reader
	size int64
}

// Seek implements io.Seeker.
func (l lyingSeeker) Seek(_ int64, whence int) (int64, error) {
	if whence == io.SeekEnd {
		return l.size, nil
	}
	return 0, nil
}

func TestByteSum(t *testing.T) {
	t.Parallel()
	b := make([]byte, 5000)
	for i := range b {
		b[i] = 0xFF - byte(i%3)
	}
	for _, n := range []int{0, 1, 7, 8, 9, 1023, 1024, 1025, 5000} {
		var want uint64
		for _, c := range b[:n] {
			want += uint64(c)
		}
		if got := byteSum(b[:n]); got != want {
			t.Errorf("%d bytes: got %d, want %d", n, got, want)
		}
	}
}

// TestPartcloneImager reads what partclone.imager makes: an image that says "raw", of whatever is there.
func TestPartcloneImager(t *testing.T) {
	disk := rawDisk(200)
	image := formattest.Partclone{Filesystem: "raw", BlockSize: 512, Blocks: 200, Content: disk}.Encode()
	info, restored, err := restore(bytes.NewReader(image))
	if err != nil {
		t.Fatal(err)
	}
	if info.Tool != Partclone || info.Filesystem != Disk || info.UUID != "deadbeef" || info.RequiredBytes != int64(len(disk)) {
		t.Errorf("got %+v, want an image by partclone of a disk of %d bytes", info, len(disk))
	}
	if !bytes.Equal(restored, disk) {
		t.Error("restored disk differs")
	}
	image = formattest.Partclone{Filesystem: "raw", BlockSize: 512, Blocks: 200}.Encode()
	if info, _, err = restore(bytes.NewReader(image)); err != nil || info.Filesystem != "RAW" {
		t.Errorf("of bytes that nobody knows: got %+v, %v, want RAW", info, err)
	}
}
