package clone

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"testing"

	"aula/clientos/disk"
	"aula/clientos/protocol"
	"aula/imagestore/format"
)

// A fakeServer keeps one image in memory, as the repository would: an upload counts only when it was completed.
type fakeServer struct {
	mu        sync.Mutex
	layout    []byte
	image     []byte
	index     *format.Index
	published bool
	aborted   error

	// cutAfter, when not 0, breaks the next cuts image streams after so many bytes each.
	cutAfter, cuts int
	opened         []int64 // offsets at which the image was opened
	refuse         error   // what OpenImage answers instead
	chunkCuts      int     // how many index streams break
	chunks         []byte  // what OpenChunks sends instead of the index
}

func (s *fakeServer) OpenImage(ctx context.Context, image protocol.Image, offset int64) (io.ReadCloser, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.opened = append(s.opened, offset)
	if s.refuse != nil {
		return nil, s.refuse
	}
	r := io.Reader(bytes.NewReader(s.image[offset:]))
	if s.cuts > 0 {
		s.cuts--
		r = io.MultiReader(io.LimitReader(r, int64(s.cutAfter)), brokenReader{})
	}
	return io.NopCloser(r), nil
}

func (s *fakeServer) OpenChunks(ctx context.Context, image protocol.Image) (io.ReadCloser, error) {
	var b bytes.Buffer
	if _, err := s.index.WriteTo(&b); err != nil {
		return nil, err
	}
	if s.chunks != nil {
		b = *bytes.NewBuffer(s.chunks)
	}
	if s.chunkCuts > 0 {
		s.chunkCuts--
		return io.NopCloser(io.MultiReader(io.LimitReader(&b, 100), brokenReader{})), nil
	}
	return io.NopCloser(&b), nil
}

func (s *fakeServer) PutLayout(ctx context.Context, instruction string, layout []byte) error {
	s.layout = layout
	return nil
}

func (s *fakeServer) PutImage(ctx context.Context, instruction string, partition int, write func(w io.Writer) error) error {
	var b bytes.Buffer
	if err := write(&b); err != nil {
		s.aborted = err
		return err
	}
	return s.publish(b.Bytes())
}

// publish does what the repository does before an image becomes visible.
func (s *fakeServer) publish(image []byte) error {
	r, err := format.NewReader(bytes.NewReader(image))
	if err != nil {
		return err
	}
	defer r.Close()
	var b format.IndexBuilder
	for {
		off, run, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		if err := b.Add(off, run); err != nil {
			return err
		}
	}
	s.image, s.index, s.published = image, b.Index(r.Info()), true
	return nil
}

// record is what the appliance would say of the image in an instruction.
func (s *fakeServer) record() protocol.Image {
	info := s.index.Info
	return protocol.Image{
		Name: "model", Revision: 1, FileBytes: int64(len(s.image)), UsedBytes: info.UsedBytes,
		RequiredBytes: info.RequiredBytes, Filesystem: info.Filesystem, SectorSize: 512,
	}
}

// part is the image and its place in an instruction.
func (s *fakeServer) part(partition int) []protocol.Part {
	return []protocol.Part{{Partition: partition, Image: s.record()}}
}

// A fakeLibrary is several servers of one image each, by its name.
type fakeLibrary map[string]*fakeServer

func (l fakeLibrary) OpenImage(ctx context.Context, image protocol.Image, offset int64) (io.ReadCloser, error) {
	return l[image.Name].OpenImage(ctx, image, offset)
}

func (l fakeLibrary) OpenChunks(ctx context.Context, image protocol.Image) (io.ReadCloser, error) {
	return l[image.Name].OpenChunks(ctx, image)
}

func (l fakeLibrary) PutLayout(context.Context, string, []byte) error { return errors.ErrUnsupported }

func (l fakeLibrary) PutImage(context.Context, string, int, func(io.Writer) error) error {
	return errors.ErrUnsupported
}

// add publishes an image under a name and returns it as a part.
func (l fakeLibrary) add(t *testing.T, name string, partition int, file []byte) protocol.Part {
	t.Helper()
	server := &fakeServer{}
	if err := server.publish(file); err != nil {
		t.Fatal(err)
	}
	l[name] = server
	record := server.record()
	record.Name = name
	return protocol.Part{Partition: partition, Image: record}
}

// brokenReader is the end of a connection that broke.
type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("connection reset by peer") }

// recorder keeps the progress of a Run.
type recorder struct {
	t      *testing.T
	all    []Progress
	during func(Progress)
}

func (r *recorder) report(p Progress) {
	if n := len(r.all); n > 0 && r.all[n-1].Dirty && !p.Dirty {
		r.t.Errorf("progress %+v is no longer dirty", p)
	}
	r.all = append(r.all, p)
	if r.during != nil {
		r.during(p)
	}
}

func (r *recorder) stages() string {
	var s string
	for i, p := range r.all {
		if i == 0 || p.Stage != r.all[i-1].Stage {
			s += p.Stage + " "
		}
	}
	return s
}

func (r *recorder) dirty() bool { return len(r.all) > 0 && r.all[len(r.all)-1].Dirty }

// wantFailure fails the test unless err is a complete Failure with the code whose problem holds the words.
func wantFailure(t *testing.T, err error, code int, words ...string) *protocol.Failure {
	t.Helper()
	var f *protocol.Failure
	if !errors.As(err, &f) {
		t.Fatalf("got %v, want a *protocol.Failure", err)
	}
	if f.Code != code {
		t.Errorf("got code %d, want %d (%+v)", f.Code, code, f)
	}
	if f.Stage == "" || f.Problem == "" || f.Advice == "" {
		t.Errorf("%+v lacks its stage, problem or advice", f)
	}
	for _, w := range words {
		if !bytes.Contains([]byte(f.Problem), []byte(w)) {
			t.Errorf("got problem %q, want it to say %q", f.Problem, w)
		}
	}
	return f
}

// instruction names the disk at path, as it is now, and a partition to create an image of.
func instruction(t *testing.T, kind, path string, partition int) protocol.Instruct {
	t.Helper()
	disks, err := disk.System{Devices: []string{path}}.Disks(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	i := protocol.Instruct{ID: fmt.Sprintf("%s-%d", kind, partition), Kind: kind, Disk: disks[0].Ref()}
	if kind == protocol.CreateImage {
		i.Partition, i.Capture = partition, &protocol.Capture{Name: "model"}
	}
	return i
}
