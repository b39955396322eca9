package tracker

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Both protocols tell the same.
func TestPeersMeet(t *testing.T) {
	for _, scheme := range []string{"http", "udp"} {
		t.Run(scheme, func(t *testing.T) {
			s := NewServer(Config{Lookup: library, Interval: 7 * time.Minute})
			url := scheme + "://" + run(t, s, "127.0.0.1:0") + "/announce"
			seeder, leecher := request(1, 0), request(2, windowsSize)
			leecher.Uploaded, leecher.Downloaded = 11, 22
			if a, err := Announce(t.Context(), url, seeder); err != nil || len(a.Peers) != 0 || a.Seeders != 1 || a.Leechers != 0 {
				t.Fatalf("the first is told %+v, %v; want nobody but itself", a, err)
			}
			a, err := Announce(t.Context(), url, leecher)
			if err != nil {
				t.Fatal(err)
			}
			if want := []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:7001")}; !slices.Equal(a.Peers, want) {
				t.Errorf("the second is told of %v, want %v", a.Peers, want)
			}
			if a.Seeders != 1 || a.Leechers != 1 || a.Interval != 7*time.Minute {
				t.Errorf("the second is told %+v, want one of each and 7 minutes", a)
			}
			swarms := s.Swarms()
			if len(swarms) != 1 || swarms[0].Hash != windows || swarms[0].Name != "windows.img" || len(swarms[0].Peers) != 2 {
				t.Fatalf("Swarms = %+v, want the two peers of windows.img", swarms)
			}
			if p := swarms[0].Peers[1]; p.Client != "Aula 0.1" || p.Left != windowsSize || p.Uploaded != 11 || p.Downloaded != 22 {
				t.Errorf("the second is %+v", p)
			}
			leecher.Event = Stopped
			if a, err := Announce(t.Context(), url, leecher); err != nil || len(a.Peers) != 0 {
				t.Errorf("a goodbye is answered %+v, %v; want no peers", a, err)
			}
			if n := len(s.Swarms()[0].Peers); n != 1 {
				t.Errorf("%d peers are there after one has gone, want 1", n)
			}
		})
	}
}

func TestRefusedByWords(t *testing.T) {
	s := NewServer(Config{Lookup: library, Serves: func(a netip.Addr) bool { return a != netip.MustParseAddr("127.0.0.1") }})
	address := run(t, s, "127.0.0.1:0")
	_, err := Announce(t.Context(), "http://"+address+"/announce", request(1, 0))
	wantRefused(t, err, "does not serve the address 127.0.0.1")

	known := NewServer(Config{Lookup: library})
	address = run(t, known, "127.0.0.1:0")
	for _, scheme := range []string{"http", "udp"} {
		r := request(1, 0)
		r.Hash = unknown
		_, err = Announce(t.Context(), scheme+"://"+address+"/announce", r)
		wantRefused(t, err, "no torrent with this info-hash")
		r = request(1, 0)
		r.Port = 0
		_, err = Announce(t.Context(), scheme+"://"+address+"/announce", r)
		wantRefused(t, err, "port is 0")
	}
}

func TestAnnounceTellsWhatIsWrong(t *testing.T) {
	mute, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	answers := map[string]string{
		"/html":   "<html>no tracker</html>",
		"/long":   strings.Repeat("l", maxAnswer+1),
		"/deep":   strings.Repeat("l", maxAnswer),
		"/liar":   "d5:peers999999999:e",
		"/refuse": "d14:failure reason11:go away now" + "e",
	}
	foreign := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/loop":
			http.Redirect(w, r, "/loop?secret", http.StatusFound)
		case "/gone":
			http.NotFound(w, r)
		default:
			w.Write([]byte(answers[r.URL.Path]))
		}
	}))
	defer foreign.Close()
	for _, c := range []struct{ name, url, words string }{
		{"no URL", "10.0.0.1:6969", "this is no URL"},
		{"no host", "http:///announce", "this is no URL"},
		{"unknown scheme", "wss://10.0.0.1/announce", `"wss" trackers are not spoken to`},
		{"no port", "udp://127.0.0.1/announce", "names a port"},
		{"nothing listens", "http://" + closed.Addr().String() + "/announce?passkey=secret", "is it running"},
		{"mute", "udp://" + mute.LocalAddr().String(), "does a firewall let UDP through"},
		{"a web page", foreign.URL + "/html", "its answer is none of a tracker"},
		{"another path", foreign.URL + "/gone?secret", "404 Not Found"},
		{"too long", foreign.URL + "/long", "longer than"},
		{"too deep", foreign.URL + "/deep", "nested too deeply"},
		{"says more than it has", foreign.URL + "/liar", "ends in the middle"},
		{"redirects in a ring", foreign.URL + "/loop", "more than three times"},
		{"refuses", foreign.URL + "/refuse", "refuses: go away now"},
	} {
		t.Run(c.name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			if c.name == "mute" {
				ctx, cancel = context.WithTimeout(t.Context(), 50*time.Millisecond)
			}
			defer cancel()
			_, err := Announce(ctx, c.url, request(1, 0))
			if err == nil || !strings.Contains(err.Error(), c.words) {
				t.Errorf("Announce(%s) = %v, want words such as %q", c.url, err, c.words)
			}
			if err != nil && strings.Contains(err.Error(), "secret") {
				t.Errorf("the error tells the secret: %v", err)
			}
		})
	}
}

