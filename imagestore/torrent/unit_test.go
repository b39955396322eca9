package torrent

import (
	"log/slog"
	"net"
	"net/netip"
	"testing"

	"aula/imagestore/torrent/metainfo"
	"aula/imagestore/torrent/wire"
)

// A plain is a storage of zeros that keeps nothing.
type plain struct{ have []bool }

func (p plain) Have() ([]bool, error)                 { return p.have, nil }
func (p plain) WritePiece(int, []byte) error          { return nil }
func (p plain) ReadAt(b []byte, _ int64) (int, error) { clear(b); return len(b), nil }
func (p plain) Finish() error                         { return nil }
func (p plain) Close() error                          { return nil }

// lacking is what the last piece of a still swarm's torrent is shorter than the others, in bytes.
const lacking = 5000

// still is a swarm at which nothing works: what a test does to it is all that happens.
func still(tb testing.TB, pieces int, pieceLength int64, mode Mode, complete bool) *swarm {
	tb.Helper()
	meta, err := metainfo.New("image.img", int64(pieces)*pieceLength-lacking, pieceLength, make([]byte, 20*pieces))
	if err != nil {
		tb.Fatal(err)
	}
	have := make([]bool, pieces)
	for i := range have {
		have[i] = complete
	}
	c := &Client{id: wire.NewPeerID(), upload: newUpload(0), log: slog.New(slog.DiscardHandler), listener: listening{}}
	return newSwarm(c, &Task{Torrent: meta, Storage: plain{have}, Mode: mode, Linger: -1}, have, false)
}

// listening is a listener that only has an address.
type listening struct{ net.Listener }

func (listening) Addr() net.Addr { return &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 6881} }

// guest is a peer of a swarm, at an address that ends so; it has nothing, and lets us have what it has.
func guest(tb testing.TB, s *swarm, last byte) *peer {
	tb.Helper()
	ours, theirs := net.Pipe()
	tb.Cleanup(func() {
		_ = ours.Close()
		_ = theirs.Close()
	})
	p := s.newPeer(ours, wire.Handshake{Hash: s.meta.Hash, Peer: wire.NewPeerID(), Fast: true, Extended: true})
	p.address = netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, last}), 6881)
	p.choked, p.wants = false, true
	if err := s.joined(p); err != nil {
		tb.Fatal(err)
	}
	return p
}

// told are the pieces that it was told we have.
func (p *peer) toldOf() []int {
	var all []int
	for i := range p.told.all {
		all = append(all, i)
	}
	return all
}
