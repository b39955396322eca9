package webui

import (
	"fmt"
	"testing"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"aula/clientos/protocol"
	"aula/imagestore/torrent/tracker"
)

func (c *chrome) click(selector string) {
	c.t.Helper()
	c.run("click "+selector, chromedp.Click(chromedp.CSS(selector)))
}

func (c *chrome) fill(selector, text string) {
	c.t.Helper()
	c.run("type into "+selector, chromedp.SendKeys(chromedp.CSS(selector), text))
}

// at waits until the tab shows a page.
func (c *chrome) at(path string) {
	c.t.Helper()
	c.until("the page "+path, fmt.Sprintf("location.pathname.startsWith(%q) && document.readyState === 'complete'", path))
}

// TestTheMainJobInTheBrowser is what a technician does on the first day, from the set-up code to a verified PC.
func TestTheMainJobInTheBrowser(t *testing.T) {
	b := newBed(t)
	c := openChrome(t, b.serve().URL)
	c.logIn(b)

	// A classroom, and two PCs that appear while the page is open.
	c.fill("input[name=centre]", "Faculty")
	c.fill("input[name=name]", "Room 1")
	c.click("button.primary")
	c.at("/classrooms/")
	c.sees("main", "No PC in this classroom yet")
	c.open("/pending")
	c.sees("main", "No PC is waiting")
	loads := c.documents()
	b.arrive(1)
	c.sees(".code", "K7M001")
	c.run("tick the first", chromedp.Click(chromedp.CSS("input[name=pc]")), chromedp.SendKeys(chromedp.CSS("input[name^=name-]"), "model"))
	b.arrive(2)
	c.sees(".pending", "K7M002")
	c.until("the tick and the name are still there", `document.querySelector("tr:has(input:checked) input[name^=name-]").value === "model"`)
	if got := c.documents(); got != loads {
		t.Errorf("the page was loaded %d times again", got-loads)
	}
	c.click("#pending-form [data-select=all]")
	c.click(".accept button")
	c.at("/classrooms/")
	c.sees(".did", "Accepted.")
	c.sees(".tiles", "model")
	c.sees(".tiles", "pc-01")
	c.sees("main", "2 PCs: 2 ready")
	computers, err := b.cat.Computers()
	if err != nil || len(computers) != 2 {
		t.Fatal(computers, err)
	}
	model, target := computers[0], computers[1]
	if model.Name != "model" {
		model, target = target, model
	}
	room := eval[string](c, "location.pathname")

	// Create an image.
	if !eval[bool](c, `document.querySelector("button[formaction='/capture']").disabled`) {
		t.Error("Create image is offered while no PC is selected")
	}
	c.click(".tile input[value='" + model.ID + "']")
	c.sees(".chosen", "1 selected")
	c.click("button[formaction='/capture']")
	c.at("/capture")
	c.click("input[value='1/2']")
	c.fill("#image-name", "win 11")
	c.sees("#image-says .bad", "win_11")
	c.run("correct it", chromedp.SendKeys(chromedp.CSS("#image-name"), kb.Backspace+kb.Backspace+kb.Backspace+"11"))
	c.sees("#image-says", "A new image.")
	c.click("form button.primary")
	c.at("/operations/")
	loads = c.documents()
	b.report(model, protocol.Report{Stage: protocol.StageReading, Bytes: 25, Total: 100, Rate: 1_500_000})
	c.sees(".targets", "Reading")
	b.report(model, protocol.Report{Stage: protocol.StageReading, Bytes: 75, Total: 100, Rate: 1_600_000})
	c.sees(".targets [data-field=percent]", "75 %")
	c.sees(".targets", "1.6 MB/s")
	img := b.publish("win11", model, false)
	b.ops.Published(model.ID, b.instruction(model).ID, img)
	b.report(model, protocol.Report{State: protocol.Done, Stage: protocol.StagePublishing})
	c.sees(".op-summary", "win11 revision 1 made.")
	c.until("there is nothing to cancel", `!document.querySelector("form[action$='/cancel']")`)
	if got := c.documents(); got != loads {
		t.Errorf("the operation's page was loaded %d times again", got-loads)
	}

	// Restore it: pre-flight, confirmation, progress, verdict.
	c.open(room)
	c.click(".tile input[value='" + target.ID + "']")
	c.click("button[formaction='/restore']")
	c.at("/restore")
	c.run("choose the image", chromedp.SetValue(chromedp.CSS("select[name=image]"), "main/win11"))
	c.click("form.card button.primary")
	c.at("/restore/check")
	c.sees(".checks", target.Inventory.Disks[0].Serial)
	c.sees(".checks", "Windows")
	c.sees(".confirm", "Accept: run on 1 PC")
	c.fill("input[name=confirm]", "7")
	c.click(".confirm .danger")
	c.sees("[role=alert]", "nothing was done")
	if got := len(b.ops.Operations(0)); got != 1 {
		t.Fatalf("%d operations after a wrong confirmation, want 1", got)
	}
	c.run("confirm", chromedp.SetValue(chromedp.CSS("input[name=confirm]"), "room 1"))
	c.click(".confirm .danger")
	c.at("/operations/")
	loads = c.documents()
	b.eventually("the restore", func() bool { return b.instruction(target).Kind == protocol.RestoreImage })
	b.report(target, protocol.Report{Stage: protocol.StageWriting, Bytes: 10, Total: 100, Rate: 10, Dirty: true})
	c.sees(".targets", "Writing")
	b.report(target, protocol.Report{Stage: protocol.StageVerifying, Bytes: 40, Total: 100, Rate: 10, Dirty: true})
	c.sees(".targets", "Verifying")
	b.report(target, protocol.Report{State: protocol.Done, Stage: protocol.StageFinishing, Verified: img.Info.UsedBytes})
	c.sees(".op-summary", "1 of 1 verified.")
	if got := c.documents(); got != loads {
		t.Errorf("the restore's page was loaded %d times again", got-loads)
	}

	// A question before PCs are switched off, in a dialog.
	c.open(room)
	c.sees(".tile", "Verified")
	c.click("[data-select=all]")
	c.sees(".chosen", "2 selected")
	c.click("button[value=poweroff]")
	c.sees("dialog[open]", "Power off 2 PCs?")
	c.click("dialog [data-close]")
	c.until("the dialog is closed", `!document.querySelector("dialog[open]")`)
	c.click("button[value=poweroff]")
	c.sees("dialog[open]", "Power off 2 PCs?")
	c.click("dialog button.primary")
	c.at("/operations/")
	c.sees("h1", "Power off")
	c.clean()
}