func TestNothingListensAtUDP(t *testing.T) {
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	pc.Close()
	_, err = Announce(t.Context(), "udp://"+pc.LocalAddr().String(), request(1, 0))
	if !errors.Is(err, syscall.ECONNREFUSED) {
		t.Errorf("Announce = %v, want that the connection was refused", err)
	}
}

// What other trackers answer.
func TestParseAnswer(t *testing.T) {
	v4, v6 := netip.MustParseAddrPort("10.0.0.1:6881"), netip.MustParseAddrPort("[fd00::1]:6882")
	for _, c := range []struct {
		name, body string
		peers      []netip.AddrPort
	}{
		{"compact", "d8:intervali30e5:peers6:\x0a\x00\x00\x01\x1a\xe1e", []netip.AddrPort{v4}},
		{"compact, and the begin of another", "d8:intervali30e5:peers8:\x0a\x00\x00\x01\x1a\xe1\x0a\x00e", []netip.AddrPort{v4}},
		{"of IPv6", "d8:intervali30e5:peers0:6:peers618:\xfd\x00" + strings.Repeat("\x00", 13) + "\x01\x1a\xe2e", []netip.AddrPort{v6}},
		{"as a list", "d8:intervali30e5:peersld2:ip8:10.0.0.17:peer id20:aaaaaaaaaaaaaaaaaaaa4:porti6881eeee", []netip.AddrPort{v4}},
		{"with host names, which are not asked for", "d8:intervali30e5:peersld2:ip5:local4:porti1eed2:ip8:10.0.0.14:porti6881eeee", []netip.AddrPort{v4}},
		{"none", "d8:intervali30ee", nil},
		{"and a line end", "d8:intervali30ee\r\n", nil},
	} {
		a, err := parseAnswer("http://t", []byte(c.body))
		if err != nil || !slices.Equal(a.Peers, c.peers) || a.Interval != 30*time.Second {
			t.Errorf("%s: %+v, %v; want %v and 30 s", c.name, a, err, c.peers)
		}
	}
}

func TestIntervalsServeBothSides(t *testing.T) {
	for s, want := range map[int64]time.Duration{
		-1: time.Minute, 0: time.Minute, 1: time.Second, 1800: 30 * time.Minute, 1 << 62: time.Hour,
	} {
		if got := interval(s); got != want {
			t.Errorf("interval(%d) = %v, want %v", s, got, want)
		}
	}
}

func TestOnlyPeersThatCanBe(t *testing.T) {
	var all []netip.AddrPort
	for _, a := range []string{"0.0.0.0:1", "224.0.0.1:1", "255.255.255.255:1", "10.0.0.1:0", "[::ffff:10.0.0.2]:5", "10.0.0.3:5"} {
		all = append(all, netip.MustParseAddrPort(a))
	}
	want := []netip.AddrPort{netip.MustParseAddrPort("10.0.0.2:5"), netip.MustParseAddrPort("10.0.0.3:5")}
	if got := reachable(all); !slices.Equal(got, want) {
		t.Errorf("reachable = %v, want %v", got, want)
	}
	if n := len(reachable(slices.Repeat(want, maxHeard))); n != maxHeard {
		t.Errorf("%d peers are taken, want %d", n, maxHeard)
	}
}

func FuzzParseAnswer(f *testing.F) {
	f.Add([]byte("d8:intervali30e5:peers6:\x0a\x00\x00\x01\x1a\xe1e"))
	f.Add([]byte("d5:peersld2:ip8:10.0.0.14:porti6881eeee"))
	f.Add([]byte("d14:failure reason2:noe"))
	f.Add([]byte("d5:peersi5ee"))
	f.Add([]byte("d1:ai99999999999999999999ee"))
	f.Add([]byte("d1:ad1:bl1:c1:deee"))
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := parseAnswer("http://t", b)
		if err == nil && (a.Interval < minInterval || a.Interval > maxInterval || a.Seeders < 0 || a.Leechers < 0) {
			t.Errorf("parseAnswer(%q) = %+v", b, a)
		}
	})
}

func TestPublicURLs(t *testing.T) {
	for url, want := range map[string]string{
		"http://10.0.0.1:6969/announce":                              "http://10.0.0.1:6969",
		"https://me:secret@tracker.example/secret/announce?k=secret": "https://tracker.example",
		"udp://[fd00::1]:6969":                                       "udp://[fd00::1]:6969",
		"secret":                                                     "of a URL that is none",
		"http://%zz/secret":                                          "of a URL that is none",
	} {
		if got := PublicURL(url); got != want {
			t.Errorf("PublicURL(%s) = %s, want %s", url, got, want)
		}
	}
}
