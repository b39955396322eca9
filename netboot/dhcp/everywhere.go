package dhcp

import (
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"aula/netboot/lease"
)

// Limits of what probes keep from being leased. A router with proxy ARP, or a device that is broken or means harm, answers at every address; it must not take
// the pool away from all others.
const (
	mostOfOne     = 4 // addresses at which one device was found
	mostOfNetwork = 4 // behind a relay agent, where no MAC is known: one in so many addresses of the pool
)

// everywhere says whether what was found at an address was found at so many others that it is not believed any more.
func (s *Responder) everywhere(now time.Time, a netip.Addr, f Found) bool {
	if f.MAC != (lease.MAC{}) {
		return s.book.QuarantinedFor(now, f.MAC) >= mostOfOne
	}
	pool, ok := s.book.PoolAt(a)
	if !ok {
		return false
	}
	return s.book.QuarantinedIn(now, pool.Network) >= max(mostOfOne, pool.Size()/mostOfNetwork)
}

// tellEverywhere returns what people are told of it, once.
func (s *Responder) tellEverywhere(now time.Time, a netip.Addr, f Found) (Decision, bool) {
	who := "something"
	if f.MAC != (lease.MAC{}) {
		who = "the device " + f.MAC.String()
	}
	subnet, _ := s.net.subnetOf(a)
	key := everywhereKey(subnet.Prefix, f.MAC)
	if !s.board.tell(now, key, lease.Quarantine) {
		return Decision{}, false
	}
	return Decision{
		Note: fmt.Sprintf("%s answers at one address after another, last at %s, so that it is not believed any more and such addresses are leased: "+
			"look for a router with proxy ARP or a broken network card, and switch that off", who, a),
		Level: slog.LevelError, Key: key,
	}, true
}
