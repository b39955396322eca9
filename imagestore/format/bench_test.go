package format

import (
	"bytes"
	"io"
	"testing"

	"github.com/klauspost/compress/zstd"

	"aula/imagestore/format/formattest"
)

// BenchmarkReader tells MB/s of used bytes.
func BenchmarkReader(b *testing.B) {
	content := mixed(128 << 20)
	image := formattest.Partclone{Blocks: len(content) / 4096, Content: content, Checksum: formattest.ChecksumCRC32}
	plain := image.Encode()
	var stream bytes.Buffer
	w, err := zstd.NewWriter(&stream)
	if err != nil {
		b.Fatal(err)
	}
	io.Copy(w, struct{ io.Reader }{bytes.NewReader(plain)})
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	forms := []struct {
		name string
		file []byte
	}{
		{"plain", plain},
		{"frames", packFrames(b, plain, 3)},
		{"stream", stream.Bytes()},
	}
	for _, form := range forms {
		b.Run(form.name, func(b *testing.B) {
			b.SetBytes(int64(len(content)))
			for b.Loop() {
				r, err := NewReader(bytes.NewReader(form.file))
				if err != nil {
					b.Fatal(err)
				}
				for err == nil {
					_, _, err = r.Next()
				}
				if err != io.EOF {
					b.Fatal(err)
				}
				r.Close()
			}
		})
	}
}

// BenchmarkIndexBuilder tells MB/s of used bytes.
func BenchmarkIndexBuilder(b *testing.B) {
	run := mixed(MaxRun)
	b.SetBytes(64 * MaxRun)
	for b.Loop() {
		var x IndexBuilder
		for i := range int64(64) {
			if err := x.Add(i*MaxRun, run); err != nil {
				b.Fatal(err)
			}
		}
		x.Index(Info{})
	}
}
