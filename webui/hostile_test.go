package webui

import (
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"aula/appliance/catalog"
	"aula/appliance/incorporation"
	"aula/appliance/upkeep"
	"aula/clientos/disk"
	"aula/clientos/protocol"
	"aula/imagestore"
	"aula/imagestore/torrent"
	"aula/imagestore/torrent/tracker"
)

// hostile tries to leave an attribute, an element, a script and a line, and turns the reading direction around.
const hostile = "\"'><img src=x onerror=alert(1)><script>alert(1)</script>{{.}}\u202e\x1b[31m\r\n`${1}` </title></textarea></svg>"

// hostileName is as much of it as names may hold.
const hostileName = `"'><img src=x onerror=alert(1)>{{.}}</title></select>`

// hostileFile is as much of it as the names of uploaded files may hold.
const hostileFile = `"'><img src=x onerror=alert(1)>{{.}}`

// hostileInventory is what an agent could say that is not ours.
func hostileInventory(n int) protocol.Inventory {
	inv := inventory(n)
	inv.Vendor, inv.Product, inv.Serial, inv.Board, inv.CPU = hostile, hostile, hostile, hostile, hostile
	inv.Firmware = hostile
	inv.NICs[0].Name, inv.NICs[0].Driver = hostile, hostile
	for i := range inv.Disks {
		d := &inv.Disks[i]
		d.Model, d.Serial, d.WWN, d.Path, d.Table, d.TableID = hostile, hostile, hostile, hostile, hostile, hostile
		for j := range d.Partitions {
			p := &d.Partitions[j]
			p.Label, p.UUID, p.Path, p.Type = hostile, hostile, hostile, hostile
			if j != 1 {
				p.Filesystem = hostile
			}
			if j == 2 {
				p.Start, p.Bytes, p.Used = -1<<62, 1<<62, 1<<62
			}
		}
	}
	inv.Disks = append(inv.Disks, disk.Disk{Number: -7, Bytes: -1}, disk.Disk{Number: 1 << 40})
	return inv
}

