package sender

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"aula/clientos/protocol"
	"aula/imagestore/multicast"
)

// Each test has a group and ports of its own.

func TestRoomGetsAllImagesOfTheSession(t *testing.T) {
	t.Parallel()
	images := &shelf{dir: t.TempDir()}
	s := newServer(t, images)
	first, second := images.put(t, "windows", 3<<20+17), images.put(t, "data", 1<<20+5)
	in := instruct("room", "9002:full-duplex:239.194.213.1:0M:30:600", "windows", "data")
	dir := t.TempDir()
	s.await(1)
	var room [3]*pc
	var asking sync.WaitGroup
	for i := range room {
		asking.Go(func() {
			name := fmt.Sprintf("pc-%d", i)
			told, err := s.Join(t.Context(), name, name, in)
			if err != nil || told.Port != 9002 || told.Group != "239.194.213.1" || told.Server != "127.0.0.1" || len(told.Key) != 32 {
				t.Errorf("%s is told %+v, %v", name, told, err)
				return
			}
			room[i] = s.receive(name, filepath.Join(dir, name), told)
		})
	}
	asking.Wait()
	if t.Failed() {
		t.FailNow()
	}
	until(t, "all three to be there", func() bool {
		status, _ := s.Status("room")
		return here(status) == 3
	})
	if status, ok := s.Status("room"); !ok || status.Phase != multicast.Waiting || status.Name != "windows + data" {
		t.Errorf("while a PC is awaited: %+v, %t", status, ok)
	}
	s.await(0) // it will not come
	for _, p := range room {
		p.has(first, second)
	}
	until(t, "the session to be forgotten", func() bool {
		_, ok := s.Status("room")
		return !ok
	})
	late := s.join("late", in)
	s.receive("late", filepath.Join(dir, "late"), late).has(first, second)
}

func TestOperatorStartsWithThoseWhoAreThere(t *testing.T) {
	t.Parallel()
	images := &shelf{dir: t.TempDir()}
	s := newServer(t, images)
	file := images.put(t, "debian", 200_000)
	s.await(4)
	told := s.join("pc-1", instruct("now", "9006:half-duplex:239.194.213.2:0M:5:0", "debian"))
	p := s.receive("pc-1", filepath.Join(t.TempDir(), "out"), told)
	until(t, "the PC to be there", func() bool {
		status, _ := s.Status("now")
		return here(status) == 1
	})
	s.Start("now")
	p.has(file)
}

// TestRestartedServerGoesOn ends the server in the middle: what the PCs have is not sent again.
func TestRestartedServerGoesOn(t *testing.T) {
	t.Parallel()
	images := &shelf{dir: t.TempDir()}
	first, second := images.put(t, "linux", 20<<20+3), images.put(t, "home", 4<<20+1)
	size := int64(len(first) + len(second))
	in := instruct("again", "9010:full-duplex:239.194.213.3:80M:2:60", "linux", "home")
	dir := t.TempDir()
	var sent int64
	server := newServer(t, images)
	run := func(enough int64) {
		told := server.join("pc-1", in)
		server.join("pc-2", in)
		one, two := server.receive("pc-1", filepath.Join(dir, "1"), told), server.receive("pc-2", filepath.Join(dir, "2"), told)
		var last multicast.SenderStatus
		until(t, "the server to send", func() bool {
			status, ok := server.Status("again")
			if ok {
				last = status
			}
			return status.Sent > enough || !ok
		})
		if enough < size {
			server.stop()
			<-one.done
			<-two.done
		} else {
			one.has(first, second)
			two.has(first, second)
		}
		sent += last.Sent
	}
	run(size / 2)
	before := sent
	server = newServer(t, images)
	run(size)
	if before < size/2 || before > size*3/4 || sent > size*11/10 {
		t.Errorf("%d bytes were sent before the restart and %d in all, of %d", before, sent, size)
	}
}

