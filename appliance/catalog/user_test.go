package catalog

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
)

func TestFirstUserIsOne(t *testing.T) {
	t.Parallel()
	c := openTest(t)
	var wg sync.WaitGroup
	results := make(chan error, 5)
	for i := range cap(results) {
		wg.Go(func() { results <- c.AddFirstUser(User{Name: fmt.Sprintf("user%d", i), PasswordHash: "h"}) })
	}
	wg.Wait()
	close(results)
	made := 0
	for err := range results {
		switch {
		case err == nil:
			made++
		case !errors.Is(err, ErrExists):
			t.Errorf("got %v, want ErrExists", err)
		}
	}
	if users := must(c.Users())(t); made != 1 || len(users) != 1 {
		t.Errorf("%d of the first users were made, %d are there, want 1", made, len(users))
	}
}

func TestUsers(t *testing.T) {
	t.Parallel()
	c := openTest(t)
	if err := c.AddUser(User{Name: " Marta ", PasswordHash: "secret-hash", Created: t0}); err != nil {
		t.Fatal(err)
	}
	if err := c.AddUser(User{Name: "MARTA", PasswordHash: "h"}); !errors.Is(err, ErrExists) {
		t.Errorf("the same name in capitals: got %v, want ErrExists", err)
	}
	if err := c.AddUser(User{Name: "luis"}); !errors.Is(err, ErrInvalid) {
		t.Errorf("no password: got %v, want ErrInvalid", err)
	}
	if err := c.SetPassword("marta", "other-hash"); err != nil {
		t.Fatal(err)
	}
	u := must(c.User("Marta"))(t)
	if u.PasswordHash != "other-hash" || !u.Created.Equal(t0) {
		t.Errorf("got %+v", u)
	}
	if text := string(must(json.Marshal(u))(t)); strings.Contains(text, "hash") {
		t.Errorf("the hash is in the user's JSON: %s", text)
	}
	if _, err := c.User("nobody"); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
	if err := errors.Join(c.SetPassword("nobody", "h")); !errors.Is(err, ErrNotFound) {
		t.Errorf("got %v, want ErrNotFound", err)
	}
	if err := c.SetPassword("marta", ""); !errors.Is(err, ErrInvalid) {
		t.Errorf("empty hash: got %v, want ErrInvalid", err)
	}
}

func TestRecords(t *testing.T) {
	t.Parallel()
	c := openTest(t)
	hurry(c)
	const n = 200 // more than EachRecord reads at a time
	for i := range n {
		if err := c.PutRecord(Operations, fmt.Sprintf("op-%03d", i), []byte{byte(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if err := c.PutRecord(Sessions, "op-000", []byte("another kind")); err != nil {
		t.Fatal(err)
	}
	next := 0
	err := c.EachRecord(Operations, func(id string, data []byte) error {
		if want := fmt.Sprintf("op-%03d", next); id != want || data[0] != byte(next) {
			t.Errorf("got %s %v, want %s", id, data, want)
		}
		next++
		return c.DeleteRecord(Operations, id) // f may change what it walks over
	})
	if err != nil || next != n {
		t.Errorf("walked over %d records, %v; want %d", next, err, n)
	}
	if _, err := c.Record(Operations, "op-000"); !errors.Is(err, ErrNotFound) {
		t.Errorf("deleted: got %v, want ErrNotFound", err)
	}
	if got := must(c.Record(Sessions, "op-000"))(t); string(got) != "another kind" {
		t.Errorf("the other kind's record: got %q", got)
	}
	stop := errors.New("enough")
	if err := c.EachRecord(Sessions, func(string, []byte) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("got %v, want the walker's own error", err)
	}
	if err := c.DeleteRecord(Enrolments, "never there"); err != nil {
		t.Errorf("delete of none: %v", err)
	}
	err = c.PutRecords(Operations, map[string][]byte{"good": nil, "": nil})
	if _, missing := c.Record(Operations, "good"); !errors.Is(err, ErrInvalid) || !errors.Is(missing, ErrNotFound) {
		t.Errorf("records of which one has no name: got %v and %v, want that none is stored", err, missing)
	}
}
