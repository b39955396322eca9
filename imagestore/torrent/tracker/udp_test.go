package tracker

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

var nowhere = func() netip.Addr { return netip.Addr{} }

// packet is a request of BEP 15.
func packet(connection uint64, action uint32, body []byte) []byte {
	b := binary.BigEndian.AppendUint64(nil, connection)
	b = binary.BigEndian.AppendUint32(b, action)
	return append(append(b, "tran"...), body...)
}

// connect returns a connection id for that address.
func connect(t *testing.T, s *Server, a netip.Addr) uint64 {
	t.Helper()
	b := s.answerUDP(a, nowhere, packet(protocolID, actionConnect, nil))
	if len(b) != 16 || binary.BigEndian.Uint32(b) != actionConnect || string(b[4:8]) != "tran" {
		t.Fatalf("connect is answered %x", b)
	}
	return binary.BigEndian.Uint64(b[8:])
}

func wantUDPError(t *testing.T, b []byte, words string) {
	t.Helper()
	if len(b) < 8 || binary.BigEndian.Uint32(b) != actionError || string(b[4:8]) != "tran" || !bytes.Contains(b[8:], []byte(words)) {
		t.Errorf("answer is %q, want an error with words such as %q", b, words)
	}
}

func TestUDP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // no time passes
		served := netip.MustParseAddr("127.0.0.2")
		s := NewServer(Config{Lookup: library, Serves: func(a netip.Addr) bool { return a == served }})
		says := func(b []byte) []byte { return s.answerUDP(served, nowhere, b) }
		id := connect(t, s, served)
		good := announceBody(request(1, 5))
		changed := func(at int, with ...byte) []byte {
			b := bytes.Clone(good)
			copy(b[at-requestHead:], with)
			return b
		}
		for _, c := range []struct {
			name    string
			body    []byte
			failure string
		}{
			{"short", good[:len(good)-1], "an announce has 98 bytes, this one 97"},
			{"unknown torrent", changed(16, unknown[:]...), "no torrent with this info-hash"},
			{"port 0", changed(96, 0, 0), "port is 0"},
			{"negative left", changed(64, 0xff), "is negative"},
			{"negative downloaded", changed(56, 0xff), "is negative"},
		} {
			wantUDPError(t, says(packet(id, actionAnnounce, c.body)), c.failure)
		}
		if n := len(s.Swarms()); n != 0 {
			t.Fatalf("%d swarms of bad announces", n)
		}
		for name, body := range map[string][]byte{
			"good":                   good,
			"names another address":  changed(84, 10, 0, 0, 99),
			"huge numwant":           changed(92, 0x7f, 0xff, 0xff, 0xff),
			"event 77":               changed(80, 0, 0, 0, 77),
			"with options of BEP 41": append(bytes.Clone(good), 2, 3, 'a', 'b', 'c'),
		} {
			b := says(packet(id, actionAnnounce, body))
			if len(b) != 20 || binary.BigEndian.Uint32(b) != actionAnnounce || binary.BigEndian.Uint32(b[8:]) != 10 {
				t.Errorf("%s: answer is %x", name, b)
			}
			if all := addresses(s); len(all) != 1 || all[0] != netip.MustParseAddrPort("127.0.0.2:7001") {
				t.Errorf("%s: peers are %v", name, all)
			}
		}
		b := says(packet(id, actionScrape, append(windows[:], unknown[:]...)))
		if want := append([]byte("\x00\x00\x00\x02tran\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01"), make([]byte, 12)...); !bytes.Equal(b, want) {
			t.Errorf("scrape is answered %x, want %x", b, want)
		}
		wantUDPError(t, says(packet(id, actionScrape, nil)), "names 1 to 74 torrents")
		wantUDPError(t, says(packet(id, actionScrape, make([]byte, 75*20))), "names 1 to 74 torrents")
		for name, b := range map[string][]byte{
			"nothing":          {},
			"short":            packet(id, actionScrape, nil)[:15],
			"another protocol": packet(protocolID+1, actionConnect, nil),
			"unknown action":   packet(id, 9, good),
		} {
			if a := says(b); a != nil {
				t.Errorf("%s: answered %q, want nothing", name, a)
			}
		}
	})
}