func TestPortsThatAreTaken(t *testing.T) {
	t.Parallel()
	images := &shelf{dir: t.TempDir()}
	s := newServer(t, images)
	images.put(t, "debian", 100_000)
	other, err := net.ListenUDP("udp4", &net.UDPAddr{Port: 9023}) // where a sender of port 9022 would listen
	check(t, err)
	defer other.Close()
	s.await(9)
	var ports []int
	for _, session := range []string{"a", "b", "c"} {
		ports = append(ports, s.join("pc-"+session, instruct(session, "9020:full-duplex:239.194.213.4:0M:9:60", "debian")).Port)
	}
	if fmt.Sprint(ports) != "[9020 9024 9026]" {
		t.Errorf("the sessions have the ports %v", ports)
	}
}

func TestPortsComeToAnEnd(t *testing.T) {
	t.Parallel()
	s, err := New(Config{Images: &shelf{}, Address: loopback, Log: slog.New(slog.DiscardHandler)})
	check(t, err)
	seen := map[int]bool{}
	for range 50 {
		port, err := s.takePort(9050, nil)
		if err != nil || seen[port] || port%2 != 0 || port < 9000 || port > 9098 {
			t.Fatalf("after %d ports: %d, %v", len(seen), port, err)
		}
		seen[port] = true
	}
	var r *Refusal
	if _, err := s.takePort(9050, nil); !errors.As(err, &r) || !r.Temporary() {
		t.Errorf("without a port: %v, want that time cures it", err)
	}
	if port, err := s.takePort(12000, nil); err != nil || port != 12000 {
		t.Errorf("a port outside: %d, %v", port, err)
	}
}

func TestJoinIsRefused(t *testing.T) {
	t.Parallel()
	images := &shelf{dir: t.TempDir(), gone: map[string]bool{"lost": true}}
	s := newServer(t, images)
	images.put(t, "debian", 100_000)
	images.put(t, "lost", 100)
	s.await(5)
	const how = "9030:full-duplex:239.194.213.5:0M:9:60"
	s.join("pc-1", instruct("taken", how, "debian"))
	changed := instruct("changed", how, "debian")
	changed.Parts[0].Image.Digest = strings.Repeat("0", 64)
	for what, c := range map[string]struct {
		in   protocol.Instruct
		code int
	}{
		"no delivery":    {protocol.Instruct{ID: "x"}, protocol.ErrJoin},
		"bad parameters": {instruct("p", "9031:full-duplex:239.194.213.5:0M:9:60", "debian"), protocol.ErrJoin},
		"image gone":     {instruct("g", how, "debian", "lost"), protocol.ErrNotFound},
		"image changed":  {changed, protocol.ErrImageFile},
		"other images":   {instruct("taken", how, "debian", "debian"), protocol.ErrJoin},
	} {
		_, err := s.Join(t.Context(), "pc-2", "pc-2", c.in)
		var f *protocol.Failure
		var r *Refusal
		if !errors.As(err, &f) || !errors.As(err, &r) || f.Code != c.code || r.Temporary() || f.Advice == "" {
			t.Errorf("%s: %v, want the final failure %d", what, err, c.code)
		}
	}
	s.stop()
	var r *Refusal
	if _, err := s.Join(t.Context(), "pc-2", "pc-2", instruct("late", how, "debian")); !errors.As(err, &r) || !r.Temporary() {
		t.Errorf("after the end: %v, want that the PC asks again", err)
	}
}

// A PC hears why a session broke off, and the next one is not begun at once, only to break off again.
func TestCutImageReachesThosePCs(t *testing.T) {
	t.Parallel()
	images := &shelf{dir: t.TempDir()}
	s := newServer(t, images)
	images.put(t, "debian", 2<<20)
	in := instruct("cut", "9034:full-duplex:239.194.213.6:0M:1:60", "debian")
	s.await(1)
	told := s.join("pc-1", in)
	check(t, os.Truncate(filepath.Join(images.dir, "debian"), 1<<20))
	p := s.receive("pc-1", filepath.Join(t.TempDir(), "out"), told)
	if <-p.done; p.err == nil {
		t.Error("a PC got an image that is cut")
	}
	until(t, "the session to end", func() bool {
		_, ok := s.Status("cut")
		return !ok
	})
	var f *protocol.Failure
	if _, err := s.Join(t.Context(), "pc-1", "pc-1", in); !errors.As(err, &f) || !strings.Contains(f.Problem, "debian") {
		t.Errorf("who asks again hears %v", err)
	}
}

