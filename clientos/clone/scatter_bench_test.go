package clone

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"aula/clientos/disk"
	"aula/imagestore/format"
	"aula/imagestore/format/formattest"
)

// BenchmarkScatter compares pieces of 4 MiB in random order with a stream, each up to the disk, in MB/s of used bytes.
func BenchmarkScatter(b *testing.B) {
	content := formattest.Installed(b, 192<<20)
	content = content[:len(content)/4096*4096]
	model := formattest.Partclone{
		Filesystem: "EXTFS", BlockSize: 4096, DeviceSize: int64(len(content)), Blocks: len(content) / 4096, Content: content, Checksum: 0x20,
	}
	var file bytes.Buffer
	w, err := format.NewWriter(&file, format.Zstd, 0)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := w.Write(model.Encode()); err != nil {
		b.Fatal(err)
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	server := &fakeServer{}
	if err := server.publish(file.Bytes()); err != nil {
		b.Fatal(err)
	}
	f, err := os.Create(filepath.Join(b.TempDir(), "target"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	size := server.index.Info.RequiredBytes
	b.Run("stream", func(b *testing.B) {
		b.SetBytes(server.index.Info.UsedBytes)
		r := &restore{job: &job{server: server, log: slog.New(slog.DiscardHandler), meter: &meter{report: func(Progress) {}}}}
		for b.Loop() {
			if err := r.write(b.Context(), &part{number: 1, image: server.record(), index: server.index, file: f, place: disk.Partition{Bytes: size}}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("pieces", func(b *testing.B) {
		b.SetBytes(server.index.Info.UsedBytes)
		blocks := shuffled(blocksOf(len(server.image), 4*mib, nil), 1)
		most := int64(0)
		for b.Loop() {
			m, err := format.MapFile(bytes.NewReader(server.image), int64(len(server.image)), server.index)
			if err != nil {
				b.Fatal(err)
			}
			s := NewScatter(b.Context(), ScatterConfig{Map: m, Index: server.index, Target: f, Size: size})
			for _, e := range blocks {
				if err := s.WriteBlock(e.Offset, server.image[e.Offset:e.End()]); err != nil {
					b.Fatal(err)
				}
			}
			if err := s.Finish(); err != nil {
				b.Fatal(err)
			}
			s.Close()
			most = s.most
		}
		b.ReportMetric(float64(most)/float64(len(server.image)), "kept/file")
	})
}
