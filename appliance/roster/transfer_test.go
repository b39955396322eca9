package roster_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/zeebo/blake3"

	"aula/clientos/agent/screen"
	"aula/clientos/deployment"
	"aula/clientos/disk"
	"aula/clientos/protocol"
	"aula/imagestore"
	"aula/imagestore/format"
	"aula/imagestore/format/formattest"
)

// anImage is the file of a small valid image.
func anImage(t *testing.T, blocks int) []byte {
	t.Helper()
	var file bytes.Buffer
	frames, err := format.NewFrameWriter(&file, 0)
	check(t, err)
	_, err = frames.Write(formattest.Partclone{Blocks: blocks}.Encode())
	check(t, err)
	check(t, frames.Close())
	return file.Bytes()
}

// aLayout is the JSON of a valid layout.
func aLayout(t *testing.T) []byte {
	t.Helper()
	text, err := json.Marshal(disk.Layout{
		Version: 1, Table: "dos", SectorSize: 512, DiskBytes: 1 << 30, BootCode: make([]byte, 446),
		Dump: "label: dos\nlabel-id: 0x1234abcd\ndevice: /dev/sda\nunit: sectors\nsector-size: 512\n\n" +
			"/dev/sda1 : start=        2048, size=      204800, type=83, bootable\n",
	})
	check(t, err)
	return text
}

func capture(id string) protocol.Instruct {
	return protocol.Instruct{
		ID: id, Kind: protocol.CreateImage, Partition: 1, Disk: disk.Ref{Number: 1, Bytes: 1 << 30, SectorSize: 512},
		Capture: &protocol.Capture{Name: "debian"},
	}
}

// publish puts an image into the first repository without a PC.
func (s *server) publish(file []byte) imagestore.Image { return s.publishTo(s.images, file) }

func (s *server) publishTo(repository *imagestore.Repository, file []byte) imagestore.Image {
	s.t.Helper()
	staging, err := repository.Stage("debian", imagestore.Source{})
	check(s.t, err)
	_, err = staging.Write(file)
	check(s.t, err)
	img, err := staging.Publish(s.t.Context(), digest(file), nil)
	check(s.t, err)
	return img
}

func digest(file []byte) string {
	sum := blake3.Sum256(file)
	return hex.EncodeToString(sum[:])
}

// member is a PC in a classroom that is driven by hand.
func (s *server) member(mac string) (*stranger, string) {
	s.t.Helper()
	x := newStranger(s.t)
	_, _, err := x.hello(s, mac, s.ticket(mac))
	check(s.t, err)
	return x, s.accept(mac, "").ID
}

func TestImageIsReadByWhoIsEntitled(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	file := anImage(t, 300)
	img := s.publish(file)
	x, id := s.member(mac1)
	url := fmt.Sprintf("https://%s%sdebian/%d/", s.address, protocol.ImagesPath, img.Revision)

	resp, body := x.request("GET", url+"image", nil, nil)
	var f protocol.Failure
	if resp.StatusCode != http.StatusForbidden || json.Unmarshal(body, &f) != nil || f.Problem == "" {
		t.Errorf("without an instruction: %s %s, want 403 and a failure", resp.Status, body)
	}
	s.work.order(id, restore("i1"))
	if resp, body := x.request("GET", url+"image", nil, nil); resp.StatusCode != http.StatusOK || !bytes.Equal(body, file) {
		t.Errorf("with an instruction: %s and %d bytes, want the %d of the image", resp.Status, len(body), len(file))
	}
	part := http.Header{"Range": {"bytes=1000-1999"}}
	if resp, body := x.request("GET", url+"image", nil, part); resp.StatusCode != http.StatusPartialContent || !bytes.Equal(body, file[1000:2000]) {
		t.Errorf("range: %s and %d bytes, want bytes 1000 to 1999", resp.Status, len(body))
	}
	resp, body = x.request("GET", url+"chunks", nil, nil)
	if index, err := format.ReadIndex(bytes.NewReader(body)); resp.StatusCode != http.StatusOK || err != nil || len(index.Chunks) == 0 {
		t.Errorf("chunk index: %s, %v", resp.Status, err)
	}
	if resp, _ := x.request("GET", url+"layout", nil, nil); resp.StatusCode != http.StatusNotFound {
		t.Errorf("unknown part: %s, want 404", resp.Status)
	}
	other := strings.Replace(url, "/1/", "/2/", 1)
	if resp, _ := x.request("GET", other+"image", nil, nil); resp.StatusCode != http.StatusForbidden {
		t.Errorf("another revision: %s, want 403", resp.Status)
	}
	if resp, _ := newStranger(t).request("GET", url+"image", nil, nil); resp.StatusCode != http.StatusForbidden {
		t.Errorf("an unknown key: %s, want 403", resp.Status)
	}
}

