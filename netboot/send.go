package netboot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"aula/netboot/lease"
)

// send sends a part, whole or the range that is asked for, and tells of it. HEAD is no step: firmware asks so for the length.
func (h *httpService) send(w http.ResponseWriter, a asked, step string, p *part) {
	f, err := p.open()
	switch {
	case step == StepLoader && errors.Is(err, fs.ErrNotExist):
		h.tellAbsent(a, p.name)
		http.Error(w, "no such file", http.StatusNotFound)
		return
	case err != nil:
		h.plan.Log.Error("a file for booting cannot be served", "file", p.name, "error", err)
		h.tell(a, Event{Step: step, Phase: Failed, File: p.name, Detail: fmt.Sprintf("%s cannot be served: %s", p.name, err)})
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	defer f.Close()
	w.Header().Set("Content-Type", contentType(p.name))
	if a.Method == http.MethodHead {
		http.ServeContent(w, a.Request, "", time.Time{}, f)
		return
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		http.Error(w, "cannot be read", http.StatusInternalServerError)
		return
	}
	h.pace(a)
	ranged := a.Header.Get("Range") != ""
	if h.downloads.begin(downloadKey{a.address, p.name}, ranged, time.Now()) {
		h.tell(a, Event{Step: step, Phase: Asked, File: p.name, Size: size, Detail: p.name + " asked for"})
	}
	to := &counter{ResponseWriter: w}
	http.ServeContent(to, a.Request, "", time.Time{}, f)
	if to.refused {
		return
	}
	bytes, took, news := h.downloads.end(downloadKey{a.address, p.name}, ranged, to, size, time.Now())
	if !news {
		return
	}
	e := Event{Step: step, Phase: Asked, File: p.name, Size: size, Bytes: bytes, Took: took}
	switch {
	case bytes >= size:
		e.Phase, e.Detail = Answered, fmt.Sprintf("%s sent, %d bytes in %s", p.name, bytes, took.Round(time.Millisecond))
	case to.err == nil && ranged:
		e.Detail = fmt.Sprintf("%s: %d of %d bytes sent", p.name, bytes, size)
	default:
		e.Phase, e.Detail = Failed, fmt.Sprintf("%s broke off after %d of %d bytes", p.name, bytes, size)
	}
	h.tell(a, e)
}

// tellAbsent tells that a PC wants a file that is not here, when it is one of this network and cannot do without.
func (h *httpService) tellAbsent(a asked, name string) {
	_, known := h.watch.holder(a.address)
	if a.Method == http.MethodHead || !known || optional(name) {
		return
	}
	h.tell(a, Event{Step: StepLoader, Phase: Failed, File: name,
		Detail: fmt.Sprintf("%.80q is not among the boot files here: look which file name the DHCP server hands out", name)})
}

// counter counts what is sent of a body. It hides nothing that sendfile(2) needs: it has ReadFrom, as what it wraps.
type counter struct {
	http.ResponseWriter
	bytes   int64
	err     error
	refused bool // what was asked for is answered by an error
}

func (c *counter) WriteHeader(status int) {
	c.refused = status != http.StatusOK && status != http.StatusPartialContent
	c.ResponseWriter.WriteHeader(status)
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.ResponseWriter.Write(b)
	c.add(int64(n), err)
	return n, err
}

// ReadFrom lets the kernel copy from files.
func (c *counter) ReadFrom(r io.Reader) (int64, error) {
	n, err := io.Copy(c.ResponseWriter, r)
	c.add(n, err)
	return n, err
}

func (c *counter) add(n int64, err error) {
	c.bytes += n
	if err != nil {
		c.err = err
	}
}

// downloads are the files on their way to PCs. Some loaders fetch a file in ranges, which are one download together.
type downloads struct {
	mu  sync.Mutex
	all map[downloadKey]*download
}

type downloadKey struct {
	peer netip.Addr
	file string
}

type download struct {
	began, last, told time.Time
	bytes             int64
}

// Bounds of what is remembered of downloads in ranges.
const (
	downloadTime  = 10 * time.Minute // after which the next range begins another one
	downloadNews  = time.Second      // between two that are told
	mostDownloads = 4096
)

// begin notes that a request begins, and tells whether it is the first of a download.
func (d *downloads) begin(key downloadKey, ranged bool, now time.Time) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if old := d.all[key]; old != nil && ranged && now.Sub(old.last) <= downloadTime {
		return false
	}
	if d.all == nil || len(d.all) >= mostDownloads {
		d.all = map[downloadKey]*download{} // what runs then is told without its earlier ranges
	}
	d.all[key] = &download{began: now, last: now, told: now}
	return true
}

// end notes that a request has ended. It returns how much of the file has been sent since when, and whether that should be told.
func (d *downloads) end(key downloadKey, ranged bool, sent *counter, size int64, now time.Time) (bytes int64, took time.Duration, news bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	this := d.all[key]
	if this == nil {
		this = &download{began: now}
	}
	this.bytes, this.last = this.bytes+sent.bytes, now
	bytes, took = this.bytes, now.Sub(this.began)
	if bytes >= size || !ranged {
		delete(d.all, key)
		return bytes, took, true
	}
	if sent.err == nil && now.Sub(this.told) < downloadNews {
		return bytes, took, false
	}
	this.told = now
	return bytes, took, true
}

// slowRate is what a PC with the quirk SlowHTTP gets, in bytes a second: iPXE stalls on some firmware after a lost packet (ipxe issue 1023).
const slowRate = 20_000_000

// slow are the PCs that are not sent more than slowRate. The Decider knows them; nobody else can put one in.
type slow struct {
	mu  sync.Mutex
	all map[lease.MAC]bool
}

func (s *slow) set(mac lease.MAC, is bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !is {
		delete(s.all, mac)
		return
	}
	if s.all == nil {
		s.all = map[lease.MAC]bool{}
	}
	s.all[mac] = true
}

func (s *slow) has(mac lease.MAC) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.all[mac]
}

type connectionKey struct{}

func withConnection(ctx context.Context, c net.Conn) context.Context {
	return context.WithValue(ctx, connectionKey{}, c)
}

// pace has the kernel send slowly to a PC that needs it, for as long as this connection lives.
func (h *httpService) pace(a asked) {
	if !a.named || !h.slow.has(a.mac) {
		return
	}
	c, ok := a.Context().Value(connectionKey{}).(syscall.Conn)
	if !ok {
		return
	}
	err := control(c, func(fd int) error { return unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_MAX_PACING_RATE, slowRate) })
	if err != nil {
		h.plan.Log.Warn("a PC that should be sent to slowly is not", "mac", a.mac, "error", err)
	}
}

// control calls the function with the socket of a connection.
func control(c syscall.Conn, do func(fd int) error) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = do(int(fd)) }); err != nil {
		return err
	}
	return inner
}
