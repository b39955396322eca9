package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"testing"
	"time"

	"aula/clientos/clone"
	"aula/clientos/protocol"
)

func TestWhereAnImageIsFetched(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		image protocol.Image
		want  string
	}{
		"server of the session":    {protocol.Image{}, "https://10.0.0.1:8443/agent/v1/images/win/3/image"},
		"a repository by name":     {protocol.Image{Repository: "attic"}, "https://10.0.0.1:8443/agent/v1/images/win/3/image?repository=attic"},
		"another address":          {protocol.Image{Server: "10.0.9.1"}, "https://10.0.9.1:8443/agent/v1/images/win/3/image"},
		"another address and port": {protocol.Image{Server: "10.0.9.1:99"}, "https://10.0.9.1:99/agent/v1/images/win/3/image"},
		"IPv6":                     {protocol.Image{Server: "fd00::1"}, "https://[fd00::1]:8443/agent/v1/images/win/3/image"},
		"IPv6 in brackets":         {protocol.Image{Server: "[fd00::1]"}, "https://[fd00::1]:8443/agent/v1/images/win/3/image"},
		"IPv6 and port":            {protocol.Image{Server: "[fd00::1]:99"}, "https://[fd00::1]:99/agent/v1/images/win/3/image"},
		"both":                     {protocol.Image{Server: "10.0.9.1", Repository: "attic"}, "https://10.0.9.1:8443/agent/v1/images/win/3/image?repository=attic"},
	}
	transfer := newTransfer("10.0.0.1:8443", identity{})
	for name, test := range tests {
		test.image.Name, test.image.Revision = "win", 3
		if got := transfer.at(test.image, "image").String(); got != test.want {
			t.Errorf("%s: got %s, want %s", name, got, test.want)
		}
	}
}

func TestTargetInWords(t *testing.T) {
	t.Parallel()
	whole, set, capture := restore("a"), restore("b"), restore("c")
	whole.Parts = []protocol.Part{{Partition: 0}}
	set.Parts = []protocol.Part{{Partition: 1}, {Partition: 5}, {Partition: 6}}
	capture.Kind, capture.Parts, capture.Partition = protocol.CreateImage, nil, 2
	for want, in := range map[string]protocol.Instruct{
		"disk 1, partition 1":  restore("d"),
		"disk 1, partition 2":  capture,
		"disk 1, 3 partitions": set,
		"all of disk 1":        whole,
		"":                     {ID: "e", Kind: protocol.Reboot},
	} {
		if got := target(in); got != want {
			t.Errorf("target: got %q, want %q", got, want)
		}
	}
}

// served is a transfer to a server that answers with f, and what it was asked.
func served(t *testing.T, f http.HandlerFunc) (*transfer, *[]string) {
	t.Helper()
	var asked []string
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.Method+" "+r.URL.RequestURI())
		f(w, r)
	}))
	t.Cleanup(server.Close)
	at, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return &transfer{base: *at, client: server.Client()}, &asked
}

func TestJoin(t *testing.T) {
	t.Parallel()
	want := protocol.Session{Server: "10.0.0.1", Port: 9000, Group: "239.194.17.36", Key: make([]byte, 32)}
	refused, busy := protocol.Failure{Code: protocol.ErrJoin, Problem: "the session is over", Advice: "start it again"}, false
	transfer, asked := served(t, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == protocol.SessionsPath+"i-1":
			_ = json.NewEncoder(w).Encode(want)
			return
		case busy:
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusServiceUnavailable)
		default:
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusConflict)
		}
		_ = json.NewEncoder(w).Encode(refused)
	})
	got, err := transfer.Join(t.Context(), "i-1")
	if err != nil || got.Server != want.Server || got.Port != want.Port || got.Group != want.Group || len(got.Key) != 32 {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	if (*asked)[0] != "POST /agent/v1/sessions/i-1" {
		t.Errorf("asked %s", (*asked)[0])
	}
	var final *protocol.Failure
	if _, err := transfer.Join(t.Context(), "i-2"); !errors.As(err, &final) || final.Code != protocol.ErrJoin {
		t.Errorf("the last word of the server: %v", err)
	}
	busy = true
	if _, err := transfer.Join(t.Context(), "i-2"); err == nil || errors.As(err, &final) {
		t.Errorf("what time can cure: %v", err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("the operator has cancelled")
	cancel(cause)
	if _, err := transfer.Join(ctx, "i-1"); !errors.Is(err, cause) {
		t.Errorf("cancelled: %v, want %v", err, cause)
	}
}

// TestBytesOfAnImage reads pieces of a file as clone does: no more of it is sent, and one connection serves all.
func TestBytesOfAnImage(t *testing.T) {
	t.Parallel()
	file := make([]byte, 4<<20)
	for i := range file {
		file[i] = byte(i / 1000)
	}
	from, sent := map[string]bool{}, int64(0)
	transfer, _ := served(t, func(w http.ResponseWriter, r *http.Request) {
		from[r.RemoteAddr] = true
		count := &counting{ResponseWriter: w}
		http.ServeContent(count, r, "", time.Time{}, bytes.NewReader(file))
		sent += count.bytes
	})
	image := protocol.Image{Name: "win", Revision: 3, FileBytes: int64(len(file))}
	var wanted int64
	for _, piece := range [][2]int64{{0, 1}, {0, 5000}, {1 << 20, 1<<20 + 300_000}, {4<<20 - 9, 4 << 20}} {
		r := clone.OpenFile(t.Context(), slog.New(slog.DiscardHandler), transfer, image, piece[0], piece[1])
		got, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(got, file[piece[0]:piece[1]]) {
			t.Errorf("bytes %d to %d: got %d bytes, %v", piece[0], piece[1]-1, len(got), err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		wanted += piece[1] - piece[0]
	}
	if sent != wanted || len(from) != 1 {
		t.Errorf("%d bytes were sent over %d connections, want %d over one", sent, len(from), wanted)
	}
}

// counting counts the bytes of an answer.
type counting struct {
	http.ResponseWriter
	bytes int64
}

func (c *counting) Write(b []byte) (int, error) {
	n, err := c.ResponseWriter.Write(b)
	c.bytes += int64(n)
	return n, err
}

func TestPartsOfAnImage(t *testing.T) {
	t.Parallel()
	transfer, asked := served(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPut {
			_, _ = io.Copy(io.Discard, r.Body)
			w.WriteHeader(http.StatusCreated)
			return
		}
		fmt.Fprint(w, r.URL.Path)
	})
	image := protocol.Image{Name: "win", Revision: 3, Repository: "attic"}
	for part, open := range map[string]func(context.Context, protocol.Image) (io.ReadCloser, error){
		"chunks": transfer.OpenChunks, "map": transfer.OpenMap, "torrent": transfer.OpenTorrent,
	} {
		body, err := open(t.Context(), image)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(body)
		if want := "/agent/v1/images/win/3/" + part; err != nil || string(got) != want {
			t.Errorf("got %q, %v; want %q", got, err, want)
		}
		if err := body.Close(); err != nil {
			t.Error(err)
		}
	}
	*asked = nil
	for partition := range 3 {
		err := transfer.PutImage(t.Context(), "i-1", partition, func(w io.Writer) error { _, err := w.Write([]byte("bytes")); return err })
		if err != nil {
			t.Error(err)
		}
	}
	want := []string{"PUT /agent/v1/captures/i-1/image", "PUT /agent/v1/captures/i-1/image?partition=1", "PUT /agent/v1/captures/i-1/image?partition=2"}
	if !slices.Equal(*asked, want) {
		t.Errorf("asked %q, want %q", *asked, want)
	}
}
