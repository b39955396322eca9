package webui

import (
	"flag"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"aula/appliance/catalog"
	"aula/clientos/protocol"
)

// The picture of docs, and those of every page for whoever works on the console's looks, come from the test below:
//
//	go test ./webui -run InTheBrowser -pictures /tmp/pictures
//	go test ./webui -run TestEveryPage -console $PWD/docs/console.png
var (
	pictures = flag.String("pictures", "", "folder for pictures of every page, light and dark, wide and narrow")
	picture  = flag.String("console", "", "file for the picture of a classroom that docs show")
)

// A scene is a classroom in the middle of a restore.
type scene struct {
	room               catalog.Classroom
	pcs                []catalog.Computer
	waiting            catalog.Computer
	restore, capturing string // pages of operations
}

// busyRoom is 18 PCs in every state that there is.
func (b *bed) busyRoom() scene {
	b.t.Helper()
	var s scene
	s.room = b.hall("Faculty of Science", "Lab 1.12")
	b.room(s.room.CentreID, "Lab 1.14")
	b.hall("School of Engineering", "Networks")
	for n := range 18 {
		s.pcs = append(s.pcs, b.enrol(s.room, n+1))
	}
	s.waiting = b.arrive(30)
	b.arrive(31)
	img := b.publish("win11-office", s.pcs[0], true)
	b.publish("debian13-labs", s.pcs[0], false)
	b.clock.move(12 * time.Minute)
	var ids []string
	for _, pc := range s.pcs[1:15] {
		ids = append(ids, pc.ID)
	}
	s.restore = b.start("restore", url.Values{"pc": ids, "image": {"win11-office"}})
	b.clock.move(6*time.Minute + 21*time.Second)
	for i, pc := range s.pcs[1:15] {
		b.report(pc, sceneReport(i, img.Info.UsedBytes))
	}
	b.leave(s.pcs[9])
	b.leave(s.pcs[16])
	b.leave(s.pcs[17])
	s.capturing = b.start("capture", url.Values{"pc": {s.pcs[0].ID}, "part": {"1/4"}, "image": {"debian13-labs"}})
	b.report(s.pcs[0], protocol.Report{Stage: protocol.StageReading, Bytes: 9 * gigabyte, Total: 24 * gigabyte, Rate: 182_000_000})
	return s
}

// sceneReport is what the PC of that place in the room says.
func sceneReport(i int, verified int64) protocol.Report {
	const used = 61 * gigabyte
	switch {
	case i == 4:
		return protocol.Report{State: protocol.Failed, Stage: protocol.StageWriting, Dirty: true, Failure: &protocol.Failure{
			Code: protocol.ErrImage, Stage: protocol.StageWriting, Problem: "disk 1 cannot be written at byte 41,203,794,432",
			Advice: "replace the disk", Detail: "write /dev/nvme0n1p2: input/output error",
		}}
	case i == 1 || i == 6:
		return protocol.Report{State: protocol.Done, Stage: protocol.StageFinishing, Verified: verified}
	case i%3 == 0:
		return protocol.Report{Stage: protocol.StageVerifying, Bytes: int64(12+3*i) * gigabyte, Total: used, Rate: int64(410+7*i) * 1_000_000, Dirty: true}
	case i == 13:
		return protocol.Report{Stage: protocol.StagePartitioning, Dirty: true}
	}
	return protocol.Report{Stage: protocol.StageWriting, Bytes: int64(20+2*i) * gigabyte, Total: used, Rate: int64(96+i) * 1_000_000, Dirty: true}
}

// start begins an operation as the console does and returns its page.
func (b *bed) start(kind string, form url.Values) string {
	b.t.Helper()
	ctx := withCaller(b.t.Context(), caller{User: "admin"})
	switch kind {
	case "capture":
		op, err := b.ops.Capture(ctx, "admin", captureOf(form))
		if err != nil {
			b.t.Fatal(err)
		}
		b.names = append(b.names, op.ID, "ID-capture")
		return "/operations/" + op.ID
	}
	plan, err := b.server.restoreRequest(readRestoreForm(form))
	if err != nil {
		b.t.Fatal(err)
	}
	op, err := b.ops.Restore(ctx, "admin", plan.Request)
	if err != nil {
		b.t.Fatal(err)
	}
	b.names = append(b.names, op.ID, "ID-restore")
	return "/operations/" + op.ID
}