// hostilePages fills an appliance with hostile strings in every field that somebody else writes, and returns its pages.
func hostilePages(b *bed) []string {
	b.t.Helper()
	room := b.hall(hostileName, hostileName)
	known := b.arriveWith(1, hostileInventory(1))
	known, err := b.cat.AcceptComputer(known.ID, room.ID, hostileName)
	if err != nil {
		b.t.Fatal(err)
	}
	waiting := b.arriveWith(2, hostileInventory(2))
	b.pcs.mu.Lock()
	s := b.pcs.sessions[waiting.ID]
	s.Code, s.Version = hostile, hostile
	b.pcs.sessions[waiting.ID], b.pcs.sessions[known.ID] = s, s
	b.pcs.mu.Unlock()
	plain := b.enrol(room, 3)
	b.publish("win11", known, false)
	b.check(b.cat.PutImageObject(catalog.ImageObject{Name: "win11", DisplayName: hostileName, Profile: hostileName, Comments: hostileName}))
	b.check(b.cat.PutImageObject(catalog.ImageObject{Name: "missing", DisplayName: hostileName, Profile: hostileName, PartitionType: "NTFS"}))
	b.check(b.upkeep.AddRepository(catalog.Repository{Name: "other", Dir: b.t.TempDir(), Comments: hostile}))
	_, err = b.stageAndPublish("foreign", imagestore.Source{System: hostile, Computer: hostile, Set: hostile, Disk: 1, Partition: 1}, 20)
	b.check(err)
	release, err := b.images.Hold("foreign", 1, hostile)
	b.check(err)
	b.t.Cleanup(release)
	u, err := b.server.cfg.Uploads.Begin([]incorporation.File{{Path: hostileFile, Size: 1}}, hostile)
	b.check(err)
	_, err = b.server.cfg.Uploads.Append(u.ID, 0, 0, strings.NewReader("x"))
	b.check(err)
	b.server.cfg.Upkeep = &fakeTasks{Service: b.upkeep, tasks: []upkeep.Task{
		{ID: "t1", Kind: hostile, Actor: hostile, Title: hostile, Repository: hostile, Image: "win11", State: upkeep.Running, Stage: hostile, Done: 1, Total: 2},
		{ID: "t2", Title: hostile, Image: "win11", State: upkeep.Failed, Problem: hostile, Results: []string{hostile}, Warnings: []string{hostile}},
	}}
	b.swarms.set([]tracker.Swarm{{Hash: winHash, Name: hostile, Size: 1 << 62, Peers: []tracker.Peer{
		{Address: peerOf(1), Client: hostile, Left: -1, Downloaded: 1 << 62, DownRate: 1 << 62, Seen: b.clock.Now()},
		{Address: peerOf(9), Client: hostile, Left: 1 << 62, Uploaded: -1, UpRate: -1},
	}}}, []torrent.Status{{Hash: winHash, Name: hostile, State: torrent.Failed, Err: errors.New(hostile), Pieces: 1, Peers: []torrent.PeerStatus{
		{Address: netip.AddrPort{}, Client: hostile, Have: -1},
	}}}, nil)
	hostileBoots(b)
	group, err := b.cat.AddGroup(room.ID, hostileName)
	b.check(err)
	b.check(b.cat.SetGroup(group.ID, known.ID))
	failed := b.start("capture", url.Values{"pc": {plain.ID}, "part": {"1/2"}, "image": {"x"}})
	b.report(plain, protocol.Report{State: protocol.Failed, Stage: hostile, Failure: &protocol.Failure{Problem: hostile, Advice: hostile, Detail: hostile, Stage: hostile}})
	_, err = b.cat.PutProcedure(catalog.Procedure{Name: hostileName, Text: "# " + hostileName + "\nreboot", Comment: hostileName}, b.clock.Now())
	b.check(err)
	_, err = b.cat.AddHoliday(catalog.Holiday{Name: hostileName, First: "2031-12-24"})
	b.check(err)
	_, err = b.cat.PutSchemeTemplate(catalog.SchemeTemplate{Name: hostileName, Scheme: disk.Scheme{Table: "gpt", Partitions: []disk.Planned{{Number: 1, Filesystem: "EXT4"}}}})
	b.check(err)
	h := url.QueryEscape(hostile)
	return []string{
		"/deploy?image=win11&pc=" + known.ID, "/deploy?mode=" + h + "&image=" + h + "&target=" + h + "&port=" + h + "&address=" + h + "&grow=" + h + "&late=" + h + "&pc=" + known.ID,
		"/deploy/generate?mode=deployImage&image=main%2Fwin11&protocol=UNICAST&target=1%2F2&pc=" + known.ID, "/deploy/generate?mode=" + h + "&protocol=" + h + "&pc=" + known.ID,
		"/partition?pc=" + known.ID, "/partition?pc=" + known.ID + "&from=pc%3A" + known.ID, "/partition?what=format&pc=" + known.ID, "/partition?what=cache&cache=size&cachesize=" + h + "&pc=" + known.ID,
		"/partition?what=table&table=GPT&number=" + h + "&type=" + h + "&filesystem=" + h + "&label=" + h + "&size=" + h + "&disk=" + h + "&pc=" + known.ID,
		"/cache?classroom=" + room.ID, "/cache/generate?image=" + h + "&pc=" + known.ID, "/instructions?text=" + h + "&note=" + h + "&from=" + h + "&late=" + h + "&pc=" + known.ID,
		"/procedures", "/schedules", "/schedules?procedure=" + h + "&pc=" + h, "/classrooms/" + room.ID + "/defaults", "/power?kind=wakeUp&pc=" + known.ID,
		"/restore/check?method=" + h + "&image=main%2Fwin11&pc=" + known.ID,
		"/", "/classrooms/" + room.ID, "/rooms", "/pending", "/computers/" + known.ID, "/computers/" + waiting.ID, "/computers/" + plain.ID,
		"/images", "/images/win11", "/images/missing", "/images/foreign", "/register?image=" + url.QueryEscape(hostile) + "&comments=" + url.QueryEscape(hostile),
		"/import", "/import/" + u.ID, "/import/" + u.ID + "?name=" + url.QueryEscape(hostile), "/trash", "/tasks/t1", "/tasks/t2", "/repositories", "/capture", "/capture?pc=" + known.ID, "/capture/name?image=" + url.QueryEscape(hostile),
		"/restore", "/restore?pc=" + known.ID + "&image=win11&target=" + url.QueryEscape(hostile), "/restore/check?method=UNICAST-DIRECT&image=win11&pc=" + known.ID,
		"/restore/check?method=MULTICAST&image=win11&pc=" + known.ID + "&target=" + h, "/restore/check?image=win11&pc=" + known.ID,
		"/boot", "/boot?classroom=" + h + "&state=" + h, "/boot/" + mac(1), "/boot/" + mac(50), "/boot/" + h, "/leases", "/classrooms/" + room.ID + "/boot",
		"/choices?pc=" + known.ID, "/choices?pc=" + h,
		"/power?kind=reboot&pc=" + known.ID, "/operations", failed, "/torrents", "/settings", "/settings?did=" + url.QueryEscape(hostile),
		"/login?next=" + url.QueryEscape(hostile), "/" + url.PathEscape(hostile),
	}
}

