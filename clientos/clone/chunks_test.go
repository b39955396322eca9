package clone

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"strings"
	"sync/atomic"
	"testing"

	"aula/clientos/protocol"
	"aula/imagestore/format"
)

// A run is a piece of an image as format.Reader hands it out.
type imageRun struct {
	off  int64
	data []byte
}

// runsOf cuts the used extents of a partition into runs.
func runsOf(partition []byte, pieces int, extents ...format.Extent) []imageRun {
	var runs []imageRun
	for _, e := range extents {
		for n := int64(0); n < e.Length; n += int64(pieces) {
			end := min(n+int64(pieces), e.Length)
			runs = append(runs, imageRun{e.Offset + n, partition[e.Offset+n : e.Offset+end]})
		}
	}
	return runs
}

func indexOf(t *testing.T, runs []imageRun) *format.Index {
	t.Helper()
	var b format.IndexBuilder
	for _, r := range runs {
		if err := b.Add(r.off, r.data); err != nil {
			t.Fatal(err)
		}
	}
	return b.Index(format.Info{})
}

func randomPartition(size int) []byte {
	data := make([]byte, size)
	rand.NewChaCha8([32]byte{3}).Read(data)
	return data
}

// assemble puts runs together by index on a blank partition.
func assemble(index *format.Index, runs []imageRun, size int) ([]byte, error) {
	got := make([]byte, size)
	a := assembler{
		chunks: index.Chunks,
		fresh:  func() ([]byte, error) { return make([]byte, format.ChunkSize), nil },
		emit: func(c filled) error {
			for _, e := range c.Used {
				copy(got[e.Offset:], c.extent(e))
			}
			return nil
		},
	}
	for _, r := range runs {
		if err := a.add(r.off, r.data); err != nil {
			return nil, err
		}
	}
	return got, a.finish()
}

func TestAssembler(t *testing.T) {
	const size = 4*mib + 4096
	partition := randomPartition(size)
	extents := []format.Extent{{Offset: 0, Length: 4096}, {Offset: 8192, Length: mib}, {Offset: 3*mib - 512, Length: mib + 4608}}
	for _, pieces := range []int{512, 4096, 100_000, mib} {
		runs := runsOf(partition, pieces, extents...)
		index := indexOf(t, runs)
		got, err := assemble(index, runs, size)
		if err != nil {
			t.Fatalf("pieces of %d: %v", pieces, err)
		}
		want := make([]byte, size)
		for _, e := range extents {
			copy(want[e.Offset:], partition[e.Offset:][:e.Length])
		}
		if !bytes.Equal(got, want) {
			t.Errorf("pieces of %d: the partition differs from the model", pieces)
		}
		if verified, err := verifyChunks(t.Context(), index, bytes.NewReader(got), size, func(int64) {}); err != nil || verified != 4096+mib+mib+4608 {
			t.Errorf("pieces of %d: verified %d bytes, %v", pieces, verified, err)
		}
	}
}

func TestAssemblerRefusesOtherRuns(t *testing.T) {
	partition := randomPartition(3 * mib)
	runs := runsOf(partition, 4096, format.Extent{Offset: 4096, Length: 8192}, format.Extent{Offset: 2 * mib, Length: 4096})
	index := indexOf(t, runs)
	for name, other := range map[string][]imageRun{
		"one missing at the end":   runs[:len(runs)-1],
		"one missing in a chunk":   {runs[0], runs[2]},
		"one too many":             append(runs[:len(runs):len(runs)], imageRun{2*mib + 4096, partition[:512]}),
		"one that is too long":     {runs[0], {8192, partition[:8192]}, runs[2]},
		"elsewhere":                {{0, partition[:4096]}, runs[1], runs[2]},
		"out of order":             {runs[1], runs[0], runs[2]},
		"the same bytes once more": {runs[0], runs[0], runs[1], runs[2]},
		"none":                     nil,
	} {
		if _, err := assemble(index, other, 3*mib); !errors.Is(err, format.ErrCorrupt) {
			t.Errorf("%s: got %v, want an error that wraps ErrCorrupt", name, err)
		}
	}
}

