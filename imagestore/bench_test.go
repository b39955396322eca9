package imagestore

import (
	"testing"

	"aula/imagestore/format/formattest"
)

// BenchmarkPublish tells MB/s of image file: synced, read again, hashed twice, decoded, indexed.
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