func TestHostileStringsStayStrings(t *testing.T) {
	b := newBed(t)
	br := b.login(b.serve())
	for _, path := range hostilePages(b) {
		got := br.get(path)
		if got.StatusCode >= http.StatusInternalServerError {
			t.Errorf("%s: %s", path, got.Status)
		}
		for _, bad := range []string{"<img", "<script>", "onerror=alert(1)><", "\x1b", "\u202e"} {
			if strings.Contains(got.body, bad) {
				t.Errorf("%s holds %q unescaped", path, bad)
			}
		}
	}
	// Forms that come back with what was wrong.
	for path, form := range map[string]url.Values{
		"/centres":             {"name": {hostile}},
		"/classrooms":          {"name": {hostile}, "centre": {hostile}},
		"/settings/users":      {"name": {hostile}, "password": {password}},
		"/settings/password":   {"old": {hostile}},
		"/login":               {"name": {hostile}, "password": {hostile}, "next": {hostile}},
		"/pending":             {"pc": {hostile}, "room": {"new"}, "newRoom": {hostile}, "newCentre": {hostile}},
		"/capture":             {"pc": {hostile}, "part": {hostile}, "image": {hostile}},
		"/instructions/check":  {"text": {hostile}, "late": {hostile}, "from": {"/deploy?" + hostile}, "note": {hostile}},
		"/instructions/run":    {"pc": {b.someone()}, "text": {"restoreImage REPO win11 1 2\n# " + hostile}, "confirm": {hostile}, "seen": {hostile}, "note": {hostile}},
		"/procedures":          {"name": {hostile}, "text": {hostile}, "comment": {hostile}},
		"/schedules":           {"name": {hostile}, "procedure": {hostile}, "how": {"weekly"}, "day": {hostile}, "at": {hostile}, "zone": {hostile}, "missed": {hostile}},
		"/images/win11/script": {"script": {hostile}},
		"/holidays":            {"name": {hostile}, "first": {hostile}, "last": {hostile}},
		"/templates":           {"template": {hostile}, "table": {hostile}, "type": {hostile}, "label": {hostile}, "size": {hostile}},
		"/power":               {"kind": {hostile}, "pc": {hostile}},
		"/images/win11/remove": {"confirm": {hostile}},
		"/settings/boot":       {"accepted": {hostile}, "unknown": {hostile}, "seconds": {hostile}, "menuPassword": {hostile}},
		"/network/mode":        {"mode": {hostile}},
		"/network/answer":      {"answer": {hostile}},
		"/network/look":        {},
		"/notices/dismiss":     {"key": {hostile}},
		"/choices":             {"pc": {b.someone()}, "once": {hostile}, "always": {hostile}, "group": {hostile}},
		"/groups/none":         {"name": {hostile}},

		"/computers/" + b.someone() + "/boot":   {"once": {hostile}, "address": {hostile}},
		"/computers/" + b.someone() + "/quirks": {"quirk": {hostile}},
		"/boot/" + mac(1) + "/quirks":           {"quirk": {hostile}},

		"/images/win11":             {"display": {hostile}, "profile": {hostile}, "partition": {hostile}, "type": {hostile}, "comments": {hostile}},
		"/images/win11/convert":     {"compressor": {hostile}, "newName": {hostile}},
		"/images/win11/transfer":    {"to": {hostile}, "how": {hostile}},
		"/register":                 {"image": {hostile}, "display": {hostile}, "partition": {hostile}, "type": {hostile}, "repository": {hostile}},
		"/trash/none/discard":       {"repository": {hostile}},
		"/repositories":             {"name": {hostile}, "dir": {hostile}, "address": {hostile}, "keep": {hostile}},
		"/repositories/other":       {"keep": {"1"}, "trashDays": {"1"}, "reserve": {"1"}, "address": {hostile}},
		"/repositories/none/remove": {},
	} {
		got := br.post(path, form)
		if got.StatusCode >= http.StatusInternalServerError || strings.Contains(got.body, "<img") || strings.Contains(got.body, "<script>") {
			t.Errorf("POST %s: %s, or a page with a hostile string unescaped", path, got.Status)
		}
	}
}
