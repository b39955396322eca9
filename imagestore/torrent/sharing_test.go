package torrent_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"aula/imagestore/torrent"
	"aula/imagestore/torrent/metainfo"
	"aula/imagestore/torrent/wire"
)

// A finishing is a storage that tells when every piece is there, before the torrent counts as complete.
type finishing struct {
	*heap
	finish func()
}

func (f *finishing) Finish() error {
	f.finish()
	return f.heap.Finish()
}

// A leecher gives nothing before it has everything, and then what anybody wants.
func TestLeecher(t *testing.T) {
	c := newClassroom(t, 20, 4<<20, 256<<10)
	origin := c.origin(torrent.Config{UploadLimit: slow})
	var leecher *computer
	uploaded := int64(-1)
	started, done := make(chan struct{}), make(chan struct{})
	disk := &finishing{newHeap(c.meta, nil), func() {
		<-started
		uploaded = leecher.status().Uploaded
		close(done)
	}}
	leecher = c.start(torrent.Config{}, torrent.Task{Storage: disk, Mode: torrent.Leecher, Peers: []netip.AddrPort{origin.at}})
	close(started)
	// This one knows nobody but the leecher.
	other := c.start(torrent.Config{}, torrent.Task{Peers: []netip.AddrPort{leecher.at}})
	c.complete(leecher, other)
	<-done
	if uploaded != 0 {
		t.Errorf("it gave %d bytes before it was complete", uploaded)
	}
	if n := other.status().Downloaded; n < c.meta.Length {
		t.Errorf("the other has %d bytes of it", n)
	}
}

// Two that dial each other at the same time end with one connection, and one that is told its own address with none to itself.
func TestConnectionsThatAreOneTooMany(t *testing.T) {
	for range 5 {
		c := newClassroom(t, 21, 1<<20, 64<<10)
		// Addresses are known before anybody listens.
		a, b := netip.AddrPortFrom(c.address(), 6881), netip.AddrPortFrom(c.address(), 6881)
		all := []netip.AddrPort{a, b}
		from := c.start(torrent.Config{Listen: a.String(), UploadLimit: 1 << 20}, torrent.Task{Storage: newHeap(c.meta, c.b), Peers: all})
		to := c.start(torrent.Config{Listen: b.String()}, torrent.Task{Peers: all})
		c.until(func() bool { return to.storage.(*heap).count() > c.meta.Count()/4 }, "it gets nothing", to)
		c.until(func() bool {
			return len(from.status().Peers) == 1 && len(to.status().Peers) == 1 || to.storage.(*heap).count() == c.meta.Count()
		},
			"there are too many connections", from, to)
		c.complete(to)
		from.off()
		to.off()
	}
}

// A peer that connects twice under one name has one connection.
func TestSamePeerTwice(t *testing.T) {
	c := newClassroom(t, 22, 1<<20, 64<<10)
	seed := c.seed(torrent.Config{})
	id, from := wire.NewPeerID(), c.address()
	one, err := c.connect(seed.at, from, id, true)
	if err != nil {
		t.Fatal(err)
	}
	c.until(func() bool { return len(seed.status().Peers) == 1 }, "it is not connected", seed)
	two, err := c.connect(seed.at, from, id, true)
	if err == nil && !two.ended() {
		t.Error("the second connection goes on")
	}
	one.say(wire.Message{Kind: wire.Request, Length: 1})
	for {
		m, err := one.in.Next()
		if err != nil {
			t.Fatalf("the first connection: %v", err)
		}
		if m.Kind == wire.Block {
			break
		}
	}
}

// A partition takes what a window hands on.
type partition struct {
	mu sync.Mutex
	b  []byte
}

func (p *partition) WriteBlock(offset int64, b []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	copy(p.b[offset:], b)
	return nil
}

// PCs that keep 4 of 64 pieces share those with each other, and take back what they have said when they forget.
func TestWindowsShare(t *testing.T) {
	c := newClassroom(t, 23, 8<<20, 128<<10)
	origin := c.origin(torrent.Config{UploadLimit: slow})
	known := []netip.AddrPort{origin.at}
	var peers []*computer
	var disks []*partition
	for range 4 {
		disk := &partition{b: make([]byte, c.meta.Length)}
		window, err := torrent.NewWindow(disk, c.meta, 4*c.meta.PieceLength)
		if err != nil {
			t.Fatal(err)
		}
		pc := c.start(torrent.Config{}, torrent.Task{Storage: window, Peers: append([]netip.AddrPort(nil), known...)})
		known, peers, disks = append(known, pc.at), append(peers, pc), append(disks, disk)
	}
	c.complete(peers...)
	for i, disk := range disks {
		if !bytes.Equal(disk.b, c.b) {
			t.Errorf("PC %d: what was written is not what was sent", i)
		}
	}
	t.Logf("copies uploaded by the origin: %.2f", float64(origin.status().Uploaded)/float64(c.meta.Length))
}

// Who comes when all the others are done gets the file from them as well.
func TestLateJoiner(t *testing.T) {
	c := newClassroom(t, 24, 4<<20, 256<<10)
	origin := c.origin(torrent.Config{})
	first := c.start(torrent.Config{}, torrent.Task{Peers: []netip.AddrPort{origin.at}})
	c.complete(first)
	origin.off()
	late := c.start(torrent.Config{}, torrent.Task{Peers: []netip.AddrPort{origin.at, first.at}})
	c.complete(late)
}

