package torrent_test

import (
	"bytes"
	"math/rand/v2"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"aula/imagestore/torrent"
	"aula/imagestore/torrent/wire"
)

// A peer whose every byte is wrong is found out by its first piece; the file comes from another.
func TestWrongPieces(t *testing.T) {
	c := newClassroom(t, 10, 4<<20, 256<<10)
	pc := c.start(torrent.Config{}, torrent.Task{})
	liar := c.villain(pc.at, false)
	liar.claimAll()
	lie := bytes.Repeat([]byte{7}, 1<<20)
	liar.serve(func(m wire.Message) []byte { return lie[:m.Length] })
	if s := pc.status(); s.Wasted < c.meta.PieceLength || s.Have != 0 {
		t.Errorf("it let go of the liar after %d wrong bytes, and has %d", s.Wasted, s.Have)
	}
	c.start(torrent.Config{}, torrent.Task{Storage: newHeap(c.meta, c.b), Peers: []netip.AddrPort{pc.at}})
	c.complete(pc)
}

// A peer that sends a wrong block in each piece, of which others send the rest, is banned by its address; they are not.
func TestWrongBlockAmongRightOnes(t *testing.T) {
	if inNetwork(t) {
		return
	}
	c := newClassroom(t, 11, 8<<20, 256<<10)
	place := func(i byte) netip.Addr { return netip.AddrFrom4([4]byte{10, 99, 0, i}) }
	listen := func(i byte) string { return netip.AddrPortFrom(place(i), 0).String() }
	pc := c.start(torrent.Config{Listen: listen(1)}, torrent.Task{})
	bad := place(9)
	liar, err := c.connect(pc.at, bad, wire.NewPeerID(), false)
	if err != nil {
		t.Fatal(err)
	}
	liar.claimAll()
	for i := range byte(2) {
		c.start(torrent.Config{Listen: listen(2 + i), UploadLimit: slow}, torrent.Task{Storage: newHeap(c.meta, c.b), Peers: []netip.AddrPort{pc.at}})
	}
	c.until(func() bool { return len(pc.status().Peers) == 3 }, "not all are connected", pc)
	spoilt := liar.serve(func(m wire.Message) []byte {
		b := bytes.Clone(c.right(m))
		b[0]++
		return b
	})
	t.Logf("it was let go after %d blocks", spoilt)
	if s := pc.status(); len(s.Banned) != 1 || s.Banned[0] != bad {
		t.Errorf("banned: %v", s.Banned)
	}
	if other, err := c.connect(pc.at, bad, wire.NewPeerID(), false); err == nil && !other.ended() {
		t.Error("it may come back under another name")
	}
	c.complete(pc)
	if s := pc.status(); len(s.Banned) != 1 {
		t.Errorf("banned in the end: %v", s.Banned)
	}
}

// Peers that take requests and never answer hold nobody up for long, not even when they keep talking.
func TestPeersThatStandStill(t *testing.T) {
	c := newClassroom(t, 12, 2<<20, 64<<10)
	pc := c.start(torrent.Config{}, torrent.Task{})
	var work sync.WaitGroup
	for i := range 3 {
		v := c.villain(pc.at, false)
		v.claimAll()
		asked := make(chan struct{})
		work.Go(func() {
			once := sync.OnceFunc(func() { close(asked) })
			defer once()
			v.serve(func(m wire.Message) []byte {
				once()
				return nil
			})
		})
		<-asked
		if i == 0 {
			continue // this one says nothing at all
		}
		work.Go(func() { // a block that nobody asked for
			for c.ctx.Err() == nil {
				if _, err := v.conn.Write(append(wire.Message{Kind: wire.Block, Length: 1}.Append(nil), 0)); err != nil {
					return
				}
				time.Sleep(100 * time.Millisecond)
			}
		})
	}
	c.start(torrent.Config{}, torrent.Task{Storage: newHeap(c.meta, c.b), Peers: []netip.AddrPort{pc.at}})
	c.complete(pc)
	pc.off()
	work.Wait()
}

