package webui

import (
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"aula/appliance/catalog"
	"aula/netboot"
	"aula/netboot/dhcp"
	"aula/netboot/lease"
	"aula/netboot/quirk"
)

func TestBootPage(t *testing.T) {
	b := newBed(t)
	br := b.login(b.serve())
	golden(t, "boot-empty", mainOf(t, b.calm(br.get("/boot").want(http.StatusOK).body)))
	golden(t, "leases-empty", mainOf(t, b.calm(br.get("/leases").want(http.StatusOK).body)))
	room := b.hall("Faculty", "Room-1")
	for n := range 8 {
		b.enrol(room, n+1)
	}
	b.arrive(30)
	b.bootsInEveryState()
	b.someNotices()
	golden(t, "boot", mainOf(t, b.calm(br.get("/boot").want(http.StatusOK).body)))
	golden(t, "boot-pc", mainOf(t, b.calm(br.get("/boot/"+mac(8)).want(http.StatusOK).body)))
	for query, want := range map[string]int{
		"": 10, "?state=stopped": 2, "?state=underway": 4, "?state=arrived": 4, "?classroom=" + room.ID: 8, "?classroom=unknown": 2,
		"?classroom=" + room.ID + "&state=stopped": 2, "?classroom=none": 0,
	} {
		if got := strings.Count(br.get("/boot"+query).want(http.StatusOK).body, `<li class="boot `); got != want {
			t.Errorf("/boot%s shows %d PCs, want %d", query, got, want)
		}
	}
	for _, path := range []string{"/boot/none", "/boot/%2e%2e", "/boot/00:11:22:33:44"} {
		br.get(path).want(http.StatusNotFound)
	}
	br.get("/boot/00:11:22:33:44:55").want(http.StatusOK)
	br.post("/boot/"+mac(7)+"/forgive", nil).want(http.StatusSeeOther)
	br.post("/notices/dismiss", url.Values{"key": {"rogue"}}).want(http.StatusSeeOther)
	if len(b.booted.Notices()) != 2 || !slices.Equal(b.booted.forgiven, []string{mac(7)}) {
		t.Errorf("after dismissing and forgiving there are the notices %v, forgiven are %v", b.booted.Notices(), b.booted.forgiven)
	}
}

// TestStepsOfBoots says what the strip shows of each kind of boot.
func TestStepsOfBoots(t *testing.T) {
	b := newBed(t)
	b.bootsInEveryState()
	for n, want := range map[int]string{
		1:  "DHCP Answered 340 ms|Loader Answered 1.2 s|Script Answered 18 ms|Kernel Answered 310 ms|Initramfs Answered 1.9 s|Agent Answered 4.3 s",
		2:  "DHCP Answered 420 ms|Own disk There there",
		3:  "DHCP Answered 340 ms|Loader Answered 1.2 s|Script Answered 18 ms|Menu There there",
		4:  "DHCP Answered 4.1 s|Loader Answered 700 ms|Script Answered 9 ms|Kernel Answered 900 ms|Initramfs Asked 42 %|Agent Not yet ",
		5:  "DHCP Asked asked 3 times|Loader Not yet |Script Not yet |Kernel Not yet |Initramfs Not yet |Agent Not yet ",
		6:  "DHCP Answered 300 ms|Loader Awaited awaited|Script Not yet |Kernel Not yet |Initramfs Not yet |Agent Not yet ",
		7:  "DHCP Answered 400 ms|Loader Never came never came|Script Not reached |Kernel Not reached |Initramfs Not reached |Agent Not reached ",
		8:  "DHCP Answered 350 ms|Loader Failed failed|Script Not reached |Kernel Not reached |Initramfs Not reached |Agent Not reached ",
		30: "DHCP Answered 220 ms|Loader Skipped not needed|Script Answered 12 ms|Kernel Answered 300 ms|Initramfs Answered 2.1 s|Agent Awaited awaited",
		40: "DHCP Answered 80 ms|Own disk There there",
	} {
		var got []string
		for _, s := range viewBoot(b.booted.History(mac(n))[0], nil).Strip {
			got = append(got, fmt.Sprint(s.Label, " ", s.Word, " ", s.Note))
		}
		if strings.Join(got, "|") != want {
			t.Errorf("PC %d:\ngot  %s\nwant %s", n, strings.Join(got, "|"), want)
		}
	}
}

