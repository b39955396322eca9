package tracker

import (
	"bytes"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anacrolix/torrent/bencode"
)

// get asks the tracker's handler from that address, and returns the answer and its status.
func get(s *Server, from, target string) (string, int) {
	r := httptest.NewRequest(http.MethodGet, target, nil)
	r.RemoteAddr, r.Host = from, "127.0.0.1:6969"
	w := httptest.NewRecorder()
	s.handler().ServeHTTP(w, r)
	return w.Body.String(), w.Code
}

// query is an announce that is good, with that pair changed; an empty value takes it away.
func query(name, value string) string {
	q := url.Values{
		"info_hash": {string(windows[:])}, "peer_id": {"-TR3000-abcdefghijkl"}, "port": {"6881"},
		"uploaded": {"1"}, "downloaded": {"2"}, "left": {"3"}, "event": {"started"},
	}
	if value == "" {
		q.Del(name)
	} else {
		q.Set(name, value)
	}
	return "/announce?" + q.Encode()
}

func TestAnnounces(t *testing.T) {
	for _, c := range []struct {
		name, key, value string
		from             string
		failure          string // empty: it is taken
	}{
		{name: "good"},
		{name: "without an event", key: "event"},
		{name: "paused", key: "event", value: "paused"},
		{name: "without uploaded", key: "uploaded"},
		{name: "huge numwant", key: "numwant", value: "999999999999999999999"},
		{name: "negative numwant", key: "numwant", value: "-1"},
		{name: "left more than there is", key: "left", value: "9223372036854775807"},
		{name: "names another address", key: "ip", value: "10.0.0.99"},
		{name: "no info-hash", key: "info_hash", failure: "info_hash is missing or has 0 bytes"},
		{name: "short info-hash", key: "info_hash", value: "abc", failure: "info_hash is missing or has 3 bytes"},
		{name: "unknown torrent", key: "info_hash", value: string(unknown[:]), failure: "no torrent with this info-hash"},
		{name: "short peer ID", key: "peer_id", value: "x", failure: "peer_id is missing or has 1 bytes"},
		{name: "no port", key: "port", failure: "port \"\" is none"},
		{name: "port 0", key: "port", value: "0", failure: "port is 0"},
		{name: "port 65536", key: "port", value: "65536", failure: "port \"65536\" is none"},
		{name: "no left", key: "left", failure: "left is missing"},
		{name: "negative left", key: "left", value: "-1", failure: `left="-1" is no number of bytes`},
		{name: "endless downloaded", key: "downloaded", value: "99999999999999999999", failure: "is no number of bytes"},
		{name: "not served", from: "127.0.0.3:5000", failure: "does not serve the address 127.0.0.3"},
		{name: "not served, and bad", from: "127.0.0.3:5000", key: "port", failure: "does not serve the address 127.0.0.3"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := NewServer(Config{Lookup: library, Interval: time.Hour, Serves: func(a netip.Addr) bool { return a == netip.MustParseAddr("127.0.0.2") }})
			from := c.from
			if from == "" {
				from = "[::ffff:127.0.0.2]:5000" // as a socket of both families tells it
			}
			body, code := get(s, from, query(c.key, c.value))
			if code != http.StatusOK {
				t.Fatalf("status %d, want 200: clients read a failure of no other", code)
			}
			var a struct {
				Failure string `bencode:"failure reason"`
			}
			if err := bencode.Unmarshal([]byte(body), &a); err != nil {
				t.Fatalf("the answer %q: %v", body, err)
			}
			if c.failure != "" {
				if !strings.Contains(a.Failure, c.failure) || len(s.Swarms()) != 0 {
					t.Errorf("failure %q with %d swarms, want words such as %q, and none", a.Failure, len(s.Swarms()), c.failure)
				}
				return
			}
			if all := addresses(s); a.Failure != "" || len(all) != 1 || all[0] != netip.MustParseAddrPort("127.0.0.2:6881") {
				t.Errorf("failure %q, peers %v; want 127.0.0.2:6881", a.Failure, all)
			}
			if p := s.Swarms()[0].Peers[0]; p.Left > windowsSize {
				t.Errorf("%d bytes are left of %d", p.Left, int64(windowsSize))
			}
		})
	}
}

func TestFormsOfAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // no time passes
		s := NewServer(Config{Lookup: library})
		says(t, s, 1, 5, Started)
		if _, err := s.announce(asker{addr: netip.MustParseAddr("fd00::1")}, request(2, 5), -1); err != nil {
			t.Fatal(err)
		}
		head := "d8:completei0e10:incompletei3e8:intervali10e12:min intervali5e"
		if body, _ := get(s, "10.0.0.3:5000", query("numwant", "50")); body != head+"5:peers6:\x0a\x00\x00\x01\x1b\x59"+"6:peers618:\xfd\x00"+
			strings.Repeat("\x00", 13)+"\x01\x1b\x5ae" {
			t.Errorf("compact: %q", body)
		}
		body, _ := get(s, "10.0.0.3:5000", query("compact", "0"))
		a, b := "d2:ip8:10.0.0.14:porti7001ee", "d2:ip7:fd00::14:porti7002ee"
		if body != head+"5:peersl"+a+b+"ee" && body != head+"5:peersl"+b+a+"ee" {
			t.Errorf("as a list: %q", body)
		}
		if body, _ = get(s, "10.0.0.3:5000", query("numwant", "0")); body != head+"5:peers0:e" {
			t.Errorf("wants none: %q", body)
		}
	})
}

