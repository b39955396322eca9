package webui

import (
	"strings"
	"testing"
)

func TestPasswordHash(t *testing.T) {
	h := newHasher()
	hash, err := h.hash(t.Context(), password)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(hash, "$argon2id$v=19$m=19456,t=2,p=1$") || strings.Contains(hash, password) {
		t.Errorf("hash %q", hash)
	}
	again, err := h.hash(t.Context(), password)
	if err != nil || again == hash {
		t.Errorf("two hashes of one password are %q and %q (%v), want different salts", hash, again, err)
	}
	for _, c := range []struct {
		name, hash, password string
		want                 bool
	}{
		{"right", hash, password, true},
		{"wrong", hash, password + "x", false},
		{"empty", hash, "", false},
		{"unknown user", "", password, false},
		{"unknown user, empty password", "", "", false},
		{"endless", hash, strings.Repeat("x", maxPassword+1), false},
		{"weaker parameters of another day", "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$" + "YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE", password, false},
	} {
		got, err := h.check(t.Context(), c.hash, c.password)
		if err != nil || got != c.want {
			t.Errorf("%s: got %v, %v; want %v", c.name, got, err, c.want)
		}
	}
}

func TestBadStoredHashIsAnError(t *testing.T) {
	h := newHasher()
	for _, bad := range []string{"x", "$argon2i$v=19$m=64,t=1,p=1$c29tZXNhbHQ$YWFhYWFhYWFhYWFhYWFhYQ", "$argon2id$v=19$m=64,t=0,p=1$c29tZXNhbHQ$YWFhYWFhYWFhYWFhYWFhYQ",
		"$argon2id$v=19$m=4294967295,t=1,p=1$c29tZXNhbHQ$YWFhYWFhYWFhYWFhYWFhYQ", "$argon2id$v=16$m=64,t=1,p=1$c29tZXNhbHQ$YWFhYWFhYWFhYWFhYWFhYQ",
		"$argon2id$v=19$m=64,t=1,p=1$!$YWFhYWFhYWFhYWFhYWFhYQ", "$argon2id$v=19$m=64,t=1,p=1$c29tZXNhbHQ$"} {
		if ok, err := h.check(t.Context(), bad, password); ok || err == nil {
			t.Errorf("hash %q: got %v, %v; want an error", bad, ok, err)
		}
	}
}

func FuzzStoredHash(f *testing.F) {
	f.Add("$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$YWFhYWFhYWFhYWFhYWFhYQ")
	f.Add("$argon2id$$$$")
	f.Fuzz(func(t *testing.T, s string) {
		p, err := parsePHC(s)
		if err == nil && (p.kib > maxHashKiB || p.time > maxHashTime || p.time == 0 || p.lanes == 0) {
			t.Errorf("%q was believed: %+v", s, p)
		}
	})
}