func TestNetworkPanel(t *testing.T) {
	b := newBed(t)
	br := b.login(b.serve())
	for _, c := range []struct {
		change func(*netboot.Status)
		want   []string
	}{
		{func(*netboot.Status) {}, []string{"Aula leases addresses and tells PCs what to boot.", "192.168.77.128–254", "18 of 127 leased, 2 reserved", "none answered"}},
		{foreign, []string{"Another server, 10.1.2.3, leases addresses; Aula tells PCs what to boot (ProxyDHCP).", "00:15:5d:00:04:01"}},
		{func(st *netboot.Status) { foreign(st); st.Others[0].Aula = "west" }, []string{"10.1.2.3 (the Aula west)", "the Aula west; it leases addresses"}},
		{func(st *netboot.Status) { foreign(st); st.Role = dhcp.Full }, []string{"Aula leases addresses, and so does 10.1.2.3.", "Switch the other one off"}},
		{func(st *netboot.Status) { st.Role, st.Pools = dhcp.Proxy, nil }, []string{"No server that leases addresses has answered."}},
		{func(st *netboot.Status) { st.Pools[0].Leased = 127 }, []string{"Full", "127 of 127 leased"}},
		{func(st *netboot.Status) { st.Drops = dhcp.Drops{UnknownRelay: 3, Malformed: 12} },
			[]string{"without an answer since Aula started: 3 by relay agents of networks that are not configured, 12 that could not be read."}},
		{func(st *netboot.Status) { *st = netboot.Status{} }, []string{"The boot services are starting."}},
	} {
		b.isNetwork(func(st *netboot.Status) { *st = quietNetwork(); c.change(st) })
		body := br.get("/boot").want(http.StatusOK).body
		for _, want := range c.want {
			if !strings.Contains(body, want) {
				t.Errorf("the panel does not say %q:\n%s", want, mainOf(t, body))
			}
		}
	}
}

func TestQuestionOfLeasing(t *testing.T) {
	b := newBed(t)
	br := b.login(b.serve())
	const text = "No other DHCP server answers on eth1. May Aula lease addresses 192.168.77.128–254?"
	if strings.Contains(br.get("/images").body, text) {
		t.Error("it is asked though there is nothing to ask")
	}
	for _, answer := range []string{"lease", "proxy"} { // from an old page
		res := br.post("/network/answer", url.Values{"answer": {answer}}).want(http.StatusUnprocessableEntity)
		if !strings.Contains(res.body, "Aula leases addresses already") {
			t.Errorf("%s though nothing is asked: the page does not say why not", answer)
		}
	}
	b.isNetwork(asking)
	if !strings.Contains(br.get("/images").body, text) {
		t.Error("a page does not ask")
	}
	br.post("/network/answer", url.Values{"answer": {"perhaps"}}).want(http.StatusUnprocessableEntity)
	if got := b.network.called(); got != "" {
		t.Errorf("no answer did %s", got)
	}
	br.post("/network/answer", url.Values{"answer": {"lease"}}).want(http.StatusSeeOther)
	settings, err := b.cat.BootSettings()
	if got := b.network.called(); got != "reconsider" || err != nil || !settings.LeaseConsent {
		t.Errorf("agreeing did %q and left %+v, %v", got, settings, err)
	}
	br.post("/network/answer", url.Values{"answer": {"proxy"}}).want(http.StatusSeeOther)
	settings, _ = b.cat.BootSettings()
	if got := b.network.called(); got != "mode proxy" || settings.Mode != "proxy" || settings.LeaseConsent {
		t.Errorf("declining did %q and left %+v", got, settings)
	}
	br.post("/network/mode", url.Values{"mode": {"full"}}).want(http.StatusSeeOther)
	br.post("/network/look", nil).want(http.StatusSeeOther)
	if got := b.network.called(); got != "mode full, probe" {
		t.Errorf("the mode and looking did %q", got)
	}
	br.post("/network/mode", url.Values{"mode": {"none"}}).want(http.StatusUnprocessableEntity)
	b.server.cfg.ModeFixed = true
	br.post("/network/mode", url.Values{"mode": {"proxy"}}).want(http.StatusUnprocessableEntity)
	if body := br.get("/boot").body; strings.Contains(body, `name="mode"`) || strings.Contains(body, `value="proxy"`) {
		t.Error("the mode is offered though it is fixed")
	}
	if got := b.network.called(); got != "" {
		t.Errorf("a fixed mode was changed: %s", got)
	}
}

