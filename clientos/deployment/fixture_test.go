package deployment

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/zeebo/blake3"

	"aula/clientos/cache"
	"aula/clientos/clone"
	"aula/clientos/disk"
	"aula/clientos/disk/disktest"
	"aula/clientos/protocol"
	"aula/imagestore/format"
)

const mib = 1 << 20

// A repository is the appliance, in memory.
type repository struct {
	mu     sync.Mutex
	layout []byte
	images map[string]*stored // by name
}

type stored struct {
	file  []byte
	index *format.Index
	sent  int64 // bytes of the file that were read
}

func (r *repository) OpenImage(_ context.Context, image protocol.Image, offset int64) (io.ReadCloser, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.images[image.Name]
	if s == nil {
		return nil, &protocol.Failure{Code: protocol.ErrNotFound, Problem: "no image " + image.Name, Advice: "choose another"}
	}
	return &sending{r, s, bytes.NewReader(s.file[offset:])}, nil
}

// A sending counts what is read of an image.
type sending struct {
	repository *repository
	image      *stored
	from       io.Reader
}

func (s *sending) Read(b []byte) (int, error) {
	n, err := s.from.Read(b)
	s.repository.mu.Lock()
	defer s.repository.mu.Unlock()
	s.image.sent += int64(n)
	return n, err
}

func (s *sending) Close() error { return nil }

func (r *repository) OpenChunks(_ context.Context, image protocol.Image) (io.ReadCloser, error) {
	var b bytes.Buffer
	_, err := r.images[image.Name].index.WriteTo(&b)
	return io.NopCloser(&b), err
}

func (r *repository) OpenMap(context.Context, protocol.Image) (io.ReadCloser, error) {
	return nil, &protocol.Failure{Code: protocol.ErrNotFound, Problem: "no map", Advice: "none"}
}

func (r *repository) Join(context.Context, string) (protocol.Session, error) {
	return protocol.Session{}, &protocol.Failure{Code: protocol.ErrMulticast, Problem: "no sessions here", Advice: "none"}
}

func (r *repository) OpenTorrent(context.Context, protocol.Image) (io.ReadCloser, error) {
	return nil, errors.ErrUnsupported
}

func (r *repository) PutLayout(_ context.Context, _ string, layout []byte) error {
	r.layout = layout
	return nil
}

// PutImage publishes what is captured, as "model".
func (r *repository) PutImage(_ context.Context, _ string, _ int, write func(w io.Writer) error) error {
	var b bytes.Buffer
	if err := write(&b); err != nil {
		return err
	}
	reader, err := format.NewReader(bytes.NewReader(b.Bytes()))
	if err != nil {
		return err
	}
	defer reader.Close()
	var builder format.IndexBuilder
	for {
		off, run, err := reader.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if err := builder.Add(off, run); err != nil {
			return err
		}
	}
	r.images["model"] = &stored{file: b.Bytes(), index: builder.Index(reader.Info())}
	return nil
}

// image is what an instruction says of the model.
func (r *repository) image() protocol.Image {
	s := r.images["model"]
	sum := blake3.Sum256(s.file)
	return protocol.Image{
		Repository: "main", Name: "model", Revision: 1, Digest: hex.EncodeToString(sum[:]), FileBytes: int64(len(s.file)), UsedBytes: s.index.Info.UsedBytes,
		RequiredBytes: s.index.Info.RequiredBytes, Filesystem: s.index.Info.Filesystem, SectorSize: 512,
	}
}

// sent is how many bytes of the model were asked for, since it was last asked.
func (r *repository) sent() int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.images["model"].sent
	r.images["model"].sent = 0
	return n
}

// The disk of the model has 48 MiB for the system; that of a PC has the same, and perhaps a cache of 64 MiB behind it.
const (
	modelTable = "label: dos\nlabel-id: 0xa01a0001\n1 : start=8192, size=98304, type=83, bootable\n"
	cacheTable = modelTable + "4 : start=112640, size=131072, type=ca\n"
	smallTable = modelTable + "4 : start=112640, size=26624, type=ca\n"
	tightTable = "label: dos\n1 : start=8192, size=65536, type=83\n4 : start=112640, size=131072, type=ca\n"
)

// model is what newRepository captured, for all tests.
var model struct {
	sync.Mutex
	*repository
}

// newRepository has an image of a filesystem with random files.
func newRepository(t *testing.T) *repository {
	t.Helper()
	disktest.Need(t, "partclone.extfs", "mkfs.ext4", "e2fsck")
	disktest.NeedRoot(t)
	model.Lock()
	defer model.Unlock()
	if model.repository == nil {
		model.repository = captured(t)
	}
	s := model.images["model"]
	return &repository{layout: model.layout, images: map[string]*stored{"model": {file: s.file, index: s.index}}}
}

