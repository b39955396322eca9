package dhcp

import (
	"net/netip"
	"time"
)

// Limits of how many strangers that were never seen before get an offer. They hold off programs that ask for all addresses under invented
// MACs, and let a school through whose PCs are all new and start at once.
const (
	newcomersPerMinute = 2000
	newcomersPerPort   = 64 // of a switch's port, behind which may be another switch with a classroom
)

// A guard counts newcomers, minute by minute.
type guard struct {
	minute time.Time
	all    int
	ports  map[string]int
}

// admit says whether another newcomer may have an offer, who stands at a switch port, empty when that is not known.
func (g *guard) admit(now time.Time, port string) bool {
	if now.Sub(g.minute) >= time.Minute || now.Before(g.minute) {
		g.minute, g.all, g.ports = now, 0, map[string]int{}
	}
	if g.all >= newcomersPerMinute || port != "" && g.ports[port] >= newcomersPerPort {
		return false
	}
	g.all++
	if port != "" {
		g.ports[port]++
	}
	return true
}

// vouched remembers at which addresses a probe found nobody.
type vouched map[netip.Addr]time.Time

// probeLasts is how long a probe is believed.
const probeLasts = time.Hour

func (v vouched) fresh(now time.Time, a netip.Addr) bool {
	t, ok := v[a]
	return ok && now.Sub(t) < probeLasts
}
