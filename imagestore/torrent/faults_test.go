package torrent_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"aula/imagestore/torrent"
	"aula/imagestore/torrent/metainfo"
	"aula/imagestore/torrent/tracker"
)

// runTracker runs a tracker of the classroom's torrent until it is ended, and returns its URL.
func (c *classroom) runTracker(scheme, listen string) (url string, end func()) {
	c.tb.Helper()
	server := tracker.NewServer(tracker.Config{Lookup: func(h metainfo.Hash) (tracker.Torrent, bool) {
		return tracker.Torrent{Name: c.meta.Name, Size: c.meta.Length}, h == c.meta.Hash
	}, Interval: time.Second})
	l, err := net.Listen("tcp4", listen)
	if err != nil {
		c.tb.Fatal(err)
	}
	pc, err := net.ListenPacket("udp4", l.Addr().String())
	if err != nil {
		c.tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(ctx, l, pc) }()
	end = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			c.tb.Error(err)
		}
	})
	c.tb.Cleanup(end)
	return scheme + "://" + l.Addr().String() + "/announce", end
}

// trackable is where peers listen that are to find each other by a tracker: it sees that address, whatever address of the loopback they listen at.
const trackable = "127.0.0.1:0"

// The uplink of origins of which something is to happen in the middle: 2 s for the 8 MiB of those tests.
const slow = 4 << 20

func TestTrackerGoneInTheMiddle(t *testing.T) {
	for _, scheme := range []string{"http", "udp"} {
		t.Run(scheme, func(t *testing.T) {
			c := newClassroom(t, 2, 8<<20, 256<<10)
			url, end := c.runTracker(scheme, trackable)
			origin := c.start(torrent.Config{Listen: trackable, UploadLimit: slow},
				torrent.Task{Storage: newHeap(c.meta, c.b), Mode: torrent.Seeder, Trackers: []string{url}})
			var peers []*computer
			for range 3 {
				peers = append(peers, c.start(torrent.Config{Listen: trackable}, torrent.Task{Trackers: []string{url}}))
			}
			for _, pc := range peers {
				c.until(func() bool { return pc.storage.(*heap).count() > 0 }, "a computer gets nothing", pc)
			}
			end()
			c.complete(peers...)
			if n := len(origin.status().Trackers); n != 1 {
				t.Errorf("the origin tells of %d trackers", n)
			}
		})
	}
}

func TestOriginGoneAfterOneCopy(t *testing.T) {
	c := newClassroom(t, 3, 8<<20, 256<<10)
	origin := c.origin(torrent.Config{UploadLimit: slow})
	var peers []*computer
	var all []*heap
	known := []netip.AddrPort{origin.at}
	for range 4 {
		// An uplink of 1 MiB/s: they lack much of the file when the origin has given all of it.
		pc := c.start(torrent.Config{UploadLimit: 1 << 20}, torrent.Task{Peers: append([]netip.AddrPort(nil), known...)})
		known = append(known, pc.at)
		peers, all = append(peers, pc), append(all, pc.storage.(*heap))
	}
	c.until(func() bool { return countOf(union(all...)) == c.meta.Count() }, "the origin has not given every piece", origin)
	lacking := 0
	for _, h := range all {
		lacking += c.meta.Count() - h.count()
	}
	origin.off()
	c.complete(peers...)
	t.Logf("the four lacked %d of %d pieces when the origin went", lacking, 4*c.meta.Count())
}

func TestOriginGoneTooEarlyAndBack(t *testing.T) {
	c := newClassroom(t, 4, 8<<20, 256<<10)
	origin := c.origin(torrent.Config{UploadLimit: slow})
	var peers []*computer
	var all []*heap
	known := []netip.AddrPort{origin.at}
	for range 3 {
		pc := c.start(torrent.Config{}, torrent.Task{Peers: append([]netip.AddrPort(nil), known...)})
		known = append(known, pc.at)
		peers, all = append(peers, pc), append(all, pc.storage.(*heap))
	}
	c.until(func() bool { return countOf(union(all...)) >= c.meta.Count()/4 }, "the origin does not give", origin)
	origin.off()
	if n := countOf(union(all...)); n == c.meta.Count() {
		t.Fatal("the origin had given everything already")
	}
	c.origin(torrent.Config{Listen: origin.at.String()})
	c.complete(peers...)
}

