package webui

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"aula/appliance/catalog"
	"aula/appliance/operation"
	"aula/clientos/disk"
	"aula/clientos/instruction"
	"aula/clientos/protocol"
	"aula/imagestore"
	"aula/imagestore/multicast"
)

// A deployRoom is a classroom with an image to deploy: its first PC has the image in its cache, the second an old one, the third no cache.
type deployRoom struct {
	room  catalog.Classroom
	pcs   []catalog.Computer
	image imagestore.Image
}

func (b *bed) deployRoom() deployRoom {
	b.t.Helper()
	d := deployRoom{room: b.hall("Faculty", "Room-1")}
	model := b.enrol(d.room, 9)
	d.image = b.publish("win11", model, true)
	for n := 1; n <= 3; n++ {
		inv := inventory(n)
		cached := protocol.CachedImage{Name: "win11", Bytes: 700_000, Digest: d.image.Blake3, Repository: "main", Revision: 1}
		if n == 2 {
			cached.Digest = strings.Repeat("0", 64)
		}
		if n < 3 {
			inv.Cache = &protocol.CacheState{Disk: 1, Partition: 4, Bytes: 80 * gigabyte, Free: 60 * gigabyte, Images: []protocol.CachedImage{
				cached, {Name: "debian", Bytes: 5 * gigabyte, Partial: true}, {Name: "mine", Bytes: gigabyte},
			}}
		}
		pc, err := b.cat.AcceptComputer(b.arriveWith(n, inv).ID, d.room.ID, "")
		b.check(err)
		d.pcs = append(d.pcs, pc)
	}
	return d
}

// query names the PCs.
func (d deployRoom) query() string {
	v := url.Values{}
	for _, pc := range d.pcs {
		v.Add("pc", pc.ID)
	}
	return v.Encode()
}

const deployChoice = "&mode=deployImage&image=main%2Fwin11&protocol=MULTICAST&port=9002&duplex=full-duplex" +
	"&address=239.194.77.0&speed=90&computers=3&wait=60&fallback=UNICAST&adapt=1&source=REPO"

func TestGoldenDeployment(t *testing.T) {
	b := newBed(t)
	d := b.deployRoom()
	br := b.login(b.serve())
	p, err := b.cat.PutProcedure(catalog.Procedure{Name: "Night", Text: "updateCache REPO win11 UNICAST\n", Comment: "before seven"}, b.clock.Now())
	b.check(err)
	sched, err := b.cat.PutSchedule(catalog.Schedule{
		Name: "Weekdays", ProcedureID: p.ID, ClassroomIDs: []string{d.room.ID}, Days: []time.Weekday{1, 3}, At: "03:30", Zone: "Europe/Madrid", Actor: "admin",
	}, b.clock.Now())
	b.check(err)
	h, err := b.cat.AddHoliday(catalog.Holiday{Name: "Christmas", First: "2031-12-24", Last: "2031-12-26"})
	b.check(err)
	b.names = append(b.names, p.ID, "ID-procedure", sched.ID, "ID-schedule", h.ID, "ID-holiday")
	pcs := d.query()
	for name, path := range map[string]string{
		"deploy": "/deploy?image=main%2Fwin11&" + pcs, "deploy-generate": "/deploy/generate?" + pcs + deployChoice,
		"partition":        "/partition?pc=" + d.pcs[0].ID + "&table=GPT&number=1&type=EFI&filesystem=FAT32&label=ESP&size=512M&number=2&type=LINUX&filesystem=EXT4&label=&size=",
		"partition-format": "/partition?what=format&" + pcs, "partition-cache": "/partition?what=cache&cache=size&cachesize=40G&" + pcs,
		"cache": "/cache?classroom=" + d.room.ID, "instructions": "/instructions?procedure=" + p.ID + "&" + pcs, "procedures": "/procedures?edit=" + p.ID,
		"schedules": "/schedules?edit=" + sched.ID, "defaults": "/classrooms/" + d.room.ID + "/defaults", "power-wake": "/power?kind=wakeUp&" + pcs,
		"computer-cache": "/computers/" + d.pcs[1].ID, "restore-cache": "/restore/check?method=CACHE&image=main%2Fwin11&" + pcs,
	} {
		t.Run(name, func(t *testing.T) { golden(t, name, mainOf(t, b.calm(br.get(path).want(http.StatusOK).body))) })
	}
}

