package boot

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"aula/appliance/catalog"
	"aula/clientos/disk"
	"aula/clientos/protocol"
	"aula/netboot"
	"aula/netboot/quirk"
	"aula/netboot/script"
)

const (
	knownMAC = "52:54:00:00:00:01"
	otherMAC = "52:54:00:00:00:02"
)

var address = netip.MustParseAddr("10.0.0.50")

// room is a Service over a catalog with one accepted PC, knownMAC.
type room struct {
	*Service
	t       *testing.T
	catalog *catalog.Catalog
	pc      catalog.Computer
	class   catalog.Classroom

	mu       sync.Mutex
	busy     map[string]bool
	tickets  int
	started  []string
	clock    time.Time
	noTicket error
}

func newRoom(t *testing.T) *room {
	t.Helper()
	cat, err := catalog.Open(filepath.Join(t.TempDir(), "catalog.db"))
	if err != nil {
		t.Fatal(err)
	}
	r := &room{t: t, catalog: cat, busy: map[string]bool{}, clock: time.Date(2026, 9, 1, 8, 0, 0, 0, time.UTC)}
	centre, err := cat.AddCentre("Centre")
	r.ok(err)
	r.class, err = cat.AddClassroom(centre.ID, "Aula 1")
	r.ok(err)
	r.pc, err = cat.Observe(knownMAC, "10.0.0.50", inventory(), r.clock)
	r.ok(err)
	r.pc, err = cat.AcceptComputer(r.pc.ID, r.class.ID, "")
	r.ok(err)
	r.Service, err = New(Config{
		Catalog: cat, Tickets: r, Now: r.now, LoopBoots: 3,
		Busy: func(id string) bool { r.mu.Lock(); defer r.mu.Unlock(); return r.busy[id] },
		StartSystem: func(id string, disk, partition int) error {
			r.started = append(r.started, fmt.Sprint(id, disk, partition))
			return nil
		},
	})
	r.ok(err)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() { defer close(ended); r.ok(r.Run(ctx)) }()
	for r.generation.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	t.Cleanup(func() { stop(); <-ended; r.ok(cat.Close()) })
	return r
}

func inventory() protocol.Inventory {
	return protocol.Inventory{Firmware: "bios", Disks: []disk.Disk{{Partitions: []disk.Partition{
		{Number: 1, Filesystem: "NTFS", Bytes: 500 << 20}, // Windows' own small one
		{Number: 2, Filesystem: "NTFS", Bytes: 100 << 30, Label: "Windows 11"},
		{Number: 3, Filesystem: "EXT4", Bytes: 50 << 30},
		{Number: 4, Filesystem: "LINUX-SWAP", Bytes: 8 << 30},
	}}}}
}

func (r *room) ok(err error) {
	r.t.Helper()
	if err != nil {
		r.t.Error(err)
	}
}

func (r *room) now() time.Time { r.mu.Lock(); defer r.mu.Unlock(); return r.clock }

func (r *room) pass(d time.Duration) { r.mu.Lock(); defer r.mu.Unlock(); r.clock = r.clock.Add(d) }

// IssueTicket implements Tickets.
func (r *room) IssueTicket(string, netip.Addr) (string, error) {
	r.tickets++
	return fmt.Sprintf("T%d", r.tickets), r.noTicket
}

func client(mac string) netboot.Client {
	return netboot.Client{MAC: mac, Address: address, Firmware: netboot.BIOS}
}

func (r *room) wantPlan(what, mac, target string) {
	r.t.Helper()
	if got := r.Plan(client(mac)); got.Target != target || got.Why == "" {
		r.t.Errorf("%s: plan %+v, want %s and why", what, got, target)
	}
}

func (r *room) wantDecision(what string, c netboot.Client, target string) netboot.Boot {
	r.t.Helper()
	got, err := r.Decide(r.t.Context(), c)
	if err != nil || got.Target != target {
		r.t.Fatalf("%s: boots %+v, %v; want %s", what, got, err, target)
	}
	return got
}

func TestWorkBeforeChoice(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	r.wantPlan("no work", knownMAC, netboot.BootDisk)
	r.wantPlan("a stranger", otherMAC, netboot.BootClientOS)
	r.busy[r.pc.ID] = true
	r.wantPlan("work", knownMAC, netboot.BootClientOS)
	r.ok(r.catalog.SetNextBoot(r.pc.ID, catalog.BootDisk))
	r.wantPlan("its work is to boot its disk", knownMAC, netboot.BootDisk)
	if !r.Known(knownMAC) || r.Known(otherMAC) {
		t.Error("the accepted PC is known, and only it")
	}
}

