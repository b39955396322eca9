package fetch

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/zeebo/blake3"

	"aula/clientos/protocol"
	"aula/imagestore/format"
	"aula/imagestore/multicast"
	"aula/imagestore/torrent"
	"aula/imagestore/torrent/metainfo"
	"aula/imagestore/torrent/tracker"
)

// roleVariable makes this binary a sender, of the parcel that it holds.
const roleVariable = "AULA_TEST_FETCH_SENDER"

func TestMain(m *testing.M) {
	text, ok := os.LookupEnv(roleVariable)
	if !ok {
		os.Exit(m.Run())
	}
	var p parcel
	err := json.Unmarshal([]byte(text), &p)
	if err == nil {
		err = p.send()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// A parcel is what a sender sends.
type parcel struct {
	Session multicast.Session
	Key     multicast.Key
	Files   []string
}

func (p parcel) send() error {
	s, err := multicast.NewSender(context.Background(), multicast.SenderConfig{
		Session: p.Session, Key: p.Key, Source: p, Interface: "lo", Linger: 5 * time.Second, Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	})
	if err != nil {
		return err
	}
	return s.Run(context.Background())
}

// Content implements multicast.Source.
func (p parcel) Content() multicast.Content {
	c := multicast.Content{ID: blake3.Sum256([]byte(strings.Join(p.Files, "\n"))), Name: "set"}
	for _, path := range p.Files {
		info, err := os.Stat(path)
		if err != nil {
			return multicast.Content{}
		}
		c.Size += info.Size()
	}
	return c
}

// ReadAt implements multicast.Source.
func (p parcel) ReadAt(b []byte, offset int64) (n int, err error) {
	for _, path := range p.Files {
		file, err := os.ReadFile(path)
		if err != nil {
			return n, err
		}
		if offset < int64(len(file)) {
			c := copy(b[n:], file[offset:])
			n, offset = n+c, offset+int64(c)
		}
		if offset -= int64(len(file)); n == len(b) {
			return n, nil
		}
	}
	return n, io.EOF
}

// An appliance is a server with images, of which each has a file.
type appliance struct {
	t      *testing.T
	folder string

	mu       sync.Mutex
	images   map[string]*stored
	cutAfter int64 // of each connection; 0 for never
	opened   []int64
	refuse   error // what Join answers

	port    int
	joined  int
	sender  *exec.Cmd
	session protocol.Session
	parcel  parcel
}

// A stored image.
type stored struct {
	file    []byte
	index   *format.Index
	torrent *metainfo.Torrent
}

func newAppliance(t *testing.T) *appliance {
	a := &appliance{t: t, folder: t.TempDir(), images: map[string]*stored{}}
	t.Cleanup(a.kill)
	return a
}

// add stores a file of random bytes, and returns its image.
func (a *appliance) add(name string, size int) protocol.Image {
	file := make([]byte, size)
	rand.NewChaCha8(blake3.Sum256([]byte(name))).Read(file)
	return a.store(name, file)
}

func (a *appliance) store(name string, file []byte) protocol.Image {
	a.t.Helper()
	if err := os.WriteFile(a.path(name), file, 0o600); err != nil {
		a.t.Fatal(err)
	}
	a.images[name] = &stored{file: file}
	digest := blake3.Sum256(file)
	return protocol.Image{Name: name, Revision: 1, Digest: hex.EncodeToString(digest[:]), FileBytes: int64(len(file))}
}

func (a *appliance) path(name string) string { return filepath.Join(a.folder, name+".img") }

func (a *appliance) get(image protocol.Image) (*stored, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	s := a.images[image.Name]
	if s == nil {
		return nil, &protocol.Failure{Code: protocol.ErrNotFound, Problem: "no image " + image.Name, Advice: "none"}
	}
	return s, nil
}

func (a *appliance) OpenImage(ctx context.Context, image protocol.Image, offset int64) (io.ReadCloser, error) {
	s, err := a.get(image)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.opened = append(a.opened, offset)
	r := io.Reader(bytes.NewReader(s.file[offset:]))
	if a.cutAfter > 0 {
		r = io.LimitReader(r, a.cutAfter)
	}
	return io.NopCloser(r), ctx.Err()
}

func (a *appliance) OpenChunks(_ context.Context, image protocol.Image) (io.ReadCloser, error) {
	s, err := a.get(image)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	_, err = s.index.WriteTo(&b)
	return io.NopCloser(&b), err
}

func (a *appliance) OpenMap(context.Context, protocol.Image) (io.ReadCloser, error) {
	return nil, errors.ErrUnsupported
}

func (a *appliance) OpenTorrent(_ context.Context, image protocol.Image) (io.ReadCloser, error) {
	s, err := a.get(image)
	if err != nil {
		return nil, err
	}
	return io.NopCloser(bytes.NewReader(s.torrent.Encode())), nil
}

func (a *appliance) PutLayout(context.Context, string, []byte) error { return errors.ErrUnsupported }

func (a *appliance) PutImage(context.Context, string, int, func(io.Writer) error) error {
	return errors.ErrUnsupported
}

// multicast has a session for the images, at a rate in Mbit/s, on a port of its own. Each sender of it has another key.
func (a *appliance) multicast(port int, rate int64, images ...protocol.Image) {
	a.parcel.Session = multicast.Session{
		Port: port, Mode: multicast.FullDuplex, Group: netip.MustParseAddr("239.194.71.36"), Rate: rate * 1_000_000, Computers: 1, Wait: time.Minute,
	}
	for _, image := range images {
		a.parcel.Files = append(a.parcel.Files, a.path(image.Name))
	}
}

// Join implements Server: it starts a sender if none runs.
func (a *appliance) Join(ctx context.Context, instruction string) (protocol.Session, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.joined++
	if a.refuse != nil {
		return protocol.Session{}, a.refuse
	}
	if a.sender != nil {
		return a.session, nil
	}
	a.parcel.Key = multicast.NewKey()
	text, err := json.Marshal(a.parcel)
	if err != nil {
		return protocol.Session{}, err
	}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleVariable+"="+string(text))
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return protocol.Session{}, err
	}
	a.sender = cmd
	a.session = protocol.Session{Server: "127.0.0.1", Port: a.parcel.Session.Port, Group: a.parcel.Session.Group.String(), Key: a.parcel.Key[:]}
	return a.session, nil
}