// TestDeployment goes through the wizard: form, generated instruction, an edited one that is wrong, one that is right, confirmation, operation.
func TestDeployment(t *testing.T) {
	b := newBed(t)
	d := b.deployRoom()
	br := b.login(b.serve())
	want := "deployImage REPO win11 1 2 MULTICAST 9002:full-duplex:239.194.77.0:90M:3:60"
	br.get("/deploy/generate?"+d.query()+deployChoice).want(http.StatusOK).has(want, "From its cache", "What is lost")

	form := url.Values{"pc": {d.pcs[0].ID, d.pcs[1].ID, d.pcs[2].ID}, "text": {want + "\nreboott"}}
	wrong := br.post("/instructions/check", form).want(http.StatusUnprocessableEntity).has("Line 2, column 1", "reboott", want)
	if strings.Contains(wrong.body, "Accept: run") {
		t.Error("a text that cannot be read can be accepted")
	}
	br.post("/instructions/run", form).want(http.StatusUnprocessableEntity)

	form.Set("text", want)
	checked := br.post("/instructions/check", form).want(http.StatusOK).has("Accept: run on 3 PCs")
	_, seen, _ := strings.Cut(checked.body, `name="seen" value="`)
	seen, _, _ = strings.Cut(seen, `"`)
	br.post("/instructions/run", form).want(http.StatusUnprocessableEntity).has("nothing was done")
	form.Set("seen", seen)
	form.Set("confirm", "2")
	br.post("/instructions/run", form).want(http.StatusUnprocessableEntity).has("To confirm, type 3")
	form.Set("text", want+" plain")
	form.Set("confirm", "3")
	br.post("/instructions/run", form).want(http.StatusUnprocessableEntity).has("changed since you looked")
	if n := len(b.ops.Operations(0)); n != 0 {
		t.Fatalf("%d operations were begun without confirmation", n)
	}
	form.Set("text", want)
	br.post("/instructions/run", form).want(http.StatusSeeOther)
	ops := b.ops.Operations(0)
	if len(ops) != 1 || strings.TrimSpace(ops[0].Text) != want {
		t.Fatalf("got %+v, want one operation of %q", ops, want)
	}
	br.get("/operations/"+ops[0].ID).want(http.StatusOK).has(want, "Start now with those here")
}

func TestPartitionFormIsAScheme(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		query string
		want  string // the statement, or what is refused
	}{
		"sizes":       {"table=GPT&cache=keep&number=1&type=EFI&filesystem=FAT32&size=512M&label=&number=2&type=LINUX&filesystem=EXT4&size=&label=root", "partitionDisk 1 GPT"},
		"blank rows":  {"table=MSDOS&cache=none&type=&filesystem=&number=1&number=2&type=NTFS&filesystem=NTFS&size=0,5T&size=60G", "NTFS"},
		"no rows":     {"table=GPT&type=&filesystem=", "at least one partition"},
		"no size":     {"table=GPT&type=NTFS&filesystem=NTFS&size=many", "write a size such as"},
		"not a table": {"table=BSD&type=NTFS", "MSDOS or GPT"},
		"cache":       {"what=cache&cache=size&cachesize=40G", "initCache 1"},
		"tiny cache":  {"what=cache&cache=size&cachesize=1K", "at least"},
		"format":      {"what=format&number=2&type=&filesystem=EXT4&label=data", "formatPartition 1 2"},
	} {
		v, err := url.ParseQuery(c.query)
		if err != nil {
			t.Fatal(err)
		}
		st, err := readSchemeForm(v).statement()
		got := ""
		if err != nil {
			if got = err.Error(); statusOf(err) != http.StatusUnprocessableEntity {
				t.Errorf("%s: %v is told with status %d", name, err, statusOf(err))
			}
		} else if got = st.String(); true {
			if _, err := instruction.Parse(got); err != nil {
				t.Errorf("%s: what was composed cannot be read: %v", name, err)
			}
		}
		if !strings.Contains(got, c.want) {
			t.Errorf("%s: got %q, want it to say %q", name, got, c.want)
		}
	}
}

func TestSchemeFormGoesBackAndForth(t *testing.T) {
	t.Parallel()
	s := disk.Scheme{Table: "dos", Cache: 40 << 30, Partitions: []disk.Planned{
		{Number: 1, Type: "NTFS", Filesystem: "NTFS", Label: "win", Bytes: 60 << 30, Bootable: true}, {Number: 2, Type: "LINUX", Filesystem: "EXT4"}}}
	f := schemeForm{What: wholeTable}
	f.fill(s)
	got, err := f.scheme()
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Partitions) != 2 || got.Partitions[0] != s.Partitions[0] || got.Partitions[1] != s.Partitions[1] || got.Cache != s.Cache || got.Table != s.Table {
		t.Errorf("got %+v, want %+v", got, s)
	}
}

