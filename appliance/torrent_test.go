package appliance

import (
	"bytes"
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/zeebo/blake3"

	"aula/appliance/catalog"
	"aula/appliance/roster"
	"aula/imagestore"
	"aula/imagestore/format/formattest"
	"aula/imagestore/torrent"
	"aula/imagestore/torrent/metainfo"
	"aula/imagestore/torrent/tracker"
	"aula/imagestore/torrent/wire"
)

// A torrentBed is a library with one image, "win11", and what gives it.
type torrentBed struct {
	images *imagestore.Library
	main   *imagestore.Repository
	meta   *metainfo.Torrent
}

func newTorrentBed(t *testing.T) *torrentBed {
	t.Helper()
	b := &torrentBed{}
	var err error
	b.main, err = imagestore.Open(filepath.Join(t.TempDir(), "images"), imagestore.Options{Name: "main", Keep: 2, Trash: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	b.images = imagestore.NewLibrary(b.main)
	t.Cleanup(func() {
		if err := b.images.Close(); err != nil {
			t.Error(err)
		}
	})
	st, err := b.main.Stage("win11", imagestore.Source{Disk: 1, Partition: 2, SectorSize: 512})
	if err != nil {
		t.Fatal(err)
	}
	plain := formattest.Partclone{Filesystem: "NTFS", Blocks: 1024}.Encode()
	if _, err := st.Write(plain); err != nil {
		t.Fatal(err)
	}
	if _, err := st.Publish(t.Context(), fmt.Sprintf("%x", blake3.Sum256(plain)), nil); err != nil {
		t.Fatal(err)
	}
	f, err := b.main.OpenTorrent("win11", 1)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if b.meta, err = metainfo.ReadFile(f.Name()); err != nil {
		t.Fatal(err)
	}
	return b
}

// give runs tracker and seeder at free ports of loopback until the test ends.
func (b *torrentBed) give(t *testing.T, serves func(netip.Addr) bool) *bitTorrent {
	t.Helper()
	return b.giveAs(t, bitTorrent{serves: serves, giveFor: usualGiveFor})
}

// giveAs is give with what the test says of it.
func (b *torrentBed) giveAs(t *testing.T, how bitTorrent) *bitTorrent {
	t.Helper()
	how.address, how.images, how.log = mustAddr("127.0.0.1"), b.images, slog.New(slog.DiscardHandler)
	gives := &how
	for try := 1; ; try++ { // others take ports too
		gives.cfg.Tracker, gives.cfg.Port = fmt.Sprintf("127.0.0.1:%d", freePort(t)), freePort(t)
		err := gives.listen()
		if err == nil {
			break
		}
		if gives.close(); try == 10 {
			t.Fatal(err)
		}
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- gives.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("tracker and seeder ended with %v", err)
		}
	})
	return gives
}

// freePort is a port that is free for TCP now.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func everybody(netip.Addr) bool { return true }

