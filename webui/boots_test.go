package webui

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"aula/appliance/boot"
	"aula/appliance/catalog"
	"aula/netboot"
	"aula/netboot/dhcp"
	"aula/netboot/lease"
	"aula/netboot/neighbour"
	"aula/netboot/quirk"
)

// fakeBoots are the boots and notices that a test tells of.
type fakeBoots struct {
	mu       sync.Mutex
	boots    map[string][]boot.Boot // by MAC, the latest first
	notices  []boot.Notice
	forgiven []string
}

func (f *fakeBoots) Boots() []boot.Boot {
	f.mu.Lock()
	defer f.mu.Unlock()
	var all []boot.Boot
	for _, history := range f.boots {
		all = append(all, history[0])
	}
	slices.SortFunc(all, func(a, b boot.Boot) int { return strings.Compare(b.Began.String()+b.MAC, a.Began.String()+a.MAC) })
	return all
}

func (f *fakeBoots) History(mac string) []boot.Boot {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.boots[mac])
}

func (f *fakeBoots) Notices() []boot.Notice {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.notices)
}

func (f *fakeBoots) Dismiss(key string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.notices = slices.DeleteFunc(f.notices, func(n boot.Notice) bool { return n.Key == key })
}

func (f *fakeBoots) Forgive(mac string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.forgiven = append(f.forgiven, mac)
}

// boots tells of a new boot, or of more of the last one when it began at the same moment.
func (b *bed) boots(all ...boot.Boot) {
	b.t.Helper()
	f := b.booted
	f.mu.Lock()
	for _, one := range all {
		history := f.boots[one.MAC]
		if len(history) > 0 && history[0].Began.Equal(one.Began) {
			history = history[1:]
		}
		f.boots[one.MAC] = append([]boot.Boot{one}, history...)
	}
	f.mu.Unlock()
	for _, one := range all {
		b.server.BootChanged(one.MAC)
	}
}

func (b *bed) notify(all ...boot.Notice) {
	b.booted.mu.Lock()
	b.booted.notices = all
	b.booted.mu.Unlock()
	b.server.BootChanged("")
}

// fakeNetwork is the network as a test says it is.
type fakeNetwork struct {
	mu     sync.Mutex
	status netboot.Status
	leases []lease.Lease
	calls  []string
	failed error // of Probe
}

func (f *fakeNetwork) Status() netboot.Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.status
}

func (f *fakeNetwork) SetMode(m netboot.Mode) { f.call("mode " + string(m)) }
func (f *fakeNetwork) Reconsider()            { f.call("reconsider") }
func (f *fakeNetwork) Leases() []lease.Lease  { return f.leases }

func (f *fakeNetwork) Probe(context.Context) ([]neighbour.Server, error) {
	f.call("probe")
	return nil, f.failed
}

func (f *fakeNetwork) call(what string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls = append(f.calls, what)
}

// called returns what was called since it was asked last.
func (f *fakeNetwork) called() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := strings.Join(f.calls, ", ")
	f.calls = nil
	return all
}

func (b *bed) isNetwork(change func(*netboot.Status)) {
	b.network.mu.Lock()
	change(&b.network.status)
	b.network.mu.Unlock()
	b.server.BootChanged("")
}

// quietNetwork is one where Aula leases and all is well.
func quietNetwork() netboot.Status {
	return netboot.Status{
		Interface: "eth1", Address: netip.MustParsePrefix("192.168.77.1/24"), Mode: netboot.ModeAuto, Role: dhcp.Full,
		Probed: time.Date(2031, 3, 4, 9, 25, 0, 0, time.UTC),
		Pools: []netboot.Pool{{Network: netip.MustParsePrefix("192.168.77.0/24"), First: netip.MustParseAddr("192.168.77.128"),
			Last: netip.MustParseAddr("192.168.77.254"), Size: 127, Leased: 18, Reserved: 2}},
	}
}

