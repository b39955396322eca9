package webui

import (
	"net/netip"
	"strings"

	"aula/netboot"
	"aula/netboot/lease"
)

// reserve says which address a PC always gets; empty: any. One that was reserved before can stay, wherever it is: forms send it along.
func (s *Server) reserve(id, text string) error {
	a, err := reservable(text)
	if err != nil {
		return err
	}
	pc, err := s.cfg.Catalog.Computer(id)
	if err != nil {
		return err
	}
	if a.Is4() && a != pc.Reserved && s.cfg.Network != nil {
		if err := served(s.cfg.Network.Status(), a); err != nil {
			return err
		}
	}
	return s.cfg.Catalog.Reserve(id, a)
}

// reservable reads an address that somebody typed; empty is none.
func reservable(text string) (netip.Addr, error) {
	text = strings.TrimSpace(text)
	if text == "" {
		return netip.Addr{}, nil
	}
	a, err := netip.ParseAddr(text)
	if err != nil {
		return a, invalid("%.40q is no address: give one such as 192.168.1.20, or nothing", text)
	}
	return a, nil
}

// served says why an address cannot be given to a PC where the appliance is.
func served(st netboot.Status, a netip.Addr) error {
	var networks []string
	for _, p := range st.Pools {
		networks = append(networks, p.Network.String())
		switch {
		case !p.Network.Contains(a):
			continue
		case a == st.Address.Addr():
			return invalid("%s is the address of this appliance: reserve another in %s", a, p.Network)
		case a == p.Network.Masked().Addr(), a == lease.LastOf(p.Network):
			return invalid("%s belongs to the network %s itself, as its first and its last address do: reserve another", a, p.Network)
		}
		return nil
	}
	if len(networks) == 0 {
		return invalid("%s cannot be reserved: this appliance has no network in which it leases addresses", a)
	}
	return invalid("%s is in no network in which this appliance leases addresses: reserve one in %s", a, strings.Join(networks, " or "))
}