func TestStrangersHearNothingByUDP(t *testing.T) {
	s := NewServer(Config{Lookup: library, Serves: func(a netip.Addr) bool { return a != netip.MustParseAddr("127.0.0.1") }})
	c := dialUDP(t, run(t, s, "127.0.0.1:0"))
	if _, err := c.Write(packet(protocolID, actionConnect, nil)); err != nil {
		t.Fatal(err)
	}
	c.SetDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := c.Read(make([]byte, 100)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("read %d bytes, %v; want silence", n, err)
	}
}

func TestConnectionIDs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, other := NewServer(Config{Lookup: library}), NewServer(Config{Lookup: library})
		id := connect(t, s, roomAddr(1))
		body := announceBody(request(1, 5))
		stale := func(b []byte) {
			t.Helper()
			wantUDPError(t, b, "the connection id is too old")
		}
		stale(s.answerUDP(roomAddr(2), nowhere, packet(id, actionAnnounce, body)))
		stale(s.answerUDP(roomAddr(1), nowhere, packet(id+1, actionAnnounce, body)))
		stale(other.answerUDP(roomAddr(1), nowhere, packet(id, actionAnnounce, body)))
		time.Sleep(2 * time.Minute)
		if b := s.answerUDP(roomAddr(1), nowhere, packet(id, actionAnnounce, body)); len(b) != 20 {
			t.Errorf("after two minutes the answer is %q, want peers", b)
		}
		time.Sleep(time.Minute)
		stale(s.answerUDP(roomAddr(1), nowhere, packet(id, actionAnnounce, body)))
	})
}

// A forged address is sent no more bytes than came from it.
func TestUDPAmplifiesNothing(t *testing.T) {
	s := NewServer(Config{Lookup: library})
	for _, b := range [][]byte{
		packet(protocolID, actionConnect, nil), packet(7, actionScrape, nil), packet(7, actionScrape, windows[:]), packet(7, actionAnnounce, nil),
	} {
		if a := s.answerUDP(roomAddr(1), nowhere, b); len(a) > len(b) {
			t.Errorf("%x is answered by %d bytes", b, len(a))
		}
	}
}

func TestIPv6ByUDP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // no time passes
		s := NewServer(Config{Lookup: library})
		first, second := netip.MustParseAddr("fd00::1"), netip.MustParseAddr("fd00::2")
		says(t, s, 9, 5, Started)
		s.answerUDP(first, nowhere, packet(connect(t, s, first), actionAnnounce, announceBody(request(1, 5))))
		b := s.answerUDP(second, nowhere, packet(connect(t, s, second), actionAnnounce, announceBody(request(2, 5))))
		if len(b) != 20+18 || netip.AddrFrom16([16]byte(b[20:36])) != first || binary.BigEndian.Uint32(b[12:]) != 3 || binary.BigEndian.Uint32(b[8:]) != 10 {
			t.Errorf("answer is %x, want the one peer of IPv6", b)
		}
	})
}

// What a lossy network drops is sent again; what others send in between is passed over.
func TestAnnounceSendsAgain(t *testing.T) {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := NewServer(Config{Lookup: library})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		b := make([]byte, maxPacket)
		for n := 0; ; n++ {
			size, from, err := pc.ReadFrom(b)
			if err != nil {
				return
			}
			if n == 0 {
				continue // lost
			}
			pc.WriteTo([]byte("noise"), from)
			pc.WriteTo([]byte("\x00\x00\x00\x00anot another's answer"), from)
			pc.WriteTo(s.answerUDP(addrPort(from).Addr(), nowhere, b[:size]), from)
		}
	}()
	if a, err := Announce(t.Context(), "udp://"+pc.LocalAddr().String(), request(1, 5)); err != nil || a.Leechers != 1 {
		t.Errorf("Announce = %+v, %v; want one leecher", a, err)
	}
	pc.Close()
	<-ended
}

func FuzzUDP(f *testing.F) {
	s := NewServer(Config{Lookup: library})
	a := roomAddr(1)
	f.Add(packet(protocolID, actionConnect, nil), false)
	f.Add(packet(0, actionAnnounce, announceBody(request(1, 5))), true)
	f.Add(packet(0, actionScrape, windows[:]), true)
	f.Fuzz(func(t *testing.T, b []byte, connected bool) {
		if connected && len(b) >= 8 {
			binary.BigEndian.PutUint64(b, s.connectionID(a, time.Now()))
		}
		answer := s.answerUDP(a, nowhere, b)
		if !connected && len(answer) > len(b) {
			t.Errorf("%x is answered by %d bytes", b, len(answer))
		}
		if len(answer) > maxPacket {
			t.Errorf("an answer of %d bytes", len(answer))
		}
	})
}
