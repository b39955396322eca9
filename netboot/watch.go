package netboot

import (
	"net/netip"
	"time"

	"aula/netboot/lease"
)

// A watch tells the Observer what the services see, and which PC it is where they know only an address.
type watch struct {
	to     Observer
	holder func(netip.Addr) (lease.MAC, bool)
}

// pc tells of a PC that is known by its MAC.
func (w *watch) pc(mac lease.MAC, a netip.Addr, step, detail string) {
	if w.to != nil {
		w.to.Observe(Event{Time: time.Now(), MAC: mac.String(), Address: a, Step: step, Detail: detail})
	}
}

// at tells of whoever has an address.
func (w *watch) at(a netip.Addr, step, detail string) {
	if w.to == nil {
		return
	}
	e := Event{Time: time.Now(), Address: a, Step: step, Detail: detail}
	if mac, ok := w.holder(a); ok {
		e.MAC = mac.String()
	}
	w.to.Observe(e)
}
