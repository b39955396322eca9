package webui

import (
	"net/http"
	"net/netip"
	"slices"
	"time"

	"github.com/labstack/echo/v4"

	"aula/appliance/catalog"
	"aula/netboot/lease"
)

type leasesPage struct {
	page
	On     bool
	Leases []leaseView
}

// A leaseView is an address and whose it is.
type leaseView struct {
	mark
	Address  netip.Addr
	MAC      string
	ID, Name string // of the computer; empty of a PC that is in no classroom
	Until    time.Time
	Note     string
}

// showLeases shows who has which address, and which are reserved.
func (s *Server) showLeases(c echo.Context) error {
	v := leasesPage{page: s.page(c, "boot", "Addresses"), On: s.cfg.Network != nil}
	computers, err := s.cfg.Catalog.Computers()
	if err != nil {
		return err
	}
	var leases []lease.Lease
	if v.On {
		leases = s.cfg.Network.Leases()
	}
	v.Leases = viewLeases(leases, computers, s.now())
	return s.render(c, http.StatusOK, "leases", v)
}

// viewLeases puts leases and reservations in the order of their addresses.
func viewLeases(leases []lease.Lease, computers []catalog.Computer, now time.Time) []leaseView {
	owners := map[string]catalog.Computer{}
	reserved := map[netip.Addr]catalog.Computer{}
	for _, pc := range computers {
		for _, mac := range pc.MACs {
			owners[mac] = pc
		}
		if pc.Reserved.IsValid() {
			reserved[pc.Reserved] = pc
		}
	}
	var all []leaseView
	for _, l := range leases {
		v := leaseView{Address: l.Address, MAC: l.MAC.String(), Until: l.Expires, mark: leaseMark(l, now)}
		pc := owners[v.MAC]
		v.ID, v.Name = pc.ID, pc.Name
		if holder, ok := reserved[l.Address]; ok {
			delete(reserved, l.Address)
			v.Note = "reserved"
			if holder.ID != pc.ID {
				v.Note = "reserved for " + holder.Name
			}
		}
		if l.State == lease.Quarantined {
			v.ID, v.Name, v.Note = "", "", "something uses it without a lease; found there, or told of by a PC: "+v.MAC
		}
		all = append(all, v)
	}
	for address, pc := range reserved {
		v := leaseView{Address: address, ID: pc.ID, Name: pc.Name, mark: mark{toneIdle, "lock", "Reserved"}}
		if len(pc.MACs) > 0 {
			v.MAC = pc.MACs[0]
		}
		all = append(all, v)
	}
	slices.SortFunc(all, func(a, b leaseView) int { return a.Address.Compare(b.Address) })
	return all
}

func leaseMark(l lease.Lease, now time.Time) mark {
	switch {
	case l.State == lease.Quarantined:
		return mark{toneWarn, "stop", "Quarantine"}
	case l.State == lease.Released:
		return mark{toneIdle, "off", "Given back"}
	case !l.Expires.After(now):
		return mark{toneIdle, "clock", "Expired"}
	}
	return mark{toneGood, "check", "Leased"}
}