func TestProgramsByTheAPI(t *testing.T) {
	b := newBed(t)
	d := b.deployRoom()
	br := b.local()
	call := func(method, path, body string) reply {
		return br.do(br.request(method, path, "application/json", body))
	}
	call("POST", "/api/v1/operations/check", `{"classroomIDs":["`+d.room.ID+`"],"text":"restoreImage REPO win11 1 x"}`).want(http.StatusUnprocessableEntity).has(`"line 1, column 27"`)
	call("POST", "/api/v1/operations/check", `{"classroomIDs":["`+d.room.ID+`"],"text":"restoreImage REPO win11 1 2"}`).want(http.StatusOK).has("pc-01", `"online":true`)
	call("POST", "/api/v1/operations/check", `{"text":"reboot"}`).want(http.StatusUnprocessableEntity)
	call("POST", "/api/v1/operations", `{"computerIDs":["`+d.pcs[0].ID+`"],"text":"restoreImage REPO win11 1 2\nreboot","note":"by hand"}`).want(http.StatusCreated).
		has(`"steps":2`, `"note":"by hand"`)
	call("POST", "/api/v1/procedures", `{"name":"bad","text":"nonsense"}`).want(http.StatusUnprocessableEntity).has("line 1, column 1")
	call("POST", "/api/v1/procedures", `{"name":"night","text":"poweroff"}`).want(http.StatusCreated).has(`"name":"night"`)
	call("POST", "/api/v1/holidays", `{"name":"May","first":"2031-05-01"}`).want(http.StatusCreated).has(`"last":"2031-05-01"`)
	call("POST", "/api/v1/templates", `{"name":"t","scheme":{"table":"gpt","cache":-1,"partitions":[{"number":1,"filesystem":"EXT4","bytes":0}]}}`).want(http.StatusCreated)
	call("PUT", "/api/v1/classrooms/"+d.room.ID+"/defaults", `{"protocol":"TORRENT","torrent":"peer:30"}`).want(http.StatusNoContent)
	call("GET", "/api/v1/classrooms", "").want(http.StatusOK).has(`"protocol":"TORRENT"`)
}

