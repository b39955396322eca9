package roster_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"aula/clientos/protocol"
	"aula/imagestore"
)

// captureDisk is the instruction to make images of partitions 1, 2 and 5 of a disk.
func captureDisk(id string) protocol.Instruct {
	in := capture(id)
	in.Partition, in.Capture.Partitions = 0, []int{1, 2, 5}
	return in
}

// putLayout and putPart send what belongs to a capture, and answer the status.
func (x *stranger) putLayout(s *server, id string, layout []byte) int {
	x.t.Helper()
	resp, _ := x.request("PUT", "https://"+s.address+protocol.CapturesPath+id+"/layout", bytes.NewReader(layout), nil)
	return resp.StatusCode
}

func (x *stranger) putPart(s *server, id, partition string, file []byte) int {
	x.t.Helper()
	return x.putBody(s, id, partition, io.MultiReader(bytes.NewReader(file)), digest(file))
}

// putBody answers 0 when the connection broke.
func (x *stranger) putBody(s *server, id, partition string, body io.Reader, digest string) int {
	x.t.Helper()
	url := "https://" + s.address + protocol.CapturesPath + id + "/image?" + protocol.PartitionQuery + "=" + partition
	req, err := http.NewRequestWithContext(x.t.Context(), "PUT", url, body)
	check(x.t, err)
	req.Trailer = http.Header{protocol.DigestTrailer: {digest}}
	resp, err := (&http.Transport{TLSClientConfig: x.tls, DisableKeepAlives: true}).RoundTrip(req)
	if err != nil {
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}

func (s *server) set() ([]imagestore.Image, error) {
	return imagestore.NewLibrary(s.images).Set("", "debian")
}

// staged counts what is in staging.
func (s *server) staged() int {
	s.t.Helper()
	list, err := os.ReadDir(filepath.Join(s.dir, "images", ".staging"))
	check(s.t, err)
	return len(list)
}

// TestDiskIsPublishedAsASet sends the images of a disk, one of them again, and another one after a cut.
func TestDiskIsPublishedAsASet(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	x, id := s.member(mac1)
	layout := aLayout(t)
	for round, files := range [][][]byte{
		{anImage(t, 100), anImage(t, 200), anImage(t, 300)}, {anImage(t, 110), anImage(t, 210), anImage(t, 310)},
	} {
		order := fmt.Sprintf("i%d", round)
		s.work.order(id, captureDisk(order))
		want := func(got, want int) {
			t.Helper()
			if got != want {
				t.Fatalf("round %d: status %d, want %d", round, got, want)
			}
		}
		want(x.putLayout(s, order, layout), http.StatusNoContent)
		want(x.putPart(s, order, "3", files[0]), http.StatusBadRequest)
		want(x.putPart(s, order, "", files[0]), http.StatusBadRequest)
		want(x.putPart(s, order, "1", anImage(t, 50)), http.StatusCreated)
		want(x.putPart(s, order, "1", files[0]), http.StatusCreated) // again: this one counts
		cut := io.MultiReader(bytes.NewReader(files[1][:len(files[1])/2]), readerFunc(func([]byte) (int, error) { return 0, errors.New("cable out") }))
		x.putBody(s, order, "2", cut, digest(files[1]))
		s.work.until(t, "the failure", s.work.called("failed "+order))
		want(x.putLayout(s, order, layout), http.StatusNoContent)
		want(x.putPart(s, order, "2", files[1]), http.StatusCreated)
		if set, err := s.set(); round == 0 && !errors.Is(err, imagestore.ErrNotFound) || round == 1 && set[0].Source.Import != "i0" {
			t.Fatalf("before the last image: %+v, %v", set, err)
		}
		want(x.putPart(s, order, "5", files[2]), http.StatusCreated)
		set, err := s.set()
		check(t, err)
		for i, img := range set {
			kept, err := s.images.Layout(img.Name, img.Revision)
			if img.Blake3 != digest(files[i]) || img.Source.Import != order || img.Source.Members != 3 || img.Name != fmt.Sprintf("debian-p%d", []int{1, 2, 5}[i]) ||
				err != nil || !bytes.Equal(kept, layout) {
				t.Errorf("round %d: image %d of the set is %+v, %v", round, i, img, err)
			}
		}
		if len(set) != 3 || s.staged() != 0 {
			t.Errorf("the set has %d images, and %d are staged", len(set), s.staged())
		}
	}
	var told []string
	for _, img := range s.work.images {
		told = append(told, img.Name)
	}
	if want := []string{"debian-p1", "debian-p2", "debian-p5", "debian-p1", "debian-p2", "debian-p5"}; !slices.Equal(told, want) {
		t.Errorf("operations heard of %q, want %q", told, want)
	}
}

// What is staged of a disk goes when its capture is settled, when the PC has something else to do, and when the server stops; what comes after that
// is refused, because the images before it are gone.
func TestDiskThatDoesNotComeWhole(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	x, id := s.member(mac1)
	file, layout := anImage(t, 100), aLayout(t)
	begin := func(order string) {
		t.Helper()
		s.work.order(id, captureDisk(order))
		if got := x.putLayout(s, order, layout); got != http.StatusNoContent {
			t.Fatalf("layout: %d", got)
		}
		if got := x.putPart(s, order, "1", file); got != http.StatusCreated || s.staged() != 1 {
			t.Fatalf("first image: %d, and %d are staged", got, s.staged())
		}
	}
	begin("i1")
	check(t, s.Settle(id, "i1"))
	if s.staged() != 0 {
		t.Errorf("after Settle %d are staged", s.staged())
	}
	begin("i2")
	begin("i3")
	s.stop()
	if s.staged() != 0 {
		t.Errorf("after the server's end %d are staged", s.staged())
	}
	s.start()
	if got := x.putLayout(s, "i3", layout); got != http.StatusNoContent {
		t.Fatalf("layout after the restart: %d", got)
	}
	if got := x.putPart(s, "i3", "2", file); got != http.StatusConflict {
		t.Errorf("second image after the restart: %d, want 409", got)
	}
	if n := len(s.work.failures); n != 1 || s.work.failures[0].Code != protocol.ErrRepository {
		t.Errorf("operations heard of %+v", s.work.failures)
	}
	if _, err := s.images.Image("debian-p1"); !errors.Is(err, imagestore.ErrNotFound) {
		t.Errorf("a part of a disk is an image: %v", err)
	}
}
