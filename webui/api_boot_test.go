package webui

import (
	"errors"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"aula/appliance/boot"
	"aula/netboot"
	"aula/netboot/dhcp"
	"aula/netboot/lease"
	"aula/netboot/neighbour"
	"aula/webui/api"
	"aula/webui/client"
)

func TestBootsThroughTheAPI(t *testing.T) {
	b := newBed(t)
	c, ctx := b.socketClient(), t.Context()
	const mac = "52:54:00:00:00:77"
	at := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	first := boot.Boot{MAC: mac, State: boot.Stopped, Began: at, Steps: []boot.Step{{Name: netboot.StepLoader, Phase: netboot.Failed, Bytes: 5, Size: 9, Times: 2}}}
	second := first
	second.Began, second.State, second.Firmware, second.Address = at.Add(time.Minute), boot.Underway, netboot.UEFIx64, netip.MustParseAddr("10.0.0.7")
	b.boots(first, second)

	all, err := c.Boots(ctx)
	if err != nil || len(all) != 1 || all[0].Firmware != "uefi" || all[0].Address != "10.0.0.7" || all[0].Steps[0] != (api.BootStep{Name: "loader", Phase: "failed", Bytes: 5, Size: 9, Times: 2}) {
		t.Errorf("boots: got %+v, %v", all, err)
	}
	if of, err := c.BootsOf(ctx, "52-54-00-00-00-77"); err != nil || len(of) != 2 || of[0].State != boot.Underway || of[1].State != boot.Stopped || of[1].Address != "" {
		t.Errorf("boots of one: got %+v, %v", of, err)
	}
	if of, err := c.BootsOf(ctx, "52:54:00:00:00:78"); err != nil || of == nil || len(of) != 0 {
		t.Errorf("boots of one that never booted: got %#v, %v", of, err)
	}
	if _, err := c.BootsOf(ctx, "nobody"); !errors.Is(err, client.ErrInvalid) {
		t.Errorf("boots of no MAC: got %v", err)
	}
	b.check(c.Forgive(ctx, mac))
	if want := []string{mac}; !slices.Equal(b.booted.forgiven, want) {
		t.Errorf("forgiven: got %v, want %v", b.booted.forgiven, want)
	}

	b.notify(boot.Notice{Notice: netboot.Notice{Key: "a", Level: netboot.Alarm, Text: "Look.", MAC: mac}, Since: at, Times: 3})
	n, err := c.Network(ctx)
	if want := (api.Notice{Key: "a", Level: "alarm", Text: "Look.", MAC: mac, Since: at, Times: 3}); err != nil || len(n.Notices) != 1 || n.Notices[0] != want {
		t.Errorf("network: got %+v, %v", n, err)
	}
	b.check(c.DismissNotice(ctx, "a"))
	if n, err := c.Network(ctx); err != nil || len(n.Notices) != 0 || n.Others == nil || n.Pools == nil {
		t.Errorf("after it was dismissed: got %+v, %v", n, err)
	}
}

