package sender

import (
	"bytes"
	"context"
	"encoding/hex"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/zeebo/blake3"
	"go.uber.org/goleak"

	"aula/clientos/protocol"
	"aula/imagestore"
	"aula/imagestore/multicast"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must come. It passes only when something is broken.
const patience = time.Minute

// A shelf is Images of files.
type shelf struct {
	dir string

	mu    sync.Mutex
	gone  map[string]bool
	holds int
}

var _ Images = (*imagestore.Library)(nil)

// put makes an image of so many bytes, always the same of the same name.
func (s *shelf) put(t *testing.T, name string, size int) []byte {
	t.Helper()
	b := make([]byte, size)
	seed := blake3.Sum256([]byte(name))
	rand.NewChaCha8(seed).Read(b)
	check(t, os.WriteFile(filepath.Join(s.dir, name), b, 0o600))
	return b
}

func (s *shelf) Revision(_, name string, revision int) (imagestore.Image, error) {
	b, err := os.ReadFile(filepath.Join(s.dir, name))
	if err != nil || s.gone[name] {
		return imagestore.Image{}, fmt.Errorf("%w: %s", imagestore.ErrNotFound, name)
	}
	sum := blake3.Sum256(b)
	return imagestore.Image{Name: name, Revision: revision, FileBytes: int64(len(b)), Blake3: hex.EncodeToString(sum[:])}, nil
}

func (s *shelf) Hold(repository, name string, revision int, _ string) (func(), error) {
	if _, err := s.Revision(repository, name, revision); err != nil {
		return nil, err
	}
	s.count(1)
	return func() { s.count(-1) }, nil
}

func (s *shelf) count(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holds += n
	return s.holds
}

func (s *shelf) OpenFile(_, name string, _ int) (*os.File, error) {
	return os.Open(filepath.Join(s.dir, name))
}

var loopback = netip.MustParseAddr("127.0.0.1")

// A server is Senders that run, on the loopback.
type server struct {
	*Senders
	t     *testing.T
	shelf *shelf
	stop  func()

	mu      sync.Mutex
	awaited int
}

func newServer(t *testing.T, images *shelf) *server {
	t.Helper()
	s := &server{t: t, shelf: images}
	var err error
	s.Senders, err = New(Config{
		Images: images, Interface: "lo", Address: loopback,
		Awaited: func(string) int {
			s.mu.Lock()
			defer s.mu.Unlock()
			return s.awaited
		},
		Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	check(t, err)
	s.grace = 0
	ctx, cancel := context.WithCancel(context.Background())
	var group sync.WaitGroup
	group.Go(func() {
		if err := s.Run(ctx); err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	s.stop = sync.OnceFunc(func() {
		cancel()
		group.Wait()
		if n := images.count(0); n != 0 {
			t.Errorf("%d images are held when all has ended", n)
		}
	})
	t.Cleanup(s.stop)
	until(t, "Run", func() bool {
		s.Senders.mu.Lock()
		defer s.Senders.mu.Unlock()
		return s.life != nil
	})
	return s
}

func (s *server) await(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.awaited = n
}

// instruct is an instruction to have images.
func instruct(session, parameters string, names ...string) protocol.Instruct {
	in := protocol.Instruct{
		ID: "i-" + session, Kind: protocol.UpdateCache,
		Delivery: &protocol.Delivery{Protocol: protocol.Multicast, Parameters: parameters, Session: session},
	}
	for _, name := range names {
		in.Parts = append(in.Parts, protocol.Part{Image: protocol.Image{Name: name, Revision: 1}})
	}
	return in
}

func (s *server) join(name string, in protocol.Instruct) protocol.Session {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	told, err := s.Join(ctx, name, name, in)
	check(s.t, err)
	return told
}

// A pc receives a session into a file.
type pc struct {
	t      *testing.T
	path   string
	cancel context.CancelFunc
	done   chan struct{}
	err    error // once done
}

func (s *server) receive(name, path string, told protocol.Session) *pc {
	s.t.Helper()
	sink, err := multicast.OpenFileSink(path, false)
	check(s.t, err)
	r, err := multicast.NewReceiver(multicast.ReceiverConfig{
		Port: told.Port, Group: netip.MustParseAddr(told.Group), Key: multicast.Key(told.Key), Sink: sink, Name: name, Interface: "lo",
		Server: netip.MustParseAddr(told.Server), StartTimeout: patience, ReceiveTimeout: patience,
	})
	check(s.t, err)
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	p := &pc{t: s.t, path: path, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		p.err = r.Run(ctx)
		if err := sink.Close(); p.err == nil {
			p.err = err
		}
	}()
	s.t.Cleanup(func() {
		cancel()
		<-p.done
	})
	return p
}

// has requires that the PC gets all of these files.
func (p *pc) has(files ...[]byte) {
	p.t.Helper()
	<-p.done
	check(p.t, p.err)
	got, err := os.ReadFile(p.path)
	check(p.t, err)
	if !bytes.Equal(got, bytes.Join(files, nil)) {
		p.t.Errorf("%s has %d bytes that are not those of the images", p.path, len(got))
	}
}

// until waits until f answers true.
func until(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !f(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