func TestPendingPCGetsNoBytes(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	img := s.publish(anImage(t, 10))
	x := newStranger(t)
	_, _, err := x.hello(s, mac1, s.ticket(mac1))
	check(t, err)
	c, err := s.catalog.ComputerByMAC(mac1)
	check(t, err)
	s.work.order(c.ID, restore("i1")) // even if operations were wrong
	url := fmt.Sprintf("https://%s%sdebian/%d/image", s.address, protocol.ImagesPath, img.Revision)
	if resp, body := x.request("GET", url, nil, nil); resp.StatusCode != http.StatusForbidden {
		t.Errorf("pending PC: %s and %d bytes, want 403", resp.Status, len(body))
	}
}

// TestSlowReadIsNotCut reads more than the server's own time limits would allow, with pauses.
func TestSlowReadIsNotCut(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	file := anImage(t, 4000)
	img := s.publish(file)
	got := make(chan error, 1)
	p, c := s.accepted(mac1, "pc-01", func(ctx context.Context, env deployment.Env, in protocol.Instruct, _ func(deployment.Progress)) (deployment.Result, error) {
		body, err := env.Server.OpenImage(ctx, in.Parts[0].Image, 5)
		if err != nil {
			got <- err
			return deployment.Result{}, err
		}
		defer body.Close()
		first := make([]byte, 1)
		if _, err := io.ReadFull(body, first); err != nil {
			got <- err
			return deployment.Result{}, err
		}
		pause := time.NewTimer(1500 * time.Millisecond) // longer than ReadTimeout and WriteTimeout of the test's server
		<-pause.C
		rest, err := io.ReadAll(body)
		if err == nil && !bytes.Equal(append(first, rest...), file[5:]) {
			err = fmt.Errorf("%d bytes that are not the image from its byte 5 on", len(rest)+1)
		}
		got <- err
		return deployment.Result{}, err
	})
	in := restore("i1")
	in.Parts[0].Image.Revision = img.Revision
	s.work.order(c.ID, in)
	check(t, s.Instruct(c.ID, in))
	if err := <-got; err != nil {
		t.Errorf("slow read: %v", err)
	}
	p.waitFor(t, screen.Done)
}

// sendCapture is a stand-in for clone that sends a file as the image of a capture.
func sendCapture(layout, file []byte, send func(w io.Writer, file []byte) error) carryFunc {
	return func(ctx context.Context, env deployment.Env, in protocol.Instruct, _ func(deployment.Progress)) (deployment.Result, error) {
		if err := env.Server.PutLayout(ctx, in.ID, layout); err != nil {
			return deployment.Result{}, err
		}
		err := env.Server.PutImage(ctx, in.ID, 0, func(w io.Writer) error { return send(w, file) })
		return deployment.Result{}, err
	}
}

func whole(w io.Writer, file []byte) error {
	_, err := w.Write(file)
	return err
}

// verdict waits for the final report of an instruction.
func (w *work) verdict(t *testing.T, id string) protocol.Report {
	t.Helper()
	var final protocol.Report
	w.until(t, "the verdict on "+id, func() bool {
		for _, r := range w.reports {
			if r.ID == id && r.Final() {
				final = r
				return true
			}
		}
		return false
	})
	return final
}

