package roster

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"aula/appliance/catalog"
	"aula/clientos/protocol"
)

const (
	// patienceLimit is how long a transfer may stand still. A transfer that moves may last as long as it likes.
	patienceLimit = 2 * time.Minute
	// transferBuffer is the size of one read or write of image bytes; TLS rules sendfile out.
	transferBuffer = 512 << 10
)

// member tells which accepted computer makes a request, or answers 403. That is no final answer to the PC: right
// after a restart of the server, or before the operator accepted it, the same request may be too early.
func (r *Roster) member(w http.ResponseWriter, req *http.Request) (catalog.Computer, bool) {
	key, _, ok := caller(w, req)
	if !ok {
		return catalog.Computer{}, false
	}
	e, ok := r.known(key)
	if !ok {
		fail(w, http.StatusForbidden, protocol.Failure{
			Code: protocol.ErrRepository, Problem: "the server does not know this PC's key", Advice: "restart the PC",
		})
		return catalog.Computer{}, false
	}
	c, err := r.cfg.Catalog.Computer(e.Computer)
	if err != nil && !errors.Is(err, catalog.ErrNotFound) {
		r.cfg.Log.Error("computer of a request", "computer", e.Computer, "error", err)
		http.Error(w, "the catalog cannot be read", http.StatusInternalServerError)
		return catalog.Computer{}, false
	}
	if err != nil || c.State != catalog.Accepted {
		fail(w, http.StatusForbidden, protocol.Failure{
			Code: protocol.ErrRepository, Problem: "this PC belongs to no classroom yet", Advice: "accept it in the console",
		})
		return catalog.Computer{}, false
	}
	return c, true
}

// fail answers with a Failure.
func fail(w http.ResponseWriter, status int, f protocol.Failure) {
	body, err := json.Marshal(f)
	if err != nil {
		http.Error(w, f.Problem, status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body) // a PC that is gone needs no answer
}

// beforeAnswer gives the answer to a long request its time: the server's own limit, if it has one, began with the request.
func beforeAnswer(w http.ResponseWriter) {
	// Fails only on a connection that is closed, which the answer itself will find.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(patienceLimit))
}

// A patience moves the deadline of a connection on as long as bytes move, until it ends.
type patience struct {
	mu    sync.Mutex
	set   func(time.Time) error
	ended bool
}

func (p *patience) renew() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended {
		return errors.New("the server is restarting")
	}
	return p.set(time.Now().Add(patienceLimit))
}

// end makes what waits on the connection fail now.
func (p *patience) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.ended = true
	_ = p.set(time.Unix(1, 0)) // in the past; fails only when the connection is closed, which is as good
}

// patient ends p when the roster stops, until release is called.
func (r *Roster) patient(set func(time.Time) error) (p *patience, release func()) {
	p = &patience{set: set}
	over := make(chan struct{})
	var watcher sync.WaitGroup
	watcher.Go(func() {
		select {
		case <-r.stopping:
			p.end()
		case <-over:
		}
	})
	return p, func() {
		close(over)
		watcher.Wait()
	}
}

// A patientReader reads a request's body and remembers how that ended.
type patientReader struct {
	from     io.Reader
	patience *patience
	n        int64
	err      error
}

func (p *patientReader) Read(b []byte) (int, error) {
	if p.err = p.patience.renew(); p.err != nil {
		return 0, p.err
	}
	n, err := p.from.Read(b)
	p.n += int64(n)
	p.err = err
	return n, err
}

// A patientWriter writes an answer's body in large pieces.
type patientWriter struct {
	http.ResponseWriter
	patience *patience
}

func (p *patientWriter) Write(b []byte) (int, error) {
	if err := p.patience.renew(); err != nil {
		return 0, err
	}
	return p.ResponseWriter.Write(b)
}

// ReadFrom is what http.ServeContent copies with.
func (p *patientWriter) ReadFrom(from io.Reader) (int64, error) {
	// The struct hides this method from io.CopyBuffer, which would call it again.
	return io.CopyBuffer(struct{ io.Writer }{p}, struct{ io.Reader }{from}, make([]byte, transferBuffer))
}
