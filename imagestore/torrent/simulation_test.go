package torrent

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"aula/imagestore/torrent/metainfo"
)

// A sharedStorage is one of many that hold the same content, of which there is one copy.
type sharedStorage struct {
	content []byte
	torrent *metainfo.Torrent
	have    []bool
	here    int
	mu      sync.Mutex
}

func (s *sharedStorage) Have() ([]bool, error) { return s.have, nil }

func (s *sharedStorage) WritePiece(piece int, b []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.here++
	if o := s.torrent.Offset(piece); s.have[piece] || !bytes.Equal(b, s.content[o:o+int64(len(b))]) {
		return fmt.Errorf("piece %d is wrong, or not the first", piece)
	}
	return nil
}

func (s *sharedStorage) ReadAt(b []byte, offset int64) (int, error) {
	return copy(b, s.content[offset:]), nil
}

func (s *sharedStorage) Finish() error { return nil }
func (s *sharedStorage) Close() error  { return nil }

// A simulatedRoom is a room of PCs that fetch from one origin.
type simulatedRoom struct {
	peers, pieces int
	pieceLength   int64
	knows         int // how many others a tracker tells each
}

// run returns how long it took against what the cables can do, and the origin's uploads in copies.
func (r simulatedRoom) run(t *testing.T) (ratio, copies float64) {
	const rate = 100e6 / 8
	content := make([]byte, int64(r.pieces)*r.pieceLength)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(content)
	meta, err := metainfo.Make(t.Context(), bytes.NewReader(content), "image.img", int64(len(content)), r.pieceLength, nil)
	if err != nil {
		t.Fatal(err)
	}
	var sent int64
	var took time.Duration
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		net := newSimulation(rate)
		var clients sync.WaitGroup
		begin := func(i int) (*Client, *host) {
			h := net.plug(ctx, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte(i / 250), byte(i%250 + 1)}), DefaultPort))
			c := newClient(Config{Log: slog.New(slog.DiscardHandler)}, h)
			c.dial = h.dial
			clients.Go(func() { _ = c.Run(ctx) })
			return c, h
		}
		origin, source := begin(0)
		clients.Go(func() {
			s := &sharedStorage{content: content, torrent: meta, have: make([]bool, meta.Count())}
			for i := range s.have {
				s.have[i] = true
			}
			_ = origin.Do(ctx, &Task{Torrent: meta, Storage: s, Mode: Seeder, Linger: -1})
		})
		chance := rand.New(rand.NewPCG(1, 2))
		start := time.Now()
		var room sync.WaitGroup
		for i := range r.peers {
			c, _ := begin(i + 1)
			known := []netip.AddrPort{source.address}
			for _, j := range chance.Perm(r.peers)[:min(r.knows, r.peers)] {
				known = append(known, netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, byte((j + 1) / 250), byte((j+1)%250 + 1)}), DefaultPort))
			}
			task := &Task{Torrent: meta, Storage: &sharedStorage{content: content, torrent: meta, have: make([]bool, meta.Count())}, Mode: Peer, Linger: -1, Peers: known}
			clients.Go(func() { _ = c.Do(ctx, task) })
			room.Go(func() {
				for ; ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
					if told := c.Status(); len(told) > 0 && told[0].State == Sharing {
						took = max(took, time.Since(start))
						return
					}
				}
			})
		}
		room.Wait()
		sent = source.sent
		cancel()
		clients.Wait()
		net.work.Wait()
	})
	floor := float64(len(content)) / rate
	return took.Seconds() / floor, float64(sent) / float64(len(content))
}

// TestRoomsOfManySizes shows, in virtual time, that a room takes about as long as one PC, and the origin's uplink about one copy. The floor is of the bytes
// alone; what is above it is the way of the first and of the last pieces through the room, which does not grow with the file.
func TestRoomsOfManySizes(t *testing.T) {
	for _, test := range []struct {
		room       simulatedRoom
		slow, most float64 // times the floor, copies
	}{
		{simulatedRoom{peers: 1, pieces: 256, pieceLength: 128 << 10, knows: 50}, 1.1, 1.05},
		{simulatedRoom{peers: 8, pieces: 256, pieceLength: 128 << 10, knows: 50}, 1.3, 1.2},
		{simulatedRoom{peers: 30, pieces: 256, pieceLength: 128 << 10, knows: 50}, 1.5, 1.3},
		{simulatedRoom{peers: 300, pieces: 64, pieceLength: 64 << 10, knows: 50}, 6, 3},
	} {
		ratio, copies := test.room.run(t)
		t.Logf("%d PCs, %d KiB: %.3f of the floor, the origin sent %.3f copies", test.room.peers,
			int64(test.room.pieces)*test.room.pieceLength>>10, ratio, copies)
		if ratio > test.slow || copies > test.most {
			t.Errorf("%d PCs took %.2f of the floor and %.2f copies of the origin; at most %.2f and %.2f", test.room.peers, ratio, copies, test.slow, test.most)
		}
	}
}
