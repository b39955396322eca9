package client

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"aula/webui/api"
)

func TestTargets(t *testing.T) {
	for _, bad := range []string{"", "10.0.0.1", "ftp://10.0.0.1", "https://", "aula.sock", "://"} {
		if _, err := New(bad); err == nil || !strings.Contains(err.Error(), "socket") {
			t.Errorf("target %q: got %v, want an error that says what a target is", bad, err)
		}
	}
	for _, good := range []string{"https://10.0.0.1:8443/", "http://127.0.0.1:1", "/var/lib/aula/aula.sock", "./aula.sock"} {
		if _, err := New(good); err != nil {
			t.Errorf("target %q: %v", good, err)
		}
	}
}

func TestNobodyListens(t *testing.T) {
	c, err := New(t.TempDir() + "/aula.sock")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Version(t.Context()); err == nil || !strings.Contains(err.Error(), "aula serve") {
		t.Errorf("got %v, want a hint that the appliance may not run", err)
	}
	stopped, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.Version(stopped); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
}

func TestAnswersThatAreNoJSON(t *testing.T) {
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/v1/version" {
			fmt.Fprint(w, "<html>")
			return
		}
		http.Error(w, "teapot", http.StatusTeapot)
	}))
	defer ts.Close()
	c, err := New(ts.URL)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Version(t.Context()); err == nil {
		t.Error("HTML was taken for an answer")
	}
	var answered *Error
	if _, err := c.Images(t.Context()); !errors.As(err, &answered) || answered.Status != http.StatusTeapot || !strings.Contains(err.Error(), "418") {
		t.Errorf("got %v, want what the server answered", err)
	}
}

func TestWaitOutlivesARestartOfTheAppliance(t *testing.T) {
	var asked atomic.Int32
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch asked.Add(1) {
		case 1:
			fmt.Fprint(w, `{"id":"x","state":"running"}`)
		case 2:
			w.WriteHeader(http.StatusBadGateway)
		case 3:
			panic(http.ErrAbortHandler)
		default:
			fmt.Fprintf(w, `{"id":"x","state":"done","ended":%q}`, time.Unix(1, 0).UTC().Format(time.RFC3339))
		}
	}))
	defer ts.Close()
	c, err := New(ts.URL)
	if err != nil {
		t.Fatal(err)
	}
	told := 0
	o, err := c.Wait(t.Context(), "x", func(api.Operation) { told++ })
	if err != nil || o.State != "done" || told != 2 {
		t.Errorf("got %+v, %v, told %d times; want done, told twice", o, err, told)
	}
}

func TestWaitGivesUpOnWhatIsNotThere(t *testing.T) {
	ts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"title":"Not Found","status":404,"detail":"no such operation","errors":[{"message":"odd","location":"path.id"}]}`)
	}))
	defer ts.Close()
	c, err := New(ts.URL)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Wait(t.Context(), "x", nil); !errors.Is(err, ErrNotFound) || err.Error() != "no such operation; odd (path.id)" {
		t.Errorf("got %v, want not found", err)
	}
}