// TestStaleAnswers says why nothing can be agreed to when nothing is asked.
func TestStaleAnswers(t *testing.T) {
	for want, change := range map[string]func(*netboot.Status){
		"":                            asking,
		"leases addresses already":    func(*netboot.Status) {},
		"in the mode proxy":           func(st *netboot.Status) { st.Role, st.Mode = dhcp.Proxy, netboot.ModeProxy },
		"10.1.2.3 leases addresses":   foreign,
		"still being looked for":      func(st *netboot.Status) { st.Role, st.Probed = "", time.Time{} },
		"until the answer is heeded":  func(st *netboot.Status) { st.Role = dhcp.Proxy },
		"Aula leases addresses alrea": func(st *netboot.Status) { foreign(st); st.Role = dhcp.Full },
	} {
		st := quietNetwork()
		change(&st)
		if err := stillAsked(st); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v", want, err)
		}
	}
}

// TestModeAndConsent says what is left of the operator's agreement when the mode changes.
func TestModeAndConsent(t *testing.T) {
	b := newBed(t)
	br := b.login(b.serve())
	for _, c := range []struct {
		now, to netboot.Mode
		kept    bool
	}{{netboot.ModeAuto, netboot.ModeAuto, true}, {netboot.ModeAuto, netboot.ModeFull, false}, {netboot.ModeAuto, netboot.ModeProxy, false}, {netboot.ModeFull, netboot.ModeAuto, false}} {
		b.isNetwork(func(st *netboot.Status) { st.Mode = c.now })
		b.check(b.cat.ChangeBootSettings(func(s *catalog.BootSettings) { s.LeaseConsent = true }))
		br.post("/network/mode", url.Values{"mode": {string(c.to)}}).want(http.StatusSeeOther)
		if settings, err := b.cat.BootSettings(); err != nil || settings.LeaseConsent != c.kept {
			t.Errorf("%s to %s: %+v, %v; want consent %v", c.now, c.to, settings, err, c.kept)
		}
	}
}

func TestReservedAddressIsServed(t *testing.T) {
	st := quietNetwork()
	st.Pools = append(st.Pools, netboot.Pool{Network: netip.MustParsePrefix("10.20.0.0/16")})
	for a, want := range map[string]string{
		"192.168.77.20":  "",
		"10.20.255.0":    "",
		"192.168.77.1":   "the address of this appliance",
		"192.168.77.255": "its last address",
		"10.20.0.0":      "belongs to the network 10.20.0.0/16",
		"192.168.78.20":  "in 192.168.77.0/24 or 10.20.0.0/16",
	} {
		if err := served(st, netip.MustParseAddr(a)); (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", a, err, want)
		}
	}
	if served(netboot.Status{}, netip.MustParseAddr("192.168.77.20")) == nil {
		t.Error("an address is served though no network is")
	}
}

func TestPagesWithoutBootServices(t *testing.T) {
	b := newBed(t)
	b.server.cfg.Boots, b.server.cfg.Network = nil, nil
	br := b.login(b.serve())
	room := b.hall("Faculty", "Room-1")
	pc := b.enrol(room, 1)
	for _, path := range []string{"/boot", "/leases", "/classrooms/" + room.ID, "/classrooms/" + room.ID + "/boot", "/computers/" + pc.ID, "/settings"} {
		br.get(path).want(http.StatusOK)
	}
	for _, path := range []string{"/network/answer", "/network/mode", "/network/look", "/notices/dismiss", "/boot/" + mac(1) + "/forgive"} {
		br.post(path, nil).want(http.StatusNotFound)
	}
	if body := br.get("/boot").body; !strings.Contains(body, "The boot services are off") {
		t.Error("the page does not say that the boot services are off")
	}
}