func TestOnceIsUsedUp(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	used := func() bool {
		pc, err := r.catalog.Computer(r.pc.ID)
		r.ok(err)
		return pc.NextBoot == ""
	}
	r.ok(r.catalog.SetNextBoot(r.pc.ID, catalog.BootClientOS))
	plan := r.Plan(client(knownMAC))
	r.Told(client(knownMAC), plan)
	if used() {
		t.Error("telling DHCP of the client OS uses up the choice, though no loader asked yet")
	}
	if boot := r.wantDecision("once", client(knownMAC), netboot.BootClientOS); boot.Ticket != "T1" {
		t.Errorf("ticket %q", boot.Ticket)
	}
	if !used() {
		t.Error("the choice is still there after the loader got its script")
	}
	r.wantDecision("after it", client(knownMAC), netboot.BootDisk)

	r.ok(r.catalog.SetBoot(catalog.BootClientOS, r.pc.ID))
	r.ok(r.catalog.SetNextBoot(r.pc.ID, catalog.BootDisk))
	r.Told(client(knownMAC), r.Plan(client(knownMAC)))
	for !used() { // by Run, not by the caller
		time.Sleep(time.Millisecond)
	}
	for r.Plan(client(knownMAC)).Target == netboot.BootDisk { // the catalog tells of its changes a moment after they were made
		time.Sleep(time.Millisecond)
	}
}

func TestNextEntryOfUEFIIsSentToTheDiskToo(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	r.ok(r.catalog.SetBoot(catalog.BootClientOS, r.pc.ID))
	uefi := client(knownMAC)
	uefi.Firmware = netboot.UEFIx64
	once := func() {
		r.ok(r.catalog.SetNextBoot(r.pc.ID, catalog.BootDisk))
		for r.Plan(uefi).Target != netboot.BootDisk {
			time.Sleep(time.Millisecond)
		}
		r.Told(uefi, r.Plan(uefi))
		for r.Plan(client(knownMAC)).Target == netboot.BootDisk { // as BIOS it would come back at once
			time.Sleep(time.Millisecond)
		}
	}
	once()
	if got := r.Plan(uefi).Target; got != netboot.BootDisk {
		t.Errorf("the next entry of the firmware is told %s", got)
	}
	r.pass(awayTime)
	if got := r.Plan(uefi).Target; got != netboot.BootClientOS {
		t.Errorf("a minute later it is told %s", got)
	}
	once()
	r.mu.Lock()
	r.busy[r.pc.ID] = true
	r.mu.Unlock()
	if got := r.Plan(uefi).Target; got != netboot.BootClientOS {
		t.Errorf("with new work it is told %s", got)
	}
}

func TestUnknownPCsDoWhatTheOperatorChose(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	for _, target := range []string{netboot.BootNothing, netboot.BootDisk, netboot.BootMenu, netboot.BootClientOS} {
		r.ok(r.catalog.ChangeBootSettings(func(s *catalog.BootSettings) { s.Unknown = target }))
		r.wantPlan("unknown", otherMAC, target)
	}
	r.ok(r.catalog.ChangeBootSettings(func(s *catalog.BootSettings) { s.Unknown = catalog.BootNothing }))
	r.wantDecision("a loader that was started by hand", client(otherMAC), netboot.BootDisk)
}

func TestMenu(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	hash, err := script.HashPassword("pizarra")
	r.ok(err)
	r.ok(r.catalog.ChangeBootSettings(func(s *catalog.BootSettings) { s.Menu = catalog.MenuSettings{Seconds: 5, PasswordHash: hash} }))
	r.ok(r.catalog.SetBoot(catalog.BootMenu, r.pc.ID))

	choose := func(choice, password string) (netboot.Boot, error) {
		c := client(knownMAC)
		c.Choice, c.Password = choice, password
		return r.Decide(t.Context(), c)
	}
	if boot, err := choose("client", "pizarra"); err == nil {
		t.Errorf("a choice without a menu gives %+v", boot)
	}
	menu := r.wantDecision("menu", client(knownMAC), netboot.BootMenu).Menu
	var ids []string
	for _, e := range menu.Entries {
		ids = append(ids, e.ID)
	}
	if got := strings.Join(ids, " "); got != "disk system-1-2 system-1-3 client" {
		t.Errorf("entries %q, want the disk first, both systems, and the client OS last", got)
	}
	if last := menu.Entries[len(menu.Entries)-1]; !last.Admin || menu.PasswordHash != hash || menu.Timeout != 5*time.Second {
		t.Errorf("menu %+v", menu)
	}
	if uefi := menuOf(r.pc, "Aula 1", netboot.UEFIx64, true); len(uefi.Entries) != 2 {
		t.Errorf("on UEFI the loader finds the systems itself: %+v", uefi.Entries)
	}
	for _, wrong := range []string{"", "tiza"} {
		if boot, err := choose("client", wrong); !errors.Is(err, errPassword) {
			t.Errorf("password %q: %+v, %v", wrong, boot, err)
		}
	}
	if boot, err := choose("client", "pizarra"); err != nil || boot.Ticket == "" {
		t.Errorf("right password: %+v, %v", boot, err)
	}
	if boot, err := choose("disk", ""); err != nil || boot.Target != netboot.BootDisk {
		t.Errorf("own disk: %+v, %v", boot, err)
	}
	if boot, err := choose("system-1-3", ""); err != nil || boot.Target != netboot.BootClientOS || len(r.started) != 1 {
		t.Errorf("a system: %+v, %v, started %v", boot, err, r.started)
	}
	for _, bad := range []string{"system-0-1", "system-1-", "rescue", "../../etc"} {
		if boot, err := choose(bad, "pizarra"); err == nil {
			t.Errorf("%q gives %+v", bad, boot)
		}
	}
	r.pass(menuTime + time.Second)
	if boot, err := choose("client", "pizarra"); err == nil {
		t.Errorf("a choice from a menu of yesterday gives %+v", boot)
	}
}

