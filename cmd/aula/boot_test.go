package main

import (
	"context"
	"encoding/json"
	"errors"
	"net/netip"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"aula/appliance/boot"
	"aula/netboot"
	"aula/netboot/dhcp"
	"aula/netboot/lease"
	"aula/netboot/neighbour"
	"aula/webui/api"
)

// testBoots are the boots that a test tells of.
type testBoots struct {
	mu       sync.Mutex
	boots    []boot.Boot // the newest first
	notices  []boot.Notice
	forgiven []string
}

func (b *testBoots) Boots() []boot.Boot {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.boots)
}

func (b *testBoots) History(mac string) []boot.Boot {
	return slices.DeleteFunc(b.Boots(), func(one boot.Boot) bool { return one.MAC != mac })
}

func (b *testBoots) Notices() []boot.Notice {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.notices)
}

func (b *testBoots) Dismiss(key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.notices = slices.DeleteFunc(b.notices, func(n boot.Notice) bool { return n.Key == key })
}

func (b *testBoots) Forgive(mac string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.forgiven = append(b.forgiven, mac)
}

// set lets a test say how boots went while the appliance runs.
func (b *testBoots) set(boots []boot.Boot, notices ...boot.Notice) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.boots, b.notices = boots, notices
}

// testNetwork is the network as a test says it is.
type testNetwork struct {
	mu     sync.Mutex
	status netboot.Status
	leases []lease.Lease
	found  []neighbour.Server
	failed error // of Probe
	did    []string
}

func (n *testNetwork) Status() netboot.Status {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.status
}

func (n *testNetwork) Leases() []lease.Lease {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.leases
}

func (n *testNetwork) Reconsider() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.did = append(n.did, "reconsider")
}

func (n *testNetwork) SetMode(m netboot.Mode) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.did = append(n.did, "mode "+string(m))
	n.status.Mode = m
}

func (n *testNetwork) Probe(context.Context) ([]neighbour.Server, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.found, n.failed
}

// change lets a test change it while the appliance runs.
func (n *testNetwork) change(edit func(*testNetwork)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	edit(n)
}

// A said is what a command is to say, and its exit status.
type said struct {
	name, want string
	status     int
	args       []string
}

func (b *bed) say(t *testing.T, all []said) {
	t.Helper()
	for _, c := range all {
		stdout, stderr, status := aula(t, append(c.args, "--data", b.data)...)
		if status != c.status || !strings.Contains(stdout+stderr, c.want) {
			t.Errorf("%s: %v: got status %d, %q, %q; want %d, %q", c.name, c.args, status, stdout, stderr, c.status, c.want)
		}
	}
}