// captured makes the image.
func captured(t *testing.T) *repository {
	t.Helper()
	source := disktest.New(t, "MODEL", 64*mib, 512)
	source.Partition(t, modelTable)
	dir := t.TempDir()
	random := rand.NewChaCha8([32]byte{7})
	for name, size := range map[string]int{"small": 700, "large": 16_000_000} {
		data := make([]byte, size)
		random.Read(data)
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	p := &pc{loop: source, disks: disk.System{Devices: []string{source.Path}}}
	disktest.Run(t, "mkfs.ext4", "-q", "-O", "^has_journal", "-d", dir, p.node(t, 1))
	r := &repository{images: map[string]*stored{}}
	in := protocol.Instruct{ID: "capture", Kind: protocol.CreateImage, Disk: p.disk(t).Ref(), Partition: 1, Capture: &protocol.Capture{Name: "model"}}
	env := clone.Env{Server: r, Disks: p.disks, Log: slog.New(slog.DiscardHandler)}
	if _, err := clone.Run(t.Context(), env, in, func(clone.Progress) {}); err != nil {
		t.Fatal(err)
	}
	return r
}

// A pc is a computer with one disk.
type pc struct {
	Env
	loop   disktest.Disk
	disks  disk.System
	server *repository
	mu     sync.Mutex
	stages []string
	dirty  bool
	notes  []string
	during func(Progress)
}

func newPC(t *testing.T, server *repository, table string) *pc {
	t.Helper()
	p := &pc{loop: disktest.New(t, "PC", 160*mib, 512), server: server}
	p.loop.Partition(t, table)
	p.disks = disk.System{Devices: []string{p.loop.Path}}
	folder := t.TempDir()
	p.Env = Env{Server: server, Disks: p.disks, Folder: folder, Log: slog.New(slog.DiscardHandler)}
	p.Cache = cache.New(p.disks, filepath.Join(folder, "cache"), p.Log)
	if strings.Contains(table, "type=ca") {
		disktest.Run(t, "mkfs.ext4", "-q", "-F", "-m", "0", "-L", "CACHE", p.node(t, 4))
	}
	t.Cleanup(func() { p.wantUnmounted(t) })
	return p
}

func (p *pc) disk(t *testing.T) disk.Disk {
	t.Helper()
	disks, err := p.disks.Disks(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return disks[0]
}

// node makes the kernel see a partition and returns its node.
func (p *pc) node(t *testing.T, number int) string {
	t.Helper()
	f, err := p.disk(t).Open(t.Context(), number, true)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return f.Name()
}

func (p *pc) wantUnmounted(t *testing.T) {
	t.Helper()
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(data, []byte(" "+p.Folder)) {
		t.Error("something is still mounted")
		disktest.Unmount(t, filepath.Join(p.Folder, "cache"))
	}
}

// restoring is an instruction to restore the model to partition 1.
func (p *pc) restoring(t *testing.T, d protocol.Delivery) protocol.Instruct {
	t.Helper()
	return protocol.Instruct{
		ID: "restore", Kind: protocol.RestoreImage, Disk: p.disk(t).Ref(), Parts: []protocol.Part{{Partition: 1, Image: p.server.image()}}, Delivery: &d,
	}
}

// run carries out an instruction.
func (p *pc) run(ctx context.Context, in protocol.Instruct) (Result, error) {
	p.stages, p.dirty, p.notes = nil, false, nil
	return Run(ctx, p.Env, in, func(now Progress) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if n := len(p.stages); n == 0 || p.stages[n-1] != now.Stage {
			p.stages = append(p.stages, now.Stage)
		}
		p.dirty, p.notes = now.Dirty, now.Notes
		if p.during != nil {
			p.during(now)
		}
	})
}

// wantRestored fails unless the restore ended well and the disk holds the model.
func (p *pc) wantRestored(t *testing.T, result Result, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if want := p.server.images["model"].index.Info.UsedBytes; result.Verified != want {
		t.Errorf("verified %d bytes, want %d", result.Verified, want)
	}
	disktest.Run(t, "e2fsck", "-fn", p.node(t, 1))
}

// wantCached looks whether the cache holds the model.
func (p *pc) wantCached(t *testing.T, want bool) {
	t.Helper()
	state, err := p.Cache.State(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got := state.Has(p.server.image()); got != want {
		t.Errorf("the cache has the image: %v, want %v (%+v)", got, want, state)
	}
}

func (p *pc) wantNote(t *testing.T, words string) {
	t.Helper()
	if !slices.ContainsFunc(p.notes, func(n string) bool { return strings.Contains(n, words) }) {
		t.Errorf("notes are %q, want one with %q", p.notes, words)
	}
}

func wantFailure(t *testing.T, err error, code int, words string) {
	t.Helper()
	f, ok := errors.AsType[*protocol.Failure](err)
	if !ok || f.Code != code || !strings.Contains(f.Problem, words) || f.Stage == "" || f.Advice == "" {
		t.Errorf("got %v (%+v), want code %d and %q", err, f, code, words)
	}
}
