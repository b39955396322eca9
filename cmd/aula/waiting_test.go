package main

import (
	"context"
	"encoding/json"
	"errors"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"aula/webui/api"
	"aula/webui/client"
)

// serve answers on a socket and returns a client of it.
func serve(t *testing.T, handler http.Handler) *client.Client {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "aula.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: handler}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Close()
		<-ended
	})
	c, err := client.New(socket)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestInterruptedCommandCancelsItsTask ends the command's context while the appliance is at work.
func TestInterruptedCommandCancelsItsTask(t *testing.T) {
	t.Parallel()
	ctx, interrupt := context.WithCancel(t.Context())
	cancelled := make(chan string, 1)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/tasks/7", func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(api.Task{ID: "7", State: "running"})
		interrupt()
	})
	mux.HandleFunc("POST /api/v1/tasks/{id}/cancel", func(w http.ResponseWriter, r *http.Request) {
		cancelled <- r.PathValue("id")
		w.WriteHeader(http.StatusNoContent)
	})
	err := waiting{}.wait(ctx, serve(t, mux), api.Task{ID: "7", Title: "Import win10"}, nil)
	if err == nil || !strings.Contains(err.Error(), "Import win10: interrupted, and cancelled") {
		t.Errorf("got %v", err)
	}
	select {
	case id := <-cancelled:
		if id != "7" {
			t.Errorf("task %s was cancelled", id)
		}
	default:
		t.Error("the task was not cancelled")
	}
}

func TestTaskThatFailsIsAnError(t *testing.T) {
	t.Parallel()
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/tasks/7", func(w http.ResponseWriter, _ *http.Request) {
		json.NewEncoder(w).Encode(api.Task{ID: "7", Title: "Import win10", State: "failed", Problem: "the image is damaged"})
	})
	c := serve(t, mux)
	if err := (waiting{}).wait(t.Context(), c, api.Task{ID: "7"}, nil); err == nil || err.Error() != "Import win10: the image is damaged" {
		t.Errorf("got %v", err)
	}
	refusal := errors.New("refused")
	if err := (waiting{}).wait(t.Context(), c, api.Task{}, refusal); err != refusal {
		t.Errorf("a task that was not begun: %v", err)
	}
}