// What peers say that cannot be said ends their connection, and harms nobody else.
func TestRudePeers(t *testing.T) {
	c := newClassroom(t, 13, 2<<20, 256<<10)
	seed := c.seed(torrent.Config{})
	noise := make([]byte, 4<<10)
	random := rand.NewChaCha8([32]byte{13})
	_, _ = random.Read(noise)
	request := wire.Message{Kind: wire.Request, Length: wire.BlockSize}
	for _, test := range []struct {
		name string
		says []byte
		ends bool // the connection
	}{
		{"noise", noise, true},
		{"a length that is none", []byte{0xff, 0xff, 0xff, 0xff, 20}, true},
		{"a piece that is none", wire.Message{Kind: wire.Have, Piece: 1 << 20}.Append(nil), true},
		{"a request of a piece that is none", wire.Message{Kind: wire.Request, Piece: 8, Length: 1}.Append(nil), true},
		{"a huge request", wire.Message{Kind: wire.Request, Length: 2 << 20}.Append(nil), true},
		{"a request of nothing", wire.Message{Kind: wire.Request}.Append(nil), true},
		{"a request beyond the end of a piece", wire.Message{Kind: wire.Request, Begin: 256<<10 - 1, Length: 2}.Append(nil), true},
		{"a request that wraps around", wire.Message{Kind: wire.Request, Begin: 0xffffffff, Length: 2}.Append(nil), true},
		{"requests without end, which it does not read", bytes.Repeat(request.Append(nil), 1<<20), true},
		{"a bitfield of a wrong size", wire.Message{Kind: wire.Bitfield, Bits: make([]byte, 9)}.Append(nil), true},
		{"an extension handshake that is none", wire.Message{Kind: wire.Extended, Body: []byte("d1:md")}.Append(nil), true},
		{"a lost piece that is none", wire.Message{Kind: wire.Extended, Number: 1, Body: []byte{9, 9, 9, 9}}.Append(nil), true},
		{"a block that is too long", wire.Message{Kind: wire.Block, Length: 32 << 20}.Append(nil), true},
		{"a bitfield twice", bytes.Repeat(wire.Message{Kind: wire.Bitfield, Bits: []byte{0x80}}.Append(nil), 2), false},
		{"blocks that nobody asked for", bytes.Repeat(append(wire.Message{Kind: wire.Block, Length: 3}.Append(nil), 1, 2, 3), 100), false},
		{"cancels of what it did not ask for", bytes.Repeat(wire.Message{Kind: wire.Cancel, Length: 1}.Append(nil), 100), false},
		{"a reject of what it was not asked", wire.Message{Kind: wire.Reject, Length: 1}.Append(nil), false},
		{"a kind that nobody knows", []byte{0, 0, 0, 3, 99, 1, 2}, false},
	} {
		t.Run(test.name, func(t *testing.T) {
			v := c.villain(seed.at, true)
			defer v.conn.Close()
			_, _ = v.conn.Write(test.says)
			if test.ends {
				if !v.ended() {
					t.Error("the connection goes on")
				}
				return
			}
			// It is answered all the same.
			v.say(request)
			for {
				m, err := v.in.Next()
				if err != nil {
					t.Fatalf("the connection ends: %v", err)
				}
				if m.Kind == wire.Block {
					break
				}
			}
		})
	}
	c.complete(c.start(torrent.Config{}, torrent.Task{Peers: []netip.AddrPort{seed.at}}))
}

// Who asks for what it is not given, and does not read that it is not, is let go before much is kept for it.
func TestFloodOfWhatIsRefused(t *testing.T) {
	c := newClassroom(t, 14, 2<<20, 256<<10)
	pc := c.start(torrent.Config{}, torrent.Task{}) // has nothing: each request is refused by a message (BEP 6)
	v := c.villain(pc.at, true)
	flood := bytes.Repeat(wire.Message{Kind: wire.Request, Length: 1}.Append(nil), 1<<16)
	const most = 64 << 20
	sent := 0
	for sent < most {
		n, err := v.conn.Write(flood)
		sent += n
		if err != nil {
			break
		}
	}
	t.Logf("%d MiB of requests", sent>>20)
	if sent >= most {
		t.Errorf("%d MiB of requests are taken without one answer read", sent>>20)
	}
}

// A crowd of connections, of which many say nothing, does not keep a peer from its file, nor anything of itself.
func TestCrowd(t *testing.T) {
	c := newClassroom(t, 15, 2<<20, 256<<10)
	seed := c.seed(torrent.Config{})
	var crowd []net.Conn
	for i := range 2000 {
		conn, err := net.DialTimeout("tcp", seed.at.String(), patience)
		if err != nil {
			t.Fatalf("connection %d: %v", i, err)
		}
		defer conn.Close()
		if i%2 == 0 {
			_, _ = conn.Write(wire.Handshake{Hash: c.meta.Hash, Peer: wire.NewPeerID()}.Append(nil))
		}
		if i%4 == 3 {
			conn.Close()
		}
		crowd = append(crowd, conn)
	}
	c.complete(c.start(torrent.Config{}, torrent.Task{Peers: []netip.AddrPort{seed.at}}))
	for _, conn := range crowd {
		conn.Close()
	}
	c.until(func() bool { return len(seed.status().Peers) <= 1 }, "peers that are gone are still there", seed)
}
