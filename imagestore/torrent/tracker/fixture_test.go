package tracker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"aula/imagestore/torrent/metainfo"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	windows = metainfo.Hash{0: 'w', 5: ' ', 6: '&', 7: '+', 8: 0xff, 19: '%'} // signs that a URL must carry well
	linux   = metainfo.Hash{0: 'l'}
	unknown = metainfo.Hash{0: 'u'}
)

const windowsSize = 1 << 30

// library is what the trackers of the tests know.
func library(h metainfo.Hash) (Torrent, bool) {
	switch h {
	case windows:
		return Torrent{Name: "windows.img", Size: windowsSize}, true
	case linux:
		return Torrent{Name: "linux.img", Size: 1 << 20}, true
	}
	return Torrent{}, false
}

// run runs a tracker at the address until the test ends, and returns its host:port.
func run(t *testing.T, s *Server, address string) string {
	t.Helper()
	l, pc, err := open(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(ctx, l, pc) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Serve = %v, want nil when its context ends", err)
		}
	})
	return l.Addr().String()
}

// peerID returns a peer ID of Aula's with that number.
func peerID(n int) (id [20]byte) {
	copy(id[:], fmt.Sprintf("-AU0100-%012d", n))
	return id
}

// request is an announce of the peer of that number, which lacks so many bytes.
func request(n int, left int64) Request {
	return Request{Hash: windows, Peer: peerID(n), Port: uint16(7000 + n), Left: left, Event: Started}
}

// roomAddr returns an address of the room by number.
func roomAddr(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, byte(n >> 8), byte(n)}) }

func wantRefused(t *testing.T, err error, words string) {
	t.Helper()
	r, ok := errors.AsType[*RefusedError](err)
	if !ok {
		t.Fatalf("error is %v, want a RefusedError", err)
	}
	if !strings.Contains(r.Error(), words) {
		t.Errorf("refused with %q, want words such as %q", r, words)
	}
}

func dialUDP(t *testing.T, address string) net.Conn {
	t.Helper()
	c, err := net.Dial("udp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	c.SetDeadline(time.Now().Add(20 * time.Second))
	return c
}
