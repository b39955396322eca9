package format

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"hash/fnv"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// fuzzUnpacked is how much a fuzz target reads at most of what unpacks endlessly.
const fuzzUnpacked = 4 << 20

// seedCodec adds the files that a compressor's own tool made of the same few KiB.
func seedCodec(f *testing.F, compressor string) {
	f.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", "packed", strings.ToLower(compressor)+"-*"))
	if err != nil || len(paths) == 0 {
		f.Fatalf("no seeds for %s: %v", compressor, err)
	}
	for _, path := range paths {
		packed, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		if plain, _, err := decompressAll(bytes.NewReader(packed)); err != nil || len(plain) < 4000 {
			f.Fatalf("%s: %d bytes, %v", path, len(plain), err)
		}
		f.Add(packed)
	}
}

// A decoding is what became of a compressed file.
type decoding struct {
	plain uint64 // its hash
	bytes int64
	ended bool // well
}

func decodeOnce(packed []byte, compressor string) decoding {
	src := &source{r: bytes.NewReader(packed)}
	p := newPipeline(bufio.NewReaderSize(src, sourceBuffer), src, compressor)
	defer p.Close()
	sum := fnv.New64a()
	n, err := io.Copy(sum, io.LimitReader(p, fuzzUnpacked))
	return decoding{sum.Sum64(), n, err == nil && n < fuzzUnpacked}
}

// fuzzCodec decodes whatever comes, twice; what decodes well must decode to the same again.
func fuzzCodec(f *testing.F, compressor string) {
	seedCodec(f, compressor)
	f.Fuzz(func(t *testing.T, packed []byte) {
		first, second := decodeOnce(packed, compressor), decodeOnce(packed, compressor)
		if first.ended && first != second {
			t.Errorf("first decoding: %+v, second: %+v", first, second)
		}
	})
}

func FuzzZstd(f *testing.F) {
	f.Add(packWith(f, Zstd, 1, []byte("a frame of our own")))
	fuzzCodec(f, Zstd)
}

func FuzzLzop(f *testing.F)  { fuzzCodec(f, Lzop) }
func FuzzLZ4(f *testing.F)   { fuzzCodec(f, LZ4) }
func FuzzXZ(f *testing.F)    { fuzzCodec(f, XZ) }
func FuzzBzip2(f *testing.F) { fuzzCodec(f, Bzip2) }

// FuzzGzip compares with the standard library. That does not know of zeros behind a file, and reads members whose headers have flags that do
// not exist, as RFC 1952 forbids it.
func FuzzGzip(f *testing.F) {
	f.Add(packWith(f, Gzip, 1, []byte("a member of our own")))
	seedCodec(f, Gzip)
	f.Fuzz(func(t *testing.T, packed []byte) {
		ours := decodeOnce(packed, Gzip)
		if !ours.ended {
			return
		}
		sum := fnv.New64a()
		zr, err := gzip.NewReader(bytes.NewReader(packed))
		if err != nil {
			return
		}
		n, err := io.Copy(sum, io.LimitReader(zr, fuzzUnpacked))
		if err != nil || n == fuzzUnpacked || sized(packed) {
			return
		}
		if theirs := (decoding{sum.Sum64(), n, true}); ours != theirs {
			t.Errorf("got %+v, the standard library %+v", ours, theirs)
		}
	})
}

// sized tells whether a member claims its length, which the standard library does not check.
func sized(packed []byte) bool { return bytes.Contains(packed, []byte(gzipSizeField)) }