// A PC leaves with pieces that nobody else was given: the origin gives them again.
func TestPeerLeavesWithWhatOnlyItHas(t *testing.T) {
	c := newClassroom(t, 5, 8<<20, 256<<10)
	origin := c.origin(torrent.Config{UploadLimit: slow})
	// A leecher passes nothing on.
	leaver := c.start(torrent.Config{}, torrent.Task{Mode: torrent.Leecher, Peers: []netip.AddrPort{origin.at}})
	c.until(func() bool { return leaver.storage.(*heap).count() > 3 }, "a computer gets nothing", leaver)
	stayer := c.start(torrent.Config{}, torrent.Task{Peers: []netip.AddrPort{origin.at, leaver.at}})
	c.until(func() bool { return stayer.storage.(*heap).count() > 3 }, "a computer gets nothing", stayer)
	leaver.off()
	c.complete(stayer)
}

// A full is a storage whose disk is full after some pieces.
type full struct {
	*heap
	left atomic.Int32
}

func (f *full) WritePiece(piece int, b []byte) error {
	if f.left.Add(-1) < 0 {
		return fmt.Errorf("writing image.img: %w", syscall.ENOSPC)
	}
	return f.heap.WritePiece(piece, b)
}

func TestFullDisk(t *testing.T) {
	c := newClassroom(t, 6, 8<<20, 256<<10)
	origin := c.origin(torrent.Config{UploadLimit: slow})
	disk := &full{heap: newHeap(c.meta, nil)}
	disk.left.Store(7)
	poor := c.start(torrent.Config{}, torrent.Task{Storage: disk, Peers: []netip.AddrPort{origin.at}})
	var peers []*computer
	for range 2 {
		peers = append(peers, c.start(torrent.Config{}, torrent.Task{Peers: []netip.AddrPort{origin.at, poor.at}}))
	}
	if err := c.ends(poor); !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("a full disk ends the task with %v", err)
	}
	if !disk.closed || disk.finished {
		t.Errorf("the storage of the full disk: closed %t, finished %t", disk.closed, disk.finished)
	}
	c.complete(peers...)
}

// Three of ten PCs are switched off during the download, and on again: what they had stored is there, their peer IDs and ports are others.
func TestReboots(t *testing.T) {
	c := newClassroom(t, 7, 12<<20, 128<<10)
	random := rand.New(rand.NewPCG(7, 7))
	url, _ := c.runTracker("http", trackable)
	c.start(torrent.Config{Listen: trackable, UploadLimit: slow},
		torrent.Task{Storage: newHeap(c.meta, c.b), Mode: torrent.Seeder, Trackers: []string{url}})
	peers := make([]*computer, 10)
	for i := range peers {
		peers[i] = c.start(torrent.Config{Listen: trackable, UploadLimit: slow}, torrent.Task{Trackers: []string{url}})
	}
	for _, i := range random.Perm(len(peers))[:3] {
		pc, h := peers[i], peers[i].storage.(*heap)
		least := 1 + random.IntN(c.meta.Count()/3)
		c.until(func() bool { return h.count() >= least }, "a computer gets nothing", pc)
		pc.off()
		had := h.pieces()
		t.Logf("PC %d is switched off with %d of %d pieces", i, countOf(had), c.meta.Count())
		again := newHeap(c.meta, nil)
		copy(again.b, h.contents())
		again.have = had
		peers[i] = c.start(torrent.Config{Listen: trackable, UploadLimit: slow}, torrent.Task{Storage: again, Trackers: []string{url}})
	}
	c.complete(peers...)
}