// kill is kill -9 of the sender. The next to join finds another.
func (a *appliance) kill() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.sender != nil {
		_ = a.sender.Process.Signal(syscall.SIGKILL) // it may have ended
		_ = a.sender.Wait()
		a.sender = nil
	}
}

// swarm makes the torrents of all images, and runs a tracker and a seeder at an address of the loopback which gives at most limit bytes a second.
func (a *appliance) swarm(address string, limit int64) {
	a.t.Helper()
	listener, err := net.Listen("tcp", address+":0")
	if err != nil {
		a.t.Fatal(err)
	}
	seeder, err := torrent.NewClient(torrent.Config{Listen: address + ":0", UploadLimit: limit})
	if err != nil {
		a.t.Fatal(err)
	}
	known := map[metainfo.Hash]tracker.Torrent{}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	a.t.Cleanup(func() { cancel(); running.Wait() })
	for name, s := range a.images {
		meta, err := metainfo.Make(a.t.Context(), bytes.NewReader(s.file), name+".img", int64(len(s.file)), 256<<10, nil)
		if err != nil {
			a.t.Fatal(err)
		}
		meta.Announce = []string{"http://" + listener.Addr().String() + "/announce"}
		s.torrent = meta
		known[meta.Hash] = tracker.Torrent{
			Name: name, Size: meta.Length, Seeders: []netip.AddrPort{netip.AddrPortFrom(netip.MustParseAddr(address), seeder.Port())},
		}
		storage, err := torrent.OpenSeed(a.path(name), meta)
		if err != nil {
			a.t.Fatal(err)
		}
		running.Go(func() {
			_ = seeder.Do(ctx, &torrent.Task{Torrent: meta, Storage: storage, Mode: torrent.Seeder, Linger: -1, Trackers: []string{}})
		})
	}
	server := tracker.NewServer(tracker.Config{Lookup: func(h metainfo.Hash) (tracker.Torrent, bool) { k, ok := known[h]; return k, ok }})
	running.Go(func() { _ = server.Serve(ctx, listener, nil) })
	running.Go(func() { _ = seeder.Run(ctx) })
}

