package wire

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

// example is a handshake, and its bytes.
func example() (Handshake, []byte) {
	h := Handshake{Fast: true, Extended: true}
	copy(h.Hash[:], "the hash of the info")
	copy(h.Peer[:], "-TR3000-abcdefghijkl")
	return h, []byte("\x13BitTorrent protocol\x00\x00\x00\x00\x00\x10\x00\x04the hash of the info-TR3000-abcdefghijkl")
}

func TestHandshakeIsAsBEP3WritesIt(t *testing.T) {
	h, b := example()
	if got := h.Append(nil); !bytes.Equal(got, b) || len(got) != HandshakeSize {
		t.Errorf("Append = %q, want %q", got, b)
	}
	r := bytes.NewReader(append(b, "what follows"...))
	if got, err := ReadHandshake(r); err != nil || got != h {
		t.Errorf("ReadHandshake = %+v, %v, want %+v", got, err, h)
	}
	if rest, _ := io.ReadAll(r); string(rest) != "what follows" {
		t.Errorf("after the handshake: %q", rest)
	}
}

func TestHandshakeFlags(t *testing.T) {
	for _, h := range []Handshake{{}, {Fast: true}, {Extended: true}, {Fast: true, Extended: true}} {
		b := h.Append(nil)
		if got, err := ReadHandshake(bytes.NewReader(b)); err != nil || got != h {
			t.Errorf("ReadHandshake = %+v, %v, want %+v", got, err, h)
		}
		b[20], b[26], b[27] = 0x80, 0x01, b[27]|1 // what Azureus, and DHT, mean by it, is nothing to us
		if got, err := ReadHandshake(bytes.NewReader(b)); err != nil || got != h {
			t.Errorf("with flags that are not known: ReadHandshake = %+v, %v, want %+v", got, err, h)
		}
	}
}

func TestWhatIsNoHandshakeIsRefused(t *testing.T) {
	_, b := example()
	for _, other := range []string{
		"GET / HTTP/1.1\r\nHost: a\r\n\r\n" + strings.Repeat("x", 68),
		"\x13BitTorrent Protocol" + string(b[20:]),
		"\x12BitTorrent protocol" + string(b[20:]),
		strings.Repeat("\x00", 68),
	} {
		if h, err := ReadHandshake(strings.NewReader(other)); !errors.Is(err, ErrProtocol) {
			t.Errorf("%.20q: ReadHandshake = %+v, %v, want ErrProtocol", other, h, err)
		}
	}
	for n := range b {
		want := io.ErrUnexpectedEOF
		if n == 0 {
			want = io.EOF
		}
		if h, err := ReadHandshake(bytes.NewReader(b[:n])); !errors.Is(err, want) {
			t.Errorf("%d bytes: ReadHandshake = %+v, %v, want %v", n, h, err, want)
		}
	}
}

func FuzzHandshake(f *testing.F) {
	_, b := example()
	f.Add(b)
	f.Add(b[:40])
	f.Add(append(b, 0, 0, 0, 0))
	f.Add([]byte("GET /announce HTTP/1.1\r\nHost: tracker\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := ReadHandshake(bytes.NewReader(b))
		if err != nil {
			return
		}
		h.Peer.Client()
		again, err := ReadHandshake(bytes.NewReader(h.Append(nil)))
		if err != nil || again != h {
			t.Errorf("%q is read as %+v, and what is written of it as %+v, %v", b, h, again, err)
		}
	})
}

func TestPeerIDsNamePrograms(t *testing.T) {
	for id, want := range map[string]string{
		"A2-1-36-0-\x01\x02-\x04567890": "aria2 1.36.0",
		"A2-1-36-0\xff123456789a":       "aria2",
		"A2-12-1-10-890123456":          "aria2 12.1.10",
		"A2-x-y-z-90123456789":          "aria2",
		"-AR1360-abcdefghijkl":          "aria2 1.3.6",
		"-TR3000-abcdefghijkl":          "Transmission 3.0",
		"-TR4050-abcdefghijkl":          "Transmission 4.0.5",
		"-DE2110-abcdefghijkl":          "Deluge 2.1.1",
		"-qB4630-abcdefghijkl":          "qBittorrent 4.6.3",
		"-LT20A0-abcdefghijkl":          "libtorrent 2.0.10",
		"-lt0D80-abcdefghijkl":          "libTorrent (rTorrent) 0.13.8",
		"-GT0003-abcdefghijkl":          "anacrolix/torrent 0.0.0.3",
		"-TR\x1b[2J-abcdefghijkl":       "Transmission",
		"-XX1234-abcdefghijkl":          "",
		"-TR3000abcdefghijklm":          "",
		"M7-2-0--abcdefghijkl":          "",
		strings.Repeat("\x00", 20):      "",
	} {
		if len(id) != 20 {
			t.Fatalf("%q is no peer ID", id)
		}
		if got := PeerID([]byte(id)).Client(); got != want {
			t.Errorf("Client of %q = %q, want %q", id, got, want)
		}
	}
	a, b := NewPeerID(), NewPeerID()
	if a == b || !strings.HasPrefix(a.Client(), "Aula ") {
		t.Errorf("NewPeerID = %q (%s), then %q", a, a.Client(), b)
	}
	if bytes.IndexByte(a[:], 0) >= 0 {
		t.Errorf("NewPeerID = %q is not filled", a)
	}
}