func TestCaptureIsPublished(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	file, layout := anImage(t, 300), aLayout(t)
	_, c := s.accepted(mac1, "pc-01", sendCapture(layout, file, whole))
	s.work.order(c.ID, capture("i1"))
	check(t, s.Instruct(c.ID, capture("i1")))
	if r := s.work.verdict(t, "i1"); r.State != protocol.Done {
		t.Fatalf("verdict %+v, want done", r)
	}
	img, err := s.images.Image("debian")
	check(t, err)
	if img.Blake3 != digest(file) || img.Source.Computer != "pc-01" || img.Source.SectorSize != 512 || !img.HasLayout {
		t.Errorf("image is %+v", img)
	}
	if kept, err := s.images.Layout("debian", img.Revision); err != nil || !bytes.Equal(kept, layout) {
		t.Errorf("layout beside the image is %.60q, %v", kept, err)
	}
	s.work.until(t, "published", s.work.called("published i1"))
	if !s.work.called("publishing i1")() {
		t.Error("operations heard nothing of the publishing")
	}
}

// TestSlowCaptureIsAnswered sends for longer than the server's own time limits.
func TestSlowCaptureIsAnswered(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	_, c := s.accepted(mac1, "pc-01", sendCapture(aLayout(t), anImage(t, 300), func(w io.Writer, file []byte) error {
		err := whole(w, file[:1000])
		pause := time.NewTimer(1500 * time.Millisecond)
		<-pause.C
		return errors.Join(err, whole(w, file[1000:]))
	}))
	s.work.order(c.ID, capture("i1"))
	check(t, s.Instruct(c.ID, capture("i1")))
	if r := s.work.verdict(t, "i1"); r.State != protocol.Done {
		t.Errorf("verdict %+v with failure %+v, want done", r, r.Failure)
	}
}

func TestCaptureFaultsLeaveTheImageAlone(t *testing.T) {
	t.Parallel()
	file := anImage(t, 300)
	most := func(w io.Writer, file []byte) error {
		_, err := w.Write(file[:len(file)*99/100])
		return err
	}
	tests := map[string]struct {
		send func(w io.Writer, file []byte) error
		full bool
		code int
	}{
		"upload broken off at 99 %": {
			send: func(w io.Writer, file []byte) error { return errors.Join(most(w, file), errors.New("the disk broke")) },
			code: protocol.ErrImage,
		},
		"image that lacks its last 1 %": {send: most, code: protocol.ErrImageFile},
		"not an image": {
			send: func(w io.Writer, file []byte) error { return whole(w, []byte("hello")) },
			code: protocol.ErrImageFile,
		},
		"repository full": {send: whole, full: true, code: protocol.ErrCacheSize},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			before := s.publish(anImage(t, 10))
			if test.full {
				s.stop()
				s.reserve = math.MaxInt64 / 2
				s.start()
			}
			_, c := s.accepted(mac1, "pc-01", sendCapture(aLayout(t), file, test.send))
			s.work.order(c.ID, capture("i1"))
			check(t, s.Instruct(c.ID, capture("i1")))
			s.work.until(t, "the server's failure", s.work.called("failed i1"))
			f := s.work.failures[0]
			if f.Code != test.code || f.Problem == "" || f.Advice == "" {
				t.Errorf("operations heard %+v, want code %d, a problem and an advice", f, test.code)
			}
			r := s.work.verdict(t, "i1")
			if r.State != protocol.Failed {
				t.Fatalf("verdict %+v, want failed", r)
			}
			if test.full && r.Failure.Code != protocol.ErrCacheSize {
				t.Errorf("the PC heard %+v, want code %d", r.Failure, protocol.ErrCacheSize)
			}
			s.unchanged(before)
		})
	}
}

// unchanged requires that the repository holds one image, the one that it held before.
func (s *server) unchanged(before imagestore.Image) {
	s.t.Helper()
	all, err := s.images.Revisions("debian")
	check(s.t, err)
	if len(all) != 1 || all[0].Blake3 != before.Blake3 {
		s.t.Errorf("the repository holds %+v, want only what it held before", all)
	}
	f, err := s.images.OpenFile("debian", before.Revision)
	check(s.t, err)
	defer f.Close()
	data, err := io.ReadAll(f)
	check(s.t, err)
	if digest(data) != before.Blake3 {
		s.t.Error("the bytes of the image from before have changed")
	}
}