// A bootStory makes a boot step by step.
type bootStory struct {
	boot.Boot
	at time.Time
}

// bootOf begins the story of the n-th PC, so long ago.
func (b *bed) bootOf(n int, ago time.Duration) *bootStory {
	began := b.clock.Now().Add(-ago)
	one := boot.Boot{MAC: mac(n), State: boot.Underway, Began: began, Firmware: netboot.UEFIx64, Address: netip.AddrFrom4([4]byte{192, 168, 77, byte(127 + n)})}
	computers, err := b.cat.Computers()
	b.check(err)
	for _, pc := range computers {
		if slices.Contains(pc.MACs, one.MAC) {
			one.ComputerID, one.Name = pc.ID, pc.Name
		}
	}
	return &bootStory{one, began}
}

// did is a step that was answered after so long.
func (s *bootStory) did(name string, took time.Duration) *bootStory {
	return s.step(name, netboot.Answered, took, "answered "+name, 1)
}

func (s *bootStory) step(name, phase string, took time.Duration, detail string, times int) *bootStory {
	s.Steps = append(s.Steps, boot.Step{Name: name, Phase: phase, Detail: detail, Began: s.at, Last: s.at.Add(took), Times: times})
	s.at = s.at.Add(took + 150*time.Millisecond)
	return s
}

func (s *bootStory) to(target, why string) *bootStory {
	s.Target, s.Why = target, why
	return s
}

func (s *bootStory) arrived() boot.Boot {
	s.State, s.Ended = boot.Arrived, s.at
	return s.Boot
}

func (s *bootStory) stopped(reason string) boot.Boot {
	s.State, s.Ended, s.Reason = boot.Stopped, s.at.Add(time.Minute), reason
	return s.Boot
}

// loaded is the way until the script.
func (s *bootStory) loaded() *bootStory {
	return s.did(netboot.StepDHCP, 340*time.Millisecond).did(netboot.StepLoader, 1200*time.Millisecond).did(netboot.StepScript, 18*time.Millisecond)
}

// bootsInEveryState are PCs 1 to 12, of which the first are in the classroom.
func (b *bed) bootsInEveryState() {
	b.t.Helper()
	work := "work waits for it"
	whole := b.bootOf(1, 2*time.Minute).to(netboot.BootClientOS, work).loaded().did(netboot.StepKernel, 310*time.Millisecond).
		did(netboot.StepInitramfs, 1900*time.Millisecond).did(boot.StepAgent, 0)
	whole.Steps[5].Began, whole.Steps[5].Last = whole.at.Add(4*time.Second), whole.at.Add(4*time.Second)
	disk := b.bootOf(2, 100*time.Second).to(netboot.BootDisk, "nothing else is chosen for it").did(netboot.StepDHCP, 420*time.Millisecond)
	menu := b.bootOf(3, 90*time.Second).to(netboot.BootMenu, "chosen for the group Teacher").loaded()
	bios := b.bootOf(4, 12*time.Second).to(netboot.BootClientOS, work).did(netboot.StepDHCP, 4100*time.Millisecond).did(netboot.StepLoader, 700*time.Millisecond).
		did(netboot.StepScript, 9*time.Millisecond).did(netboot.StepKernel, 900*time.Millisecond).step(netboot.StepInitramfs, netboot.Asked, 3*time.Second, "asked for initramfs.img", 1)
	bios.Firmware = netboot.BIOS
	bios.Steps[4].Bytes, bios.Steps[4].Size = 42_000_000, 100_000_000
	asking := b.bootOf(5, 5*time.Second).step(netboot.StepDHCP, netboot.Asked, 4*time.Second, "DISCOVER", 3)
	asking.Address = netip.Addr{}
	loading := b.bootOf(6, 3*time.Second).to(netboot.BootClientOS, work).did(netboot.StepDHCP, 300*time.Millisecond)
	loading.HTTP, loading.Relay = true, netip.MustParseAddr("10.20.0.1")
	never := b.bootOf(7, 4*time.Minute).to(netboot.BootClientOS, work).did(netboot.StepDHCP, 400*time.Millisecond)
	secure := b.bootOf(8, 3*time.Minute).to(netboot.BootClientOS, work).did(netboot.StepDHCP, 350*time.Millisecond).
		step(netboot.StepLoader, netboot.Failed, 2*time.Second, "shimx64.efi: the PC broke the transfer off after 512 bytes", 2)
	rom := b.bootOf(30, time.Minute).to(netboot.BootClientOS, "nobody has accepted it yet").did(netboot.StepDHCP, 220*time.Millisecond).
		did(netboot.StepScript, 12*time.Millisecond).did(netboot.StepKernel, 300*time.Millisecond).did(netboot.StepInitramfs, 2100*time.Millisecond)
	rom.IPXE, rom.Firmware = true, netboot.BIOS
	strange := b.bootOf(40, 30*time.Second).did(netboot.StepDHCP, 80*time.Millisecond).to(netboot.BootDisk, "there is no client OS for UEFI on ARM64 yet")
	strange.Firmware = netboot.UEFIARM64
	b.boots(whole.arrived(), disk.arrived(), menu.arrived(), bios.Boot, asking.Boot, loading.Boot, rom.Boot, strange.arrived(),
		never.stopped("It got its address and was told to load shimx64.efi, but never asked for it. Often a firewall between the PC and this server drops TFTP (UDP port 69), or the PC heeds another DHCP server. Look whether both are in the same network, and whether the switch port has DHCP snooping."),
		secure.stopped("It broke the boot loader off twice. With Secure Boot this is how firmware acts that does not have Microsoft's third-party key. Allow the “Microsoft 3rd Party UEFI CA” in its firmware, or switch Secure Boot off."))
}

