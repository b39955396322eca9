package imagestore

import (
	"crypto/md5"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/zeebo/blake3"

	"aula/imagestore/format"
	"aula/imagestore/format/formattest"
	"aula/imagestore/torrent/metainfo"
)

// BenchmarkPublish tells MB/s of image file: synced, read again, hashed, decoded, indexed.
func BenchmarkPublish(b *testing.B) {
	r := openRepository(b, b.TempDir())
	file := pack(b, formattest.Partclone{Blocks: 64 << 20 / 4096, Checksum: formattest.ChecksumCRC32}.Encode())
	sum := digest(file)
	b.SetBytes(int64(len(file)))
	for b.Loop() {
		b.StopTimer()
		s := stageFile(b, r, "bench", file)
		b.StartTimer()
		if _, err := s.Publish(b.Context(), sum, nil); err != nil {
			b.Fatal(err)
		}
		b.StopTimer()
		if err := r.Remove("bench"); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// BenchmarkSidecars tells the time of the pass from which all sidecars come as a multiple of the time that reading the
// same file and its MD5 alone take, in the same run. "sums" is the pass without decoding.
func BenchmarkSidecars(b *testing.B) {
	for _, compressor := range []string{format.Zstd, format.Lzop, format.Gzip, format.None} {
		file, size := benchFile(b, compressor)
		b.Run(compressor+"/all", func(b *testing.B) {
			compareWithMD5(b, file, size, func() error {
				_, err := examine(b.Context(), file, size, metainfo.PieceLengthFor(size), io.Discard, nil)
				return err
			})
		})
		b.Run(compressor+"/sums", func(b *testing.B) {
			compareWithMD5(b, file, size, func() error {
				return readOnce(b.Context(), file, size, nil, into(md5.New()), into(blake3.New()), into(metainfo.NewHasher(metainfo.PieceLengthFor(size))))
			})
		})
	}
}

// compareWithMD5 reports how many times longer than MD5 alone a pass over a file takes.
func compareWithMD5(b *testing.B, file *os.File, size int64, pass func() error) {
	b.SetBytes(size)
	var alone, all time.Duration
	for b.Loop() {
		begin := time.Now()
		if _, err := io.CopyBuffer(md5.New(), struct{ io.Reader }{io.NewSectionReader(file, 0, size)}, make([]byte, 1<<20)); err != nil {
			b.Fatal(err)
		}
		middle := time.Now()
		if err := pass(); err != nil {
			b.Fatal(err)
		}
		alone, all = alone+middle.Sub(begin), all+time.Since(middle)
	}
	b.ReportMetric(float64(all)/float64(alone), "x-md5")
	b.ReportMetric(float64(size)*float64(b.N)/1e6/all.Seconds(), "pass-MB/s")
	b.ReportMetric(0, "ns/op") // of both
}

// benchFile makes an image of 256 MiB of which half compresses away.
func benchFile(b *testing.B, compressor string) (*os.File, int64) {
	b.Helper()
	file, err := os.Create(filepath.Join(b.TempDir(), "bench.img"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { file.Close() })
	level := 1
	if compressor == format.None {
		level = 0
	}
	w, err := format.NewWriter(file, compressor, level)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := w.Write(formattest.Partclone{Blocks: 256 << 20 / 4096, Checksum: formattest.ChecksumCRC32}.Encode()); err != nil {
		b.Fatal(err)
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	info, err := file.Stat()
	if err != nil {
		b.Fatal(err)
	}
	return file, info.Size()
}
