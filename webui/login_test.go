package webui

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"aula/appliance/catalog"
)

func setupForm(code, pass, again string) url.Values {
	return url.Values{"code": {code}, "name": {"admin"}, "password": {pass}, "again": {again}}
}

func TestSetup(t *testing.T) {
	b := newBed(t)
	ts := b.serve()
	br := b.visit(ts)
	if got := br.get("/").want(http.StatusSeeOther).Header.Get("Location"); got != "/setup" {
		t.Errorf("before the first user / leads to %q, want /setup", got)
	}
	br.get("/login").want(http.StatusSeeOther)
	br.get("/setup").want(http.StatusOK).has("Set-up code")
	for name, form := range map[string]url.Values{
		"wrong code":          setupForm("AAAA-AAAA", password, password),
		"no code":             setupForm("", password, password),
		"short password":      setupForm(setupCode, "seven77", "seven77"),
		"two passwords":       setupForm(setupCode, password, password+"x"),
		"password of a novel": setupForm(setupCode, strings.Repeat("x", 2000), strings.Repeat("x", 2000)),
	} {
		if got := br.post("/setup", form); got.StatusCode != http.StatusUnprocessableEntity || !strings.Contains(got.body, `role="alert"`) {
			t.Errorf("%s: got %s, want 422 and a reason", name, got.Status)
		}
	}
	if users, _ := b.cat.Users(); len(users) != 0 {
		t.Fatalf("refused set-ups made %d users", len(users))
	}
	// Case, spaces and dashes do not matter when a code is copied from a screen.
	done := br.post("/setup", setupForm(" wxyz 2345 ", password, password)).want(http.StatusSeeOther)
	if got := done.Header.Get("Location"); got != "/" {
		t.Errorf("set-up leads to %q, want /", got)
	}
	br.get("/").want(http.StatusOK)
	// It works once.
	other := b.visit(ts)
	if got := other.get("/setup").want(http.StatusSeeOther).Header.Get("Location"); got != "/login" {
		t.Errorf("second set-up leads to %q, want /login", got)
	}
	other.post("/setup", url.Values{"code": {setupCode}, "name": {"eve"}, "password": {password}, "again": {password}}).want(http.StatusSeeOther)
	if users, _ := b.cat.Users(); len(users) != 1 {
		t.Errorf("got %d users after a second set-up, want 1", len(users))
	}
}

func TestLoginAndLogout(t *testing.T) {
	b := newBed(t)
	ts := b.serve()
	first := b.login(ts)
	br := b.visit(ts)
	if got := br.get("/images").want(http.StatusSeeOther).Header.Get("Location"); got != "/login?next=%2Fimages" {
		t.Errorf("a stranger is sent to %q", got)
	}
	br.get("/login?next=%2Fimages").want(http.StatusOK).has(`name="next" value="/images"`)
	wrong := br.post("/login", url.Values{"name": {"admin"}, "password": {"wrong"}}).want(http.StatusUnauthorized)
	unknown := br.post("/login", url.Values{"name": {"nobody"}, "password": {"wrong"}}).want(http.StatusUnauthorized)
	if strings.ReplaceAll(wrong.body, "admin", "nobody") != unknown.body {
		t.Error("the login page tells a known user from an unknown one")
	}
	in := br.post("/login", url.Values{"name": {"ADMIN"}, "password": {password}, "next": {"/images"}}).want(http.StatusSeeOther)
	if got := in.Header.Get("Location"); got != "/images" {
		t.Errorf("login leads to %q, want /images", got)
	}
	c := in.Cookies()[0]
	if c.Name != cookieName || !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || len(c.Value) < 43 {
		t.Errorf("cookie %+v", c)
	}
	if strings.Contains(b.log.String(), c.Value) || strings.Contains(b.log.String(), password) {
		t.Error("the log holds a secret")
	}
	br.get("/images").want(http.StatusOK)
	br.get("/login").want(http.StatusSeeOther)
	br.post("/logout", nil).want(http.StatusSeeOther)
	br.get("/images").want(http.StatusSeeOther)
	// The token is worthless even to who copied it.
	thief := b.visit(ts)
	req := thief.request("GET", "/images", "", "")
	req.AddCookie(&http.Cookie{Name: cookieName, Value: c.Value})
	thief.do(req).want(http.StatusSeeOther)
	first.get("/images").want(http.StatusOK)
}

func TestWhereLoginLeads(t *testing.T) {
	for next, want := range map[string]string{
		"": "/", "/images": "/images", "/restore?pc=1&pc=2": "/restore?pc=1&pc=2",
		"https://evil.example/": "/", "//evil.example/": "/", `/\evil.example`: "/", "javascript:alert(1)": "/", "images": "/",
		"/\x00": "/", "///evil.example": "/",
	} {
		if got := localPath(next); got != want {
			t.Errorf("localPath(%q) = %q, want %q", next, got, want)
		}
	}
}

