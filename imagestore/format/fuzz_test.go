package format

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"aula/imagestore/format/formattest"
)

// realSeeds are small images made by partclone, compressed by zstd.
func realSeeds(f testing.TB) map[string][]byte {
	f.Helper()
	return seeds(f, "*.pcl.zst")
}

// allSeeds are small images made by all the real tools, most of them compressed by zstd.
func allSeeds(f testing.TB) map[string][]byte {
	f.Helper()
	return seeds(f, "*.*")
}

// seeds are the files of testdata whose names match.
func seeds(f testing.TB, pattern string) map[string][]byte {
	f.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", pattern))
	if err != nil || len(paths) == 0 {
		f.Fatalf("no seeds in testdata: %v", err)
	}
	found := make(map[string][]byte)
	for _, path := range paths {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		found[filepath.Base(path)] = data
	}
	return found
}

// plainOf decompresses with our own reader.
func plainOf(f testing.TB, packed []byte) []byte {
	f.Helper()
	p, _, err := Decompress(bytes.NewReader(packed))
	if err != nil {
		f.Fatal(err)
	}
	defer p.Close()
	plain, err := io.ReadAll(p)
	if err != nil {
		f.Fatal(err)
	}
	return plain
}

// TestSeeds reads small images that Debian 12's tools made, without those tools.
func TestSeeds(t *testing.T) {
	t.Parallel()
	want := map[string]string{
		"ext2.pcl.zst":  "PARTCLONE:ZSTD:EXT2:64",
		"ext4.pcl.zst":  "PARTCLONE:ZSTD:EXT4:256",
		"fat12.pcl.zst": "PARTCLONE:ZSTD:FAT12:64",

		"ext2.partimage.zst":  "PARTIMAGE:ZSTD:EXT2:1024",
		"ext2.partimage.gz":   "PARTIMAGE:GZIP:EXT2:1024",
		"ext2.partimage.bz2":  "PARTIMAGE:BZIP2:EXT2:1024",
		"fat16.partimage.zst": "PARTIMAGE:ZSTD:FAT16:9216",
		"ntfs.ntfsclone.zst":  "NTFSCLONE:ZSTD:NTFS:1100",
		"ext2.raw.zst":        "RAW:ZSTD:EXT2:64",
		"fat12.raw.zst":       "RAW:ZSTD:FAT12:64",
		"mbr.raw.zst":         "RAW:ZSTD:DISK:100",
		"gpt.raw.zst":         "RAW:ZSTD:DISK:100",
	}
	for name, file := range allSeeds(t) {
		info, _, err := restore(bytes.NewReader(file))
		if err != nil || info.String() != want[name] {
			t.Errorf("%s: got %s, %v, want %s", name, info, err, want[name])
		}
	}
}

// FuzzReader reads whatever comes. A run must stay within the partition, and an image that is read to its end must read
// the same again.
func FuzzReader(f *testing.F) {
	for _, seed := range allSeeds(f) {
		f.Add(seed)
		f.Add(plainOf(f, seed))
	}
	for _, s := range samples(f) {
		f.Add(s.file)
	}
	for _, mode := range []int{formattest.ChecksumNone, formattest.ChecksumCRC32, formattest.ChecksumXXH64, formattest.ChecksumXXH128} {
		f.Add(smallImage(mode).Encode())
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		fuzzRestore(t, file)
	})
}

// FuzzPartclone is FuzzReader behind a header's checksum: header, bitmap and data are given apart and sealed.
func FuzzPartclone(f *testing.F) {
	for _, mode := range []int{formattest.ChecksumNone, formattest.ChecksumCRC32, formattest.ChecksumXXH64, formattest.ChecksumXXH128} {
		file := smallImage(mode).Encode()
		f.Add(file[:106], file[110:118], file[122:])
	}
	for _, seed := range realSeeds(f) {
		file := plainOf(f, seed)
		n := (int(file[60]) + int(file[61])<<8 + 7) / 8
		f.Add(file[:106], file[110:110+n], file[114+n:])
	}
	f.Fuzz(func(t *testing.T, header, bitmap, data []byte) {
		file := make([]byte, formattest.HeaderLen)
		copy(file[:106], header)
		formattest.Seal(file)
		file = append(file, bitmap...)
		file = append(file, crcOf(bitmap)...)
		fuzzRestore(t, append(file, data...))
	})
}

// fuzzRestore decodes twice without keeping anything.
func fuzzRestore(t *testing.T, file []byte) {
	t.Helper()
	first, firstErr := fuzzOnce(t, file)
	second, secondErr := fuzzOnce(t, file)
	if firstErr == nil && (secondErr != nil || first != second) {
		t.Errorf("first reading: %+v, %v; second: %+v, %v", first, firstErr, second, secondErr)
	}
}

func fuzzOnce(t *testing.T, file []byte) (Info, error) {
	t.Helper()
	r, err := NewReader(bytes.NewReader(file))
	if err != nil {
		return Info{}, err
	}
	defer r.Close()
	info := r.Info()
	var used, last int64
	for {
		off, run, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return info, err
		}
		info = r.Info()
		if len(run) == 0 || len(run) > MaxRun || off < last || off+int64(len(run)) > info.RequiredBytes {
			t.Fatalf("run of %d bytes at byte %d, after byte %d of %d", len(run), off, last, info.RequiredBytes)
		}
		last = off + int64(len(run))
		used += int64(len(run))
	}
	info = r.Info()
	if used != info.UsedBytes {
		t.Fatalf("%d used bytes came, info says %d", used, info.UsedBytes)
	}
	return info, nil
}

// FuzzIndex reads whatever comes as an index; what is accepted must be written the same again.
func FuzzIndex(f *testing.F) {
	f.Add(encodeIndex(f, &Index{}))
	f.Add(encodeIndex(f, indexOf(f, smallImage(formattest.ChecksumNone).Encode())))
	f.Add(encodeIndex(f, indexOf(f, indexed().Encode())))
	for _, seed := range realSeeds(f) {
		f.Add(encodeIndex(f, indexOf(f, seed)))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		x, err := ReadIndex(bytes.NewReader(file))
		if err != nil {
			// Once more with a checksum that is right.
			x, err = ReadIndex(bytes.NewReader(resealIndex(file)))
		}
		if err != nil {
			return
		}
		again, err := ReadIndex(bytes.NewReader(encodeIndex(t, x)))
		if err != nil || len(again.Chunks) != len(x.Chunks) || again.UsedBytes() != x.UsedBytes() {
			t.Errorf("written again it reads as %v", err)
		}
		buf := make([]byte, ChunkSize)
		for _, c := range x.Chunks[:min(3, len(x.Chunks))] {
			x.VerifyChunk(c, bytes.NewReader(file), buf)
		}
	})
}
