package appliance

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"time"

	"golang.org/x/sync/errgroup"

	"aula/appliance/catalog"
	"aula/appliance/roster"
	"aula/webui"
)

// stopPatience is how long open requests may take to end when the appliance stops.
const stopPatience = 3 * time.Second

// headerPatience bounds how long a client may take to send its request's head; bodies and answers may take hours.
const headerPatience = 15 * time.Second

// web is the three faces that speak HTTP over something better than the boot plane: the console for browsers, the
// agents' plane for PCs, and the socket for this machine's administrator.
type web struct {
	servers []served
	console net.Listener
	more    *moreAddresses
}

type served struct {
	server   *http.Server
	listener net.Listener
}

// newWeb binds all three, so that a port in use is said before anything runs.
func newWeb(cfg Config, address netip.Addr, certificate tls.Certificate, cat *catalog.Catalog, console *webui.Server,
	pcs *roster.Roster, log *slog.Logger) (_ *web, err error) {
	w := &web{}
	defer func() {
		if err != nil {
			w.close()
		}
	}()

	w.console, err = activatedListener("console")
	if err == nil && w.console == nil {
		w.console, err = listenTCP(cfg.Console.Listen, "web console", "console.listen")
	}
	if err != nil {
		return nil, err
	}
	w.add(&http.Server{Handler: console.Console()}, tls.NewListener(w.console, &tls.Config{
		MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}, Certificates: []tls.Certificate{certificate},
	}))

	agentsAddress := netip.AddrPortFrom(address, uint16(cfg.Agents.Port)).String()
	agentsListener, err := listenTCP(agentsAddress, "agents' port", "agents.port")
	if err != nil {
		return nil, err
	}
	agents := &http.Server{Handler: pcs.Handler()}
	w.add(agents, tls.NewListener(agentsListener, pcs.TLSConfig()))
	w.more = &moreAddresses{
		catalog: cat, own: address, port: uint16(cfg.Agents.Port), server: agents, tls: pcs.TLSConfig(), log: log,
		open: make(map[netip.Addr]net.Listener),
	}

	local, err := listenLocal(SocketPath(cfg.Data))
	if err != nil {
		return nil, err
	}
	w.add(&http.Server{Handler: console.Local()}, local)
	return w, nil
}

func (w *web) add(s *http.Server, l net.Listener) {
	s.ReadHeaderTimeout = headerPatience
	s.IdleTimeout = 2 * time.Minute
	w.servers = append(w.servers, served{s, l})
}

// Run serves until ctx ends.
func (w *web) Run(ctx context.Context) error {
	group, running := errgroup.WithContext(ctx)
	for _, s := range w.servers {
		s.server.BaseContext = func(net.Listener) context.Context { return running }
	}
	group.Go(func() error { return w.more.Run(running) })
	for _, s := range w.servers {
		group.Go(func() error {
			if err := s.server.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
				return fmt.Errorf("serve %s: %w", s.listener.Addr(), err)
			}
			return nil
		})
		group.Go(func() error {
			<-running.Done()
			patience, cancel := context.WithTimeout(context.WithoutCancel(running), stopPatience)
			defer cancel()
			if s.server.Shutdown(patience) != nil { // someone still reads an image: cut, the agent resumes
				return s.server.Close()
			}
			return nil
		})
	}
	return group.Wait()
}

// close is for a start that failed half-way.
func (w *web) close() {
	if w.console != nil {
		w.console.Close()
	}
	for _, s := range w.servers {
		s.listener.Close()
	}
}

// consoleURL is where a browser finds the console: on the appliance's own address unless it listens on another one.
func (w *web) consoleURL(address netip.Addr) string {
	host := address.String()
	bound, ok := w.console.Addr().(*net.TCPAddr)
	if !ok {
		return "https://" + host + "/"
	}
	if !bound.IP.IsUnspecified() {
		host = bound.IP.String()
	}
	if bound.Port == 443 {
		return "https://" + host + "/"
	}
	return "https://" + net.JoinHostPort(host, fmt.Sprint(bound.Port)) + "/"
}