func TestWhatComputersBoot(t *testing.T) {
	b := newBed(t)
	pcs := b.room("North", "Room 1", 1, 3)
	b.room("South", "Room 2", 4, 1)
	b.say(t, []said{
		{"a group", "group Teachers in Room 1: 1 computer", 0, []string{"group", "add", "Room 1", "Teachers", "pc-01"}},
		{"another", "group Row in Room 1: 0 computers", 0, []string{"group", "add", "room 1", "Row"}},
		{"of the same name elsewhere", "group Row in Room 2: 0 computers", 0, []string{"group", "add", "Room 2", "Row"}},
		{"twice", "already in the catalog in this classroom", 1, []string{"group", "add", "Room 1", "row"}},
		{"of a classroom that is not there", `"Room 9"`, 2, []string{"group", "add", "Room 9", "Row"}},
		{"ambiguous", "North/Room 1/Row or South/Room 2/Row", 2, []string{"group", "put", "Row", "pc-02"}},
		{"members", "1 computer in group Row of Room 1", 0, []string{"group", "put", "Room 1/Row", "pc-02"}},
		{"of another classroom", "is not in the classroom of group", 1, []string{"group", "put", "Teachers", "pc-04"}},
		{"out of it", "1 computer in no group", 0, []string{"group", "put", "none", "pc-02"}},
		{"and in again", "2 computers in group Row of Room 1", 0, []string{"group", "put", "Room 1/Row", "pc-02,pc-03"}},
		{"renamed", "group Row of Room 1 is called First row now", 0, []string{"group", "rename", "north/room 1/row", "First row"}},
		{"no such group", `there is no group "Rows"`, 2, []string{"group", "remove", "Rows"}},
		{"removed", "group Row of Room 2 is removed", 0, []string{"group", "remove", "Row"}},

		{"a computer", "1 computer boot: client OS", 0, []string{"boot", "set", "client", "pc-01"}},
		{"a group and a classroom", "1 group, 1 classroom boot: menu", 0, []string{"boot", "set", "menu", "Room 1/First row", "--classroom", "Room 2"}},
		{"once", "3 computers next boot: client OS, once", 0, []string{"boot", "set", "client", "Room 1", "--once"}},
		{"once, of a group", "2 computers next boot: own disk, once", 0, []string{"boot", "set", "disk", "Room 1/First row", "--once"}},
		{"all", "all computers without a choice of their own boot: menu", 0, []string{"boot", "set", "menu", "--all"}},
		{"unknown", "computers that nobody has accepted boot: nothing", 0, []string{"boot", "set", "none", "--unknown"}},
		{"inherit", "1 computer boot what is said above them", 0, []string{"boot", "set", "inherit", "pc-01"}},
		{"nothing for computers", "--unknown alone", 2, []string{"boot", "set", "none", "pc-01"}},
		{"what is not there", `no "windows" to boot`, 2, []string{"boot", "set", "windows", "pc-01"}},
		{"of nobody", "say of which", 2, []string{"boot", "set", "disk"}},
		{"of somebody else", `"pc-99"`, 2, []string{"boot", "set", "disk", "pc-99"}},
		{"unknown once", "no choice for once", 1, []string{"boot", "set", "disk", "--unknown", "--once"}},
	})
	stdout, _, _ := aula(t, "group", "list", "--data", b.data)
	if !strings.Contains(stdout, "Room 1     First row  menu   pc-02,pc-03") || !strings.Contains(stdout, "Room 1     Teachers   -      pc-01") {
		t.Errorf("group list:\n%s", stdout)
	}
	settings, err := b.cat.BootSettings()
	if err != nil || settings.Accepted != "menu" || settings.Unknown != "none" {
		t.Errorf("settings %+v, %v", settings, err)
	}
	var next []string
	for _, pc := range pcs {
		got, err := b.cat.Computer(pc.ID)
		if err != nil {
			t.Fatal(err)
		}
		next = append(next, got.NextBoot+"/"+got.Boot)
	}
	if want := []string{"client/", "disk/", "disk/"}; !slices.Equal(next, want) {
		t.Errorf("next and always: %v, want %v", next, want)
	}
	rooms, err := b.cat.Classrooms()
	if err != nil || len(rooms) != 2 || rooms[0].Boot != "" || rooms[1].Boot != "menu" {
		t.Errorf("classrooms %+v, %v", rooms, err)
	}
}

func TestMenuIsSet(t *testing.T) {
	b := newBed(t)
	b.say(t, []said{
		{"at first", "the menu boots the own disk after 10 seconds; its entries for technicians need no password", 0, []string{"boot", "menu"}},
		{"longer", "after 1 second;", 0, []string{"boot", "menu", "--timeout", "1"}},
		{"for ever", "waits for ever", 0, []string{"boot", "menu", "--timeout=-1"}},
		{"no time at all", "no time to choose", 2, []string{"boot", "menu", "--timeout", "0"}},
		{"too long", "3600", 1, []string{"boot", "menu", "--timeout", "4000"}},
		{"no password typed", "no password was given", 2, []string{"boot", "menu", "--password"}},
	})
	cmd := exec.CommandContext(t.Context(), os.Args[0], "boot", "menu", "--password", "--data", b.data)
	cmd.Env, cmd.Stdin = append(os.Environ(), asProgram+"=1"), strings.NewReader("open sesame\n")
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "need the password") {
		t.Errorf("password: got %q, %v", out, err)
	}
	settings, err := b.cat.BootSettings()
	if err != nil || !strings.HasPrefix(settings.Menu.PasswordHash, "grub.pbkdf2.sha512.") {
		t.Errorf("settings %+v, %v", settings, err)
	}
	if stdout, stderr, _ := aula(t, "boot", "menu", "--json", "--data", b.data); strings.Contains(stdout+stderr, "pbkdf2") || !strings.Contains(stdout, `"menuPassword": true`) {
		t.Errorf("as JSON: %q, %q", stdout, stderr)
	}
	b.say(t, []said{{"taken away", "need no password", 0, []string{"boot", "menu", "--no-password"}}})
}