func TestEveryPageInTheBrowser(t *testing.T) {
	b := newBed(t)
	ts := b.serve()
	c := openChrome(t, ts.URL)
	visit := func(name, path string) {
		t.Helper()
		c.visit(name, path)
	}
	visit("setup", "/setup")
	c.look(1440, 900, false)
	c.logIn(b)
	visit("empty-overview", "/")
	visit("empty-pending", "/pending")
	visit("empty-images", "/images")
	visit("empty-operations", "/operations")
	visit("empty-torrents", "/torrents")
	s := b.busyRoom()
	if *picture != "" {
		c.look(1360, 850, false)
		c.open("/classrooms/" + s.room.ID)
		c.picture(*picture, false)
	}
	img, err := b.images.Image("win11-office")
	if err != nil {
		t.Fatal(err)
	}
	b.share(img)
	visit("torrents", "/torrents")
	visit("room-fetching", "/classrooms/"+s.room.ID)
	b.swarms.set(nil, nil, nil)
	pc := "pc=" + s.pcs[15].ID
	for name, path := range map[string]string{
		"overview": "/", "room": "/classrooms/" + s.room.ID, "rooms": "/rooms", "pending": "/pending", "computer": "/computers/" + s.pcs[15].ID,
		"computer-busy": "/computers/" + s.pcs[3].ID, "computer-pending": "/computers/" + s.waiting.ID, "images": "/images", "image": "/images/win11-office",
		"capture": "/capture?" + pc, "capture-pick": "/capture", "restore": "/restore?" + pc + "&pc=" + s.pcs[0].ID, "restore-pick": "/restore?image=win11-office",
		"check": "/restore/check?method=UNICAST-DIRECT&image=win11-office&" + pc + "&pc=" + s.pcs[16].ID, "power": "/power?kind=reboot&" + pc,
		"operations": "/operations", "operation": s.restore, "operation-capture": s.capturing, "settings": "/settings",
	} {
		visit(name, path)
	}
	c.clean()
}

// visit looks at a page wide and narrow and, when pictures are wanted, in both colour schemes.
func (c *chrome) visit(name, path string) {
	c.t.Helper()
	widths := []int64{1440, 320}
	if *pictures != "" {
		widths = []int64{1280, 360, 320}
	}
	for _, width := range widths {
		for _, dark := range []bool{false, true} {
			if dark && *pictures == "" {
				continue
			}
			c.look(width, 900, dark)
			c.open(path)
			c.shoot(name, width, dark)
		}
		c.fits(name)
	}
	c.named(name)
}

// shoot takes a picture of the whole page, when pictures are wanted.
func (c *chrome) shoot(name string, width int64, dark bool) {
	c.t.Helper()
	if *pictures != "" {
		c.picture(filepath.Join(*pictures, fmt.Sprintf("%s-%d-%v.png", name, width, map[bool]string{false: "light", true: "dark"}[dark])), true)
	}
}

func TestHostileStringsInTheBrowser(t *testing.T) {
	b := newBed(t)
	c := openChrome(t, b.serve().URL)
	c.logIn(b)
	nowhere := []string{"/%", "/boot/%", "/choices?pc=%"} // TestHostileStringsStayStrings reads the pages that say that there is no such thing
	for i, path := range hostilePages(b) {
		if path == "/settings" || strings.HasPrefix(path, "/login") || strings.HasPrefix(path, "/capture/name") || slices.ContainsFunc(nowhere, func(p string) bool { return strings.HasPrefix(path, p) }) {
			continue // a fragment, and pages that do not show the strings
		}
		for _, width := range []int64{1440, 320} {
			c.look(width, 900, false)
			c.open(path)
			if *pictures != "" {
				c.picture(filepath.Join(*pictures, fmt.Sprintf("hostile-%02d-%d.png", i, width)), true)
			}
			c.fits(path)
		}
	}
	c.clean() // an alert would have stopped the page, a violated policy would be in the list
}

// fits fails when the page must be scrolled sideways.
func (c *chrome) fits(page string) {
	c.t.Helper()
	if over := eval[[]string](c, `(() => {
		const wide = document.documentElement.clientWidth;
		if (document.documentElement.scrollWidth <= wide) return [];
		return [...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > wide + 1)
			.map((e) => e.outerHTML.slice(0, 120)).slice(0, 5);
	})()`); len(over) > 0 {
		c.t.Errorf("%s must be scrolled sideways, because of\n%s", page, strings.Join(over, "\n"))
	}
}

// named fails when something that can be used has no name for those who do not see it, or the page lacks its landmarks.
func (c *chrome) named(page string) {
	c.t.Helper()
	if bad := eval[[]string](c, `(() => {
		const text = (e) => (e.getAttribute("aria-label") || [...(e.labels || [])].map((l) => l.textContent).join("") || e.textContent || "").trim();
		const bad = [...document.querySelectorAll("input:not([type=hidden]), select, textarea, button, a[href], progress, nav")].filter((e) => {
			if (e.tagName === "SELECT" || e.tagName === "PROGRESS") return !e.labels.length && !e.getAttribute("aria-label");
			return !text(e);
		}).map((e) => e.outerHTML.slice(0, 120));
		if (document.querySelectorAll("main").length !== 1) bad.push("not one main");
		if (document.querySelectorAll("h1").length !== 1) bad.push("not one h1");
		const ids = [...document.querySelectorAll("[id]")].map((e) => e.id);
		for (const id of ids) if (ids.indexOf(id) !== ids.lastIndexOf(id)) bad.push("twice the id " + id);
		return bad;
	})()`); len(bad) > 0 {
		c.t.Errorf("%s has parts without a name:\n%s", page, strings.Join(bad, "\n"))
	}
}
