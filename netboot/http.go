package netboot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"path"
	"strings"
	"time"

	"aula/netboot/lease"
)

// httpService serves everything that comes after the first boot loader:
//
//	/boot/MAC/script.ipxe            what iPXE runs on that PC
//	/boot/MAC/grub.cfg               what GRUB runs on that PC
//	/boot/[MAC/]vmlinuz              kernel
//	/boot/[MAC/]initramfs            initramfs
//	/boot/[MAC/]overlay              second initramfs
//	/shimx64.efi, /grub/grub.cfg ... what TFTP serves
//
// It is no http.ServeMux, because that redirects //grubx64.efi, for which shim asks, and firmware follows no redirection.
type httpService struct {
	plan     *plan
	listener net.Listener
	loaders  *loaders
	watch    *watch
}

// Limits of HTTP. There is none for writing: a PC may be slow, and TCP finds out when it is gone.
const (
	httpHeaderTimeout = 10 * time.Second
	httpIdleTimeout   = 2 * time.Minute
	httpHeaderBytes   = 16 << 10
	httpStopTime      = 2 * time.Second
)

func newHTTP(p *plan, s *ports, l *loaders, w *watch) *httpService {
	return &httpService{plan: p, listener: s.http, loaders: l, watch: w}
}

func (h *httpService) run(ctx context.Context) error {
	server := &http.Server{
		Handler: h, ReadHeaderTimeout: httpHeaderTimeout, IdleTimeout: httpIdleTimeout, MaxHeaderBytes: httpHeaderBytes,
		BaseContext: func(net.Listener) context.Context { return ctx },
		ErrorLog:    slog.NewLogLogger(h.plan.Log.Handler(), slog.LevelDebug),
	}
	stopped := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		within, cancel := context.WithTimeout(context.WithoutCancel(ctx), httpStopTime)
		defer cancel()
		if err := server.Shutdown(within); err != nil {
			stopped <- server.Close() // PCs that still load will ask again
			return
		}
		stopped <- nil
	})
	if err := server.Serve(h.listener); !errors.Is(err, http.ErrServerClosed) {
		stop()
		return fmt.Errorf("http: %w", err)
	}
	return <-stopped
}

// ServeHTTP answers one request.
func (h *httpService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.plan.Log.Debug("http request", "method", r.Method, "path", r.URL.Path, "address", r.RemoteAddr, "agent", r.UserAgent())
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "only GET and HEAD are served here", http.StatusMethodNotAllowed)
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	a := asked{Request: r, address: peer(r)}
	name := strings.TrimLeft(r.URL.Path, "/")
	if rest, ok := strings.CutPrefix(name, "boot/"); ok {
		h.serveBoot(w, a, rest)
		return
	}
	h.serveLoader(w, r, name)
}

// asked is a request with what is known of the PC.
type asked struct {
	*http.Request
	address netip.Addr
	mac     lease.MAC
	named   bool // the path had the MAC
}

func peer(r *http.Request) netip.Addr {
	ap, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap()
}

func (h *httpService) serveBoot(w http.ResponseWriter, a asked, name string) {
	if element, rest, ok := strings.Cut(name, "/"); ok {
		mac, err := lease.ParseMAC(element)
		if err != nil {
			http.Error(w, err.Error(), http.StatusNotFound)
			return
		}
		a.mac, a.named, name = mac, true, rest
	}
	switch {
	case name == "vmlinuz":
		h.servePart(w, a, StepKernel, h.plan.Files.Kernel)
	case name == "initramfs":
		h.servePart(w, a, StepInitramfs, h.plan.Files.Initramfs)
	case name == "overlay" && len(h.plan.Overlay) > 0:
		h.servePart(w, a, StepInitramfs, h.overlay)
	case name == "script.ipxe" && a.named, name == "grub.cfg" && a.named:
		h.serveScript(w, a, name)
	default:
		http.Error(w, "no such file", http.StatusNotFound)
	}
}

func (h *httpService) overlay() (io.ReadSeekCloser, error) {
	return text{strings.NewReader(string(h.plan.Overlay))}, nil
}

// servePart sends a part of the client OS, whole or the range that is asked for.
func (h *httpService) servePart(w http.ResponseWriter, a asked, step string, open func() (io.ReadSeekCloser, error)) {
	file := path.Base(a.URL.Path)
	f, err := open()
	if err != nil {
		h.tell(a, step, fmt.Sprintf("%s cannot be served: %s", file, err))
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	defer f.Close()
	w.Header().Set("Content-Type", "application/octet-stream")
	if a.Method == http.MethodHead {
		http.ServeContent(w, a.Request, "", time.Time{}, f)
		return
	}
	h.tell(a, step, file+" asked for")
	began, counted := time.Now(), &counter{ResponseWriter: w}
	http.ServeContent(counted, a.Request, "", time.Time{}, f)
	outcome := fmt.Sprintf("%s sent, %d bytes in %s", file, counted.bytes, time.Since(began).Round(time.Millisecond))
	if counted.err != nil {
		outcome = fmt.Sprintf("%s broke off after %d bytes", file, counted.bytes)
	}
	h.tell(a, step, outcome)
}

// counter counts what is sent of a body.
type counter struct {
	http.ResponseWriter
	bytes int64
	err   error
}

func (c *counter) Write(b []byte) (int, error) {
	n, err := c.ResponseWriter.Write(b)
	c.bytes += int64(n)
	if err != nil {
		c.err = err
	}
	return n, err
}

// ReadFrom lets the kernel copy from files.
func (c *counter) ReadFrom(r io.Reader) (int64, error) {
	n, err := io.Copy(c.ResponseWriter, r)
	c.bytes += n
	if err != nil {
		c.err = err
	}
	return n, err
}

func (h *httpService) serveLoader(w http.ResponseWriter, r *http.Request, name string) {
	f, err := h.loaders.openFor(peer(r), name)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, errName):
		http.Error(w, "no such file", http.StatusNotFound)
		return
	case err != nil:
		h.plan.Log.Error("a boot loader cannot be served", "file", name, "error", err)
		http.Error(w, "cannot be read", http.StatusInternalServerError)
		return
	}
	defer f.Close()
	kind := "application/octet-stream"
	if strings.HasSuffix(strings.ToLower(name), ".efi") {
		kind = "application/efi"
	}
	w.Header().Set("Content-Type", kind)
	http.ServeContent(w, r, "", time.Time{}, f)
}

// tell reports a step of a PC that may be known by its MAC or only by its address.
func (h *httpService) tell(a asked, step, detail string) {
	h.plan.Log.Info("http", "step", step, "address", a.address, "detail", detail)
	if a.named {
		h.watch.pc(a.mac, a.address, step, detail)
		return
	}
	h.watch.at(a.address, step, detail)
}
