package webui

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"aula/appliance/catalog"
	"aula/netboot"
	"aula/netboot/lease"
	"aula/netboot/neighbour"
	"aula/webui/api"
)

const bootTag = "boot"

func (s *Server) routeNetwork(a huma.API) {
	type modeInput struct{ Body api.NetworkMode }
	type keyInput struct{ Body api.NoticeKey }
	route(s, a, "GET", "/boot", bootTag, "What the appliance is on its network", 200, func(context.Context, *none) (api.Network, error) {
		return s.apiNetwork()
	})
	routeEmpty(s, a, "POST", "/boot/consent", bootTag, "Agree that addresses are leased, when no other server does", func(ctx context.Context, _ *none) error {
		if s.cfg.Network == nil {
			return errNoBoot
		}
		return s.agreeToLease(ctx)
	})
	routeEmpty(s, a, "POST", "/boot/mode", bootTag, "Set how the appliance finds its role", func(ctx context.Context, in *modeInput) error {
		if s.cfg.Network == nil {
			return errNoBoot
		}
		return s.setMode(ctx, netboot.Mode(in.Body.Mode))
	})
	route(s, a, "POST", "/boot/probe", bootTag, "Look for other DHCP servers now, which takes some seconds", 200, func(ctx context.Context, _ *none) ([]api.Other, error) {
		if s.cfg.Network == nil {
			return nil, errNoBoot
		}
		found, err := s.cfg.Network.Probe(ctx)
		if err != nil {
			return nil, invalid("other DHCP servers could not be looked for: %w", err)
		}
		return apiOthers(found), nil
	})
	routeEmpty(s, a, "POST", "/boot/notices/dismiss", bootTag, "Take a notice away until it is told again", func(_ context.Context, in *keyInput) error {
		if s.cfg.Boots == nil {
			return errNoBoot
		}
		s.cfg.Boots.Dismiss(in.Body.Key)
		s.BootChanged("")
		return nil
	})
}

func (s *Server) routeAddresses(a huma.API) {
	type reservation struct {
		ID   string `path:"id" maxLength:"64"`
		Body api.Reservation
	}
	route(s, a, "GET", "/leases", bootTag, "List who has which address, and which are reserved", 200, func(context.Context, *none) ([]api.Lease, error) {
		if s.cfg.Network == nil {
			return nil, errNoBoot
		}
		computers, err := s.cfg.Catalog.Computers()
		return apiLeases(s.cfg.Network.Leases(), computers), err
	})
	routeEmpty(s, a, "PUT", "/computers/{id}/address", bootTag, "Reserve the address that DHCP gives a computer", func(ctx context.Context, in *reservation) error {
		if err := s.reserve(in.ID, in.Body.Address); err != nil {
			return err
		}
		s.log.Info("address of a computer reserved", "computer", in.ID, "address", in.Body.Address, "by", callerOf(ctx).name())
		return nil
	})
}

// errNoBoot is told where the appliance boots no PCs.
var errNoBoot = fmt.Errorf("boot services: %w: this appliance runs without them", catalog.ErrNotFound)

func (s *Server) apiNetwork() (api.Network, error) {
	if s.cfg.Network == nil {
		return api.Network{}, errNoBoot
	}
	st := s.cfg.Network.Status()
	out := api.Network{
		Interface: st.Interface, Address: shown(st.Address), Mode: string(st.Mode), ModeFixed: s.cfg.ModeFixed, Role: string(st.Role),
		Asking: st.Asking, Probed: st.Probed, Others: apiOthers(st.Others), Pools: make([]api.Pool, len(st.Pools)), Drops: api.Drops(st.Drops),
		Notices: []api.Notice{},
	}
	for i, p := range st.Pools {
		out.Pools[i] = api.Pool{Network: shown(p.Network), First: shown(p.First), Last: shown(p.Last), Size: p.Size, Leased: p.Leased,
			Reserved: p.Reserved, Quarantined: p.Quarantined}
	}
	if s.cfg.Boots != nil {
		for _, n := range s.cfg.Boots.Notices() {
			out.Notices = append(out.Notices, api.Notice{Key: n.Key, Level: n.Level, Text: n.Text, MAC: n.MAC, Since: n.Since, Times: n.Times})
		}
	}
	return out, nil
}

// shown is an address or a network as text, empty when there is none.
func shown[T interface {
	IsValid() bool
	String() string
}](a T) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func apiOthers(all []neighbour.Server) []api.Other {
	out := make([]api.Other, len(all))
	for i, o := range all {
		out[i] = api.Other{Address: shown(o.Address), MAC: o.MAC, Leases: o.Leases, Boots: o.Boots, Aula: o.Aula, First: o.First, Last: o.Last}
	}
	return out
}

// apiLeases are the leases, and the reservations of PCs that have none, by address.
func apiLeases(leases []lease.Lease, computers []catalog.Computer) []api.Lease {
	owners := map[string]catalog.Computer{}
	for _, pc := range computers {
		for _, mac := range pc.MACs {
			owners[mac] = pc
		}
	}
	type entry struct {
		at netip.Addr
		api.Lease
	}
	var all []entry
	has := map[netip.Addr]bool{} // addresses that are leased to whom they are reserved for
	for _, l := range leases {
		e := entry{l.Address, api.Lease{Address: l.Address.String(), MAC: l.MAC.String(), State: string(l.State), Expires: l.Expires.UTC().Truncate(time.Second)}}
		if pc := owners[e.MAC]; l.State != lease.Quarantined {
			e.ComputerID, e.Name, e.Reserved = pc.ID, pc.Name, pc.Reserved == l.Address
			has[l.Address] = e.Reserved
		}
		all = append(all, e)
	}
	for _, pc := range computers {
		if !pc.Reserved.IsValid() || has[pc.Reserved] {
			continue
		}
		e := entry{pc.Reserved, api.Lease{Address: pc.Reserved.String(), State: "reserved", Reserved: true, ComputerID: pc.ID, Name: pc.Name}}
		if len(pc.MACs) > 0 {
			e.MAC = pc.MACs[0]
		}
		all = append(all, e)
	}
	slices.SortStableFunc(all, func(a, b entry) int { return a.at.Compare(b.at) })
	out := make([]api.Lease, len(all))
	for i, e := range all {
		out[i] = e.Lease
	}
	return out
}