// fetch gets the image with another client, whom only the tracker tells of the seeder.
func (b *torrentBed) fetch(t *testing.T, announce string) ([]byte, error) {
	t.Helper()
	client, err := torrent.NewClient(torrent.Config{Listen: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	ran := make(chan error, 1)
	running, end := context.WithCancel(ctx)
	go func() { ran <- client.Run(running) }()
	defer func() { end(); <-ran }()
	kept := &memory{have: make([]bool, b.meta.Count()), bytes: make([]byte, b.meta.Length), meta: b.meta}
	err = client.Do(ctx, &torrent.Task{Torrent: b.meta, Storage: kept, Mode: torrent.Peer, Trackers: []string{announce}})
	return kept.bytes, err
}

// memory is a storage for a small torrent.
type memory struct {
	meta  *metainfo.Torrent
	have  []bool
	bytes []byte
}

func (m *memory) Have() ([]bool, error) { return m.have, nil }
func (m *memory) WritePiece(i int, p []byte) error {
	copy(m.bytes[m.meta.Offset(i):], p)
	return nil
}
func (m *memory) ReadAt(p []byte, off int64) (int, error) {
	return bytes.NewReader(m.bytes).ReadAt(p, off)
}
func (m *memory) Finish() error { return nil }
func (m *memory) Close() error  { return nil }

// A PC gets an image that nobody has opened before, and finds the seeder with its first question to the tracker.
func TestImageIsGivenOnDemand(t *testing.T) {
	b := newTorrentBed(t)
	gives := b.give(t, everybody)
	if open := gives.Seeding(); len(open) != 0 {
		t.Fatalf("before anybody asked, %d torrents are open", len(open))
	}
	got, err := b.fetch(t, gives.Offer().Tracker)
	if err != nil {
		t.Fatal(err)
	}
	for i := range b.meta.Count() {
		if sum := sha1.Sum(got[b.meta.Offset(i):][:b.meta.Size(i)]); sum != b.meta.Sum(i) {
			t.Errorf("piece %d is wrong", i)
		}
	}
	open := gives.Seeding()
	if len(open) != 1 || open[0].Hash != b.meta.Hash || open[0].Uploaded < b.meta.Length || open[0].State != torrent.Sharing {
		t.Fatalf("after it: got %+v", open)
	}
	if holders := b.main.Holders("win11"); len(holders) != 1 || holders[0] != byTorrent {
		t.Errorf("while it is open it is held by %q", holders)
	}
	if err := b.images.Remove("main", "win11"); !errors.Is(err, imagestore.ErrBusy) {
		t.Errorf("while it is open, removing it says %v", err)
	}
	if img, ok := gives.Image(b.meta.Hash); !ok || img.Name != "win11" || img.Repository != "main" || img.Revision != 1 {
		t.Errorf("its image: got %+v, %v", img, ok)
	}
}

// readSoFar is what this process has read of files and connections so far, in bytes.
func readSoFar(t *testing.T) int64 {
	t.Helper()
	io, err := os.ReadFile("/proc/self/io")
	if err != nil {
		t.Skipf("SKIPPED: %v", err)
	}
	var n int64
	if _, err := fmt.Sscanf(string(io), "rchar: %d", &n); err != nil {
		t.Fatalf("%v: %s", err, io)
	}
	return n
}

// An image is opened without a look at its bytes, however large it is, and only then given.
func TestOpeningAnImageReadsNothingOfIt(t *testing.T) {
	b := newTorrentBed(t)
	gives := b.give(t, everybody)
	before := readSoFar(t)
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", gives.seeder.Port()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write(wire.Handshake{Hash: b.meta.Hash, Peer: wire.NewPeerID(), Fast: true}.Append(nil)); err != nil {
		t.Fatal(err)
	}
	if answer, err := wire.ReadHandshake(conn); err != nil || answer.Hash != b.meta.Hash {
		t.Fatalf("it answers %+v, %v", answer, err)
	}
	if _, err := io.ReadFull(conn, make([]byte, 5)); err != nil { // the length and the kind of the first message: what it has
		t.Fatal(err)
	}
	if open := gives.Seeding(); len(open) != 1 || open[0].Have != b.meta.Length {
		t.Fatalf("open is %+v", open)
	}
	if read := readSoFar(t) - before; read > b.meta.Length/8 {
		t.Errorf("%d bytes were read to open an image of %d", read, b.meta.Length)
	}
	conn.Close()
	if _, err := b.fetch(t, gives.Offer().Tracker); err != nil {
		t.Fatal(err)
	}
	if read := readSoFar(t) - before; read < b.meta.Length {
		t.Errorf("all was given, and only %d bytes of %d were read: the count is not to be believed", read, b.meta.Length)
	}
}

// An image is in use while somebody wants it, and for a while longer.
func TestImageIsFreeAgainAfterTheLastPeer(t *testing.T) {
	b := newTorrentBed(t)
	gives := b.giveAs(t, bitTorrent{serves: everybody, giveFor: 50 * time.Millisecond})
	for range 2 { // it can be opened again
		if _, err := b.fetch(t, gives.Offer().Tracker); err != nil {
			t.Fatal(err)
		}
		for begun := time.Now(); len(gives.Seeding()) > 0 || len(b.main.Holders("win11")) > 0; time.Sleep(5 * time.Millisecond) {
			if time.Since(begun) > time.Minute {
				t.Fatalf("a minute later it is held by %q", b.main.Holders("win11"))
			}
		}
	}
	if err := b.images.Remove("main", "win11"); err != nil {
		t.Errorf("nobody wants it any more, and it cannot be removed: %v", err)
	}
}

// The limit of the configuration is in Mbit/s, that of the engine in bytes a second.
func TestUploadLimitHolds(t *testing.T) {
	b := newTorrentBed(t)
	const limit = 16 // Mbit/s
	gives := b.giveAs(t, bitTorrent{cfg: TorrentConfig{UploadLimit: limit}, serves: everybody, giveFor: usualGiveFor})
	begun := time.Now()
	if _, err := b.fetch(t, gives.Offer().Tracker); err != nil {
		t.Fatal(err)
	}
	const burst = 1 << 20 // that may come at once
	least := time.Duration(float64(b.meta.Length-burst) / (limit * 1e6 / 8) * float64(time.Second))
	if took := time.Since(begun); took < least {
		t.Errorf("%d bytes came in %s, with a limit of %d Mbit/s; want at least %s", b.meta.Length, took, limit, least)
	}
	if l := gives.Offer().UploadLimit; l != limit*125_000 {
		t.Errorf("the console shows a limit of %d bytes a second", l)
	}
}

// What is found damaged is not given any more, and is free to be removed.
func TestTorrentOfADamagedImageEnds(t *testing.T) {
	b := newTorrentBed(t)
	gives := b.give(t, everybody)
	if _, err := b.fetch(t, gives.Offer().Tracker); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(b.main.Dir(), "win11.img")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)/2] ^= 1
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	if err := b.main.Verify(t.Context(), "win11", 1, nil); !errors.Is(err, imagestore.ErrDamaged) {
		t.Fatalf("a changed bit is verified with %v", err)
	}
	gives.look()
	for begun := time.Now(); len(gives.Seeding()) > 0 || len(b.main.Holders("win11")) > 0; time.Sleep(5 * time.Millisecond) {
		if time.Since(begun) > time.Minute {
			t.Fatal("it is given for a minute more")
		}
	}
	if _, err := gives.open(b.meta.Hash); !errors.Is(err, imagestore.ErrDamaged) {
		t.Errorf("opened again: got %v", err)
	}
	if _, ok := gives.lookup(b.meta.Hash); ok {
		t.Error("the tracker still knows it")
	}
}