func TestCheckIndex(t *testing.T) {
	chunk := func(number int64, used ...format.Extent) format.Chunk {
		return format.Chunk{Number: number, Used: used}
	}
	good := []format.Chunk{chunk(0, format.Extent{Offset: 0, Length: 512}), chunk(2, format.Extent{Offset: 2 * mib, Length: mib})}
	for name, test := range map[string]struct {
		chunks []format.Chunk
		used   int64
		limit  int64
		ok     bool
	}{
		"good":                   {good, mib + 512, 3 * mib, true},
		"empty":                  {nil, 0, mib, true},
		"other sum":              {good, mib, 3 * mib, false},
		"beyond the partition":   {good, mib + 512, 3*mib - 1, false},
		"chunks out of order":    {[]format.Chunk{good[1], good[0]}, mib + 512, 3 * mib, false},
		"chunk without bytes":    {[]format.Chunk{chunk(0)}, 0, mib, false},
		"extent of another":      {[]format.Chunk{chunk(0, format.Extent{Offset: mib, Length: 512})}, 512, 3 * mib, false},
		"extents that overlap":   {[]format.Chunk{chunk(0, format.Extent{Offset: 0, Length: 1024}, format.Extent{Offset: 512, Length: 512})}, 1536, mib, false},
		"extent without length":  {[]format.Chunk{chunk(0, format.Extent{Offset: 0, Length: 0})}, 0, mib, false},
		"negative":               {[]format.Chunk{chunk(0, format.Extent{Offset: -512, Length: 512})}, 512, mib, false},
		"longer than can be":     {[]format.Chunk{chunk(0, format.Extent{Offset: 512, Length: 1<<63 - 1})}, 1<<63 - 1, mib, false},
		"chunk number too large": {[]format.Chunk{chunk(1<<62, format.Extent{Offset: 0, Length: 512})}, 512, mib, false},
	} {
		err := checkIndex(&format.Index{Chunks: test.chunks}, test.used, test.limit)
		if test.ok != (err == nil) || err != nil && !errors.Is(err, format.ErrCorrupt) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// A lyingDisk gives back other bytes than it was given, in one place.
type lyingDisk struct {
	io.ReaderAt
	at  int64
	err error
}

func (d lyingDisk) ReadAt(p []byte, off int64) (int, error) {
	n, err := d.ReaderAt.ReadAt(p, off)
	if d.at >= off && d.at < off+int64(n) {
		if d.err != nil {
			return 0, d.err
		}
		p[d.at-off] ^= 1
	}
	return n, err
}

func TestVerifyChunks(t *testing.T) {
	const size = 5*mib + 512
	partition := randomPartition(size)
	index := indexOf(t, runsOf(partition, mib, format.Extent{Offset: 512, Length: 3 * mib}, format.Extent{Offset: 5 * mib, Length: 512}))
	good := bytes.NewReader(partition)
	t.Run("bytes are there", func(t *testing.T) {
		var done atomic.Int64
		verified, err := verifyChunks(t.Context(), index, good, size, func(n int64) { done.Add(n) })
		if want := int64(3*mib + 512); err != nil || verified != want || done.Load() != want {
			t.Errorf("verified %d, reported %d, %v; want %d", verified, done.Load(), err, want)
		}
	})
	t.Run("other bytes where none are used", func(t *testing.T) {
		if _, err := verifyChunks(t.Context(), index, lyingDisk{good, 4 * mib, nil}, size, func(int64) {}); err != nil {
			t.Error(err)
		}
	})
	for name, at := range map[string]int64{"first used byte": 512, "byte in the middle": 2*mib + 7, "very last byte": size - 1} {
		t.Run(name, func(t *testing.T) {
			_, err := verifyChunks(t.Context(), index, lyingDisk{good, at, nil}, size, func(int64) {})
			f := wantFailure(t, explain(err, protocol.StageVerifying), protocol.ErrImage, "does not hold what was written")
			if !strings.Contains(f.Problem, "chunk") || !strings.Contains(f.Problem, "bytes") {
				t.Errorf("%q does not say where", f.Problem)
			}
		})
	}
	t.Run("disk that cannot be read", func(t *testing.T) {
		_, err := verifyChunks(t.Context(), index, lyingDisk{good, 2 * mib, errors.New("input/output error")}, size, func(int64) {})
		wantFailure(t, explain(err, protocol.StageVerifying), protocol.ErrImage, "cannot be read back", "chunk 2")
	})
	t.Run("disk that ends early", func(t *testing.T) {
		_, err := verifyChunks(t.Context(), index, bytes.NewReader(partition[:5*mib]), size, func(int64) {})
		wantFailure(t, explain(err, protocol.StageVerifying), protocol.ErrImage, "cannot be read back", "chunk 5")
	})
}
