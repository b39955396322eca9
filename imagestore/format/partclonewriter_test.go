package format

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"aula/imagestore/format/formattest"
)

// rewrite makes a partclone image of an image.
func rewrite(t testing.TB, file []byte, index *Index) ([]byte, error) {
	t.Helper()
	r, err := NewReader(bytes.NewReader(file))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var out bytes.Buffer
	err = WritePartclone(&out, r, index)
	return out.Bytes(), err
}

func TestWritePartclone(t *testing.T) {
	t.Parallel()
	for _, s := range samples(t) {
		file, err := rewrite(t, s.file, indexOf(t, s.file))
		if s.name == "ntfsclone 10.1" { // which ends with 22 bytes
			if err == nil || !strings.Contains(err.Error(), "sectors") {
				t.Errorf("%s: got %v", s.name, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", s.name, err)
			continue
		}
		info, disk, err := restore(bytes.NewReader(file))
		if err != nil || !sameStart(disk, s.partition) {
			t.Errorf("%s: restored partition differs, or %v", s.name, err)
		}
		want := s.info
		want.Tool, want.Compressor, want.ToolVersion, want.Checksum = Partclone, None, "0.3.23", "CRC32"
		want.Blocks, want.Label, want.UUID = want.RequiredBytes/512, "", ""
		if want.Filesystem == Disk {
			want.BlockSize, want.Blocks, want.UUID = 4096, want.RequiredBytes/4096, s.info.UUID
		}
		if want.Filesystem == "EXT2" {
			want.Filesystem = "EXTFS" // the sample has no superblock
		}
		if info != want {
			t.Errorf("%s:\ngot  %+v\nwant %+v", s.name, info, want)
		}
	}
}

// TestWritePartcloneShapes has bitmaps of more than a page, and blocks of many sizes.
func TestWritePartcloneShapes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name  string
		image formattest.Partclone
		block int // of the image written
	}{
		{"no used blocks", formattest.Partclone{Blocks: 50, Used: bitsOf("none")}, 4096},
		{"all used", formattest.Partclone{Blocks: 1000}, 4096},
		{"every second block of 1 MiB", formattest.Partclone{Blocks: 9, BlockSize: 1 << 20, Used: bitsOf("every second block")}, 1 << 20},
		{"blocks of 2 MiB", formattest.Partclone{Blocks: 5, BlockSize: 2 << 20, Used: bitsOf("every second block")}, 2 << 20},
		{"long bitmap", formattest.Partclone{Blocks: 3*pageBits + 77, BlockSize: 512, Used: func(i int) bool { return i < 100 || i > pageBits-3 && i < pageBits+3000 || i%40000 == 7 }}, 512},
	}
	for _, test := range tests {
		plain := test.image.Encode()
		file, err := rewrite(t, plain, indexOf(t, plain))
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
			continue
		}
		info, disk, err := restore(bytes.NewReader(file))
		if err != nil || !sameStart(disk, test.image.Partition()) {
			t.Errorf("%s: restored partition differs, or %v", test.name, err)
		}
		if info.BlockSize != test.block {
			t.Errorf("%s: block size = %d, want %d", test.name, info.BlockSize, test.block)
		}
	}
}