// instruct is an updateCache of images.
func instruct(way, parameters string, images ...protocol.Image) protocol.Instruct {
	in := protocol.Instruct{ID: "i-1", Kind: protocol.UpdateCache, Delivery: &protocol.Delivery{Protocol: way, Parameters: parameters}}
	for i, image := range images {
		in.Parts = append(in.Parts, protocol.Part{Partition: i + 1, Image: image})
	}
	return in
}

// A cache is the folder of a PC.
type cache struct {
	t      *testing.T
	folder string
	files  []File
}

func newCache(t *testing.T, images ...protocol.Image) *cache {
	c := &cache{t: t, folder: t.TempDir()}
	for _, image := range images {
		c.files = append(c.files, File{Image: image, Path: filepath.Join(c.folder, "."+image.Name+".new")})
	}
	return c
}

// check compares the files with those of the appliance; nothing else may be there.
func (c *cache) check(a *appliance, wanted ...string) {
	c.t.Helper()
	for _, f := range c.files {
		b, err := os.ReadFile(f.Path)
		switch want := strings.Contains(strings.Join(wanted, " "), f.Image.Name); {
		case want && err != nil:
			c.t.Error(err)
		case want && !bytes.Equal(b, a.images[f.Image.Name].file):
			c.t.Errorf("%s differs from the image", f.Path)
		case !want && err == nil:
			c.t.Errorf("%s was made, and nobody wanted it", f.Path)
		}
	}
	left, err := os.ReadDir(c.folder)
	if err != nil {
		c.t.Fatal(err)
	}
	if len(left) != len(wanted) {
		c.t.Errorf("the folder has %v, want %d files", left, len(wanted))
	}
}

// A witness remembers what progress told, and calls during at each.
type witness struct {
	t      *testing.T
	mu     sync.Mutex
	all    []Progress
	during func(Progress)
}

func (w *witness) report(p Progress) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if n := len(w.all); n > 0 && p.Bytes < w.all[n-1].Bytes {
		w.t.Errorf("progress went back from %d to %d bytes", w.all[n-1].Bytes, p.Bytes)
	}
	w.all = append(w.all, p)
	if w.during != nil {
		w.during(p)
	}
}

// complete tells whether the last that was told is that all has come, and nothing twice.
func (w *witness) complete() {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	if last := w.all[len(w.all)-1]; last.Bytes != last.Total || last.Waiting {
		w.t.Errorf("the last progress was %+v", last)
	}
}

// config is a PC's, with BitTorrent at an address of the loopback.
func config(a *appliance, address string) Config {
	return Config{Server: a, Name: "pc-1", Interface: "lo", Listen: address + ":0", Log: slog.New(slog.DiscardHandler)}
}

// wantFailure fails the test unless err is a complete Failure with the code.
func wantFailure(t *testing.T, err error, code int) {
	t.Helper()
	var f *protocol.Failure
	if !errors.As(err, &f) || f.Code != code || f.Stage == "" || f.Problem == "" || f.Advice == "" {
		t.Errorf("got %v (%+v), want a complete failure of code %d", err, f, code)
	}
}

// noGoroutines fails the test when more goroutines run in this package's work than before, after a while.
func noGoroutines(t *testing.T) {
	t.Helper()
	text := make([]byte, 1<<20)
	for until := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		all := string(text[:runtime.Stack(text, true)])
		left := strings.Count(all, "fetch.(*follower)") + strings.Count(all, "fetch.(*Sharing)") + strings.Count(all, "fetch.(*partial)")
		if left == 0 {
			return
		}
		if time.Now().After(until) {
			t.Fatalf("goroutines are left:\n%s", all)
		}
	}
}