func TestTrackerTellsOfTheAppliancesImagesOnly(t *testing.T) {
	b := newTorrentBed(t)
	gives := b.give(t, everybody)
	for _, url := range []string{gives.Offer().Tracker, strings.Replace(gives.Offer().Tracker, "http:", "udp:", 1)} {
		got, err := tracker.Announce(t.Context(), url, tracker.Request{Hash: b.meta.Hash, Peer: [20]byte{1}, Port: 7001, Left: 5, Event: tracker.Started})
		if err != nil || len(got.Peers) != 1 || got.Peers[0] != netip.AddrPortFrom(mustAddr("127.0.0.1"), gives.seeder.Port()) {
			t.Errorf("%s: got %+v, %v; want the seeder", url, got, err)
		}
		if _, err := tracker.Announce(t.Context(), url, tracker.Request{Hash: metainfo.Hash{1}, Peer: [20]byte{1}, Port: 7001, Left: 5}); err == nil {
			t.Errorf("%s: a torrent that is not here is announced", url)
		}
	}
	if swarms := gives.Swarms(); len(swarms) != 1 || swarms[0].Name != "win11.img" || swarms[0].Size != b.meta.Length || len(swarms[0].Peers) != 1 {
		t.Errorf("swarms: got %+v", swarms)
	}
}