func TestLoopIsBroken(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	for range 3 {
		r.pass(30 * time.Second)
		r.wantDecision("within bounds", client(otherMAC), netboot.BootClientOS)
	}
	r.pass(30 * time.Second)
	r.wantDecision("once too often", client(otherMAC), netboot.BootDisk)
	r.wantPlan("broken", otherMAC, netboot.BootDisk)
	all := r.Notices()
	if len(all) != 1 || all[0].MAC != otherMAC || !strings.Contains(all[0].Text, "3 times") {
		t.Fatalf("notices %+v", all)
	}
	r.wantPlan("others are not concerned", "52:54:00:00:00:03", netboot.BootClientOS)
	r.Forgive(otherMAC)
	r.wantDecision("forgiven", client(otherMAC), netboot.BootClientOS)
	if all := r.Notices(); len(all) != 0 {
		t.Errorf("notices %+v are left", all)
	}
}

func TestLoopOfAPCWithWorkIsBrokenLater(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	r.busy[r.pc.ID] = true
	for range 6 {
		r.wantDecision("programs restart PCs", client(knownMAC), netboot.BootClientOS)
	}
	r.wantDecision("but not for ever", client(knownMAC), netboot.BootDisk)
}

func TestNewWorkForgivesALoop(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	r.ok(r.catalog.SetBoot(catalog.BootClientOS, r.pc.ID))
	for range 3 {
		r.wantDecision("within bounds", client(knownMAC), netboot.BootClientOS)
	}
	r.wantDecision("broken", client(knownMAC), netboot.BootDisk)
	r.mu.Lock()
	r.busy[r.pc.ID] = true
	r.mu.Unlock()
	r.wantPlan("the operator gives it work", knownMAC, netboot.BootClientOS)
}

func TestPCThatAsksAgainIsToldTheSame(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	r.ok(r.catalog.SetNextBoot(r.pc.ID, catalog.BootClientOS))
	r.noTicket = errors.New("no ticket today")
	if boot, err := r.Decide(t.Context(), client(knownMAC)); err == nil {
		t.Fatalf("without a ticket it boots %+v", boot)
	}
	r.noTicket = nil
	again := client(knownMAC)
	again.Again = true
	for range 5 { // the kernel broke off each time: that is no loop
		r.wantDecision("again", again, netboot.BootClientOS)
	}
	r.wantDecision("the next boot", client(knownMAC), netboot.BootDisk)
	r.pass(onceTime)
	r.wantDecision("long after", again, netboot.BootDisk)
}

func TestPasswordsCannotBeTriedForEver(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	hash, err := script.HashPassword("pizarra")
	r.ok(err)
	r.ok(r.catalog.ChangeBootSettings(func(s *catalog.BootSettings) { s.Menu.PasswordHash = hash }))
	r.ok(r.catalog.SetBoot(catalog.BootMenu, r.pc.ID))
	r.wantDecision("menu", client(knownMAC), netboot.BootMenu)
	c := client(knownMAC)
	c.Choice, c.Password = "client", "tiza"
	for range mostGuesses {
		if _, err := r.Decide(t.Context(), c); !errors.Is(err, errPassword) {
			t.Fatal(err)
		}
	}
	c.Password = "pizarra"
	if boot, err := r.Decide(t.Context(), c); err == nil {
		t.Errorf("after %d wrong ones the right one gives %+v", mostGuesses, boot)
	}
	r.pass(guessTime)
	r.wantDecision("a minute later", c, netboot.BootClientOS)
}