func TestHowBootsWent(t *testing.T) {
	b := newBed(t)
	pcs := b.room("North", "Room 1", 1, 1)
	b.say(t, []said{{"none", "None has booted", 0, []string{"boot"}}})
	at := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	b.boots.set([]boot.Boot{
		{MAC: "52:54:00:00:00:77", Firmware: netboot.BIOS, State: boot.Stopped, Began: at.Add(time.Minute), Ended: at.Add(2 * time.Minute),
			Reason: "It asked for an address and stopped asking.", Steps: []boot.Step{{Name: netboot.StepDHCP, Phase: netboot.Asked, Began: at.Add(time.Minute), Last: at.Add(2 * time.Minute), Times: 3}}},
		{MAC: macOf(1), ComputerID: pcs[0].ID, Name: "pc-01", Classroom: "Room 1", Firmware: netboot.UEFIx64, HTTP: true, Target: netboot.BootDisk, Why: "no work waits for it",
			State: boot.Arrived, Began: at, Ended: at.Add(700 * time.Millisecond), Address: netip.MustParseAddr("10.0.0.9"),
			Steps: []boot.Step{{Name: netboot.StepDHCP, Phase: netboot.Answered, Detail: "local boot", Began: at, Last: at.Add(700 * time.Millisecond)}}},
	})
	stdout, stderr, status := aula(t, "boot", "--data", b.data)
	if status != 0 {
		t.Errorf("boot: status %d, %s", status, stderr)
	}
	golden(t, "boot-show", stdout)
	stdout, stderr, status = aula(t, "boot", "pc-01", "--data", b.data)
	if status != 0 {
		t.Errorf("boot pc-01: status %d, %s", status, stderr)
	}
	golden(t, "boot-show-one", stdout)
	var all []api.Boot
	if stdout, _, _ = aula(t, "boot", "show", "--json", "--data", b.data); json.Unmarshal([]byte(stdout), &all) != nil || len(all) != 2 || all[1].Address != "10.0.0.9" {
		t.Errorf("as JSON: %s", stdout)
	}
	b.say(t, []said{
		{"by its MAC", "It asked for an address and stopped asking.", 0, []string{"boot", "show", "52-54-00-00-00-77"}},
		{"who is not there", `no computer "pc-09"`, 2, []string{"boot", "show", "pc-09"}},
		{"a classroom", "name a computer", 2, []string{"boot", "show", "Room 1"}},
		{"forgiven", "pc-01 may boot the client OS again", 0, []string{"boot", "forgive", "pc-01"}},
	})
	b.boots.mu.Lock()
	defer b.boots.mu.Unlock()
	if want := []string{macOf(1)}; !slices.Equal(b.boots.forgiven, want) {
		t.Errorf("forgiven %v, want %v", b.boots.forgiven, want)
	}
}

func TestNetwork(t *testing.T) {
	b := newBed(t)
	b.room("North", "Room 1", 1, 2)
	status := netboot.Status{
		Interface: "eth1", Address: netip.MustParsePrefix("10.0.0.1/24"), Mode: netboot.ModeAuto, Role: dhcp.Proxy, Asking: true,
		Pools: []netboot.Pool{{Network: netip.MustParsePrefix("10.0.0.0/24"), First: netip.MustParseAddr("10.0.0.128"), Last: netip.MustParseAddr("10.0.0.254"), Size: 127}},
	}
	b.network.change(func(n *testNetwork) { n.status = status })
	stdout, stderr, code := aula(t, "dhcp", "--data", b.data)
	if code != exitAsking || !strings.Contains(stderr, "'aula dhcp allow'") {
		t.Errorf("dhcp: status %d, %s; want %d", code, stderr, exitAsking)
	}
	golden(t, "dhcp-asking", stdout)
	b.say(t, []said{
		{"agreed", "agreed: this appliance leases addresses", 0, []string{"dhcp", "allow"}},
		{"mode", "mode proxy", 0, []string{"dhcp", "mode", "proxy"}},
		{"no such mode", "must be one of", 2, []string{"dhcp", "mode", "off"}},
		{"agreed when nothing is asked", "the mode is proxy", 2, []string{"dhcp", "allow"}},
		{"reserved", "pc-01 always gets 10.0.0.40", 0, []string{"dhcp", "reserve", "pc-01", "10.0.0.40"}},
		{"reserved twice", `reserved for computer "pc-01"`, 1, []string{"dhcp", "reserve", "pc-02", "10.0.0.40"}},
		{"elsewhere", "reserve one in 10.0.0.0/24", 1, []string{"dhcp", "reserve", "pc-02", "192.168.1.20"}},
		{"no address", "no IPv4 address", 2, []string{"dhcp", "reserve", "pc-02", "fe80::1"}},
		{"a classroom", "is a classroom", 2, []string{"dhcp", "reserve", "Room 1", "10.0.0.41"}},
		{"any address", "pc-02 gets any address", 0, []string{"dhcp", "reserve", "pc-02", "none"}},
		{"nobody else", "no other DHCP server was heard", 0, []string{"dhcp", "probe"}},
	})
	b.network.change(func(n *testNetwork) {
		if want := []string{"reconsider", "mode proxy"}; !slices.Equal(n.did, want) {
			t.Errorf("the network was told %v, want %v", n.did, want)
		}
	})
	if settings, err := b.cat.BootSettings(); err != nil || settings.LeaseConsent || settings.Mode != "proxy" {
		t.Errorf("settings %+v, %v", settings, err)
	}

	at := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	b.boots.set(nil, boot.Notice{Notice: netboot.Notice{Key: "dhcp/other-server/10.0.0.2", Level: netboot.Alarm, Text: "Another server leases addresses."}, Since: at, Times: 2})
	mac, _ := lease.ParseMAC(macOf(2))
	b.network.change(func(n *testNetwork) {
		n.found = []neighbour.Server{{Address: netip.MustParseAddr("10.0.0.2"), MAC: "52:54:00:aa:bb:cc", Leases: true, Last: at}}
		n.status.Asking, n.status.Others = false, n.found
		n.leases = []lease.Lease{{Address: netip.MustParseAddr("10.0.0.130"), MAC: mac, State: lease.Bound, Expires: at}}
	})
	for name, args := range map[string][]string{"dhcp-proxy": {"dhcp"}, "dhcp-leases": {"dhcp", "leases"}} {
		stdout, stderr, status := aula(t, append(args, "--data", b.data)...)
		if status != 0 {
			t.Errorf("%v: status %d, %s", args, status, stderr)
		}
		golden(t, name, stdout)
	}
	b.say(t, []said{
		{"found", "10.0.0.2", 0, []string{"dhcp", "probe"}},
		{"taken away", "taken away: Another server", 0, []string{"dhcp", "dismiss", "dhcp/other-server/10.0.0.2"}},
		{"again", "there is no notice", 2, []string{"dhcp", "dismiss", "dhcp/other-server/10.0.0.2"}},
	})
	b.network.change(func(n *testNetwork) { n.failed = errors.New("the cable is out") })
	b.say(t, []said{{"not possible", "could not be looked for: the cable is out", 1, []string{"dhcp", "probe"}}})
}

