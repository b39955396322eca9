package roster_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"

	"aula/appliance/roster"
	"aula/clientos/protocol"
	"aula/imagestore/format"
	"aula/imagestore/format/formattest"
	"aula/imagestore/torrent/metainfo"
)

// packedImage is the file of a small valid image in another compressor.
func packedImage(t *testing.T, compressor string, blocks int) []byte {
	t.Helper()
	var file bytes.Buffer
	w, err := format.NewWriter(&file, compressor, 0)
	check(t, err)
	_, err = w.Write(formattest.Partclone{Blocks: blocks}.Encode())
	check(t, err)
	check(t, w.Close())
	return file.Bytes()
}

// oneStream is an image as gzip makes it, of which nothing can be decoded without all that is before.
func oneStream(t *testing.T) []byte {
	t.Helper()
	var file bytes.Buffer
	w := gzip.NewWriter(&file)
	_, err := w.Write(formattest.Partclone{Blocks: 90}.Encode())
	check(t, err)
	check(t, w.Close())
	return file.Bytes()
}

// A whole room asks for the map of an lzop file at once; all get the same, which is that of the file.
func TestMapOfAnImage(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	file := packedImage(t, format.Lzop, 900)
	img := s.publish(file)
	x, id := s.member(mac1)
	in := restore("i1")
	in.Parts[0].Image.Revision = img.Revision
	s.work.order(id, in)
	url := fmt.Sprintf("https://%s%sdebian/%d/", s.address, protocol.ImagesPath, img.Revision)
	_, body := x.request("GET", url+protocol.ChunksPart, nil, nil)
	index, err := format.ReadIndex(bytes.NewReader(body))
	check(t, err)
	var want bytes.Buffer
	m, err := format.MapFile(bytes.NewReader(file), int64(len(file)), index)
	check(t, err)
	_, err = m.WriteTo(&want)
	check(t, err)
	var room sync.WaitGroup
	for range 8 {
		room.Go(func() {
			resp, body := x.request("GET", url+protocol.MapPart, nil, nil)
			if resp.StatusCode != http.StatusOK || !bytes.Equal(body, want.Bytes()) {
				t.Errorf("%s and %d bytes, want the map of %d", resp.Status, len(body), want.Len())
			}
		})
	}
	room.Wait()
}

func TestImageOfOneStreamHasNoMap(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	img := s.publish(oneStream(t))
	x, id := s.member(mac1)
	in := restore("i1")
	in.Parts[0].Image.Revision = img.Revision
	s.work.order(id, in)
	resp, body := x.request("GET", fmt.Sprintf("https://%s%sdebian/%d/map", s.address, protocol.ImagesPath, img.Revision), nil, nil)
	var f protocol.Failure
	if err := json.Unmarshal(body, &f); err != nil || resp.StatusCode != http.StatusNotFound || f.Code != protocol.ErrNotFound {
		t.Errorf("%s %s, want 404 and failure %d", resp.Status, body, protocol.ErrNotFound)
	}
}

func TestTorrentOfAnImage(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	file := anImage(t, 300)
	img := s.publish(file)
	x, id := s.member(mac1)
	in := restore("i1")
	in.Parts[0].Image.Revision = img.Revision
	s.work.order(id, in)
	resp, body := x.request("GET", fmt.Sprintf("https://%s%sdebian/%d/torrent", s.address, protocol.ImagesPath, img.Revision), nil, nil)
	if torrent, err := metainfo.Parse(body); err != nil || resp.StatusCode != http.StatusOK || torrent.Length != int64(len(file)) {
		t.Errorf("%s, %v: want the torrent of %d bytes", resp.Status, err, len(file))
	}
}

// sessions stands for appliance/sender.
type sessions struct {
	session protocol.Session
	err     error
	asked   []string
}

func (s *sessions) Join(_ context.Context, computerID, name string, in protocol.Instruct) (protocol.Session, error) {
	s.asked = append(s.asked, computerID+" "+name+" "+in.ID)
	return s.session, s.err
}

type temporary struct{ error }

func (t temporary) Unwrap() error { return t.error }
func (temporary) Temporary() bool { return true }

func TestPCJoinsTheSessionOfItsInstruction(t *testing.T) {
	t.Parallel()
	all := &sessions{session: protocol.Session{Server: "10.0.0.1", Port: 9002, Group: "239.194.0.1", Key: bytes.Repeat([]byte{7}, 32)}}
	s := newServerWith(t, all)
	x, id := s.member(mac1)
	url := "https://" + s.address + protocol.SessionsPath
	ask := func(want int) (body []byte) {
		t.Helper()
		resp, body := x.request("POST", url+"i1", nil, nil)
		if resp.StatusCode != want {
			t.Errorf("%s %s, want %d", resp.Status, body, want)
		}
		return body
	}
	ask(http.StatusForbidden) // no instruction yet
	in := restore("i1")
	s.work.order(id, in)
	ask(http.StatusConflict) // it comes by UNICAST
	for _, d := range []protocol.Delivery{{Protocol: protocol.Multicast}, {Protocol: protocol.Torrent, Fallback: protocol.Multicast}} {
		in.Delivery = &d
		s.work.order(id, in)
		var got protocol.Session
		if err := json.Unmarshal(ask(http.StatusOK), &got); err != nil || got.Port != 9002 || !bytes.Equal(got.Key, all.session.Key) {
			t.Errorf("got %+v, %v, want %+v", got, err, all.session)
		}
	}
	f := &protocol.Failure{Code: protocol.ErrNotFound, Problem: "the image is gone"}
	for err, want := range map[error]int{
		f: http.StatusConflict, temporary{f}: http.StatusServiceUnavailable, errors.New("a port"): http.StatusServiceUnavailable,
	} {
		all.err = err
		var got protocol.Failure
		body := ask(want)
		if errors.As(err, &f) && (json.Unmarshal(body, &got) != nil || got.Problem != f.Problem) {
			t.Errorf("%v: the PC hears %s", err, body)
		}
	}
	if resp, body := newStranger(t).request("POST", url+"i1", nil, nil); resp.StatusCode != http.StatusForbidden {
		t.Errorf("an unknown key: %s %s, want 403", resp.Status, body)
	}
}

var _ roster.Sessions = (*sessions)(nil)