// TestTheConnectionIsWatched: a page says when it is cut off, recovers by itself, and leaves when its login ends.
func TestTheConnectionIsWatched(t *testing.T) {
	b := newBed(t)
	ts := b.serve()
	c := openChrome(t, ts.URL)
	c.logIn(b)
	room := b.hall("Faculty", "Room 1")
	pc := b.enrol(room, 1)
	c.open("/classrooms/" + room.ID)
	c.sees(".tile", "Ready")
	c.clean()
	c.until("the stream is open", `document.getElementById("lost").hidden`)
	loads := c.documents()
	ts.CloseClientConnections()
	c.sees("#lost", "Connection to the appliance lost. Last update at")
	b.leave(pc)
	c.sees(".tile", "Not connected")
	c.until("the banner is gone", `document.getElementById("lost").hidden`)
	if got := c.documents(); got != loads {
		t.Errorf("the page was loaded %d times again", got-loads)
	}
	if err := b.server.sessions.endAll("admin", ""); err != nil {
		t.Fatal(err)
	}
	c.at("/login")
}

// TestARestoreByKeyboard does the main job without a mouse.
func TestARestoreByKeyboard(t *testing.T) {
	b := newBed(t)
	c := openChrome(t, b.serve().URL)
	c.logIn(b)
	room := b.hall("Faculty", "Room 1")
	pc := b.enrol(room, 1)
	b.enrol(room, 2)
	b.publish("win11", pc, false)
	c.open("/classrooms/" + room.ID)
	c.tab("a.skip")
	c.press(kb.Enter)
	c.tab(".tile input[value='" + pc.ID + "']")
	c.ring()
	c.press(" ")
	c.sees(".chosen", "1 selected")
	c.tabBack("button[formaction='/restore']")
	c.ring()
	c.press(kb.Enter)
	c.at("/restore")
	c.tab("select[name=image]")
	c.press("w")
	c.tab("form.card button.primary")
	c.press(kb.Enter)
	c.at("/restore/check")
	c.tab("input[name=confirm]")
	c.press("1")
	c.press(kb.Enter)
	c.at("/operations/")
	c.sees("h1", "Restore win11")
	// A dialog keeps the keyboard and gives it back.
	c.open("/computers/" + pc.ID)
	c.tab("a[href*='kind=reboot']")
	c.press(kb.Enter)
	c.sees("dialog[open]", "Restart 1 PC?")
	c.until("the focus is in the dialog", `document.querySelector("dialog").contains(document.activeElement)`)
	c.press(kb.Escape)
	c.until("the focus is where it was", `document.activeElement.matches("a[href*='kind=reboot']")`)
	c.clean()
}