func TestScrape(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // no time passes
		s := NewServer(Config{Lookup: library, Serves: func(a netip.Addr) bool { return !a.IsLoopback() }})
		says(t, s, 1, 0, Completed)
		says(t, s, 2, 5, Started)
		hash := func(h [20]byte) string { return "info_hash=" + url.QueryEscape(string(h[:])) }
		for _, c := range []struct{ name, from, query, want string }{
			{"known and unknown", "10.0.0.1:1", hash(windows) + "&" + hash(unknown),
				"d5:filesd20:" + string(windows[:]) + "d8:completei1e10:downloadedi1e10:incompletei1eeee"},
			{"unknown", "10.0.0.1:1", hash(unknown), "d5:filesdee"},
			{"all", "10.0.0.1:1", "", "names 1 to 74 torrents by info_hash, this one 0"},
			{"too many", "10.0.0.1:1", strings.Repeat("info_hash=a&", 75), "this one 75"},
			{"short", "10.0.0.1:1", "info_hash=a", "has 1 bytes"},
			{"not served", "127.0.0.1:1", hash(windows), "does not serve"},
		} {
			if body, _ := get(s, c.from, "/scrape?"+c.query); !strings.Contains(body, c.want) {
				t.Errorf("%s: %q, want %q", c.name, body, c.want)
			}
		}
	})
}

func TestRefusalsDoNotFloodTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // no time passes
		var log bytes.Buffer
		s := NewServer(Config{Lookup: library, Log: slog.New(slog.NewTextHandler(&log, nil))})
		for n := range 200 {
			get(s, netip.AddrPortFrom(roomAddr(n/4), 5000).String(), query("port", "0"))
		}
		if n := strings.Count(log.String(), "\n"); n != maxRefusals {
			t.Errorf("%d lines in the log, want %d", n, maxRefusals)
		}
		if !strings.Contains(log.String(), "peer=10.0.0.0") || !strings.Contains(log.String(), "port is 0") {
			t.Errorf("the log does not tell who was refused and why: %s", &log)
		}
		time.Sleep(time.Minute)
		log.Reset()
		get(s, "10.0.0.1:5000", query("port", "0"))
		if !strings.Contains(log.String(), "refusals=180") || !strings.Contains(log.String(), "peer=10.0.0.1") {
			t.Errorf("after a minute: %s", &log)
		}
	})
}

// An info-hash that somebody asks for may be that of an image which was just removed, or is damaged.
func TestRefusalsAreLoggedWithoutInfoHashes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // no time passes
		var log bytes.Buffer
		s := NewServer(Config{Lookup: library, Log: slog.New(slog.NewTextHandler(&log, nil))})
		get(s, "10.0.0.1:5000", query("info_hash", string(unknown[:])))
		if !strings.Contains(log.String(), "no torrent with this info-hash") || strings.Contains(log.String(), unknown.String()) {
			t.Errorf("of a torrent that is not here it logs %s", &log)
		}
	})
}

func TestConnectionsAreBounded(t *testing.T) {
	l := newLimited(nil)
	greedy, other := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	for range maxConnsAddress {
		if !l.take(greedy) {
			t.Fatal("refused before it has too many")
		}
	}
	if l.take(greedy) || !l.take(other) {
		t.Error("one has more than it may, or keeps another out")
	}
	l.free(greedy)
	if !l.take(greedy) {
		t.Error("what was closed is not free")
	}
	for l.all < maxConns {
		l.take(netip.MustParseAddr("127.0.0.1"))
	}
	if l.take(netip.MustParseAddr("10.0.0.3")) {
		t.Error("more connections than are to be open")
	}
}

// A connection that is closed makes room, also when it is closed more than once.
func TestClosedConnectionsAreForgotten(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close()
	l := newLimited(inner)
	c, err := net.Dial("tcp", inner.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	got, err := l.Accept()
	if err != nil || l.all != 1 {
		t.Fatalf("Accept: %v, %d open", err, l.all)
	}
	got.Close()
	got.Close()
	if l.all != 0 || len(l.from) != 0 {
		t.Errorf("%d open, of %v, want none", l.all, l.from)
	}
}

func FuzzParseAnnounce(f *testing.F) {
	f.Add(strings.TrimPrefix(query("", ""), "/announce?"))
	f.Add(strings.TrimPrefix(query("numwant", "-5"), "/announce?"))
	f.Add("info_hash=%zz&peer_id=%00;&port=+1&left=1e9")
	f.Fuzz(func(t *testing.T, raw string) {
		a, err := parseAnnounce(raw)
		if err == nil && (a.Left < 0 || a.Uploaded < 0 || a.Downloaded < 0 || a.want > maxTold) {
			t.Errorf("parseAnnounce(%q) = %+v", raw, a)
		}
	})
}
