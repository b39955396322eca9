package appliance

import (
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"aula/appliance/catalog"
	"aula/appliance/roster"
)

// networksFor is how long what is known of the networks is believed.
const networksFor = 2 * time.Second

// A networks knows who is served by BitTorrent, where a stranger's address is all that is known of him: the classroom's network, those of the
// addresses that repositories have, those that the configuration names, the PCs that are connected wherever they are, and this machine.
type networks struct {
	fixed        []netip.Prefix
	repositories func() ([]catalog.Repository, error)
	sessions     func() []roster.Session
	addresses    func() ([]net.Addr, error) // of this machine
	log          *slog.Logger

	mu    sync.Mutex
	until time.Time
	more  []netip.Prefix
	pcs   map[netip.Addr]bool
}

func newNetworks(own netip.Prefix, configured []netip.Prefix, cat *catalog.Catalog, pcs *roster.Roster, log *slog.Logger) *networks {
	n := &networks{repositories: cat.Repositories, sessions: pcs.Sessions, addresses: net.InterfaceAddrs, log: log}
	n.fixed = append(n.fixed, own.Masked())
	for _, p := range configured {
		n.fixed = append(n.fixed, p.Masked())
	}
	return n
}

// serves tells whether somebody of that address is served.
func (n *networks) serves(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if a.IsLoopback() || within(n.fixed, a) {
		return true
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if now := time.Now(); now.After(n.until) {
		n.look()
		n.until = now.Add(networksFor)
	}
	return n.pcs[a] || within(n.more, a)
}

// look finds out which PCs and networks there are now. mu is held.
func (n *networks) look() {
	n.pcs = map[netip.Addr]bool{}
	for _, s := range n.sessions() {
		if s.State == catalog.Accepted {
			n.pcs[s.Address.Unmap()] = true
		}
	}
	n.more = nil
	all, err := n.repositories()
	if err != nil {
		n.log.Warn("networks of the repositories are not known", "error", err)
		return
	}
	for _, r := range all {
		if address, err := netip.ParseAddr(r.Address); err == nil {
			n.more = append(n.more, n.networkOf(address))
		}
	}
}

// networkOf is the network of one of this machine's addresses; of an address that it does not have now, only that.
func (n *networks) networkOf(a netip.Addr) netip.Prefix {
	all, err := n.addresses()
	if err != nil {
		n.log.Warn("addresses of this machine are not known", "error", err)
	}
	for _, one := range all {
		if p, err := netip.ParsePrefix(one.String()); err == nil && p.Addr() == a {
			return p.Masked()
		}
	}
	return netip.PrefixFrom(a, a.BitLen())
}

func within(networks []netip.Prefix, a netip.Addr) bool {
	for _, n := range networks {
		if n.Contains(a) {
			return true
		}
	}
	return false
}