func TestCableOutAt99Percent(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	before := s.publish(anImage(t, 10))
	x, id := s.member(mac1)
	s.work.order(id, capture("i1"))
	url := "https://" + s.address + protocol.CapturesPath + "i1/"
	if resp, body := x.request("PUT", url+"layout", bytes.NewReader(aLayout(t)), nil); resp.StatusCode != http.StatusNoContent {
		t.Fatalf("layout: %s %s", resp.Status, body)
	}
	// The connection dies under the request, without the end of the body.
	var conn net.Conn
	transport := &http.Transport{TLSClientConfig: x.tls, DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		var err error
		conn, err = (&net.Dialer{}).DialContext(ctx, network, address)
		return conn, err
	}}
	file := anImage(t, 300)
	body := io.MultiReader(bytes.NewReader(file[:len(file)*99/100]), readerFunc(func([]byte) (int, error) {
		conn.Close()
		return 0, errors.New("cable out")
	}))
	req, err := http.NewRequestWithContext(t.Context(), "PUT", url+"image", body)
	check(t, err)
	if resp, err := transport.RoundTrip(req); err == nil {
		resp.Body.Close()
		t.Fatalf("the cut request was answered %s", resp.Status)
	}
	s.work.until(t, "the failure", s.work.called("failed i1"))
	if f := s.work.failures[0]; f.Code != protocol.ErrImage || !strings.Contains(f.Problem, "cut") {
		t.Errorf("failure %+v, want one that says that the upload was cut", f)
	}
	s.unchanged(before)
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestCaptureWithWrongOrMissingDigest(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	before := s.publish(anImage(t, 10))
	x, id := s.member(mac1)
	s.work.order(id, capture("i1"))
	url := "https://" + s.address + protocol.CapturesPath + "i1/"
	file := anImage(t, 300)
	for _, trailer := range []http.Header{nil, {protocol.DigestTrailer: {digest([]byte("something else"))}}} {
		if resp, body := x.request("PUT", url+"layout", bytes.NewReader(aLayout(t)), nil); resp.StatusCode != http.StatusNoContent {
			t.Fatalf("layout: %s %s", resp.Status, body)
		}
		req, err := http.NewRequestWithContext(t.Context(), "PUT", url+"image", io.MultiReader(bytes.NewReader(file)))
		check(t, err)
		req.Trailer = trailer
		resp, err := (&http.Transport{TLSClientConfig: x.tls}).RoundTrip(req)
		check(t, err)
		resp.Body.Close()
		if resp.StatusCode < 400 {
			t.Errorf("trailer %v: %s, want a refusal", trailer, resp.Status)
		}
	}
	if n := len(s.work.failures); n != 2 {
		t.Errorf("operations heard of %d failures, want 2", n)
	}
	s.unchanged(before)
}

func TestCaptureNeedsAnInstructionAndALayout(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	x, id := s.member(mac1)
	url := "https://" + s.address + protocol.CapturesPath
	put := func(path string, body []byte) int {
		resp, _ := x.request("PUT", url+path, bytes.NewReader(body), nil)
		return resp.StatusCode
	}
	if got := put("i1/layout", aLayout(t)); got != http.StatusForbidden {
		t.Errorf("layout without an instruction: %d, want 403", got)
	}
	s.work.order(id, restore("i1"))
	if got := put("i1/layout", aLayout(t)); got != http.StatusForbidden {
		t.Errorf("layout with an instruction to restore: %d, want 403", got)
	}
	s.work.order(id, capture("i1"))
	if got := put("i2/image", nil); got != http.StatusForbidden {
		t.Errorf("another instruction: %d, want 403", got)
	}
	if got := put("i1/image", nil); got != http.StatusConflict {
		t.Errorf("image before the layout: %d, want 409", got)
	}
	if got := put("i1/layout", []byte("{}")); got != http.StatusUnprocessableEntity {
		t.Errorf("empty layout: %d, want 422", got)
	}
	if got := put("i1/layout", make([]byte, protocol.MaxLayout+1)); got != http.StatusRequestEntityTooLarge {
		t.Errorf("huge layout: %d, want 413", got)
	}
}
