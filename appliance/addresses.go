package appliance

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"sync"

	"aula/appliance/catalog"
)

// moreAddresses opens the agents' port on the addresses that repositories name besides the appliance's own, so that a repository
// can have a network card of its own. It follows the catalog while it runs.
type moreAddresses struct {
	catalog *catalog.Catalog
	own     netip.Addr
	port    uint16
	server  *http.Server // of the agents' port, which is stopped by others
	tls     *tls.Config
	log     *slog.Logger

	open map[netip.Addr]net.Listener
}

// Run opens and closes until ctx ends.
func (m *moreAddresses) Run(ctx context.Context) error {
	changed := make(chan struct{}, 1)
	defer m.catalog.Watch(func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	})()
	var serving sync.WaitGroup
	defer serving.Wait()
	defer m.closeExcept(nil)
	for {
		if wanted, err := m.wanted(); err != nil {
			m.log.Warn("addresses of the repositories are not known", "error", err)
		} else {
			m.closeExcept(wanted)
			m.openAll(wanted, &serving)
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil
		}
	}
}

// wanted are the addresses that the catalog's repositories name.
func (m *moreAddresses) wanted() (map[netip.Addr]bool, error) {
	repositories, err := m.catalog.Repositories()
	if err != nil {
		return nil, err
	}
	wanted := make(map[netip.Addr]bool)
	for _, r := range repositories {
		if a, err := netip.ParseAddr(r.Address); err == nil && a != m.own {
			wanted[a] = true
		}
	}
	return wanted, nil
}

func (m *moreAddresses) closeExcept(wanted map[netip.Addr]bool) {
	for a, l := range m.open {
		if !wanted[a] {
			l.Close()
			delete(m.open, a)
		}
	}
}

// openAll listens where nobody listens yet. An address that this machine does not have now is tried again at the next change.
func (m *moreAddresses) openAll(wanted map[netip.Addr]bool, serving *sync.WaitGroup) {
	for a := range wanted {
		if m.open[a] != nil {
			continue
		}
		l, err := listenTCP(netip.AddrPortFrom(a, m.port).String(), "agents' port", "agents.port")
		if err != nil {
			m.log.Warn("repository's address cannot be used, its images do not reach the PCs", "address", a, "error", err)
			continue
		}
		m.open[a] = l
		serving.Go(func() {
			err := m.server.Serve(tls.NewListener(l, m.tls))
			if !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
				m.log.Error("agents' port of a repository's address failed", "address", a, "error", err)
			}
		})
	}
}
