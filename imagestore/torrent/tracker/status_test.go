package tracker

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestStatusIsForThisMachineOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // no time passes
		s := NewServer(Config{Lookup: library})
		says(t, s, 1, windowsSize/4, Started)
		for _, path := range []string{"/", "/status"} {
			body, code := get(s, "10.0.0.1:5000", path)
			if code != http.StatusForbidden || strings.Contains(body, "windows") || strings.Contains(body, windows.String()) {
				t.Errorf("%s tells a stranger %d %q", path, code, body)
			}
			if !strings.Contains(body, "the tracker's own machine only") {
				t.Errorf("%s refuses without words: %q", path, body)
			}
			for _, from := range []string{"127.0.0.1:5000", "[::1]:5000"} {
				if body, code = get(s, from, path); code != http.StatusOK || !strings.Contains(body, "windows.img") || !strings.Contains(body, "10.0.0.1:7001") {
					t.Errorf("%s tells %s %d %q", path, from, code, body)
				}
			}
		}
		if body, _ := get(s, "127.0.0.1:5000", "/"); !strings.Contains(body, "75 %") || strings.Contains(body, "<script") {
			t.Errorf("the page is %s", body)
		}
		r := httptest.NewRequest(http.MethodGet, "/status", nil)
		r.RemoteAddr, r.Host = "127.0.0.1:5000", "evil.example:6969"
		w := httptest.NewRecorder()
		if s.handler().ServeHTTP(w, r); w.Code != http.StatusForbidden {
			t.Errorf("a page whose name was made to point here is told %d", w.Code)
		}
		r = httptest.NewRequest(http.MethodGet, "/status", nil)
		r.RemoteAddr, r.Host = "10.0.0.254:5000", "10.0.0.254:6969"
		r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, &net.TCPAddr{IP: net.IPv4(10, 0, 0, 254), Port: 6969}))
		w = httptest.NewRecorder()
		if s.handler().ServeHTTP(w, r); w.Code != http.StatusOK {
			t.Errorf("this machine by its own address is told %d, want 200", w.Code)
		}
	})
}

func TestPageShowsNamesAsText(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // no time passes
		s := NewServer(Config{Lookup: library})
		r := request(1, 5)
		copy(r.Peer[:], "-ZZ0000-")
		if _, err := s.announce(asker{addr: roomAddr(1), agent: "<script>alert(1)</script>"}, r, -1); err != nil {
			t.Fatal(err)
		}
		if body, _ := get(s, "127.0.0.1:1", "/"); strings.Contains(body, "<script") || !strings.Contains(body, "&lt;script&gt;") {
			t.Errorf("the page is %s", body)
		}
	})
}

func TestFetchStatus(t *testing.T) {
	s := NewServer(Config{Lookup: library, Interval: time.Hour})
	address := run(t, s, "127.0.0.1:0")
	for _, path := range []string{"", "/", "/status"} {
		if got, err := FetchStatus(t.Context(), "http://"+address+path); err != nil || len(got) != 0 {
			t.Errorf("of an idle tracker FetchStatus(%q) = %v, %v; want none", path, got, err)
		}
	}
	says(t, s, 1, 5, Started)
	says(t, s, 2, 0, Started)
	want := s.Swarms()
	got, err := FetchStatus(t.Context(), "http://"+address+"/status")
	if err != nil || len(got) != 1 {
		t.Fatalf("FetchStatus = %+v, %v", got, err)
	}
	for i := range got[0].Peers {
		g, w := &got[0].Peers[i], want[0].Peers[i]
		if d := g.Since.Sub(w.Since).Abs() + g.Seen.Sub(w.Seen).Abs(); d > time.Minute {
			t.Errorf("times are off by %v", d)
		}
		g.Since, g.Seen = w.Since, w.Seen
	}
	if got[0].Hash != want[0].Hash || got[0].Name != want[0].Name || got[0].Size != want[0].Size || !slices.Equal(got[0].Peers, want[0].Peers) {
		t.Errorf("FetchStatus = %+v, want %+v", got, want)
	}
}

func TestFetchStatusOfWhatIsNone(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/forbidden/status":
			http.Error(w, "not for you", http.StatusForbidden)
		case "/hash/status":
			w.Write([]byte(`{"swarms":[{"info_hash":"zz"}]}`))
		default:
			w.Write([]byte("<html>"))
		}
	}))
	defer other.Close()
	for path, words := range map[string]string{"/forbidden": "not for you", "/hash": "40 hexadecimal", "/html": "is not Aula's"} {
		if _, err := FetchStatus(t.Context(), other.URL+path); err == nil || !strings.Contains(err.Error(), words) {
			t.Errorf("%s: %v, want words such as %q", path, err, words)
		}
	}
}

func TestRunNeedsItsPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := NewServer(Config{}).Run(t.Context(), l.Addr().String()); err == nil || !strings.Contains(err.Error(), "choose another port") {
		t.Errorf("Run = %v, want that the port is taken", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := NewServer(Config{}).Serve(ctx, l, nil); err != nil {
		t.Errorf("Serve = %v, want nil of a context that has ended", err)
	}
}
