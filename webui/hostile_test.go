package webui

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"aula/appliance/catalog"
	"aula/clientos/disk"
	"aula/clientos/protocol"
)

// hostile tries to leave an attribute, an element, a script and a line, and turns the reading direction around.
const hostile = "\"'><img src=x onerror=alert(1)><script>alert(1)</script>{{.}}\u202e\x1b[31m\r\n`${1}` </title></textarea></svg>"

// hostileName is as much of it as names may hold.
const hostileName = `"'><img src=x onerror=alert(1)>{{.}}</title></select>`

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
	if err := b.cat.PutImageObject(catalog.ImageObject{Name: "win11", DisplayName: hostileName, Comments: hostileName}); err != nil {
		b.t.Fatal(err)
	}
	failed := b.start("capture", url.Values{"pc": {plain.ID}, "part": {"1/2"}, "image": {"x"}})
	b.report(plain, protocol.Report{State: protocol.Failed, Stage: hostile, Failure: &protocol.Failure{Problem: hostile, Advice: hostile, Detail: hostile, Stage: hostile}})
	return []string{
		"/", "/classrooms/" + room.ID, "/rooms", "/pending", "/computers/" + known.ID, "/computers/" + waiting.ID, "/computers/" + plain.ID,
		"/images", "/images/win11", "/capture", "/capture?pc=" + known.ID, "/capture/name?image=" + url.QueryEscape(hostile),
		"/restore", "/restore?pc=" + known.ID + "&image=win11&target=" + url.QueryEscape(hostile), "/restore/check?image=win11&pc=" + known.ID,
		"/power?kind=reboot&pc=" + known.ID, "/operations", failed, "/settings", "/settings?did=" + url.QueryEscape(hostile),
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
		"/restore":             {"pc": {hostile}, "image": {hostile}, "target": {hostile}, "confirm": {hostile}, "seen": {hostile}},
		"/power":               {"kind": {hostile}, "pc": {hostile}},
		"/images/win11/remove": {"confirm": {hostile}},
	} {
		got := br.post(path, form)
		if got.StatusCode >= http.StatusInternalServerError || strings.Contains(got.body, "<img") || strings.Contains(got.body, "<script>") {
			t.Errorf("POST %s: %s, or a page with a hostile string unescaped", path, got.Status)
		}
	}
}
