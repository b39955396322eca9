package webui

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"aula/appliance/catalog"
)

// cookieName has the prefix by which browsers insist on Secure, Path=/ and no Domain.
const cookieName = "__Host-aula"

// Life of a login.
const (
	sessionIdle = 12 * time.Hour     // since its last request
	sessionLife = 7 * 24 * time.Hour // since the login, however busy
	sessionNote = time.Minute        // how exactly the last request is stored: each note is an fsync
	maxSessions = 1000               // of all users; the one used longest ago makes room
)

// sessions keeps logins in the catalog, by the SHA-256 of their token: who steals the file has no login.
type sessions struct {
	catalog *catalog.Catalog
	now     func() time.Time
	log     *slog.Logger
}

// A login is one record.
type login struct {
	User    string    `json:"user"`
	Created time.Time `json:"created"`
	Used    time.Time `json:"used"`
}

func (l login) over(now time.Time) bool {
	return now.Sub(l.Used) > sessionIdle || now.Sub(l.Created) > sessionLife
}

// sessionID is the name under which the login of a token is stored.
func sessionID(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// begin makes a login and returns its token, which is nowhere else.
func (s *sessions) begin(user string) (token string, err error) {
	if err := s.makeRoom(); err != nil {
		return "", err
	}
	raw := make([]byte, 32)
	rand.Read(raw)
	token = base64.RawURLEncoding.EncodeToString(raw)
	now := s.now()
	if err := s.put(sessionID(token), login{User: user, Created: now, Used: now}); err != nil {
		return "", fmt.Errorf("store the login: %w", err)
	}
	return token, nil
}

// use returns whose login it is and notes that it was used.
func (s *sessions) use(id string) (user string, ok bool) {
	l, ok := s.get(id)
	if !ok {
		return "", false
	}
	if now := s.now(); now.Sub(l.Used) >= sessionNote {
		l.Used = now
		if err := s.put(id, l); err != nil {
			s.log.Warn("login not noted as used", "user", l.User, "error", err)
		}
	}
	return l.User, true
}

// valid reports whether a login still holds, without counting as a use of it.
func (s *sessions) valid(id string) bool {
	_, ok := s.get(id)
	return ok
}

// end forgets one login.
func (s *sessions) end(id string) error { return s.catalog.DeleteRecord(catalog.Sessions, id) }

// endAll forgets every login of a user but the one named except.
func (s *sessions) endAll(user, except string) error {
	return s.forget(func(id string, l login) bool { return l.User == user && id != except })
}

// expire forgets what is over.
func (s *sessions) expire() error {
	now := s.now()
	return s.forget(func(_ string, l login) bool { return l.over(now) })
}

// makeRoom keeps the number of logins bounded.
func (s *sessions) makeRoom() error {
	n, oldest := 0, ""
	var used time.Time
	err := s.each(func(id string, l login) {
		if n++; oldest == "" || l.Used.Before(used) {
			oldest, used = id, l.Used
		}
	})
	if err != nil || n < maxSessions {
		return err
	}
	return s.end(oldest)
}

func (s *sessions) get(id string) (login, bool) {
	data, err := s.catalog.Record(catalog.Sessions, id)
	var l login
	if err != nil || json.Unmarshal(data, &l) != nil || l.over(s.now()) {
		return login{}, false
	}
	return l, true
}

func (s *sessions) put(id string, l login) error {
	data, err := json.Marshal(l)
	if err != nil {
		return err
	}
	return s.catalog.PutRecord(catalog.Sessions, id, data)
}

func (s *sessions) each(f func(id string, l login)) error {
	return s.catalog.EachRecord(catalog.Sessions, func(id string, data []byte) error {
		var l login // a record that cannot be read counts as used never, and is over
		_ = json.Unmarshal(data, &l)
		f(id, l)
		return nil
	})
}

// forget removes the logins that match.
func (s *sessions) forget(match func(id string, l login) bool) error {
	var ids []string
	if err := s.each(func(id string, l login) {
		if match(id, l) {
			ids = append(ids, id)
		}
	}); err != nil {
		return err
	}
	for _, id := range ids {
		if err := s.end(id); err != nil {
			return err
		}
	}
	return nil
}

// cookie carries a token to the browser; an empty one takes it away.
func cookie(token string) *http.Cookie {
	c := &http.Cookie{Name: cookieName, Value: token, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode}
	if token == "" {
		c.MaxAge = -1
	}
	return c
}
