package torrent_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"time"

	"aula/imagestore/torrent"
	"aula/imagestore/torrent/metainfo"
)

// content is what a seed makes.
func content(seed uint64, size int) []byte {
	b := make([]byte, size)
	r := rand.NewChaCha8([32]byte{byte(seed)})
	_, _ = r.Read(b)
	return b
}

// torrentOf makes the torrent of some bytes.
func torrentOf(tb testing.TB, b []byte, pieceLength int64) *metainfo.Torrent {
	tb.Helper()
	t, err := metainfo.Make(tb.Context(), bytes.NewReader(b), "image.img", int64(len(b)), pieceLength, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return t
}

// A heap is a storage in memory.
type heap struct {
	t *metainfo.Torrent

	mu       sync.Mutex
	b        []byte
	have     []bool
	finished bool
	closed   bool
}

func newHeap(t *metainfo.Torrent, b []byte) *heap {
	h := &heap{t: t, b: b, have: make([]bool, t.Count())}
	for i := range h.have {
		h.have[i] = b != nil
	}
	if b == nil {
		h.b = make([]byte, t.Length)
	}
	return h
}

func (h *heap) Have() ([]bool, error) { return h.have, nil }

func (h *heap) WritePiece(piece int, b []byte) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.have[piece] {
		return fmt.Errorf("piece %d was written twice", piece)
	}
	h.have[piece] = true
	copy(h.b[h.t.Offset(piece):], b)
	return nil
}

func (h *heap) ReadAt(b []byte, offset int64) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.have[offset/h.t.PieceLength] {
		return 0, errors.New("read of a piece that is not there")
	}
	n := copy(b, h.b[offset:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (h *heap) Finish() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.finished = true
	return nil
}

func (h *heap) Close() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	return nil
}

// newClient runs a client at an address of the loopback until the test ends.
func newClient(tb testing.TB, c torrent.Config) *torrent.Client {
	tb.Helper()
	client, err := torrent.NewClient(c)
	if err != nil {
		tb.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- client.Run(ctx) }()
	tb.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			tb.Error(err)
		}
	})
	return client
}

func TestRoom(t *testing.T) {
	b := content(1, 20<<20+12345)
	meta := torrentOf(t, b, 256<<10)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	origin := newClient(t, torrent.Config{Listen: "127.0.0.1:0"})
	ended := make(chan error)
	go func() {
		ended <- origin.Do(ctx, &torrent.Task{Torrent: meta, Storage: newHeap(meta, b), Mode: torrent.Seeder, Linger: -1})
	}()
	var known []netip.AddrPort
	known = append(known, netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), origin.Port()))
	var peers sync.WaitGroup
	for i := range 5 {
		address := netip.AddrFrom4([4]byte{127, 0, 0, byte(i + 2)})
		client := newClient(t, torrent.Config{Listen: netip.AddrPortFrom(address, 0).String()})
		task := &torrent.Task{Torrent: meta, Mode: torrent.Peer, Linger: time.Second, Peers: append([]netip.AddrPort(nil), known...)}
		known = append(known, netip.AddrPortFrom(address, client.Port()))
		peers.Go(func() {
			h := newHeap(meta, nil)
			task.Storage = h
			if err := client.Do(ctx, task); err != nil {
				t.Errorf("peer %d: %v", i, err)
			}
			if !bytes.Equal(h.b, b) || !h.finished || !h.closed {
				t.Errorf("peer %d: the file is not what was sent", i)
			}
		})
	}
	peers.Wait()
	status := origin.Status()
	if len(status) != 1 {
		t.Fatalf("status %+v", status)
	}
	t.Logf("copies uploaded by the origin: %.2f", float64(status[0].Uploaded)/float64(len(b)))
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("the origin ended with %v", err)
	}
}
