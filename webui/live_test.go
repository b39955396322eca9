package webui

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/labstack/echo/v4"

	"aula/appliance/upkeep"
	"aula/clientos/protocol"
)

func TestBatchesArePaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var seen []dirt
		l := newLive(func(d dirt) observation {
			seen = append(seen, d)
			return observation{items: []item{{nil, patch{Key: "k"}}}, changed: []string{"catalog"}}
		})
		ctx, stop := context.WithCancel(t.Context())
		go l.run(ctx)
		for i := range 2000 {
			l.note(func(d *dirt) { d.computers[fmt.Sprint(i%7)] = true })
			time.Sleep(time.Millisecond)
		}
		stop()
		synctest.Wait()
		if n := len(seen); n < 7 || n > 9 {
			t.Errorf("2 s of changes made %d batches, want about 8", n)
		}
		told := 0
		for _, b := range l.batches {
			if len(b.changed) > 0 {
				told++
			}
		}
		if told < 2 || told > 3 {
			t.Errorf("pages were told %d times in 2 s to fetch again, want at most once a second", told)
		}
	})
}

func TestWhatIsHeldBackComesAfterTheLastChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		changed := []string{"catalog"}
		l := newLive(func(d dirt) observation {
			if !d.catalog {
				return observation{}
			}
			return observation{changed: changed}
		})
		ctx, stop := context.WithCancel(t.Context())
		go l.run(ctx)
		for range 2 {
			l.note(func(d *dirt) { d.catalog = true })
			time.Sleep(300 * time.Millisecond)
		}
		time.Sleep(2 * time.Second)
		stop()
		synctest.Wait()
		if got := len(l.batches); got != 2 {
			t.Errorf("two changes made %d batches, want both told", got)
		}
	})
}

func TestHistory(t *testing.T) {
	l := newLive(nil)
	publish := func(key string) { l.publish(observation{items: []item{{nil, patch{Key: key}}}}) }
	start, _ := l.position(l.last())
	publish("a")
	publish("b")
	l.publish(observation{}) // nothing happened
	got, complete, more := l.after(start)
	if !complete || len(got) != 2 || got[1].seq != 2 {
		t.Fatalf("got %v, %v; want two batches", got, complete)
	}
	select {
	case <-more:
		t.Error("there is news, want none")
	default:
	}
	publish("c")
	select {
	case <-more:
	default:
		t.Error("there is no news, want some")
	}
	for i := range history {
		publish(fmt.Sprint(i))
	}
	if _, complete, _ := l.after(start); complete {
		t.Error("a reader that fell behind the history is told it is complete")
	}
	if got, complete, _ := l.after(l.seq); !complete || len(got) != 0 {
		t.Errorf("at the end: got %v, %v; want nothing", got, complete)
	}
	for _, bad := range []string{"", "x", l.epoch, l.epoch + "-", l.epoch + "-99999", "other000-1", l.epoch + "--1"} {
		if _, ok := l.position(bad); ok {
			t.Errorf("position %q was believed", bad)
		}
	}
}

// A listener reads a stream.
type listener struct {
	t      *testing.T
	lines  *bufio.Scanner
	cancel context.CancelFunc
	status int
	lastID string
}

type heardEvent struct {
	name string
	message
	patches []patch
}

func (br *browser) listen(query, lastID string) *listener {
	br.t.Helper()
	ctx, cancel := context.WithTimeout(br.t.Context(), 30*time.Second)
	req := br.request("GET", "/events?"+query, "", "").WithContext(ctx)
	if lastID != "" {
		req.Header.Set("Last-Event-ID", lastID)
	}
	resp, err := br.http.Do(req)
	if err != nil {
		cancel()
		br.t.Fatal(err)
	}
	br.t.Cleanup(func() { cancel(); resp.Body.Close() })
	if resp.StatusCode == http.StatusOK && resp.Header.Get("Content-Type") != "text/event-stream" {
		br.t.Errorf("Content-Type %q", resp.Header.Get("Content-Type"))
	}
	return &listener{t: br.t, lines: bufio.NewScanner(resp.Body), cancel: cancel, status: resp.StatusCode}
}

// next waits for the next event of that name; "" for any. It is not ok when the stream ended.
func (l *listener) next(name string) (ev heardEvent, ok bool) {
	l.t.Helper()
	for l.lines.Scan() {
		key, value, _ := strings.Cut(l.lines.Text(), ": ")
		switch key {
		case "id":
			l.lastID = value
		case "event":
			ev.name = value
		case "data":
			if err := json.Unmarshal([]byte(value), &ev.message); err != nil {
				l.t.Fatalf("data %q: %v", value, err)
			}
			for _, raw := range ev.Items {
				var p patch
				if err := json.Unmarshal(raw, &p); err != nil {
					l.t.Fatal(err)
				}
				ev.patches = append(ev.patches, p)
			}
		case "":
			if ev.name != "" && (name == "" || ev.name == name) {
				return ev, true
			}
			ev = heardEvent{}
		}
	}
	return ev, false
}

