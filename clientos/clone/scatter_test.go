package clone

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"aula/clientos/disk"
	"aula/clientos/disk/disktest"
	"aula/imagestore/format"
	"aula/imagestore/format/formattest"
)

// scatterModel is an image of partclone whose used blocks are in stretches of all lengths; some of its content shrinks, some does not.
func scatterModel() formattest.Partclone {
	const blocks = 7001
	random := rand.New(rand.NewPCG(5, 1))
	content := make([]byte, blocks*4096)
	for at := 0; at < len(content); at += 70_000 {
		stretch := content[at:min(at+70_000, len(content))]
		if random.IntN(3) == 0 {
			rand.NewChaCha8([32]byte{byte(at), byte(at >> 8)}).Read(stretch)
			continue
		}
		for i := range stretch {
			stretch[i] = "aula de informatica"[i%19] + byte(i>>12)
		}
	}
	used := make([]bool, blocks)
	for at := 0; at < blocks; {
		for n := random.IntN(600); n > 0 && at < blocks; n-- {
			used[at] = true
			at++
		}
		at += random.IntN(200) * random.IntN(3)
	}
	return formattest.Partclone{
		Filesystem: "EXTFS", BlockSize: 4096, DeviceSize: blocks*4096 + 512, Blocks: blocks,
		Used: func(i int) bool { return used[i] }, Content: content, Checksum: 0x20,
	}
}

// packedWith compresses as Aula does.
func packedWith(t *testing.T, compressor string, plain []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := format.NewWriter(&b, compressor, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// packedBy compresses with a tool.
func packedBy(t *testing.T, plain []byte, tool ...string) []byte {
	t.Helper()
	disktest.Need(t, tool[0])
	cmd := exec.CommandContext(t.Context(), tool[0], tool[1:]...)
	cmd.Stdin = bytes.NewReader(plain)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", tool[0], err)
	}
	return out
}

// rawModel is the file of a partition with ext4.
func rawModel(t *testing.T) []byte {
	t.Helper()
	disktest.Need(t, "mkfs.ext4")
	path := filepath.Join(t.TempDir(), "raw")
	if err := os.WriteFile(path, make([]byte, 20*mib), 0o600); err != nil {
		t.Fatal(err)
	}
	disktest.Run(t, "mkfs.ext4", "-q", "-d", files(t), path)
	return readAt(t, path, 0, 20*mib)
}

func published(t *testing.T, file []byte) *fakeServer {
	t.Helper()
	s := &fakeServer{}
	if err := s.publish(file); err != nil {
		t.Fatal(err)
	}
	return s
}

// target is a file of zeros as large as the partition must be.
func target(t *testing.T, s *fakeServer) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "target"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if err := f.Truncate(s.index.Info.RequiredBytes); err != nil {
		t.Fatal(err)
	}
	return f
}

