package roster_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"aula/clientos/deployment"
	"aula/clientos/protocol"
)

func TestImageComesFromItsRepository(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	first, second := anImage(t, 300), anImage(t, 500)
	s.publish(first)
	s.publishTo(s.attic, second)
	x, id := s.member(mac1)
	url := fmt.Sprintf("https://%s%sdebian/1/image", s.address, protocol.ImagesPath)
	for name, test := range map[string]struct {
		instructed, asked string
		status            int
		file              []byte
	}{
		"the second one":              {"attic", "attic", http.StatusOK, second},
		"the first one by its name":   {"main", "main", http.StatusOK, first},
		"the first one without":       {"", "", http.StatusOK, first},
		"another than was instructed": {"attic", "main", http.StatusForbidden, nil},
		"none than was instructed":    {"attic", "", http.StatusForbidden, nil},
		"one that is not there":       {"cellar", "cellar", http.StatusNotFound, nil},
	} {
		in := restore("i1")
		in.Parts[0].Image.Repository = test.instructed
		s.work.order(id, in)
		resp, body := x.request("GET", url+"?"+protocol.RepositoryQuery+"="+test.asked, nil, nil)
		if resp.StatusCode != test.status || test.file != nil && !bytes.Equal(body, test.file) {
			t.Errorf("%s: %s and %d bytes, want %d and %d", name, resp.Status, len(body), test.status, len(test.file))
		}
	}
}

func TestEveryPartMayBeRead(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.publish(anImage(t, 10))
	s.publishTo(s.attic, anImage(t, 20))
	x, id := s.member(mac1)
	in := restore("i1")
	in.Parts = append(in.Parts, protocol.Part{Partition: 2, Image: protocol.Image{Repository: "attic", Name: "debian", Revision: 1}})
	s.work.order(id, in)
	for path, want := range map[string]int{
		"debian/1/chunks":                  http.StatusOK,
		"debian/1/chunks?repository=attic": http.StatusOK,
		"debian/2/chunks?repository=attic": http.StatusForbidden,
		"ubuntu/1/chunks?repository=attic": http.StatusForbidden,
	} {
		resp, _ := x.request("GET", "https://"+s.address+protocol.ImagesPath+path, nil, nil)
		if resp.StatusCode != want {
			t.Errorf("%s: %s, want %d", path, resp.Status, want)
		}
	}
}

// TestImageIsFetchedAtItsAddress has the images of a repository at another address of the server.
func TestImageIsFetchedAtItsAddress(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	file := anImage(t, 300)
	s.publish(file)
	listener, err := net.Listen("tcp", "127.0.0.2:0")
	check(t, err)
	counter := &countingListener{Listener: listener}
	var serving sync.WaitGroup
	serving.Go(func() { _ = s.web.ServeTLS(counter, "", "") })
	t.Cleanup(func() {
		listener.Close()
		serving.Wait()
	})

	got := make(chan error, 1)
	_, c := s.accepted(mac1, "pc-01", func(ctx context.Context, env deployment.Env, in protocol.Instruct, _ func(deployment.Progress)) (deployment.Result, error) {
		body, err := env.Server.OpenImage(ctx, in.Parts[0].Image, 0)
		if err != nil {
			got <- err
			return deployment.Result{}, err
		}
		defer body.Close()
		data, err := io.ReadAll(body)
		if err == nil && !bytes.Equal(data, file) {
			err = fmt.Errorf("%d bytes that are not the image", len(data))
		}
		got <- err
		return deployment.Result{}, err
	})
	in := restore("i1")
	in.Parts[0].Image.Server = listener.Addr().String()
	s.work.order(c.ID, in)
	check(t, s.Instruct(c.ID, in))
	if err := <-got; err != nil {
		t.Error(err)
	}
	if counter.n.Load() == 0 {
		t.Error("nobody came to the address that the image names")
	}
}

// TestStrangerAtTheAddressOfAnImage has another server there, whose key is not the pinned one.
func TestStrangerAtTheAddressOfAnImage(t *testing.T) {
	t.Parallel()
	s, other := newServer(t), newServer(t)
	s.publish(anImage(t, 10))
	other.publish(anImage(t, 20))
	got := make(chan error, 1)
	_, c := s.accepted(mac1, "pc-01", func(ctx context.Context, env deployment.Env, in protocol.Instruct, _ func(deployment.Progress)) (deployment.Result, error) {
		body, err := env.Server.OpenImage(ctx, in.Parts[0].Image, 0)
		if err == nil {
			body.Close()
		}
		got <- err
		return deployment.Result{}, err
	})
	in := restore("i1")
	in.Parts[0].Image.Server = other.address
	s.work.order(c.ID, in)
	check(t, s.Instruct(c.ID, in))
	if err := <-got; err == nil || !strings.Contains(err.Error(), "key") {
		t.Errorf("got %v, want that the server there has another key", err)
	}
}

// A countingListener counts who comes.
type countingListener struct {
	net.Listener
	n atomic.Int64
}

func (l *countingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		l.n.Add(1)
	}
	return conn, err
}

func TestCaptureGoesToItsRepository(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	file := anImage(t, 300)
	_, c := s.accepted(mac1, "pc-01", sendCapture(aLayout(t), file, whole))
	in := capture("i1")
	in.Capture.Repository = "attic"
	s.work.order(c.ID, in)
	check(t, s.Instruct(c.ID, in))
	if r := s.work.verdict(t, "i1"); r.State != protocol.Done {
		t.Fatalf("verdict %+v with failure %+v, want done", r, r.Failure)
	}
	if img, err := s.attic.Image("debian"); err != nil || img.Blake3 != digest(file) {
		t.Errorf("the attic has %+v, %v", img, err)
	}
	if img, err := s.images.Image("debian"); err == nil {
		t.Errorf("the first repository has %+v", img)
	}
}

func TestCaptureFailuresSayWhatIsInTheWay(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		repository string
		prepare    func(t *testing.T, s *server)
		says       string
		code       int
	}{
		"file that somebody put there": {
			prepare: func(t *testing.T, s *server) {
				check(t, os.WriteFile(filepath.Join(s.images.Dir(), "debian.img"), []byte("by hand"), 0o644))
			},
			says: "put into the repository's folder by hand", code: protocol.ErrImage,
		},
		"repository that is gone": {repository: "cellar", says: `no such repository: "cellar"`, code: protocol.ErrRepository},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			if test.prepare != nil {
				test.prepare(t, s)
			}
			_, c := s.accepted(mac1, "pc-01", sendCapture(aLayout(t), anImage(t, 10), whole))
			in := capture("i1")
			in.Capture.Repository = test.repository
			s.work.order(c.ID, in)
			check(t, s.Instruct(c.ID, in))
			s.work.until(t, "the server's failure", s.work.called("failed i1"))
			if f := s.work.failures[0]; f.Code != test.code || !strings.Contains(f.Problem, test.says) || f.Advice == "" {
				t.Errorf("operations heard %+v, want code %d and %q", f, test.code, test.says)
			}
		})
	}
}