// until waits for a patch.
func (l *listener) until(what string, want func(patch) bool) {
	l.t.Helper()
	for {
		ev, ok := l.next("patch")
		if !ok {
			l.t.Fatalf("stream ended before %s", what)
		}
		if slices.ContainsFunc(ev.patches, want) {
			return
		}
	}
}

func TestStreamShowsWorkAsItHappens(t *testing.T) {
	b := newBed(t)
	ts := b.serve()
	room := b.hall("Faculty", "Room 1")
	other := b.room(room.CentreID, "Room 2")
	pc, elsewhere := b.enrol(room, 1), b.enrol(other, 2)
	br := b.login(ts)
	here := br.listen("topic=room:"+room.ID, "")
	if ev, ok := here.next(""); !ok || ev.name != "resync" {
		t.Fatalf("a page that names no position got %q, want resync", ev.name)
	}
	path := b.start("capture", map[string][]string{"pc": {pc.ID}, "part": {"1/4"}, "image": {"debian"}})
	work := br.listen("topic=operation:"+strings.TrimPrefix(path, "/operations/"), b.server.live.last())
	b.start("capture", map[string][]string{"pc": {elsewhere.ID}, "part": {"1/4"}, "image": {"other"}})
	b.report(elsewhere, protocol.Report{Stage: protocol.StageReading, Bytes: 1, Total: 10})
	b.report(pc, protocol.Report{Stage: protocol.StageReading, Bytes: 10, Total: 100, Rate: 5})
	tile := func(p patch) bool { return p.Key == "pc-"+pc.ID }
	here.until("the tile says Reading", func(p patch) bool { return tile(p) && strings.Contains(p.HTML, "Reading") })
	b.report(pc, protocol.Report{Stage: protocol.StageReading, Bytes: 50, Total: 100, Rate: 5})
	here.until("the tile's numbers, without HTML", func(p patch) bool {
		if p.Key == "pc-"+elsewhere.ID {
			t.Errorf("page of Room 1 was told of a PC of Room 2: %+v", p)
		}
		return tile(p) && p.HTML == "" && p.Percent != nil && *p.Percent == 50 && p.Fields["percent"] == "50 %"
	})
	work.until("the operation's row", func(p patch) bool {
		return strings.HasPrefix(p.Key, "work-") && (strings.Contains(p.HTML, "50 %") || p.Percent != nil && *p.Percent == 50)
	})
	b.report(pc, protocol.Report{State: protocol.Failed, Stage: protocol.StageReading, Failure: &protocol.Failure{Problem: "disk <died>", Stage: protocol.StageReading}})
	here.until("the failure", func(p patch) bool { return tile(p) && strings.Contains(p.HTML, "disk &lt;died&gt;") })
	work.until("the operation's end", func(p patch) bool { return strings.HasPrefix(p.Key, "op-") && strings.Contains(p.HTML, "1 failed") })
}

func TestStreamGoesOnAfterABreak(t *testing.T) {
	b := newBed(t)
	ts := b.serve()
	room := b.hall("Faculty", "Room 1")
	pc := b.enrol(room, 1)
	br := b.login(ts)
	first := br.listen("topic=room:"+room.ID+"&last="+b.server.live.last(), "")
	b.leave(pc)
	first.until("the PC has left", func(p patch) bool { return strings.Contains(p.HTML, "Not connected") })
	first.cancel()
	// What happens while nobody listens comes after the break.
	b.arrive(1)
	second := br.listen("topic=room:"+room.ID, first.lastID)
	second.until("the PC is back", func(p patch) bool { return p.Key == "pc-"+pc.ID && strings.Contains(p.HTML, "Ready") })
	// An id of another run of the server means nothing now.
	if ev, _ := br.listen("topic=room:"+room.ID, "zzzzzzzz-1").next(""); ev.name != "resync" {
		t.Errorf("an id of another run got %q, want resync", ev.name)
	}
}

