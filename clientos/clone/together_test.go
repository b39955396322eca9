package clone

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"aula/clientos/disk"
	"aula/clientos/disk/disktest"
	"aula/clientos/protocol"
	"aula/imagestore/format"
)

// shuffledSet delivers blocks of several images in one shuffled order.
type shuffledSet struct {
	library fakeLibrary
	block   int
	budget  **Budget // told, when not nil
}

func (d shuffledSet) BlockSize(context.Context, protocol.Image) (int64, error) {
	return int64(d.block), nil
}

func (d shuffledSet) Deliver(_ context.Context, images []Placed) error {
	type piece struct {
		format.Extent
		image int
	}
	var all []piece
	for i, image := range images {
		for _, e := range blocksOf(len(d.library[image.Image.Name].image), d.block, nil) {
			all = append(all, piece{e, i})
		}
		if d.budget != nil {
			*d.budget = image.To.Budget()
		}
	}
	rand.New(rand.NewPCG(4, 4)).Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	for _, p := range all {
		if err := images[p.image].To.WriteBlock(p.Offset, d.library[images[p.image].Image.Name].image[p.Offset:p.End()]); err != nil {
			return err
		}
	}
	return nil
}

// TestSetIsDelivered restores several partitions from blocks that come mixed, with one memory for all, of which each image alone would take less.
func TestSetIsDelivered(t *testing.T) {
	t.Parallel()
	test := setModels()["GPT with swap"]
	source, library, parts, layout := capturedSet(t, test)
	const block = 100_000
	var budget *Budget
	attempt := func(memory int64, parts []protocol.Part) (disktest.Disk, *recorder, error) {
		target := disktest.New(t, "TARGET", 160*mib, 512)
		i := instruction(t, protocol.RestoreImage, target.Path, 0)
		i.Parts, i.Layout = parts, layout
		r := &recorder{t: t}
		env := Env{
			Server: library, Delivery: shuffledSet{library, block, &budget}, Memory: memory,
			Disks: disk.System{Devices: []string{target.Path}}, Log: slog.New(slog.DiscardHandler),
		}
		_, err := Run(t.Context(), env, i, r.report)
		return target, r, err
	}
	target, r, err := attempt(0, parts)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range parts {
		index := library[p.Image.Name].index
		compareUsed(t, index, node(t, source, p.Partition), node(t, target, p.Partition), index.Info.Filesystem)
	}
	if got := r.stages(); got != "preflight partitioning writing verifying finishing " {
		t.Errorf("stages: %s", got)
	}
	if budget == nil || budget.Most() == 0 || budget.held != 0 {
		t.Errorf("memory: %+v", budget)
	}

	var usual []int64
	for _, p := range parts {
		r := &restore{job: newJob(Env{Server: library, Delivery: shuffledSet{library, block, nil}, Log: slog.New(slog.DiscardHandler)}, protocol.Instruct{}, nil)}
		if _, _, err := r.mapFile(t.Context(), &part{image: p.Image, index: library[p.Image.Name].index}); err != nil {
			t.Fatal(err)
		}
		usual = append(usual, r.waiting)
	}
	_, r, err = attempt(usual[0]+usual[1]-1, parts)
	wantFailure(t, err, protocol.ErrImage, "the images up to", "of memory")
	if !errors.Is(err, ErrScattered) || r.dirty() {
		t.Errorf("got %v, dirty %t; want ErrScattered before anything is written", err, r.dirty())
	}
	if slices.Min(usual) == 0 {
		t.Errorf("the images take %d bytes: nothing was shared", usual)
	}
}

// A localServer has the files of images on a disk of the PC, as the cache does.
type localServer struct {
	fakeLibrary
	folder string
}

func (s localServer) OpenImage(_ context.Context, image protocol.Image, offset int64) (io.ReadCloser, error) {
	f, err := os.Open(filepath.Join(s.folder, image.Name))
	if err != nil {
		return nil, err
	}
	_, err = f.Seek(offset, io.SeekStart)
	return f, err
}

