package webui

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"aula/appliance/boot"
	"aula/appliance/catalog"
	"aula/netboot"
	"aula/netboot/lease"
	"aula/netboot/quirk"
)

func TestBootPagesInTheBrowser(t *testing.T) {
	b := newBed(t)
	c := openChrome(t, b.serve().URL)
	c.logIn(b)
	c.visit("boot-empty", "/boot")
	c.visit("leases-empty", "/leases")
	room := b.hall("Faculty of Science", "Lab 1.12")
	var pcs []catalog.Computer
	for n := range 12 {
		pcs = append(pcs, b.enrol(room, n+1))
	}
	b.arrive(30)
	teacher, err := b.cat.AddGroup(room.ID, "Teacher")
	b.check(err)
	row, err := b.cat.AddGroup(room.ID, "First row by the windows")
	b.check(err)
	b.check(b.cat.SetGroupBoot(teacher.ID, catalog.BootMenu))
	b.check(b.cat.SetGroup(teacher.ID, pcs[2].ID))
	b.check(b.cat.SetGroup(row.ID, pcs[0].ID, pcs[1].ID, pcs[3].ID))
	b.check(b.cat.SetNextBoots(catalog.BootDisk, pcs[4].ID, pcs[5].ID))
	b.check(b.cat.Reserve(pcs[0].ID, netip.MustParseAddr("192.168.77.20")))
	b.check(b.cat.SetQuirks(mac(1), quirk.Set{quirk.SlowHTTP}))
	first, err := lease.ParseMAC(mac(1))
	b.check(err)
	b.network.leases = []lease.Lease{{Address: netip.MustParseAddr("192.168.77.128"), MAC: first, State: lease.Bound, Expires: b.clock.Now().Add(time.Hour)}}
	before := b.bootOf(1, 26*time.Hour).to(netboot.BootDisk, "nothing else is chosen for it").did(netboot.StepDHCP, 390*time.Millisecond).arrived()
	b.boots(before)
	b.bootsInEveryState()
	visit := func(name, path string) {
		t.Helper()
		c.visit(name, path)
	}
	visit("boot", "/boot")
	visit("boot-stopped", "/boot?state=stopped")
	visit("boot-pc", "/boot/"+mac(8))
	visit("boot-pc-history", "/boot/"+mac(1))
	visit("boot-pc-strange", "/boot/"+mac(40))
	visit("boot-computer", "/computers/"+pcs[0].ID)
	visit("boot-room", "/classrooms/"+room.ID)
	visit("boot-room-choices", "/classrooms/"+room.ID+"/boot")
	visit("boot-choices", "/choices?pc="+pcs[0].ID+"&pc="+pcs[1].ID)
	visit("boot-settings", "/settings")
	visit("boot-leases", "/leases")
	b.isNetwork(asking)
	b.someNotices()
	visit("boot-question", "/boot")
	visit("boot-question-elsewhere", "/classrooms/"+room.ID)
	b.notify()
	b.isNetwork(foreign)
	visit("boot-foreign", "/boot")
	c.clean()
}

// TestBootPageIsLive watches a PC boot, and the question come and go, without the page being loaded again.
func TestBootPageIsLive(t *testing.T) {
	b := newBed(t)
	c := openChrome(t, b.serve().URL)
	c.logIn(b)
	room := b.hall("Faculty", "Room-1")
	b.enrol(room, 1)
	c.open("/boot")
	c.sees(".boots-empty", "No PC has booted")
	loads := c.documents()
	one := b.bootOf(1, 0).step(netboot.StepDHCP, netboot.Asked, time.Second, "DISCOVER", 1)
	b.boots(one.Boot)
	c.sees(".boot-group.underway .boot", "pc-01")
	c.sees("[data-live=boot-count]", "1 under way")
	c.until("the empty state to be gone", `getComputedStyle(document.querySelector(".boots-empty")).display === "none"`)
	one.Steps[0].Phase = netboot.Answered
	one.to(netboot.BootClientOS, "work waits for it").did(netboot.StepLoader, time.Second).did(netboot.StepScript, 0).did(netboot.StepKernel, time.Second).
		step(netboot.StepInitramfs, netboot.Asked, time.Second, "", 1)
	one.Steps[4].Bytes, one.Steps[4].Size = 1, 10
	b.boots(one.Boot)
	c.sees(".boot-group.underway .boot [data-field=initramfs]", "10 %")
	c.run("focus the PC", chromedp.Focus(chromedp.CSS(".boot h3 a")))
	one.Steps[4].Bytes = 9
	b.boots(one.Boot)
	c.sees(".boot-group.underway .boot [data-field=initramfs]", "90 %")
	b.boots(one.stopped("it came no further: look at its screen"))
	c.sees(".boot-group.stopped .boot", "It came no further: look at its screen.")
	c.until("the PC to keep the focus", `document.activeElement.textContent === "pc-01"`)
	if n := eval[int](c, `document.querySelectorAll(".boot").length`); n != 1 {
		t.Errorf("the page has %d rows of one PC", n)
	}
	b.isNetwork(asking)
	c.sees(".ask", "May Aula lease addresses 192.168.77.128–254?")
	c.sees("#network", "PCs cannot boot until one does")
	b.someNotices()
	c.sees(".alarm", "Another DHCP server")
	c.sees(".sections .badge", "2")
	if n := c.documents() - loads; n != 0 {
		t.Errorf("the page was loaded again %d times", n)
	}
	c.run("agree", chromedp.Click(chromedp.CSS(".ask .primary")))
	b.eventually("the agreement", func() bool { return b.network.called() == "reconsider" })
	c.sees(".did", "Done.")
	c.open("/boot?state=arrived")
	b.boots(b.bootOf(2, 0).did(netboot.StepDHCP, time.Second).Boot)
	done := b.bootOf(3, time.Second).to(netboot.BootDisk, "").did(netboot.StepDHCP, time.Second)
	b.boots(done.arrived())
	c.sees(".boot", mac(3))
	if n := eval[int](c, `document.querySelectorAll(".boot").length`); n != 1 {
		t.Errorf("a page of those that arrived shows %d PCs", n)
	}
	c.clean()
}

// TestManyBoots says how much the page of a storm is, and that only what changed is sent.
func TestManyBoots(t *testing.T) {
	b := newBed(t)
	br := b.login(b.serve())
	const all = 500
	var boots []boot.Boot
	for n := range all {
		boots = append(boots, b.bootOf(n+1, time.Minute).to(netboot.BootClientOS, "work waits for it").loaded().Boot)
	}
	b.boots(boots...)
	if size := len(br.get("/boot").body); size > 1_500_000 {
		t.Errorf("the page of %d PCs has %d bytes", all, size)
	}
	b.eventually("the stream to have told of all", func() bool { return b.server.live.last() != b.server.live.id(0) })
	dirty := map[string]bool{mac(7): true}
	s := &Server{cfg: b.server.cfg, log: b.server.log, now: b.server.now, pages: b.server.pages, shapes: shapes{}}
	var before, after observation
	s.observeBoots(&before, map[string]bool{mac(7): true, mac(8): true})
	boots[6].State, boots[6].Reason = boot.Stopped, "nothing came any more"
	b.boots(boots[6])
	s.observeBoots(&after, dirty)
	var keys []string
	for _, it := range after.items {
		if it.patch.HTML != "" || it.patch.Fields != nil {
			keys = append(keys, it.patch.Key)
		}
	}
	if got, want := fmt.Sprint(keys), "[boot-count boot-"+mac(7)+"]"; got != want {
		t.Errorf("one of %d PCs stopped: sent are %s, want %s", all, got, want)
	}
}
