package netboot

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/iana"

	"aula/netboot/dhcp"
	"aula/netboot/lease"
	"aula/netboot/neighbour"
)

// While another boot server is there, who is told what to boot.
func TestStrangersAreLeftToAnotherBootServer(t *testing.T) {
	stranger := lease.MAC{2, 3}
	wds := []neighbour.Server{{Address: netip.MustParseAddr("10.20.30.9"), Boots: true}}
	aula := []neighbour.Server{{Address: netip.MustParseAddr("10.20.30.9"), Boots: true, Aula: "goethe"}}
	leasing := []neighbour.Server{{Address: netip.MustParseAddr("10.20.30.9"), Leases: true}}
	assumed := Plan{Target: BootClientOS, Assumed: true}
	for name, row := range map[string]struct {
		others []neighbour.Server
		role   dhcp.Role
		mac    lease.MAC
		plan   Plan
		arch   iana.Arch
		want   dhcp.Action
		told   bool
	}{
		"a stranger":                   {wds, dhcp.Proxy, stranger, assumed, iana.EFI_X86_64, dhcp.Ignore, true},
		"a stranger with ARM64":        {wds, dhcp.Proxy, stranger, assumed, iana.EFI_ARM64, dhcp.Ignore, true},
		"chosen":                       {wds, dhcp.Proxy, stranger, Plan{Target: BootClientOS}, iana.EFI_X86_64, dhcp.Load, false},
		"chosen, ARM64":                {wds, dhcp.Proxy, stranger, Plan{Target: BootClientOS}, iana.EFI_ARM64, dhcp.Ignore, false},
		"a registered PC":              {wds, dhcp.Proxy, aPC, assumed, iana.EFI_X86_64, dhcp.Load, false},
		"a registered PC with ARM64":   {wds, dhcp.Proxy, aPC, assumed, iana.EFI_ARM64, dhcp.Refuse, false},
		"where this Aula leases":       {wds, dhcp.Full, stranger, assumed, iana.EFI_X86_64, dhcp.Load, false},
		"beside another Aula":          {aula, dhcp.Proxy, stranger, assumed, iana.EFI_X86_64, dhcp.Load, false},
		"beside one that only leases":  {leasing, dhcp.Proxy, stranger, assumed, iana.EFI_X86_64, dhcp.Load, false},
		"alone, with ARM64":            {nil, dhcp.Proxy, stranger, assumed, iana.EFI_ARM64, dhcp.Refuse, false},
		"one that is to be left alone": {wds, dhcp.Proxy, stranger, Plan{Target: BootNothing}, iana.EFI_X86_64, dhcp.Ignore, false},
	} {
		var notices []Notice
		g := newRegister(&choices{usual: row.plan}, time.Now)
		g.rivals = &rivals{notify: func(n Notice) { notices = append(notices, n) }}
		g.rivals.are(row.others, row.role)
		for range 3 {
			if a := g.Advise(asks(t, row.mac, dhcpv4.MessageTypeDiscover, "PXEClient", row.arch, 1)); a.Action != row.want {
				t.Errorf("%s: %s, want %s", name, a.Action, row.want)
			}
		}
		if told := len(notices) == 1 && notices[0].Level == Warning && strings.Contains(notices[0].Text, "10.20.30.9"); told != row.told || len(notices) > 1 {
			t.Errorf("%s: notices %+v", name, notices)
		}
		g.rivals.are(nil, row.role)
		gone := func(n Notice) bool { return n.Key == rivalsKey && n.Gone }
		if slices.ContainsFunc(notices, gone) != row.told {
			t.Errorf("%s: afterwards, notices %+v", name, notices)
		}
	}
}

func TestKeeperTellsOfRivals(t *testing.T) {
	keep(t, ModeProxy, func(t *testing.T, k *keeper, s *scene) {
		k.start(t)
		if k.rivals.present() {
			t.Error("alone, there is a rival")
		}
		wds := rogue
		wds.Leases, wds.Boots, wds.Offered = false, true, netip.Addr{}
		s.plug(wds)
		wait(11 * time.Minute)
		if !k.rivals.present() {
			t.Error("another boot server is no rival")
		}
		k.setMode(ModeFull)
		if k.rivals.present() {
			t.Error("there is a rival where this Aula leases")
		}
	})
}