func TestNetworkThroughTheAPI(t *testing.T) {
	b := newBed(t)
	c, ctx := b.socketClient(), t.Context()
	b.network.status.Drops = dhcp.Drops{NoSubnet: 7}
	b.network.status.Others = []neighbour.Server{{Address: netip.MustParseAddr("10.0.0.2"), Leases: true}}
	n, err := c.Network(ctx)
	if err != nil || len(n.Others) != 1 || n.Others[0].Address != "10.0.0.2" || !n.Others[0].Leases || n.ModeFixed || n.Drops != (api.Drops{NoSubnet: 7}) || n.Role != string(b.network.status.Role) {
		t.Errorf("network: got %+v, %v", n, err)
	}
	if err := c.Consent(ctx); !errors.Is(err, client.ErrInvalid) || !strings.Contains(err.Error(), "leases addresses already") {
		t.Errorf("agreed though nothing is asked: got %v", err)
	}
	b.isNetwork(asking)
	b.check(c.Consent(ctx))
	if settings, err := b.cat.BootSettings(); err != nil || !settings.LeaseConsent {
		t.Errorf("agreed: got %+v, %v", settings, err)
	}
	b.check(c.SetMode(ctx, "proxy"))
	if err := c.SetMode(ctx, "off"); !errors.Is(err, client.ErrInvalid) {
		t.Errorf("no mode: got %v", err)
	}
	if others, err := c.Probe(ctx); err != nil || others == nil || len(others) != 0 {
		t.Errorf("probe: got %#v, %v", others, err)
	}
	if want := []string{"reconsider", "mode proxy", "probe"}; !slices.Equal(b.network.calls, want) {
		t.Errorf("the network was told %v, want %v", b.network.calls, want)
	}
	settings, err := b.cat.BootSettings()
	if err != nil || settings.LeaseConsent || settings.Mode != "proxy" {
		t.Errorf("settings: got %+v, %v", settings, err)
	}
	b.server.cfg.ModeFixed = true
	if err := c.SetMode(ctx, "full"); !errors.Is(err, client.ErrInvalid) || !strings.Contains(err.Error(), "configuration file") {
		t.Errorf("a mode that is fixed: got %v", err)
	}

	room := b.hall("Faculty", "Room 1")
	one, two := b.enrol(room, 1), b.enrol(room, 2)
	b.check(c.Reserve(ctx, one.ID, "192.168.77.10"))
	b.check(c.Reserve(ctx, two.ID, "192.168.77.9"))
	for _, bad := range []string{"here", "10.0.0", "::1", "10.0.0.20", "192.168.77.1", "192.168.77.0", "192.168.77.255"} {
		if err := c.Reserve(ctx, one.ID, bad); !errors.Is(err, client.ErrInvalid) {
			t.Errorf("address %q: got %v", bad, err)
		}
	}
	if err := c.Reserve(ctx, two.ID, "192.168.77.10"); !errors.Is(err, client.ErrConflict) {
		t.Errorf("reserved twice: got %v", err)
	}
	if err := c.Reserve(ctx, "nobody", "192.168.77.11"); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("for nobody: got %v", err)
	}
	mac, _ := lease.ParseMAC(one.MACs[0])
	b.network.leases = []lease.Lease{
		{Address: netip.MustParseAddr("192.168.77.10"), MAC: mac, State: lease.Bound}, {Address: netip.MustParseAddr("192.168.77.100"), MAC: mac, State: lease.Quarantined},
	}
	leases, err := c.Leases(ctx)
	var got []string
	for _, l := range leases {
		got = append(got, strings.Join([]string{l.Address, l.State, l.Name}, " "))
	}
	if want := []string{"192.168.77.9 reserved " + two.Name, "192.168.77.10 bound " + one.Name, "192.168.77.100 quarantined "}; err != nil || !slices.Equal(got, want) || !leases[1].Reserved {
		t.Errorf("leases: got %q, %v, want %q", got, err, want)
	}
	b.check(c.Reserve(ctx, two.ID, ""))
	if pc, err := c.Computer(ctx, one.ID); err != nil || pc.Reserved != "192.168.77.10" {
		t.Errorf("computer: got %+v, %v", pc, err)
	}
}

func TestApplianceWithoutBootServices(t *testing.T) {
	b := newBed(t)
	c, ctx := b.socketClient(), t.Context()
	b.server.cfg.Network, b.server.cfg.Boots = nil, nil
	_, err := c.Network(ctx)
	_, err2 := c.Boots(ctx)
	_, err3 := c.BootsOf(ctx, "52:54:00:00:00:77")
	_, err4 := c.Leases(ctx)
	_, err5 := c.Probe(ctx)
	for i, err := range []error{err, err2, err3, err4, err5, c.Consent(ctx), c.SetMode(ctx, "auto"), c.DismissNotice(ctx, "a"), c.Forgive(ctx, "52:54:00:00:00:77")} {
		if !errors.Is(err, client.ErrNotFound) || !strings.Contains(err.Error(), "runs without them") {
			t.Errorf("call %d: got %v", i, err)
		}
	}
}