func TestStrangersAreNotServed(t *testing.T) {
	b := newTorrentBed(t)
	gives := b.give(t, func(netip.Addr) bool { return false })
	if _, err := tracker.Announce(t.Context(), gives.Offer().Tracker, tracker.Request{Hash: b.meta.Hash, Peer: [20]byte{1}, Port: 7001}); err == nil {
		t.Error("the tracker answers a stranger")
	}
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", gives.seeder.Port()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	if n, err := conn.Read(make([]byte, 1)); n != 0 || err == nil || os.IsTimeout(err) {
		t.Errorf("the seeder talks to a stranger: %d bytes, %v", n, err)
	}
}

func TestTorrentPortInUseSaysWhichSettingToChange(t *testing.T) {
	b := newTorrentBed(t)
	start := func(cfg TorrentConfig) error {
		gives, err := newBitTorrent(cfg, mustAddr("127.0.0.1"), everybody, b.images, slog.New(slog.DiscardHandler))
		if err == nil {
			gives.close()
		}
		return err
	}
	tcp, err := net.Listen("tcp", ":0")
	if err != nil {
		t.Fatal(err)
	}
	defer tcp.Close()
	udp, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer udp.Close()
	taken := tcp.Addr().(*net.TCPAddr).Port
	for _, c := range []struct {
		name string
		cfg  TorrentConfig
		says string
	}{
		{"tracker by TCP", TorrentConfig{Tracker: fmt.Sprintf("127.0.0.1:%d", taken)}, "torrent.tracker"},
		{"tracker by UDP", TorrentConfig{Tracker: udp.LocalAddr().String()}, "torrent.tracker"},
		{"seeder", TorrentConfig{Tracker: "off", Port: taken}, "torrent.port"},
	} {
		if err := start(c.cfg); err == nil || !strings.Contains(err.Error(), "in use by another program") || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got error %v, want one that names %s", c.name, err, c.says)
		}
	}
	// What failed half-way has let go of what it had.
	free := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	if err := start(TorrentConfig{Tracker: free, Port: taken}); err == nil {
		t.Fatal("started with a port that is taken")
	}
	if err := start(TorrentConfig{Tracker: free}); err != nil {
		t.Errorf("started again without the port that is taken: %v", err)
	}
}

func TestWhoIsServed(t *testing.T) {
	var sessions []roster.Session
	n := &networks{
		fixed: []netip.Prefix{netip.MustParsePrefix("10.77.0.0/24"), netip.MustParsePrefix("10.5.0.0/16")},
		repositories: func() ([]catalog.Repository, error) {
			return []catalog.Repository{{Name: "main"}, {Name: "ssd", Address: "10.8.0.1"}, {Name: "gone", Address: "10.9.0.1"}}, nil
		},
		sessions: func() []roster.Session { return sessions },
		addresses: func() ([]net.Addr, error) {
			return []net.Addr{&net.IPNet{IP: net.IPv4(10, 8, 0, 1), Mask: net.CIDRMask(24, 32)}, &net.IPNet{IP: net.IPv4(172, 16, 0, 1), Mask: net.CIDRMask(12, 32)}}, nil
		},
		log: slog.New(slog.DiscardHandler),
	}
	sessions = []roster.Session{{Address: mustAddr("192.0.2.7"), State: catalog.Accepted}, {Address: mustAddr("192.0.2.8"), State: catalog.Pending}}
	for address, want := range map[string]bool{
		"127.0.0.1": true, "::1": true, "10.77.0.9": true, "::ffff:10.77.0.9": true, "10.5.200.1": true, // this machine, the classroom, the configuration
		"10.8.0.200": true, "10.9.0.1": true, "10.9.0.2": false, // networks of the repositories' addresses
		"192.0.2.7": true, "192.0.2.8": false, // PCs that are connected
		"10.78.0.1": false, "172.16.0.9": false, "203.0.113.1": false, "fe80::1%eth0": false,
	} {
		if got := n.serves(mustAddr(address)); got != want {
			t.Errorf("%s: served %v, want %v", address, got, want)
		}
	}
}
