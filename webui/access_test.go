package webui

import (
	"context"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"
)

func TestEveryRouteIsInTheTable(t *testing.T) {
	b := newBed(t)
	table, routes := access(), map[string]bool{}
	for _, r := range b.server.echo.Routes() {
		if r.Method == echo.RouteNotFound {
			continue
		}
		key := r.Method + " " + r.Path
		routes[key] = true
		if table[key] == nobody {
			t.Errorf("route %s has no permission in access(): nobody can use it", key)
		}
	}
	for key := range table {
		if !routes[key] {
			t.Errorf("access() speaks of %s, which is no route", key)
		}
	}
}

// TestEveryRouteAsksItsPermission calls every route as a stranger, as a user and as the machine's administrator.
func TestEveryRouteAsksItsPermission(t *testing.T) {
	b := newBed(t)
	ts := b.serve()
	stranger, user := b.visit(ts), b.login(ts)
	local := b.local()
	for key, need := range access() {
		method, path, _ := strings.Cut(key, " ")
		if path == "/login" || path == "/setup" || path == "/logout" || path == "/api/v1/sessions/current" {
			continue // they change who asks; login_test.go has them
		}
		target := strings.NewReplacer(":id", "none", ":name", "none", ":torrent", "none", ":revision", "1", ":file", "0", "*", "console.css").Replace(path)
		for _, who := range []struct {
			name    string
			browser *browser
			caller  caller
		}{
			{"stranger", stranger, caller{}},
			{"user", user, caller{User: "admin"}},
			{"local", local, caller{Local: true}},
		} {
			if who.caller.Local && !strings.HasPrefix(path, "/api/") {
				continue // the socket has no pages
			}
			req := who.browser.request(method, target, "", "")
			if path == "/events" && who.caller.User != "" {
				stream, cancel := context.WithCancel(t.Context())
				resp, err := who.browser.http.Do(req.WithContext(stream))
				if err != nil || resp.StatusCode != http.StatusOK {
					t.Errorf("%s as %s: got %v, %v; want a stream", key, who.name, resp, err)
				} else {
					resp.Body.Close()
				}
				cancel()
				continue
			}
			got := who.browser.do(req)
			refused := got.StatusCode == http.StatusUnauthorized || got.StatusCode == http.StatusForbidden ||
				got.StatusCode == http.StatusSeeOther && strings.HasPrefix(got.Header.Get("Location"), "/login")
			if path == "/api/v1/sessions" {
				refused = got.StatusCode == http.StatusForbidden
			}
			if want := !allowed(who.caller, need); refused != want {
				t.Errorf("%s as %s: got %s (to %q), want refused %v", key, who.name, got.Status, got.Header.Get("Location"), want)
			}
		}
	}
}

func TestWhoMayDoWhat(t *testing.T) {
	for _, c := range []struct {
		name string
		who  caller
		need permission
		want bool
	}{
		{"stranger at the login page", caller{}, anyone, true},
		{"stranger looking", caller{}, look, false},
		{"stranger commanding", caller{}, operate, false},
		{"stranger administering", caller{}, administer, false},
		{"user commanding", caller{User: "ana"}, operate, true},
		{"machine administering", caller{Local: true}, administer, true},
		{"user at a route that nobody thought about", caller{User: "ana"}, nobody, false},
		{"machine at a route that nobody thought about", caller{Local: true}, nobody, false},
	} {
		if got := allowed(c.who, c.need); got != c.want {
			t.Errorf("%s: got %v, want %v", c.name, got, c.want)
		}
	}
}

func TestRoutesThatAreNotThere(t *testing.T) {
	b := newBed(t)
	ts := b.serve()
	user := b.login(ts)
	user.get("/nowhere").want(http.StatusNotFound).has("There is no such page.")
	user.get("/api/v1/nowhere").want(http.StatusNotFound).has(`"status":404`)
	user.get("/assets/vendor/README.md").want(http.StatusNotFound)
	user.get("/assets/../templates/frame.html").want(http.StatusNotFound)
	user.get("/classrooms/none").want(http.StatusNotFound)
	b.visit(ts).get("/nowhere").want(http.StatusSeeOther)
	b.local().get("/settings").want(http.StatusNotFound)
}

// local is the machine's administrator at the Unix socket.
func (b *bed) local() *browser {
	b.t.Helper()
	path := filepath.Join(b.t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		b.t.Fatal(err)
	}
	server := &http.Server{Handler: b.server.Local(), ReadHeaderTimeout: time.Minute}
	done := make(chan struct{})
	go func() {
		defer close(done)
		server.Serve(l)
	}()
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}}}
	b.t.Cleanup(func() {
		client.CloseIdleConnections()
		server.Close()
		<-done
	})
	b.socket = path
	return &browser{t: b.t, http: client, base: "http://aula"}
}