func TestStreamEndsWithTheLogin(t *testing.T) {
	b := newBed(t)
	ts := b.serve()
	br := b.login(ts)
	l := br.listen("last="+b.server.live.last(), "")
	begun := time.Now()
	br.post("/logout", nil).want(http.StatusSeeOther)
	ev, _ := l.next("end")
	if ev.name != "end" {
		t.Fatal("the stream ended without saying so")
	}
	if _, ok := l.next(""); ok {
		t.Error("the stream went on after its end")
	}
	if took := time.Since(begun); took > 15*time.Second {
		t.Errorf("the stream outlived its login by %v", took)
	}
	if status := br.listen("", "").status; status != http.StatusUnauthorized {
		t.Errorf("a stranger's stream: got %d, want 401", status)
	}
}

func TestChangesOfTheCatalogAndTheRepositoryAreTold(t *testing.T) {
	b := newBed(t)
	ts := b.serve()
	br := b.login(ts)
	l := br.listen("last="+b.server.live.last(), "")
	wait := func(what string) {
		t.Helper()
		for {
			ev, ok := l.next("patch")
			if !ok {
				t.Fatalf("stream ended before %s", what)
			}
			if slices.Contains(ev.Changed, what) {
				return
			}
		}
	}
	room := b.hall("Faculty", "Room 1")
	wait("catalog")
	b.publish("win11", b.enrol(room, 1), false)
	wait("images")
	b.arrive(9)
	l.until("the number of pending PCs", func(p patch) bool { return p.Key == "pending" && strings.Contains(p.HTML, ">1<") })
}

func TestImagesAndTasksAreToldAsTheyMove(t *testing.T) {
	b := newBed(t)
	br := b.login(b.serve())
	l := br.listen("topic=images&topic=tasks&last="+b.server.live.last(), "")
	lists := br.listen("last="+b.server.live.last(), "")
	wait := func(what string) {
		t.Helper()
		for {
			ev, ok := lists.next("patch")
			if !ok {
				t.Fatalf("stream ended before %s", what)
			}
			if slices.Contains(ev.Changed, what) {
				return
			}
		}
	}
	b.processing("mint")
	wait("images")
	l.until("how far the image is", func(p patch) bool {
		return p.Key == "image-main-mint" && p.Percent != nil && *p.Percent > 0 && strings.Contains(p.Fields["amount"], " of ")
	})
	fake := &fakeTasks{Service: b.upkeep}
	fake.set(upkeep.Task{ID: "T1", Title: "Verify <mint>", State: upkeep.Running, Stage: "reading", Done: 10, Total: 100, Started: b.clock.Now()})
	b.server.cfg.Upkeep = fake
	b.server.TaskChanged("T1")
	l.until("the task", func(p patch) bool { return p.Key == "task-T1" && strings.Contains(p.HTML, "Reading.") })
	wait("tasks")
	fake.set(upkeep.Task{ID: "T1", Title: "Verify <mint>", State: upkeep.Running, Stage: "reading", Done: 42, Total: 100, Started: b.clock.Now()})
	b.server.TaskChanged("T1")
	l.until("its numbers, in its page", func(p patch) bool { return p.Key == "task-T1" && p.HTML == "" && *p.Percent == 42 })
	fake.set(upkeep.Task{ID: "T1", Title: "Verify <mint>", State: upkeep.Failed, Problem: "disk <died>", Started: b.clock.Now(), Ended: b.clock.Now()})
	b.server.TaskChanged("T1")
	l.until("its end", func(p patch) bool { return p.Key == "task-T1" && strings.Contains(p.HTML, "Disk &lt;died&gt;.") })
	b.server.TaskChanged("forgotten meanwhile")
}

// A deadlineWriter notes what a handler does to the deadline of its connection.
type deadlineWriter struct {
	*httptest.ResponseRecorder
	deadline time.Time
	written  []time.Time // deadline at each write
}

func (w *deadlineWriter) SetWriteDeadline(t time.Time) error {
	w.deadline = t
	return nil
}

func (w *deadlineWriter) Write(p []byte) (int, error) {
	w.written = append(w.written, w.deadline)
	return w.ResponseRecorder.Write(p)
}

// TestAnIdleStreamHasNoDeadline: HTTP/2 resets a stream when its deadline passes, and pages said that the connection was lost.
func TestAnIdleStreamHasNoDeadline(t *testing.T) {
	b := newBed(t)
	w := &deadlineWriter{ResponseRecorder: httptest.NewRecorder()}
	st := &stream{s: b.server, w: echo.NewResponse(w, b.server.echo)}
	st.control = http.NewResponseController(st.w)
	if err := st.send("beat", "", message{}); err != nil {
		t.Fatal(err)
	}
	if len(w.written) == 0 || w.written[0].IsZero() || !w.deadline.IsZero() {
		t.Errorf("deadlines while writing %v, afterwards %v; want one, and none afterwards", w.written, w.deadline)
	}
}