func TestChoices(t *testing.T) {
	b := newBed(t)
	br := b.login(b.serve())
	room := b.hall("Faculty", "Room-1")
	first, second := b.enrol(room, 1), b.enrol(room, 2)
	br.post("/classrooms/"+room.ID+"/groups", url.Values{"new": {"Teacher"}}).want(http.StatusSeeOther)
	br.post("/classrooms/"+room.ID+"/groups", url.Values{"new": {"teacher"}}).want(http.StatusConflict)
	groups, err := b.cat.Groups(room.ID)
	if err != nil || len(groups) != 1 {
		t.Fatalf("groups %v, %v", groups, err)
	}
	group := groups[0]
	b.names = append(b.names, group.ID, "ID-group")
	br.post("/classrooms/"+room.ID+"/boot", url.Values{"boot": {"client"}}).want(http.StatusSeeOther)
	br.post("/groups/"+group.ID, url.Values{"name": {"Teachers"}, "boot": {"menu"}}).want(http.StatusSeeOther)
	br.post("/choices", url.Values{"pc": {first.ID}, "group": {group.ID}, "once": {keep}, "always": {keep}}).want(http.StatusSeeOther)
	golden(t, "room-boot", mainOf(t, b.calm(br.get("/classrooms/"+room.ID+"/boot").body)))
	golden(t, "choices", mainOf(t, b.calm(br.get("/choices?pc="+first.ID+"&pc="+second.ID).body)))
	for _, c := range []struct{ path, want string }{
		{"/computers/" + first.ID, "As the group Teachers: menu"}, {"/computers/" + second.ID, "As the classroom: client OS"},
		{"/classrooms/" + room.ID, `title="Group Teachers"`},
	} {
		if body := br.get(c.path).body; !strings.Contains(body, c.want) {
			t.Errorf("%s does not say %q", c.path, c.want)
		}
	}
	br.post("/choices", url.Values{"pc": {first.ID, second.ID}, "once": {"disk"}, "always": {"menu"}, "group": {""}}).want(http.StatusSeeOther)
	for _, pc := range []catalog.Computer{first, second} {
		got, err := b.cat.Computer(pc.ID)
		if err != nil || got.NextBoot != catalog.BootDisk || got.Boot != catalog.BootMenu || got.GroupID != "" {
			t.Errorf("%s: %+v, %v", pc.Name, got, err)
		}
	}
	if !strings.Contains(br.get("/classrooms/"+room.ID).body, "next start: own disk") {
		t.Error("the classroom does not show what its PCs boot next")
	}
	br.post("/computers/"+first.ID+"/boot", url.Values{"once": {""}, "always": {""}, "address": {" 192.168.77.20 "}}).want(http.StatusSeeOther)
	got, _ := b.cat.Computer(first.ID)
	if got.NextBoot != "" || got.Boot != "" || got.Reserved.String() != "192.168.77.20" {
		t.Errorf("after the form of the PC: %+v", got)
	}
	b.isNetwork(func(st *netboot.Status) { st.Pools[0].Network = netip.MustParsePrefix("10.9.0.0/24") }) // the NIC was given another address
	br.post("/computers/"+first.ID+"/boot", url.Values{"address": {"192.168.77.20"}}).want(http.StatusSeeOther)
	if res := br.post("/computers/"+first.ID+"/boot", url.Values{"address": {"192.168.77.21"}}).want(http.StatusUnprocessableEntity); !strings.Contains(res.body, "reserve one in 10.9.0.0/24") {
		t.Error("it is not said in which network an address can be reserved")
	}
	b.isNetwork(func(st *netboot.Status) { *st = quietNetwork() })
	for _, bad := range []url.Values{{"once": {"floppy"}}, {"always": {"none"}}, {"address": {"192.168.77"}}, {"address": {"::1"}}, {"group": {"none"}}} {
		if res := br.post("/computers/"+first.ID+"/boot", bad); res.StatusCode != http.StatusUnprocessableEntity && res.StatusCode != http.StatusNotFound {
			t.Errorf("%v: %s", bad, res.Status)
		}
	}
	if res := br.post("/computers/"+second.ID+"/boot", url.Values{"address": {"192.168.77.20"}}); res.StatusCode == http.StatusSeeOther {
		t.Error("an address is reserved for two PCs")
	}
	br.post("/computers/"+first.ID+"/quirks", url.Values{"quirk": {"slow-http", "uefi-ipxe"}}).want(http.StatusSeeOther)
	br.post("/boot/"+mac(9)+"/quirks", url.Values{"quirk": {"one-offer"}}).want(http.StatusSeeOther)
	br.post("/computers/"+first.ID+"/quirks", url.Values{"quirk": {"no-such"}}).want(http.StatusUnprocessableEntity)
	quirks, err := b.cat.Quirks()
	if err != nil || !quirks[mac(1)].Has(quirk.SlowHTTP) || !quirks[mac(1)].Has(quirk.UEFIIPXE) || !quirks[mac(9)].Has(quirk.OneOffer) {
		t.Errorf("quirks %v, %v", quirks, err)
	}
	br.post("/groups/"+group.ID+"/remove", nil).want(http.StatusSeeOther)
	br.post("/groups/"+group.ID+"/remove", nil).want(http.StatusNotFound)
}

