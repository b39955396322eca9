package netboot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
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
	plan      *plan
	listener  net.Listener
	loaders   *loaders
	watch     *watch
	kernel    *part
	initramfs *part
	overlay   *part            // nil: there is none
	files     map[string]*part // the boot loaders, by their names there
	downloads downloads
	slow      slow
}

// Limits of HTTP. There is none for writing: a PC may be slow, and TCP finds out when it is gone.
const (
	httpHeaderTimeout = 10 * time.Second
	httpIdleTimeout   = 2 * time.Minute
	httpHeaderBytes   = 16 << 10
	httpStopTime      = 2 * time.Second
)

func newHTTP(p *plan, s *ports, l *loaders, w *watch) *httpService {
	h := &httpService{plan: p, listener: s.http, loaders: l, watch: w, files: map[string]*part{}}
	h.kernel = newPart("vmlinuz", p.Files.Kernel, p.Log)
	h.initramfs = newPart("initramfs", p.Files.Initramfs, p.Log)
	if len(p.Overlay) > 0 {
		overlay := string(p.Overlay)
		h.overlay = newPart("overlay", func() (io.ReadSeekCloser, error) { return text{strings.NewReader(overlay)}, nil }, p.Log)
	}
	for _, name := range l.names {
		h.files[name] = newPart(name, func() (io.ReadSeekCloser, error) { return l.read(name) }, p.Log)
	}
	return h
}

// Close gives back the memory of the parts. It may be called again.
func (h *httpService) Close() error {
	all := []*part{h.kernel, h.initramfs, h.overlay}
	for _, p := range h.files {
		all = append(all, p)
	}
	return closeParts(all...)
}

func (h *httpService) run(ctx context.Context) error {
	server := &http.Server{
		Handler: h, ReadHeaderTimeout: httpHeaderTimeout, IdleTimeout: httpIdleTimeout, MaxHeaderBytes: httpHeaderBytes,
		BaseContext: func(net.Listener) context.Context { return ctx },
		ConnContext: withConnection,
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
	if err := server.Serve(newCrowd(h.listener, h.plan.Log)); !errors.Is(err, http.ErrServerClosed) {
		stop()
		return fmt.Errorf("http: %w", err)
	}
	return <-stopped
}

// ServeHTTP answers one request.
func (h *httpService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.plan.Log.Debug("http request", "method", r.Method, "path", r.URL.Path, "address", r.RemoteAddr, "agent", r.UserAgent())
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	a := asked{Request: r, address: peer(r)}
	name := strings.TrimLeft(r.URL.Path, "/")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "only GET and HEAD are served here", http.StatusMethodNotAllowed)
		return
	}
	if rest, ok := strings.CutPrefix(name, "boot/"); ok {
		h.serveBoot(w, a, rest)
		return
	}
	h.serveLoader(w, a, name)
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
		h.send(w, a, StepKernel, h.kernel)
	case name == "initramfs":
		h.send(w, a, StepInitramfs, h.initramfs)
	case name == "overlay" && h.overlay != nil:
		h.send(w, a, StepInitramfs, h.overlay)
	case name == "script.ipxe" && a.named, name == "grub.cfg" && a.named:
		h.serveScript(w, a, name)
	default:
		http.Error(w, "no such file", http.StatusNotFound)
	}
}

// serveLoader sends a boot loader, a text for one, or a file of the operator's.
func (h *httpService) serveLoader(w http.ResponseWriter, a asked, name string) {
	found, err := h.loaders.find(a.address, name)
	p := h.files[found]
	switch {
	case errors.Is(err, errName):
		http.Error(w, "no such file", http.StatusNotFound)
		return
	case err == nil && p == nil: // a text
		p = &part{name: found, from: func() (io.ReadSeekCloser, error) { return h.loaders.read(found) }}
	case err != nil:
		p = &part{name: found, from: func() (io.ReadSeekCloser, error) { return h.loaders.extra(found) }}
	}
	h.send(w, a, StepLoader, p)
}

// tell reports a step of a PC that may be known by its MAC or only by its address.
func (h *httpService) tell(a asked, e Event) {
	h.plan.Log.Info("http", "step", e.Step, "phase", e.Phase, "address", a.address, "detail", e.Detail)
	if h.watch.to == nil {
		return
	}
	e.Time, e.Address = time.Now(), a.address
	if a.named {
		e.MAC = a.mac.String()
	} else if mac, ok := h.watch.holder(a.address); ok {
		e.MAC = mac.String()
	}
	h.watch.to.Observe(e)
}

// contentType is what firmware wants to hear of a file: some takes a program only as application/efi (UEFI 2.10, 24.7.2).
func contentType(name string) string {
	if strings.HasSuffix(strings.ToLower(name), ".efi") {
		return "application/efi"
	}
	return "application/octet-stream"
}