func TestFallbackHasParametersOfItsOwn(t *testing.T) {
	t.Parallel()
	in := instruct("", "peer:60", "debian")
	in.Delivery.Protocol, in.Delivery.Fallback = protocol.Torrent, protocol.Multicast
	s, err := New(Config{Images: &shelf{}, Address: loopback, Log: slog.New(slog.DiscardHandler)})
	check(t, err)
	o, err := orderOf(in, s.cfg.Address)
	if err != nil || o.session != in.ID || o.how.Validate() != nil || o.how.Group.String() != "239.194.0.0" {
		t.Errorf("%+v, %v", o, err)
	}
}

func TestDecide(t *testing.T) {
	now := time.Now()
	for _, c := range []struct {
		joined, here, awaited int
		restarted             bool
		quiet                 time.Duration
		want                  decision
	}{
		{1, 1, 0, true, breath + 1, await}, // those that were there before come back
		{1, 1, 0, true, settling + 1, begin},
		{3, 3, 0, false, breath + 1, begin},
		{3, 3, 0, false, breath, await},     // a fourth is about to ask
		{3, 2, 0, false, breath + 1, await}, // the third is on its way
		{3, 2, 0, false, settling + 1, begin},
		{3, 3, 1, false, time.Hour, await}, // as the parameters say
		{3, 0, 0, false, settling + 1, await},
		{3, 0, 0, false, abandoned + 1, forget},
		{3, 0, -1, false, settling + 1, forget},
		{3, 3, -1, false, breath + 1, begin},
	} {
		n := newSession(order{})
		for i := range c.joined {
			n.enter(fmt.Sprint(i))
		}
		n.last = now.Add(-c.quiet)
		if got := n.decide(now, c.here, c.awaited, c.restarted); got != c.want {
			t.Errorf("%+v: got %d", c, got)
		}
	}
}

func TestContentAcrossFiles(t *testing.T) {
	t.Parallel()
	images := &shelf{dir: t.TempDir()}
	all := bytes.Join([][]byte{images.put(t, "a", 1000), images.put(t, "b", 1), images.put(t, "c", 777)}, nil)
	o, err := orderOf(instruct("x", "9000:full-duplex:239.194.213.7:0M:1:1", "a", "b", "c"), loopback)
	check(t, err)
	c, err := openContent(images, o)
	check(t, err)
	defer c.close()
	if got, err := io.ReadAll(io.NewSectionReader(c, 0, c.Content().Size)); err != nil || !bytes.Equal(got, all) {
		t.Errorf("%d bytes, %v, want the %d of the files", len(got), err, len(all))
	}
	for offset := range len(all) {
		for _, n := range []int{1, 3, 1001, 2000} {
			b := make([]byte, n)
			m, err := c.ReadAt(b, int64(offset))
			want := all[offset:min(offset+n, len(all))]
			if !bytes.Equal(b[:m], want) || (m < n) != (err == io.EOF) || m == n && err != nil {
				t.Fatalf("%d bytes at %d: %d, %v", n, offset, m, err)
			}
		}
	}
	o.images[0], o.images[1] = o.images[1], o.images[0]
	other, err := openContent(images, o)
	check(t, err)
	defer other.close()
	if other.Content().ID == c.Content().ID {
		t.Error("the files in another order are taken for the same")
	}
}

func TestBrokenSessionsAreForgotten(t *testing.T) {
	t.Parallel()
	now := time.Now()
	s := &Senders{broken: map[string]broken{"old": {at: now.Add(-brokenFor)}, "new": {at: now.Add(-brokenFor / 2)}}}
	s.forgetBroken(now)
	if _, kept := s.broken["new"]; !kept || len(s.broken) != 1 {
		t.Errorf("%v are left", s.broken)
	}
}