func TestBootSettings(t *testing.T) {
	b := newBed(t)
	br := b.login(b.serve())
	form := func(pairs ...string) url.Values {
		v := url.Values{"accepted": {"client"}, "unknown": {"none"}, "seconds": {"30"}}
		for i := 0; i < len(pairs); i += 2 {
			v.Set(pairs[i], pairs[i+1])
		}
		return v
	}
	br.post("/settings/boot", form("menuPassword", "teach-1")).want(http.StatusSeeOther)
	got, err := b.cat.BootSettings()
	if err != nil || got.Accepted != "client" || got.Unknown != "none" || got.Menu.Seconds != 30 || !strings.HasPrefix(got.Menu.PasswordHash, "grub.pbkdf2.sha512.") {
		t.Fatalf("settings %+v, %v", got, err)
	}
	if strings.Contains(br.get("/settings").body, got.Menu.PasswordHash) {
		t.Error("the page holds the hash of the password")
	}
	br.post("/settings/boot", form("forever", "1", "seconds", "")).want(http.StatusSeeOther)
	if kept, _ := b.cat.BootSettings(); kept.Menu.PasswordHash != got.Menu.PasswordHash || kept.Menu.Seconds >= 0 {
		t.Errorf("without a new password: %+v", kept)
	}
	br.post("/settings/boot", form("noPassword", "1")).want(http.StatusSeeOther)
	if none, _ := b.cat.BootSettings(); none.Menu.PasswordHash != "" {
		t.Errorf("the password was not removed: %+v", none)
	}
	for _, bad := range []url.Values{form("seconds", "0"), form("seconds", "99999"), form("seconds", "x"), form("accepted", "none"), form("unknown", "floppy"),
		form("menuPassword", "ab"), form("menuPassword", "contraseña")} {
		br.post("/settings/boot", bad).want(http.StatusUnprocessableEntity)
	}
}

func TestLeasesPage(t *testing.T) {
	b := newBed(t)
	br := b.login(b.serve())
	room := b.hall("Faculty", "Room-1")
	first, second := b.enrol(room, 1), b.enrol(room, 2)
	b.check(b.cat.Reserve(first.ID, netip.MustParseAddr("192.168.77.130")))
	b.check(b.cat.Reserve(second.ID, netip.MustParseAddr("192.168.77.20")))
	of := func(n, last int, state lease.State, left time.Duration) lease.Lease {
		m, err := lease.ParseMAC(mac(n))
		b.check(err)
		return lease.Lease{Address: netip.AddrFrom4([4]byte{192, 168, 77, byte(last)}), MAC: m, State: state, Expires: b.clock.Now().Add(left)}
	}
	b.network.leases = []lease.Lease{of(1, 130, lease.Bound, time.Hour), of(9, 131, lease.Bound, -time.Hour), of(9, 132, lease.Quarantined, time.Hour), of(10, 133, lease.Released, time.Hour)}
	golden(t, "leases", mainOf(t, b.calm(br.get("/leases").want(http.StatusOK).body)))
}