func FuzzWhereLoginLeads(f *testing.F) {
	for _, s := range []string{"/", "//x", `/\x`, "https://x", "/%2f%2fx", "/a?b=//c", "\t//x", "/ /x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, next string) {
		got := localPath(next)
		u, err := url.Parse(got)
		if err != nil || u.Host != "" || u.Scheme != "" || !strings.HasPrefix(got, "/") || strings.HasPrefix(got, "//") || strings.HasPrefix(got, `/\`) {
			t.Errorf("localPath(%q) = %q leaves the console", next, got)
		}
	})
}

func TestGuessingIsSlow(t *testing.T) {
	b := newBed(t)
	ts := b.serve()
	b.login(ts)
	br := b.visit(ts)
	var last reply
	for range loginBurst + 1 {
		last = br.post("/login", url.Values{"name": {"admin"}, "password": {"guess"}})
	}
	if last.Header.Get("Retry-After") == "" {
		t.Error("the refusal does not say when to come back")
	}
	last.want(http.StatusTooManyRequests).has("Too many attempts")
	// The right password waits as well, and then works.
	br.post("/login", url.Values{"name": {"admin"}, "password": {password}}).want(http.StatusTooManyRequests)
	api := br.do(br.request("POST", "/api/v1/sessions", "application/json", `{"name":"admin","password":"`+password+`"}`))
	api.want(http.StatusTooManyRequests)
	b.clock.move(loginEvery)
	br.post("/login", url.Values{"name": {"admin"}, "password": {password}}).want(http.StatusSeeOther)
}

func TestLimiterForgetsTheOldest(t *testing.T) {
	l := newLimiter()
	now := time.Unix(0, 0)
	for range loginBurst {
		l.allow("10.0.0.1", now)
	}
	if _, ok := l.allow("10.0.0.1", now); ok {
		t.Fatal("a source over its burst was let in")
	}
	for i := range loginSources {
		l.allow(time.Duration(i).String(), now)
	}
	if got := len(l.sources); got != loginSources || l.order.Len() != got {
		t.Errorf("limiter holds %d sources and %d in order, want %d", got, l.order.Len(), loginSources)
	}
	if _, ok := l.allow("10.0.0.1", now); !ok {
		t.Error("a forgotten source is still refused")
	}
}

func TestSessionsEnd(t *testing.T) {
	b := newBed(t)
	ts := b.serve()
	br := b.login(ts)
	b.clock.move(sessionIdle - time.Minute)
	br.get("/images").want(http.StatusOK)
	b.clock.move(sessionIdle - time.Minute)
	br.get("/images").want(http.StatusOK)
	b.clock.move(sessionIdle + time.Minute)
	br.get("/images").want(http.StatusSeeOther)

	busy := b.login(ts)
	for range sessionLife / time.Hour {
		b.clock.move(time.Hour)
		busy.get("/images")
	}
	b.clock.move(time.Minute)
	busy.get("/images").want(http.StatusSeeOther)
	if err := b.server.sessions.expire(); err != nil {
		t.Fatal(err)
	}
	left := 0
	if err := b.server.sessions.each(func(string, login) { left++ }); err != nil || left != 0 {
		t.Errorf("%d sessions are left after expiry (%v), want none", left, err)
	}
}

func TestSessionsAreBounded(t *testing.T) {
	b := newBed(t)
	full := map[string][]byte{}
	for i := range maxSessions {
		full[fmt.Sprintf("%04d", i)] = fmt.Appendf(nil, `{"user":"x","created":"2031-03-04T09:00:00Z","used":"2031-03-04T09:00:%02dZ"}`, 1+min(i, 50))
	}
	if err := b.cat.PutRecords(catalog.Sessions, full); err != nil {
		t.Fatal(err)
	}
	token, err := b.server.sessions.begin("admin")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	if err := b.server.sessions.each(func(string, login) { n++ }); err != nil || n != maxSessions {
		t.Errorf("%d sessions (%v), want %d", n, err, maxSessions)
	}
	if !b.server.sessions.valid(sessionID(token)) || b.server.sessions.valid("0000") || !b.server.sessions.valid("0001") {
		t.Error("it was not the login used longest ago that made room")
	}
}

func TestPasswordChangeEndsOtherLogins(t *testing.T) {
	b := newBed(t)
	ts := b.serve()
	here, there := b.login(ts), b.login(ts)
	form := url.Values{"old": {"wrong"}, "password": {"another password"}, "again": {"another password"}}
	here.post("/settings/password", form).want(http.StatusUnprocessableEntity).has("present password is wrong")
	form.Set("old", password)
	form.Set("again", "different")
	here.post("/settings/password", form).want(http.StatusUnprocessableEntity).has("differ")
	form.Set("again", "another password")
	here.post("/settings/password", form).want(http.StatusSeeOther)
	here.get("/settings").want(http.StatusOK)
	there.get("/settings").want(http.StatusSeeOther)
	there.post("/login", url.Values{"name": {"admin"}, "password": {password}}).want(http.StatusUnauthorized)
	there.post("/login", url.Values{"name": {"admin"}, "password": {"another password"}}).want(http.StatusSeeOther)
}

func TestRequestsOfOtherSitesAreRefused(t *testing.T) {
	b := newBed(t)
	ts := b.serve()
	br := b.login(ts)
	for _, c := range []struct {
		name, method, site, origin string
		refused                    bool
	}{
		{"form of another site", "POST", "cross-site", "https://evil.example", true},
		{"form of a sister site", "POST", "same-site", "https://sister.example", true},
		{"old browser, another site", "POST", "", "https://evil.example", true},
		{"the console's own form", "POST", "same-origin", ts.URL, false},
		{"a program without a browser", "POST", "", "", false},
		{"a link from another site", "GET", "cross-site", "", false},
	} {
		req := br.request(c.method, "/operations/none/cancel", "application/x-www-form-urlencoded", "")
		if c.method == "GET" {
			req = br.request(c.method, "/operations", "", "")
		}
		if c.site != "" {
			req.Header.Set("Sec-Fetch-Site", c.site)
		}
		if c.origin != "" {
			req.Header.Set("Origin", c.origin)
		}
		if got := br.do(req).StatusCode == http.StatusForbidden; got != c.refused {
			t.Errorf("%s: refused %v, want %v", c.name, got, c.refused)
		}
	}
}

func TestHeadersOfEveryAnswer(t *testing.T) {
	b := newBed(t)
	ts := b.serve()
	stranger, user := b.visit(ts), b.login(ts)
	check := func(r reply) {
		t.Helper()
		for header, want := range map[string]string{
			"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
			"Referrer-Policy": "no-referrer", "Cross-Origin-Opener-Policy": "same-origin",
		} {
			if got := r.Header.Get(header); got != want {
				t.Errorf("%s %s: %s is %q, want %q", r.Request.Method, r.Request.URL, header, got, want)
			}
		}
		if cache := r.Header.Get("Cache-Control"); cache != "no-store" && cache != "no-cache" {
			t.Errorf("%s: Cache-Control is %q", r.Request.URL, cache)
		}
	}
	for key := range access() {
		method, path, _ := strings.Cut(key, " ")
		if path == "/logout" || path == "/api/v1/sessions/current" {
			continue
		}
		target := strings.NewReplacer(":id", "none", ":name", "none", "*", "console.css").Replace(path)
		check(stranger.do(stranger.request(method, target, "", "")))
		if path != "/events" {
			check(user.do(user.request(method, target, "", "")))
		}
	}
	check(user.get("/nowhere"))
	check(user.do(user.request("PATCH", "/images", "", "")))
	forged := user.request("POST", "/power", "", "")
	forged.Header.Set("Origin", "https://evil.example")
	check(user.do(forged))
}

func TestRequestsAreBounded(t *testing.T) {
	b := newBed(t)
	ts := b.serve()
	br := b.login(ts)
	big := "name=" + strings.Repeat("x", maxBody+10)
	if got := br.do(br.request("POST", "/centres", "application/x-www-form-urlencoded", big)); got.StatusCode < 400 || got.StatusCode == http.StatusInternalServerError {
		t.Errorf("a form of more than %d bytes: got %s", maxBody, got.Status)
	}
	if got := br.do(br.request("POST", "/api/v1/centres", "application/json", `{"name":"`+big+`"}`)); got.StatusCode < 400 || got.StatusCode >= 500 {
		t.Errorf("JSON of more than %d bytes: got %s", maxBody, got.Status)
	}
}

func TestAPanicIsAnErrorPage(t *testing.T) {
	b := newBed(t)
	b.server.hasher = nil // a handler will trip over it
	w := httptest.NewRecorder()
	r := httptest.NewRequest("POST", "/setup", strings.NewReader(setupForm(setupCode, password, password).Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	b.server.Console().ServeHTTP(w, r)
	if w.Code != http.StatusInternalServerError || !strings.Contains(w.Body.String(), "inside the appliance") || strings.Contains(w.Body.String(), "goroutine") {
		t.Errorf("got %d:\n%s", w.Code, w.Body)
	}
	if !strings.Contains(b.log.String(), "handler panicked") {
		t.Error("the log does not say so")
	}
}