// TestWritePartcloneOfAnother gives the index of another image.
func TestWritePartcloneOfAnother(t *testing.T) {
	t.Parallel()
	image := indexed()
	plain := image.Encode()
	index := indexOf(t, plain)
	change := func(f func(x *Index)) *Index {
		x := &Index{Info: index.Info, Chunks: slices.Clone(index.Chunks)}
		f(x)
		return x
	}
	tests := map[string]*Index{
		"a chunk with another hash":  change(func(x *Index) { x.Chunks[1].Hash[3]++ }),
		"a chunk less":               change(func(x *Index) { x.Chunks = slices.Delete(x.Chunks, 1, 2) }),
		"the last chunk less":        change(func(x *Index) { x.Chunks = x.Chunks[:len(x.Chunks)-1] }),
		"a chunk more":               change(func(x *Index) { x.Chunks = append(x.Chunks, Chunk{Number: 4, Used: []Extent{{4<<20 + 4096*11, 4096}}}) }),
		"a chunk beyond the end":     change(func(x *Index) { x.Chunks = append(x.Chunks, Chunk{Number: 9, Used: []Extent{{9 << 20, 4096}}}) }),
		"an extent less in a chunk":  change(func(x *Index) { x.Chunks[0].Used = x.Chunks[0].Used[1:] }),
		"an extent that is no block": change(func(x *Index) { x.Chunks[0].Used = []Extent{{5, 7}} }),
		"an empty chunk":             change(func(x *Index) { x.Chunks[0].Used = nil }),
		"no size":                    change(func(x *Index) { x.Info.RequiredBytes = 0 }),
	}
	for name, x := range tests {
		if _, err := rewrite(t, plain, x); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, err := rewrite(t, plain, tests["a chunk with another hash"]); !errors.Is(err, ErrMismatch) {
		t.Errorf("another hash: got %v, want a mismatch", err)
	}
	broken := errors.New("disk is full")
	r, err := NewReader(bytes.NewReader(plain))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := WritePartclone(&failingWriter{0, broken}, r, index); !errors.Is(err, broken) {
		t.Errorf("full disk: got %v", err)
	}
}

// TestPartcloneAcceptsWritten lets partclone check and restore what was written of real images of several tools.
func TestPartcloneAcceptsWritten(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"EXT4", "NTFS", "FAT16", "FAT32"} {
		f := realFilesystemNamed(t, name)
		partition := f.make(t)
		images := map[string]string{"partclone": f.capture(t, partition), "raw": partition}
		switch name {
		case "NTFS":
			images["ntfsclone"] = captureNtfsclone(t, partition)
			images["partimage"] = capturePartimage(t, partition, "-z0", "0")[0]
		case "FAT16":
			images["partimage"] = capturePartimage(t, partition, "-z1", "0")[0]
		}
		for tool, path := range images {
			t.Run(fmt.Sprintf("%s/%s", name, tool), func(t *testing.T) {
				t.Parallel()
				image := readFile(t, path)
				index := indexOf(t, image)
				file, err := rewrite(t, image, index)
				if err != nil {
					t.Fatal(err)
				}
				written := writeImage(t, file)
				runTool(t, "partclone.chkimg", "-q", "-s", written, "-L", filepath.Join(t.TempDir(), "log"))
				info := checkRestore(t, "written", written, restorePartclone(t, written, partition))
				if info.Filesystem != name || info.RequiredBytes != index.Info.RequiredBytes || info.UsedBytes != index.Info.UsedBytes {
					t.Errorf("info = %+v, was %+v", info, index.Info)
				}
				if again := indexOf(t, file); !slices.EqualFunc(again.Chunks, index.Chunks, func(a, b Chunk) bool { return a.Hash == b.Hash }) {
					t.Error("the image written has another index")
				}
			})
		}
	}
}

// FuzzWritePartclone writes whatever can be read; it must read the same.
func FuzzWritePartclone(f *testing.F) {
	for _, s := range samples(f) {
		f.Add(s.file)
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		r, err := NewReader(bytes.NewReader(file))
		if err != nil {
			return
		}
		defer r.Close()
		var b IndexBuilder
		for {
			off, run, err := r.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				return
			}
			if err := b.Add(off, run); err != nil {
				t.Fatal(err)
			}
		}
		index := b.Index(r.Info())
		written, err := rewrite(t, file, index)
		if err != nil {
			return
		}
		if again := indexOf(t, written); !slices.EqualFunc(again.Chunks, index.Chunks, func(a, b Chunk) bool { return a.Hash == b.Hash }) {
			t.Error("the image written has another index")
		}
	})
}
