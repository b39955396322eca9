package webui

import (
	"crypto/tls"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// A browser is a person at the console, without scripts.
type browser struct {
	t    *testing.T
	http *http.Client
	base string
}

// serve puts the console on a TLS server.
func (b *bed) serve() *httptest.Server {
	b.t.Helper()
	return b.serveThrough(b.server.Console())
}

func (b *bed) serveThrough(h http.Handler) *httptest.Server {
	b.t.Helper()
	ts := httptest.NewUnstartedServer(h)
	ts.EnableHTTP2 = true
	ts.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	ts.StartTLS()
	b.t.Cleanup(func() {
		ts.CloseClientConnections()
		ts.Close()
	})
	return ts
}

// visit opens a browser that is not logged in.
func (b *bed) visit(ts *httptest.Server) *browser {
	b.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		b.t.Fatal(err)
	}
	client := &http.Client{
		Jar:           jar,
		Transport:     &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	b.t.Cleanup(client.CloseIdleConnections)
	return &browser{t: b.t, http: client, base: ts.URL}
}

// login opens a browser as the user admin, who is made if need be.
func (b *bed) login(ts *httptest.Server) *browser {
	b.t.Helper()
	br := b.visit(ts)
	if users, _ := b.cat.Users(); len(users) == 0 {
		br.post("/setup", url.Values{"code": {setupCode}, "name": {"admin"}, "password": {password}, "again": {password}}).want(http.StatusSeeOther)
		return br
	}
	br.post("/login", url.Values{"name": {"admin"}, "password": {password}}).want(http.StatusSeeOther)
	return br
}

// A reply is an answer, read.
type reply struct {
	t *testing.T
	*http.Response
	body string
}

func (br *browser) do(req *http.Request) reply {
	br.t.Helper()
	resp, err := br.http.Do(req)
	if err != nil {
		br.t.Fatalf("%s %s: %v", req.Method, req.URL.Path, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		br.t.Fatalf("%s %s: %v", req.Method, req.URL.Path, err)
	}
	return reply{br.t, resp, string(body)}
}

func (br *browser) request(method, path, contentType, body string) *http.Request {
	br.t.Helper()
	req, err := http.NewRequestWithContext(br.t.Context(), method, br.base+path, strings.NewReader(body))
	if err != nil {
		br.t.Fatal(err)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	return req
}

func (br *browser) get(path string) reply {
	br.t.Helper()
	return br.do(br.request("GET", path, "", ""))
}

func (br *browser) post(path string, form url.Values) reply {
	br.t.Helper()
	return br.do(br.request("POST", path, "application/x-www-form-urlencoded", form.Encode()))
}

func (r reply) want(status int) reply {
	r.t.Helper()
	if r.StatusCode != status {
		r.t.Fatalf("%s %s: got %s, want %d; body:\n%s", r.Request.Method, r.Request.URL.Path, r.Status, status, r.body)
	}
	return r
}

func (r reply) has(parts ...string) reply {
	r.t.Helper()
	for _, p := range parts {
		if !strings.Contains(r.body, p) {
			r.t.Fatalf("%s %s: page lacks %q:\n%s", r.Request.Method, r.Request.URL.Path, p, r.body)
		}
	}
	return r
}
