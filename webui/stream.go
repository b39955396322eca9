package webui

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/labstack/echo/v4"
)

// Times of a stream.
const (
	beatEvery  = 15 * time.Second // a page that hears nothing for longer says so
	recheck    = 2 * time.Second  // how soon a stream ends after its login did
	retryAfter = 2 * time.Second  // after which a browser connects again
	writeLimit = 10 * time.Second // for one write to a page that does not read
)

// message is the data of a stream's event.
type message struct {
	Items   []json.RawMessage `json:"items,omitempty"`
	Changed []string          `json:"changed,omitempty"`
	Time    string            `json:"time"` // of day, for "last update"
}

// serveEvents is the one stream of a page: server-sent events, filtered by the page's topics, that begin after the batch
// which the page names by Last-Event-ID or, at first, by the parameter last.
func (s *Server) serveEvents(c echo.Context) error {
	r := c.Request()
	st := &stream{s: s, w: c.Response(), control: http.NewResponseController(c.Response()), topics: r.URL.Query()["topic"]}
	from := r.Header.Get("Last-Event-ID")
	if from == "" {
		from = r.URL.Query().Get("last")
	}
	h := st.w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("X-Accel-Buffering", "no")
	st.w.WriteHeader(http.StatusOK)
	if err := st.write("retry: %d\n\n", retryAfter.Milliseconds()); err != nil {
		return nil
	}
	return st.run(c, from)
}

// A stream is one open page.
type stream struct {
	s       *Server
	w       *echo.Response
	control *http.ResponseController
	topics  []string
}

// run sends until the page, the login or the server goes. That a page went away is no error.
func (st *stream) run(c echo.Context, from string) error {
	seq, ok := st.s.live.position(from)
	if !ok {
		seq, _ = st.s.live.position(st.s.live.last())
		if st.send("resync", st.s.live.id(seq), message{}) != nil {
			return nil
		}
	}
	beat := time.NewTicker(beatEvery)
	defer beat.Stop()
	check := time.NewTicker(recheck)
	defer check.Stop()
	for {
		following, complete, more := st.s.live.after(seq)
		if !complete {
			seq, _ = st.s.live.position(st.s.live.last())
			if st.send("resync", st.s.live.id(seq), message{}) != nil {
				return nil
			}
			continue
		}
		for _, b := range following {
			seq = b.seq
			if m := st.relevant(b); len(m.Items)+len(m.Changed) > 0 && st.send("patch", st.s.live.id(b.seq), m) != nil {
				return nil
			}
		}
		select {
		case <-c.Request().Context().Done():
			return nil
		case <-more:
		case <-beat.C:
			if st.send("beat", "", message{}) != nil {
				return nil
			}
		case <-check.C:
			if who := callerOf(c.Request().Context()); !who.Local && !st.s.sessions.valid(who.Session) {
				st.send("end", "", message{}) // the browser goes to the login page
				return nil
			}
		}
	}
}

// relevant is what of a batch concerns the page.
func (st *stream) relevant(b batch) message {
	m := message{Changed: b.changed}
	for _, it := range b.items {
		if slices.ContainsFunc(it.topics, func(t string) bool { return t == everyPage || slices.Contains(st.topics, t) }) {
			m.Items = append(m.Items, it.patch)
		}
	}
	return m
}

// send writes one event.
func (st *stream) send(event, id string, m message) error {
	m.Time = st.s.now().Local().Format("15:04:05")
	data, err := json.Marshal(m)
	if err != nil {
		return err
	}
	if id != "" {
		id = "id: " + id + "\n"
	}
	return st.write("%sevent: %s\ndata: %s\n\n", id, event, data)
}

func (st *stream) write(format string, args ...any) error {
	// Servers that know no deadlines (tests) answer an error here, which changes nothing. HTTP/2 ends a stream whose deadline
	// passes even while nothing is being written, so it is taken away again.
	_ = st.control.SetWriteDeadline(time.Now().Add(writeLimit))
	defer st.control.SetWriteDeadline(time.Time{})
	if _, err := fmt.Fprintf(st.w, format, args...); err != nil {
		return err
	}
	return st.control.Flush()
}