// streamed restores as a stream.
func streamed(t *testing.T, s *fakeServer) []byte {
	t.Helper()
	f := target(t, s)
	r := &restore{job: &job{server: s, log: slog.New(slog.DiscardHandler), meter: &meter{report: func(Progress) {}}}}
	p := &part{number: 1, image: s.record(), index: s.index, file: f, place: disk.Partition{Bytes: s.index.Info.RequiredBytes}}
	if err := r.write(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	return readAt(t, f.Name(), 0, int(s.index.Info.RequiredBytes))
}

// blocksOf cuts a file into blocks of a size, or of sizes up to it.
func blocksOf(size, block int, random *rand.Rand) []format.Extent {
	var blocks []format.Extent
	for at := 0; at < size; {
		n := block
		if random != nil {
			n = 1 + random.IntN(block)
		}
		n = min(n, size-at)
		blocks = append(blocks, format.Extent{Offset: int64(at), Length: int64(n)})
		at += n
	}
	return blocks
}

func shuffled(blocks []format.Extent, seed uint64) []format.Extent {
	b := slices.Clone(blocks)
	rand.New(rand.NewPCG(seed, 2)).Shuffle(len(b), func(i, j int) { b[i], b[j] = b[j], b[i] })
	return b
}

// everyOther has every other block first.
func everyOther(blocks []format.Extent) []format.Extent {
	var first, last []format.Extent
	for i, b := range blocks {
		if i%2 == 0 {
			first = append(first, b)
		} else {
			last = append(last, b)
		}
	}
	return append(first, last...)
}

// scattered begins a Scatter to a new target.
func scattered(t *testing.T, s *fakeServer, memory int64) (*Scatter, *os.File, *atomic.Int64) {
	t.Helper()
	m, err := format.MapFile(bytes.NewReader(s.image), int64(len(s.image)), s.index)
	if err != nil {
		t.Fatal(err)
	}
	f, done := target(t, s), new(atomic.Int64)
	c := ScatterConfig{Map: m, Index: s.index, Target: f, Size: s.index.Info.RequiredBytes, Memory: memory, Done: func(n int64) { done.Add(n) }}
	scatter := NewScatter(t.Context(), c)
	t.Cleanup(scatter.Close)
	return scatter, f, done
}

// give hands over blocks in memory that is used again.
func give(s *Scatter, image []byte, blocks []format.Extent) error {
	var b []byte
	for _, e := range blocks {
		b = append(b[:0], image[e.Offset:e.End()]...)
		if err := s.WriteBlock(e.Offset, b); err != nil {
			return err
		}
		clear(b)
	}
	return nil
}

// scatterImages are images that can be taken in any order.
func scatterImages(t *testing.T) map[string][]byte {
	t.Helper()
	model := scatterModel()
	running, flags, none := model, model, model
	running.Running = true
	flags.Bitmap, flags.Checksum, flags.StripBlocks = formattest.BitmapBytes, 0x31, 7
	none.Checksum = 0
	raw := rawModel(t)
	return map[string][]byte{
		"partclone, as it is":                 model.Encode(),
		"partclone, running checksums":        running.Encode(),
		"partclone, flags, short strips":      flags.Encode(),
		"partclone, no checksums, zstd":       packedWith(t, format.Zstd, none.Encode()),
		"partclone, zstd":                     packedWith(t, format.Zstd, model.Encode()),
		"partclone, short strips, zstd":       packedWith(t, format.Zstd, flags.Encode()),
		"partclone, lzop of the pipeline":     packedBy(t, model.Encode(), "lzop", "-c"),
		"partclone, lzop by Aula":             packedWith(t, format.Lzop, model.Encode()),
		"partclone, gzip by Aula":             packedWith(t, format.Gzip, model.Encode()),
		"raw, as it is":                       raw,
		"raw, zstd":                           packedWith(t, format.Zstd, raw),
		"raw, lzop with CRC-32 of the blocks": packedBy(t, raw, "lzop", "-c", "--crc32"),
	}
}

func TestScatterEqualsTheStream(t *testing.T) {
	t.Parallel()
	for name, image := range scatterImages(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := published(t, image)
			want := streamed(t, server)
			size := len(server.image)
			for order, blocks := range map[string][]format.Extent{
				"at once":                   {{Length: int64(size)}},
				"pieces of 1 MiB, shuffled": shuffled(blocksOf(size, mib, nil), 1),
				"pieces, every other first": everyOther(blocksOf(size, 256<<10, nil)),
				"blocks of multicast":       shuffled(blocksOf(size, 184_288, nil), 2),
				"random sizes, shuffled":    shuffled(blocksOf(size, 300_000, rand.New(rand.NewPCG(3, 3))), 3),
				"small ones, shuffled":      shuffled(blocksOf(size, 5000, rand.New(rand.NewPCG(4, 4))), 4),
				"the last first":            reversed(blocksOf(size, 100_003, nil)),
			} {
				s, f, done := scattered(t, server, 0)
				if err := give(s, server.image, blocks); err != nil {
					t.Fatalf("%s: %v", order, err)
				}
				if err := s.Finish(); err != nil {
					t.Fatalf("%s: %v", order, err)
				}
				s.Close()
				if !bytes.Equal(readAt(t, f.Name(), 0, len(want)), want) {
					t.Errorf("%s: the target is not what a stream makes of it", order)
				}
				if got := done.Load(); got != server.index.Info.UsedBytes {
					t.Errorf("%s: told of %d bytes, want %d", order, got, server.index.Info.UsedBytes)
				}
				if s.held != 0 || len(s.cut) != 0 || len(s.edges) != 0 {
					t.Errorf("%s: %d bytes, %d parts and %d edges are kept in the end", order, s.held, len(s.cut), len(s.edges))
				}
			}
		})
	}
}