func TestWordsOfTargets(t *testing.T) {
	t.Parallel()
	warned := operation.Target{Name: "pc-01", State: operation.Done, Warnings: []protocol.Failure{{Problem: "no name"}}}
	op := operation.Operation{Kind: operation.RestoreImage, State: operation.Done, Ended: time.Unix(1, 0), Steps: make([]operation.Step, 2),
		Targets: []operation.Target{warned, {Name: "pc-02", State: operation.NeverCame}}}
	h := operationHead(op, time.Unix(2, 0))
	if h.Word != "Done with warnings" || !h.Retry || h.Warned != 1 {
		t.Errorf("got %q, retry %v, %d warned", h.Word, h.Retry, h.Warned)
	}
	if want := "1 of 2 verified, 1 of them with warnings; 1 never came."; h.Summary != want {
		t.Errorf("got %q, want %q", h.Summary, want)
	}
	if got := targetRow(op, op.Targets[1]); got.Word != "Never came" || got.Note == "" {
		t.Errorf("got %q, %q", got.Word, got.Note)
	}
	status := multicast.SenderStatus{Phase: multicast.Waiting, Receivers: []multicast.ReceiverStatus{{State: multicast.Joined}, {State: multicast.Silent}}}
	if got, want := sessionWords(status, 5), "MULTICAST session: 1 of 5 PCs have joined."; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestDeploymentInTheBrowser looks at every page of a deployment.
func TestDeploymentInTheBrowser(t *testing.T) {
	b := newBed(t)
	c := openChrome(t, b.serve().URL)
	c.logIn(b)
	d := b.deployRoom()
	p, err := b.cat.PutProcedure(catalog.Procedure{Name: "Night", Text: "updateCache REPO win11 UNICAST\n"}, b.clock.Now())
	b.check(err)
	_, err = b.cat.PutSchedule(catalog.Schedule{
		Name: "Weekdays", ProcedureID: p.ID, ClassroomIDs: []string{d.room.ID}, Days: []time.Weekday{1, 3}, At: "03:30", Actor: "admin",
	}, b.clock.Now())
	b.check(err)
	pcs := d.query()
	for name, path := range map[string]string{
		"deploy": "/deploy?image=main%2Fwin11&" + pcs, "deploy-generate": "/deploy/generate?" + pcs + deployChoice, "deploy-pick": "/deploy",
		"partition":        "/partition?table=GPT&number=1&type=EFI&filesystem=FAT32&label=ESP&size=512M&number=2&type=LINUX&filesystem=EXT4&label=&size=&" + pcs,
		"partition-format": "/partition?what=format&" + pcs, "partition-cache": "/partition?what=cache&cache=size&cachesize=40G&" + pcs,
		"caches": "/cache?classroom=" + d.room.ID, "instructions": "/instructions?procedure=" + p.ID + "&" + pcs, "procedures": "/procedures",
		"schedules": "/schedules", "defaults": "/classrooms/" + d.room.ID + "/defaults", "power-wake": "/power?kind=wakeUp&" + pcs, "deploy-room": "/classrooms/" + d.room.ID,
	} {
		c.visit(name, path)
	}
	c.look(1280, 900, false)
	c.open("/instructions?" + pcs)
	c.fill("#program-text", "reboot")
	c.sees("#preflight", "Accept: run on 3 PCs")
	c.fill("#program-text", "x")
	c.sees("#preflight", "Line 1, column 1")
	c.clean()
}

// TestAProgramRunsOnlyAsItWasSeen: what is confirmed is what would be lost, on which disk, by whom.
func TestAProgramRunsOnlyAsItWasSeen(t *testing.T) {
	b := newBed(t)
	d := b.deployRoom()
	br := b.login(b.serve())
	form := url.Values{"pc": {d.pcs[0].ID, d.pcs[1].ID}, "text": {"restoreImage REPO win11 1 2"}, "confirm": {"room-1"}}
	see := func() {
		_, seen, _ := strings.Cut(br.post("/instructions/check", form).want(http.StatusOK).body, `name="seen" value="`)
		seen, _, _ = strings.Cut(seen, `"`)
		form.Set("seen", seen)
	}
	see()
	run := func(says string) { br.post("/instructions/run", form).want(http.StatusUnprocessableEntity).has(says) }

	form.Set("seen", "0")
	run("changed since you looked")
	see()
	form["pc"] = form["pc"][:1]
	run("changed since you looked") // one PC less
	see()
	other := inventory(1)
	other.Disks[0].Serial = "another disk"
	_, err := b.cat.Observe(other.NICs[0].MAC, "10.77.0.101", other, b.clock.Now())
	b.check(err)
	run("changed since you looked")
	see()
	b.leave(d.pcs[0]) // that it is off now changes nothing of what is lost
	form.Set("confirm", "Room-2")
	run("To confirm, type 1")
	form.Set("confirm", "room-1") // as it is written does not matter
	br.post("/instructions/run", form).want(http.StatusSeeOther)
	if n := len(b.ops.Operations(0)); n != 1 {
		t.Errorf("%d operations were begun, want the one that was confirmed", n)
	}
}

// TestASessionIsWatched: how many PCs have joined is told while it waits, though nobody reports anything.
func TestASessionIsWatched(t *testing.T) {
	b := newBed(t)
	d := b.deployRoom()
	program, err := instruction.Parse("restoreImage REPO win11 1 2 MULTICAST-DIRECT 9002:full-duplex:239.194.77.0:90M:3:60")
	b.check(err)
	op, err := b.ops.Begin(t.Context(), "admin", operation.Request{ComputerIDs: []string{d.pcs[0].ID, d.pcs[1].ID, d.pcs[2].ID}, Program: program})
	b.check(err)
	for _, pc := range d.pcs {
		b.instruction(pc)
	}
	br := b.login(b.serve())
	page := br.listen("topic="+operationTopic(op.ID), b.server.live.last())
	joined := func(n int) {
		status := multicast.SenderStatus{Phase: multicast.Waiting, Receivers: make([]multicast.ReceiverStatus, n)}
		b.rooms.say(&status)
		words := sessionWords(status, 3)
		page.until(words, func(p patch) bool { return p.Key == "op-"+op.ID && strings.Contains(p.HTML, words) })
	}
	joined(1)
	joined(2)
	br.post("/operations/"+op.ID+"/start", nil).want(http.StatusSeeOther)
	if b.rooms.starts != 1 {
		t.Errorf("the session was started %d times, want once", b.rooms.starts)
	}
}

func TestEqualDisksArePreviewedOnce(t *testing.T) {
	b := newBed(t)
	room := b.hall("Faculty", "Room-1")
	v := url.Values{"what": {onlyCache}, "cache": {cacheSize}, "cachesize": {"20G"}}
	for n := 1; n <= 7; n++ {
		inv := inventory(n)
		if n == 4 {
			inv.Disks[0].Model = "Kingston A400"
		}
		pc, err := b.cat.AcceptComputer(b.arriveWith(n, inv).ID, room.ID, "")
		b.check(err)
		v.Add("pc", pc.ID)
	}
	page := b.login(b.serve()).get("/partition?" + v.Encode()).want(http.StatusOK)
	page.has("6 computers: pc-01 … pc-03, pc-05 … pc-07", "Kingston A400", "Nothing is erased.")
	if n := strings.Count(page.body, `class="disk-bar"`); n != 2 {
		t.Errorf("%d disks are drawn, want one of six and one of its own", n)
	}
}