func TestQuirks(t *testing.T) {
	b := newBed(t)
	b.room("North", "Room 1", 1, 1)
	b.say(t, []said{
		{"rules", "slow-http\n    The client OS is sent at 20 MB/s at most.", 0, []string{"quirk", "list"}},
		{"of a computer", "pc-01 has the quirks slow-http, own-drivers", 0, []string{"quirk", "set", "pc-01", "slow-http", "own-drivers"}},
		{"of a network card", "has the quirks uefi-ipxe", 0, []string{"quirk", "set", "52:54:00:00:00:99", "uefi-ipxe"}},
		{"no such quirk", `no quirk "fast"`, 1, []string{"quirk", "set", "pc-01", "fast"}},
		{"of no network card", "is not a MAC address", 1, []string{"quirk", "set", "zz:54:00:00:00:99", "uefi-ipxe"}},
		{"listed", "pc-01     52:54:00:00:00:01  own-drivers,slow-http", 0, []string{"quirk", "list"}},
		{"none any more", "52:54:00:00:00:99 has no quirks any more", 0, []string{"quirk", "set", "52:54:00:00:00:99"}},
	})
	if stdout, _, _ := aula(t, "quirk", "list", "--json", "--data", b.data); strings.Contains(stdout, "52:54:00:00:00:99") || !strings.Contains(stdout, `"name": "pc-01"`) {
		t.Errorf("as JSON: %s", stdout)
	}
}

// What is new of boots is told, and of what had ended before nothing.
func TestBootsAreWatched(t *testing.T) {
	at := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
	b := api.Boot{MAC: macOf(1), Name: "pc-01", State: "underway", Began: at, Steps: []api.BootStep{{Name: "dhcp", Phase: "asked", Began: at, Last: at}}}
	over := api.Boot{MAC: macOf(2), Name: "pc-02", State: "arrived", Began: at, Ended: at.Add(time.Second)}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout := os.Stdout
	os.Stdout = write
	c, told := &bootWatchCommand{}, map[string]string{}
	for i, one := range []api.Boot{b, over, b, b, over} {
		if i == 3 {
			one.Steps = append(one.Steps, api.BootStep{Name: "loader", Phase: "failed", Detail: "broke off", Began: at, Last: at.Add(2 * time.Second)})
			one.State, one.Reason = "stopped", "Look at the cable."
		}
		if err := c.news(told, one, i < 2); err != nil {
			t.Error(err)
		}
	}
	os.Stdout = stdout
	write.Close()
	got := make([]byte, 1000)
	n, _ := read.Read(got)
	lines := strings.Split(strings.TrimSpace(string(got[:n])), "\n")
	if len(lines) != 2 || !strings.HasSuffix(lines[0], "  pc-01  dhcp: asked") || !strings.HasSuffix(lines[1], "  pc-01  loader: failed, broke off; stopped after 2.0 s: Look at the cable.") {
		t.Errorf("told %q", lines)
	}
}