func reversed(blocks []format.Extent) []format.Extent {
	slices.Reverse(blocks)
	return blocks
}

func TestOrderedImagesAreRefused(t *testing.T) {
	t.Parallel()
	model := scatterModel()
	for name, test := range map[string]struct {
		image []byte
		why   string
	}{
		"gzip of the tool":       {packedBy(t, model.Encode(), "gzip", "-1", "-c"), "gzip"},
		"zstd of the tool":       {packedBy(t, model.Encode(), "zstd", "-q", "-c"), "seek table"},
		"xz":                     {packedBy(t, model.Encode(), "xz", "-0", "-c"), "XZ"},
		"lzop of two members":    {append(packedBy(t, model.Encode(), "lzop", "-c"), packedBy(t, nil, "lzop", "-c")...), "member"},
		"ntfsclone":              {formattest.Ntfsclone{Partclone: model, Major: 10, Minor: 0}.Encode(), "NTFSCLONE"},
		"partclone before 0.3.0": {model.Encode1(false), "0001"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := published(t, test.image)
			_, err := format.MapFile(bytes.NewReader(server.image), int64(len(server.image)), server.index)
			if !errors.Is(err, format.ErrOrdered) || !strings.Contains(err.Error(), test.why) {
				t.Errorf("got %v, want ErrOrdered that says %q", err, test.why)
			}
		})
	}
}

func TestScatterNamesWhatIsDamaged(t *testing.T) {
	t.Parallel()
	model := scatterModel()
	t.Run("chunk", func(t *testing.T) {
		t.Parallel()
		server := published(t, model.Encode())
		chunk := server.index.Chunks[len(server.index.Chunks)/2]
		index := *server.index
		index.Chunks = slices.Clone(index.Chunks)
		index.Chunks[len(index.Chunks)/2].Hash[0] ^= 1
		server.index = &index
		s, _, _ := scattered(t, server, 0)
		err := give(s, server.image, shuffled(blocksOf(len(server.image), mib, nil), 6))
		if err == nil {
			err = s.Finish()
		}
		if want := fmt.Sprintf("chunk %d:", chunk.Number); !errors.Is(err, format.ErrCorrupt) || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want ErrCorrupt that names %s", err, want)
		}
	})
	for _, compressor := range []string{format.Zstd, format.Lzop, format.Gzip} {
		t.Run(compressor, func(t *testing.T) {
			t.Parallel()
			server := published(t, packedWith(t, compressor, model.Encode()))
			s, _, _ := scattered(t, server, 0)
			i := len(s.config.Map.Parts) / 2
			p := s.config.Map.Parts[i]
			wrong := bytes.Clone(server.image)
			for at := p.Offset + 40; at < p.End(); at += 7 {
				wrong[at] ^= 0x55
			}
			err := give(s, wrong, shuffled(blocksOf(len(wrong), mib, nil), 7))
			if err == nil {
				err = s.Finish()
			}
			if want := fmt.Sprintf("bytes %d to %d of the image file", p.Offset, p.End()-1); !errors.Is(err, format.ErrCorrupt) || !strings.Contains(err.Error(), want) {
				t.Errorf("got %v, want ErrCorrupt that names %s", err, want)
			}
			if again := s.WriteBlock(0, wrong[:10]); !errors.Is(again, format.ErrCorrupt) {
				t.Errorf("after that it takes more: %v", again)
			}
		})
	}
}

func TestScatterNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	server := published(t, packedWith(t, format.Zstd, scatterModel().Encode()))
	blocks := blocksOf(len(server.image), 100_000, nil)
	missing := []format.Extent{blocks[3], {Offset: blocks[7].Offset, Length: 200_000}, blocks[len(blocks)-1]}
	came := shuffled(slices.Delete(slices.Delete(blocks[:len(blocks)-1:len(blocks)-1], 7, 9), 3, 4), 8)
	s, f, _ := scattered(t, server, 0)
	if err := give(s, server.image, came); err != nil {
		t.Fatal(err)
	}
	err := s.Finish()
	var m *MissingError
	if !errors.As(err, &m) || !slices.Equal(m.Missing, missing) || !strings.Contains(err.Error(), "300000 to 399999, 700000 to 899999") {
		t.Fatalf("got %v, want %v to be missing", err, missing)
	}
	if err := s.WriteBlock(came[0].Offset+50, server.image[:10]); err == nil || !strings.Contains(err.Error(), "came before") {
		t.Errorf("a block that came before: %v", err)
	}
	if err := s.WriteBlock(int64(len(server.image))-5, server.image[:10]); !errors.Is(err, format.ErrCorrupt) {
		t.Errorf("a block beyond the end: %v", err)
	}
	// It goes on after that.
	if err := give(s, server.image, missing); err != nil {
		t.Fatal(err)
	}
	if err := s.Finish(); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(readAt(t, f.Name(), 0, int(server.index.Info.RequiredBytes)), streamed(t, server)) {
		t.Error("the target is not what a stream makes of it")
	}
}

func TestScatterKeepsToItsMemory(t *testing.T) {
	t.Parallel()
	const block = 700_000
	for name, image := range map[string][]byte{
		"zstd": packedWith(t, format.Zstd, scatterModel().Encode()), "lzop": packedWith(t, format.Lzop, scatterModel().Encode()),
		"as it is": scatterModel().Encode(),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := published(t, image)
			blocks := blocksOf(len(server.image), block, nil)
			worst := int64(0)
			for order, blocks := range map[string][]format.Extent{"worst": everyOther(blocks), "random": shuffled(blocks, 9), "ascending": blocks} {
				s, _, _ := scattered(t, server, 0)
				if err := give(s, server.image, blocks); err != nil {
					t.Fatal(err)
				}
				if err := s.Finish(); err != nil {
					t.Fatal(err)
				}
				usual, most := ScatterNeeds(s.config.Map, block)
				if s.most > most || usual > most {
					t.Errorf("%s: it took %d bytes; usual are %d, at most %d", order, s.most, usual, most)
				}
				if limit := int64(1<<20 + 1<<17); order == "ascending" && s.most > limit {
					t.Errorf("in order it took %d bytes, more than one part", s.most)
				}
				if order == "worst" {
					worst = s.most
				}
			}
			s, _, _ := scattered(t, server, worst/2)
			err := give(s, server.image, everyOther(blocks))
			if err == nil {
				err = s.Finish()
			}
			if !errors.Is(err, ErrScattered) {
				t.Fatalf("with half the memory: %v, want ErrScattered", err)
			}
			wantFailure(t, explain(err, "writing"), 5, "wait for what belongs beside them")
			if s.most > worst/2 {
				t.Errorf("it kept %d bytes and may keep %d", s.most, worst/2)
			}
		})
	}
}

func TestScatterEndsWithItsContext(t *testing.T) {
	t.Parallel()
	server := published(t, scatterModel().Encode())
	m, err := format.MapFile(bytes.NewReader(server.image), int64(len(server.image)), server.index)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	s := NewScatter(ctx, ScatterConfig{Map: m, Index: server.index, Target: target(t, server), Size: server.index.Info.RequiredBytes})
	defer s.Close()
	if err := s.WriteBlock(0, server.image[:1000]); err != nil {
		t.Fatal(err)
	}
	why := errors.New("the operator has cancelled")
	cancel(why)
	if err := give(s, server.image, blocksOf(len(server.image), mib, nil)[1:]); !errors.Is(err, why) {
		t.Errorf("WriteBlock: %v, want %v", err, why)
	}
	if err := s.Finish(); !errors.Is(err, why) {
		t.Errorf("Finish: %v, want %v", err, why)
	}
}