// TestRestoreFromFiles restores a set from files of the PC itself, after a check that writes nothing.
func TestRestoreFromFiles(t *testing.T) {
	t.Parallel()
	test := setModels()["GPT with swap"]
	source, library, parts, layout := capturedSet(t, test)
	server := localServer{library, t.TempDir()}
	for name, s := range library {
		if err := os.WriteFile(filepath.Join(server.folder, name), s.image, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	target := disktest.New(t, "TARGET", 160*mib, 512)
	i := instruction(t, protocol.RestoreImage, target.Path, 0)
	i.Parts, i.Layout = parts, layout
	env := Env{Server: server, Local: true, Disks: disk.System{Devices: []string{target.Path}}, Log: slog.New(slog.DiscardHandler)}
	before := readAt(t, target.Path, 0, 160*mib)
	if err := Check(t.Context(), env, i); err != nil {
		t.Fatal(err)
	}
	large := i
	large.Parts = slices.Clone(parts)
	large.Parts[0].Image.RequiredBytes = 1 << 40
	wantFailure(t, Check(t.Context(), env, large), protocol.ErrSize, "are missing")
	if !slices.Equal(readAt(t, target.Path, 0, 160*mib), before) {
		t.Error("Check wrote to the disk")
	}
	if _, err := Run(t.Context(), env, i, (&recorder{t: t}).report); err != nil {
		t.Fatal(err)
	}
	for _, p := range parts {
		index := library[p.Image.Name].index
		compareUsed(t, index, node(t, source, p.Partition), node(t, target, p.Partition), index.Info.Filesystem)
	}
}

// A setServer takes the images of a capture of a whole disk.
type setServer struct {
	*fakeServer
	sent []int
}

func (s *setServer) PutImage(ctx context.Context, instruction string, partition int, write func(w io.Writer) error) error {
	if s.layout == nil {
		return errors.New("an image came before the layout")
	}
	s.sent = append(s.sent, partition)
	return s.fakeServer.PutImage(ctx, instruction, partition, write)
}

// TestWholeDiskIsCaptured has an EFI partition, ext4, and swap, which is passed over.
func TestWholeDiskIsCaptured(t *testing.T) {
	t.Parallel()
	m := setModels()["GPT with swap"]
	source := disktest.New(t, "MODEL", 128*mib, 512)
	source.Partition(t, m.script)
	disktest.Run(t, "mkswap", node(t, source, m.swap))
	server := &setServer{fakeServer: &fakeServer{}}
	boots := []disk.BootEntry{{Label: "debian", Loader: `\EFI\debian\shimx64.efi`, Partition: 1}}
	env := Env{
		Server: server, Disks: disk.System{Devices: []string{source.Path}}, Log: slog.New(slog.DiscardHandler),
		Boots: func(context.Context, disk.Disk) ([]disk.BootEntry, error) { return boots, nil },
	}
	capture := func() (Result, *recorder, error) {
		i := instruction(t, protocol.CreateImage, source.Path, 0)
		i.Capture.Partitions = []int{1, 2, 3}
		r := &recorder{t: t}
		result, err := Run(t.Context(), env, i, r.report)
		return result, r, err
	}
	_, _, err := capture()
	wantFailure(t, err, protocol.ErrPartition, "none of the partitions")
	if len(server.sent) > 0 || server.layout != nil {
		t.Error("something was sent of a disk without filesystems")
	}
	for number, fill := range m.fill {
		fill(t, node(t, source, number))
	}
	result, r, err := capture()
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(server.sent, []int{1, 2}) {
		t.Errorf("images came of partitions %v, want 1 and 2", server.sent)
	}
	if got := r.stages(); got != "preflight reading publishing " {
		t.Errorf("stages: %s", got)
	}
	var read Progress
	for _, p := range r.all {
		if p.Stage == protocol.StageReading {
			if p.Bytes < read.Bytes {
				t.Fatalf("progress went back from %+v to %+v", read, p)
			}
			read = p
		}
	}
	if read.Bytes != result.Bytes || read.Total != result.Bytes || result.Bytes <= server.index.Info.UsedBytes {
		t.Errorf("progress ended with %+v of a capture of %d bytes", read, result.Bytes)
	}
	var layout disk.Layout
	if err := json.Unmarshal(server.layout, &layout); err != nil || !slices.Equal(layout.Boots, boots) {
		t.Errorf("boot entries of the layout: %+v, %v", layout.Boots, err)
	}
}

// TestStrain tells what took more than half of the time.
func TestStrain(t *testing.T) {
	t.Parallel()
	start := time.Unix(1_700_000_000, 0)
	for i, test := range []struct {
		bytes, disk time.Duration // in 4 seconds
		local       bool
		want        string
	}{
		{3 * time.Second, time.Second, false, protocol.SlowNetwork},
		{3 * time.Second, time.Second, true, protocol.SlowDisk},
		{time.Second, 3 * time.Second, false, protocol.SlowDisk},
		{time.Second / 2, time.Second / 2, false, protocol.SlowDecoding},
		{3 * time.Second, 3500 * time.Millisecond, false, protocol.SlowDisk}, // at the same time
		{1900 * time.Millisecond, 1900 * time.Millisecond, false, ""},
	} {
		s := newStrain(test.local, start)
		s.bytes.Store(int64(test.bytes))
		s.disk.Store(int64(test.disk))
		if _, known := s.slow(start.Add(strainWindow - 1)); known {
			t.Errorf("%d: known too early", i)
		}
		now := start.Add(4 * time.Second)
		if got, known := s.slow(now); !known || got != test.want {
			t.Errorf("%d: got %q, %t; want %q", i, got, known, test.want)
		}
		if got, known := s.slow(now.Add(4 * time.Second)); !known || got != protocol.SlowDecoding {
			t.Errorf("%d: nothing was waited for since, and it says %q, %t", i, got, known)
		}
	}
	var none *strain
	none.take()()
	none.waitForBytes()()
	none.waitForDisk(3)()
}

// A slowServer gives an image a few bytes at a time.
type slowServer struct{ *fakeServer }

func (s slowServer) OpenImage(ctx context.Context, image protocol.Image, offset int64) (io.ReadCloser, error) {
	body, err := s.fakeServer.OpenImage(ctx, image, offset)
	return slowBody{body}, err
}

type slowBody struct{ io.ReadCloser }

func (b slowBody) Read(p []byte) (int, error) {
	time.Sleep(20 * time.Millisecond)
	return b.ReadCloser.Read(p[:min(len(p), 40_000)])
}

// TestSlowNetworkIsTold has a server that takes five seconds.
func TestSlowNetworkIsTold(t *testing.T) {
	t.Parallel()
	server, _ := captured(t, ext4)
	if n := len(server.image); n < 8_000_000 {
		t.Fatalf("the image has %d bytes: too few to take five seconds", n)
	}
	target := disktest.New(t, "TARGET", 150*mib, 512)
	i := instruction(t, protocol.RestoreImage, target.Path, 1)
	i.Parts, i.Layout = server.part(1), server.layout
	_, r, err := run(t, slowServer{server}, target.Path, i)
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]bool{}
	for _, p := range r.all {
		told[fmt.Sprintf("%s %s", p.Stage, p.Slow)] = true
	}
	if !told["writing network"] || told["verifying network"] {
		t.Errorf("told: %v", told)
	}
}

// TestRanges compares with a bitmap.
func TestRanges(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(8, 8))
	for range 200 {
		var r Ranges
		there := make([]bool, 60)
		for range 30 {
			e := format.Extent{Offset: int64(random.IntN(55)), Length: 1 + int64(random.IntN(5))}
			overlaps := slices.Contains(there[e.Offset:e.End()], true)
			touches := overlaps || e.Offset > 0 && there[e.Offset-1] || e.End() < 60 && there[e.End()]
			if r.Touches(e) != touches {
				t.Fatalf("%v touches %v: want %t", r, e, touches)
			}
			if r.Add(e) == overlaps {
				t.Fatalf("%v to %v: overlaps %t", e, r, overlaps)
			}
			if !overlaps {
				for i := e.Offset; i < e.End(); i++ {
					there[i] = true
				}
			}
		}
		low, high := int64(random.IntN(60)), int64(random.IntN(61))
		missing, want := r.Missing(low, high), int64(0)
		for i := low; i < high; i++ {
			if !there[i] {
				want++
			}
		}
		for _, e := range missing {
			want -= e.Length
			if e.Offset < low || e.End() > high || slices.Contains(there[e.Offset:e.End()], true) {
				t.Fatalf("%v lacks %v of %d to %d", r, missing, low, high)
			}
		}
		if want != 0 {
			t.Fatalf("%v lacks %v of %d to %d: %d bytes differ", r, missing, low, high, want)
		}
	}
}
