package netboot

import (
	"fmt"
	"time"

	"aula/netboot/dhcp"
	"aula/netboot/neighbour"
)

// lessors are the servers to which this Aula, as a proxy, leaves it to lease addresses: those that were there at the start, which may be several with the
// addresses shared among them. One that comes later and leases beside them is a rogue, as a laptop or a home router is. The zero value knows none.
type lessors struct {
	known map[string]bool // by key
	until time.Time       // of the start
}

// late returns the keys of the servers that lease and came after a start that lasts so long from the first look. When none is left of those that were known,
// whoever leases has come in their place.
func (l *lessors) late(now time.Time, start time.Duration, looked bool, servers []neighbour.Server, role dhcp.Role) map[string]bool {
	if role == dhcp.Full {
		*l = lessors{}
		return nil
	}
	if looked && l.until.IsZero() {
		l.until = now.Add(start)
	}
	known, late := map[string]bool{}, map[string]bool{}
	for _, s := range servers {
		switch key := keyOf(s); {
		case !s.Leases:
		case l.known[key]:
			known[key] = true
		default:
			late[key] = true
		}
	}
	switch {
	case len(late) == 0:
		return nil
	case l.until.IsZero() || now.Before(l.until):
		for key := range l.known {
			late[key] = true
		}
	case len(known) > 0:
		return late
	}
	l.known = late
	return nil
}

// lateOf tells people of a server that leases beside those that were there before.
func lateOf(s neighbour.Server) Notice {
	return Notice{
		Key: keyOf(s), Level: Alarm,
		Text: fmt.Sprintf("A second DHCP server, %s, leases addresses on this network: it %s. PCs that take its addresses may find neither this Aula nor each other. "+
			"Look at the switches where its MAC is and unplug it, unless it belongs to the server that was there before.", whoIs(s), doesWhat(s)),
	}
}