// A torrent that is asked for is opened, closed when nobody has wanted it for a while, and opened again.
func TestOnDemand(t *testing.T) {
	c := newClassroom(t, 25, 1<<20, 64<<10)
	var opened atomic.Int32
	var last atomic.Pointer[heap]
	idle := c.start(torrent.Config{
		Idle: 300 * time.Millisecond,
		Open: func(h metainfo.Hash) (*torrent.Task, error) {
			if h != c.meta.Hash {
				return nil, fmt.Errorf("there is no %s", h)
			}
			opened.Add(1)
			h2 := newHeap(c.meta, c.b)
			last.Store(h2)
			return &torrent.Task{Torrent: c.meta, Storage: h2, Mode: torrent.Seeder, Linger: -1}, nil
		},
	}, torrent.Task{Torrent: torrentOf(t, c.b[:100], 16<<10), Storage: newHeap(torrentOf(t, c.b[:100], 16<<10), c.b[:100])})
	for i := range int32(2) {
		var room []*computer
		for range 3 { // at once
			room = append(room, c.start(torrent.Config{}, torrent.Task{Peers: []netip.AddrPort{idle.at}}))
		}
		c.complete(room...)
		if n := opened.Load(); n != i+1 {
			t.Errorf("demand %d: it was opened %d times", i+1, n)
		}
		for _, pc := range room {
			pc.off()
		}
		c.until(func() bool { return len(idle.client.Status()) == 1 }, "it is not closed", idle)
		c.until(func() bool {
			h := last.Load()
			h.mu.Lock()
			defer h.mu.Unlock()
			return h.closed
		}, "its storage is not closed", idle)
	}
	stranger := &villain{tb: t, meta: torrentOf(t, c.b[:200], 16<<10), id: wire.NewPeerID()}
	var err error
	if stranger.conn, err = dialPlain(idle.at); err != nil {
		t.Fatal(err)
	}
	defer stranger.conn.Close()
	if err := stranger.shake(true); err == nil {
		t.Error("a torrent that it has not is answered for")
	}
}

// A task is worked at by one at a time.
func TestBusy(t *testing.T) {
	c := newClassroom(t, 26, 1<<20, 64<<10)
	seed := c.seed(torrent.Config{})
	c.until(func() bool { return len(seed.client.Status()) == 1 }, "it does not begin", seed)
	h := newHeap(c.meta, c.b)
	if err := seed.client.Do(c.ctx, &torrent.Task{Torrent: c.meta, Storage: h}); !errors.Is(err, torrent.ErrBusy) || !h.closed {
		t.Errorf("a second task for a torrent: %v; storage closed: %t", err, h.closed)
	}
}

// The limit is for all that a client sends, however many want something.
func TestUploadLimit(t *testing.T) {
	c := newClassroom(t, 27, 4<<20, 128<<10)
	const limit = 2 << 20
	start := time.Now()
	seed := c.seed(torrent.Config{UploadLimit: limit})
	var peers []*computer
	for range 3 {
		peers = append(peers, c.start(torrent.Config{}, torrent.Task{Peers: []netip.AddrPort{seed.at}}))
	}
	c.complete(peers...)
	// 1 MiB may go at once, and each connection may have begun a block.
	most := limit*time.Since(start).Seconds()*1.2 + 2<<20
	if n := seed.status().Uploaded; float64(n) > most || n < 3*c.meta.Length {
		t.Errorf("%d bytes in %s, of at most %.0f", n, time.Since(start), most)
	}
}

// Two torrents of one seeder share its uplink, though one is wanted by 8 PCs and the other by one.
func TestFairShares(t *testing.T) {
	c := newClassroom(t, 28, 16<<20, 256<<10)
	b := content(29, 16<<20)
	other, err := metainfo.Make(t.Context(), bytes.NewReader(b), "other.img", int64(len(b)), c.meta.PieceLength, nil)
	if err != nil {
		t.Fatal(err)
	}
	seed := c.start(torrent.Config{UploadLimit: 6 << 20}, torrent.Task{Storage: newHeap(c.meta, c.b)})
	ctx, cancel := context.WithCancel(c.ctx)
	second := make(chan error, 1)
	go func() {
		second <- seed.client.Do(ctx, &torrent.Task{Torrent: other, Storage: newHeap(other, b), Mode: torrent.Peer, Linger: -1})
	}()
	t.Cleanup(func() {
		cancel()
		<-second
	})
	c.until(func() bool { return len(seed.client.Status()) == 2 }, "it does not begin", seed)
	// No PC passes anything on, so that all of them want everything of the seeder, to the end.
	for range 8 {
		c.start(torrent.Config{}, torrent.Task{Mode: torrent.Leecher, Peers: []netip.AddrPort{seed.at}})
	}
	alone := c.start(torrent.Config{}, torrent.Task{Torrent: other, Mode: torrent.Leecher, Peers: []netip.AddrPort{seed.at}})
	c.until(func() bool { return alone.status().State == torrent.Sharing }, "it has not got the file", alone)
	var many int64
	for _, s := range seed.client.Status() {
		if s.Hash == c.meta.Hash {
			many = s.Uploaded
		}
	}
	t.Logf("%.1f MiB to eight while one got %d MiB", float64(many)/(1<<20), len(b)>>20)
	if many > 2*int64(len(b)) {
		t.Errorf("eight of one torrent got %d bytes while one of another got %d", many, len(b))
	}
}