func TestBootChoicesThroughTheAPI(t *testing.T) {
	b := newBed(t)
	c, ctx := b.socketClient(), t.Context()
	room := b.hall("Faculty", "Room 1")
	one, two := b.enrol(room, 1), b.enrol(room, 2)
	g, err := c.AddGroup(ctx, room.ID, "Teachers")
	b.check(err)
	b.check(c.SetGroup(ctx, g.ID, two.ID))
	if renamed, err := c.RenameGroup(ctx, g.ID, "Teacher"); err != nil || renamed.Name != "Teacher" || !slices.Equal(renamed.ComputerIDs, []string{two.ID}) {
		t.Errorf("group: got %+v, %v", renamed, err)
	}
	for _, choice := range []api.BootChoice{
		{Target: "client", ComputerIDs: []string{one.ID}}, {Target: "menu", GroupIDs: []string{g.ID}}, {Target: "disk", ClassroomIDs: []string{room.ID}},
		{Target: "menu", All: true}, {Target: "none", Unknown: true}, {Target: "client", Once: true, GroupIDs: []string{g.ID}},
	} {
		if _, err := c.ChooseBoot(ctx, choice); err != nil {
			t.Errorf("%+v: %v", choice, err)
		}
	}
	for _, choice := range []api.BootChoice{
		{Target: "client"}, {Target: "none", ComputerIDs: []string{one.ID}}, {Target: "windows", All: true}, {Target: "disk", Once: true, Unknown: true}, {Target: "none", All: true},
	} {
		if _, err := c.ChooseBoot(ctx, choice); !errors.Is(err, client.ErrInvalid) {
			t.Errorf("%+v: got %v, want it refused", choice, err)
		}
	}
	if _, err := c.ChooseBoot(ctx, api.BootChoice{Target: "disk", GroupIDs: []string{"none"}}); !errors.Is(err, client.ErrNotFound) {
		t.Errorf("a group that is not there: got %v", err)
	}
	pcs, err := c.Computers(ctx)
	b.check(err)
	if pcs[0].Boot != "client" || pcs[0].NextBoot != "" || pcs[1].Boot != "" || pcs[1].NextBoot != "client" || pcs[1].GroupID != g.ID {
		t.Errorf("computers: got %+v", pcs)
	}
	if rooms, err := c.Classrooms(ctx); err != nil || rooms[0].Boot != "disk" {
		t.Errorf("classrooms: got %+v, %v", rooms, err)
	}
	if groups, err := c.Groups(ctx); err != nil || len(groups) != 1 || groups[0].Boot != "menu" {
		t.Errorf("groups: got %+v, %v", groups, err)
	}
	b.check(c.RemoveGroup(ctx, g.ID))

	seconds, password, nothing := -1, "open sesame", ""
	for _, step := range []struct {
		edit api.BootSettingsEdit
		want api.BootSettings
	}{
		{api.BootSettingsEdit{}, api.BootSettings{Accepted: "menu", Unknown: "none", MenuSeconds: 10}},
		{api.BootSettingsEdit{MenuSeconds: &seconds, MenuPassword: &password}, api.BootSettings{Accepted: "menu", Unknown: "none", MenuSeconds: -1, MenuPassword: true}},
		{api.BootSettingsEdit{Accepted: &nothing}, api.BootSettings{Accepted: "disk", Unknown: "none", MenuSeconds: -1, MenuPassword: true}},
		{api.BootSettingsEdit{MenuPassword: &nothing}, api.BootSettings{Accepted: "disk", Unknown: "none", MenuSeconds: -1}},
	} {
		if got, err := c.ChangeBootSettings(ctx, step.edit); err != nil || got != step.want {
			t.Errorf("settings after %+v: got %+v, %v, want %+v", step.edit, got, err, step.want)
		}
	}
}

func TestQuirksThroughTheAPI(t *testing.T) {
	b := newBed(t)
	c, ctx := b.socketClient(), t.Context()
	pc := b.enrol(b.hall("Faculty", "Room 1"), 1)
	b.check(c.SetQuirks(ctx, strings.ToUpper(pc.MACs[0]), "slow-http"))
	q, err := c.Quirks(ctx)
	if err != nil || len(q.Rules) < 5 || len(q.PCs) != 1 || q.PCs[0].Name != pc.Name || q.PCs[0].MAC != pc.MACs[0] || !slices.Equal(q.PCs[0].Quirks, []string{"slow-http"}) {
		t.Errorf("quirks: got %+v, %v", q, err)
	}
	if err := c.SetQuirks(ctx, pc.MACs[0], "fast"); !errors.Is(err, client.ErrInvalid) || !strings.Contains(err.Error(), "own-drivers") {
		t.Errorf("no quirk: got %v", err)
	}
	b.check(c.SetQuirks(ctx, pc.MACs[0]))
	if q, err := c.Quirks(ctx); err != nil || len(q.PCs) != 0 {
		t.Errorf("none any more: got %+v, %v", q.PCs, err)
	}
	if statusOf(errNoBoot) != http.StatusNotFound {
		t.Errorf("without boot services: status %d", statusOf(errNoBoot))
	}
}