func (c *chrome) press(keys string, options ...chromedp.KeyOption) {
	c.t.Helper()
	c.run("press a key", chromedp.KeyEvent(keys, options...))
}

// tab presses Tab until the focus is on the element.
func (c *chrome) tab(selector string) { c.t.Helper(); c.walk(selector) }
func (c *chrome) tabBack(selector string) {
	c.t.Helper()
	c.walk(selector, chromedp.KeyModifiers(chromedp.ModifierShift))
}

func (c *chrome) walk(selector string, options ...chromedp.KeyOption) {
	c.t.Helper()
	for range 80 {
		c.press(kb.Tab, options...)
		if eval[bool](c, fmt.Sprintf("document.activeElement.matches(%q)", selector)) {
			return
		}
	}
	c.t.Fatalf("80 times Tab do not lead to %s", selector)
}

// ring fails unless the focused element shows that it is.
func (c *chrome) ring() {
	c.t.Helper()
	if style := eval[string](c, `getComputedStyle(document.activeElement).outlineStyle`); style == "none" {
		c.t.Errorf("the focused element shows no ring: %s", eval[string](c, `document.activeElement.outerHTML`))
	}
}

// TestTicksSurviveLiveUpdates: what is ticked and focused stays so while the tile beneath changes.
func TestTicksSurviveLiveUpdates(t *testing.T) {
	b := newBed(t)
	c := openChrome(t, b.serve().URL)
	c.logIn(b)
	room := b.hall("Faculty", "Room 1")
	one := b.enrol(room, 1)
	b.enrol(room, 2)
	c.open("/classrooms/" + room.ID)
	box := ".tile input[value='" + one.ID + "']"
	c.click(box)
	c.run("focus", chromedp.Focus(chromedp.CSS(box)))
	b.leave(one)
	c.sees(".tile", "Not connected")
	b.enrol(room, 3) // the list is fetched again
	c.sees(".tiles", "pc-03")
	c.until("the tick and the focus are still there", fmt.Sprintf(`(() => { const e = document.querySelector(%q); return e.checked && e === document.activeElement })()`, box))
	c.sees(".chosen", "1 selected")
	c.clean()
}

// TestTorrentsInTheBrowser: peers come, move on and leave while the page is open.
func TestTorrentsInTheBrowser(t *testing.T) {
	b := newBed(t)
	c := openChrome(t, b.serve().URL)
	c.logIn(b)
	room := b.hall("Faculty", "Room 1")
	b.enrol(room, 1)
	c.open("/torrents")
	c.sees("main", "No PC fetches an image by BitTorrent now")
	loads := c.documents()
	say := func(left, rate int64) {
		b.swarms.set([]tracker.Swarm{{Hash: winHash, Name: "win11.img", Size: 1000, Peers: []tracker.Peer{
			{Address: peerOf(1), Client: "Aula", Left: left, DownRate: rate, Since: b.clock.Now(), Seen: b.clock.Now()},
		}}}, nil, nil)
	}
	say(900, 7)
	c.sees(".peers", "pc-01")
	c.sees(".peers", "10 %")
	say(580, 8)
	c.sees(".peers", "42 %")
	c.sees(".peers", "8 B/s")
	say(0, 0)
	c.sees(".peers", "Sharing")
	c.sees(".swarm-head", "1 peer, complete")
	b.swarms.set(nil, nil, nil)
	c.sees(".peers", "Left")
	if got := c.documents(); got != loads {
		t.Errorf("the page was loaded %d times again", got-loads)
	}
	c.click(".peers a")
	c.at("/computers/")
	c.clean()
}