// question is a network on which nobody leases.
func asking(st *netboot.Status) { st.Role, st.Asking, st.Pools[0].Leased = dhcp.Proxy, true, 0 }

// foreign is a network on which another server leases.
func foreign(st *netboot.Status) {
	st.Role, st.Asking, st.Pools = dhcp.Proxy, false, nil
	st.Others = []neighbour.Server{{Address: netip.MustParseAddr("10.1.2.3"), MAC: "00:15:5d:00:04:01", Leases: true, Boots: true, Offered: netip.MustParseAddr("10.1.2.140"),
		First: time.Date(2031, 3, 1, 7, 0, 0, 0, time.UTC), Last: time.Date(2031, 3, 4, 9, 25, 0, 0, time.UTC)}}
}

func (b *bed) someNotices() {
	b.notify(
		boot.Notice{Notice: netboot.Notice{Key: "rogue", Level: netboot.Alarm, Text: "another DHCP server, 192.168.77.250 (52:54:00:aa:bb:cc), leases addresses on eth1: unplug it, or set the mode to proxy"}, Since: b.clock.Now().Add(-3 * time.Minute), Times: 4},
		boot.Notice{Notice: netboot.Notice{Key: "loop", Level: netboot.Warning, Text: "pc-07 has booted the client OS 6 times in 10 minutes without work and boots its own disk now: look at its screen", MAC: mac(7)}, Since: b.clock.Now().Add(-8 * time.Minute), Times: 1},
		boot.Notice{Notice: netboot.Notice{Key: "info", Level: netboot.Info, Text: "pc-06 does not heed option 43; it is asked at port 4011 from now on", MAC: mac(6)}, Since: b.clock.Now().Add(-time.Hour), Times: 1},
	)
}

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
		7:  "DHCP Answered 400 ms|Loader Never came never came|Script Not yet |Kernel Not yet |Initramfs Not yet |Agent Not yet ",
		8:  "DHCP Answered 350 ms|Loader Failed failed|Script Not yet |Kernel Not yet |Initramfs Not yet |Agent Not yet ",
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
	if got := b.network.called(); got != "mode proxy" || settings.Mode != "proxy" {
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