func TestAlarmIsToldThoughThereIsNoRoom(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	for i := range maxNotices {
		r.Notify(netboot.Notice{Key: fmt.Sprint(i), Level: netboot.Warning, Text: "spoofed"})
	}
	r.Notify(netboot.Notice{Key: "rogue", Level: netboot.Alarm, Text: "another DHCP server"})
	r.Notify(netboot.Notice{Key: "more", Level: netboot.Warning, Text: "spoofed"})
	if all := r.Notices(); len(all) != maxNotices || all[0].Key != "rogue" {
		t.Errorf("%d notices, the first is %+v", len(all), all[0])
	}
}

func TestCardThatGoesAroundIsTold(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	boot := func(uuid string) {
		t.Helper()
		c := client(otherMAC)
		c.UUID = uuid
		r.pass(r.cfg.LoopTime)
		r.wantDecision("a PC", c, netboot.BootClientOS)
	}
	const one, other = "4c4c4544-0032-4a10-8054-b7c04f4d3532", "4c4c4544-0032-4a10-8054-b7c04f4d3533"
	boot(one)
	boot("00000000-0000-0000-0000-000000000000")
	boot("")
	boot(strings.ToUpper(one))
	if all := r.Notices(); len(all) != 0 {
		t.Errorf("one PC, and yet %+v", all)
	}
	boot(other)
	if all := r.Notices(); len(all) != 1 || all[0].MAC != otherMAC || !strings.Contains(all[0].Text, "Two PCs") {
		t.Errorf("two PCs: %+v", all)
	}
}

func TestSlowBootsAreNoLoop(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	for range 20 {
		r.pass(4 * time.Minute)
		r.wantDecision("every four minutes", client(otherMAC), netboot.BootClientOS)
	}
}

func TestBrokenLoopIsForgivenWhenThePCIsQuiet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Service{cfg: Config{LoopTime: 10 * time.Minute, Now: time.Now, Changed: func(string) {}}, pcs: map[string]*pc{}, notices: map[string]*heldNotice{}}
		p := s.pc(otherMAC)
		p.observe(netboot.Event{Time: time.Now(), MAC: otherMAC, Step: netboot.StepDHCP, Firmware: netboot.BIOS, Phase: netboot.Asked})
		p.broken = true
		time.Sleep(9 * time.Minute)
		s.look()
		if !p.broken {
			t.Error("forgiven after 9 minutes")
		}
		time.Sleep(time.Minute)
		s.look()
		if p.broken {
			t.Error("not forgiven after 10 minutes")
		}
	})
}

func TestQuirkIsLearntOnce(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	r.Learn(otherMAC, quirk.AskBootServer, "it works")
	r.Learn(otherMAC, quirk.AskBootServer, "it works")
	for len(r.Plan(client(otherMAC)).Quirks) == 0 {
		time.Sleep(time.Millisecond)
	}
	if all, err := r.catalog.QuirksOf(otherMAC); err != nil || len(all) != 1 {
		t.Errorf("remembered %v, %v", all, err)
	}
}

func TestConsent(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	if r.Given() {
		t.Error("consent before anybody was asked")
	}
	r.ok(r.catalog.ChangeBootSettings(func(s *catalog.BootSettings) { s.LeaseConsent = true }))
	if !r.Given() {
		t.Error("consent is not known")
	}
	r.ok(r.Withdraw())
	if r.Given() {
		t.Error("consent was withdrawn")
	}
}

func TestNoticesComeAndGo(t *testing.T) {
	t.Parallel()
	r := newRoom(t)
	say := func(key, level, text string) { r.Notify(netboot.Notice{Key: key, Level: level, Text: text}) }
	say("a", netboot.Info, "one")
	r.pass(time.Second)
	say("b", netboot.Alarm, "two")
	r.pass(time.Second)
	say("c", netboot.Info, "three")
	keys := func() string {
		var all []string
		for _, n := range r.Notices() {
			all = append(all, n.Key)
		}
		return strings.Join(all, "")
	}
	if got := keys(); got != "bca" {
		t.Errorf("order %s, want alarms first, then the latest", got)
	}
	r.Dismiss("b")
	say("b", netboot.Alarm, "two") // the next probe finds the same
	if got := keys(); got != "ca" {
		t.Errorf("a dismissed notice came back: %s", got)
	}
	say("b", netboot.Alarm, "two, at another address")
	if got := keys(); got != "bca" {
		t.Errorf("news did not come back: %s", got)
	}
	r.Notify(netboot.Notice{Key: "b", Gone: true})
	if got := keys(); got != "ca" {
		t.Errorf("it is over, and yet: %s", got)
	}
	for i := range 2 * maxNotices {
		say(fmt.Sprint(i), netboot.Info, "spoofed")
	}
	if n := len(r.Notices()); n > maxNotices {
		t.Errorf("%d notices", n)
	}
}
