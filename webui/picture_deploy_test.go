package webui

import (
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"aula/appliance/catalog"
	"aula/appliance/operation"
	"aula/clientos/instruction"
	"aula/clientos/protocol"
	"aula/imagestore"
	"aula/imagestore/multicast"
)

// A lab is a classroom of twelve in which something is the matter with every other PC, for the pages of a deployment.
type lab struct {
	room  catalog.Classroom
	pcs   []catalog.Computer
	image imagestore.Image
}

func (b *bed) lab() lab {
	b.t.Helper()
	l := lab{room: b.hall("Faculty of Science", "Lab 2.01")}
	l.image = b.publish("windows11", b.enrol(b.room(l.room.CentreID, "Workshop"), 40), true)
	b.publish("debian13-labs", b.enrol(b.hall("School of Engineering", "Networks"), 41), false)
	for n := 1; n <= 12; n++ {
		inv := inventory(n)
		disk := &inv.Disks[0]
		switch {
		case n == 7:
			disk.Model, disk.Bytes = "Kingston A400", 240*gigabyte
			disk.Partitions = disk.Partitions[:2]
			disk.Partitions[1].Bytes = 128 << 10
		case n != 8:
			inv.Cache = &protocol.CacheState{Disk: 1, Partition: 5, Bytes: 100 * gigabyte, Free: int64(100-8*n) * gigabyte, Images: []protocol.CachedImage{
				{Name: "windows11", Bytes: 28 * gigabyte, Digest: strings.Repeat("0", 64), Repository: "main", Revision: 1},
				{Name: "debian13-labs", Bytes: 9 * gigabyte, Repository: "main", Revision: 1, Partial: n == 4},
			}}
			if n%4 == 1 {
				inv.Cache.Images[0].Digest = l.image.Blake3
			}
			if n == 11 {
				inv.Cache.Images, inv.Cache.Free = nil, 1000
			}
		}
		pc, err := b.cat.AcceptComputer(b.arriveWith(n, inv).ID, l.room.ID, fmt.Sprintf("pc-%02d", n))
		b.check(err)
		l.pcs = append(l.pcs, pc)
	}
	b.check(b.cat.SetDefaults(l.room.ID, catalog.Defaults{
		Protocol: protocol.Multicast, Multicast: "9000:full-duplex:239.194.17.36:90M:12:60", Torrent: "peer:60", Script: "date > \"$AULA_ROOT/etc/deployed\"\n",
	}))
	return l
}

// query names the PCs from one place in the room to another.
func (l lab) query(from, to int) string {
	v := url.Values{}
	for _, pc := range l.pcs[from-1 : to] {
		v.Add("pc", pc.ID)
	}
	return v.Encode()
}

const labProgram = "deployImage REPO windows11 1 2 MULTICAST 9000:full-duplex:239.194.17.36:90M:12:60\nbootOs 1 2\n"

// deploy begins a deployment of which each PC is somewhere else.
func (b *bed) deploy(l lab) operation.Operation {
	b.t.Helper()
	program, err := instruction.Parse(labProgram)
	b.check(err)
	var ids []string
	for _, pc := range l.pcs {
		ids = append(ids, pc.ID)
	}
	op, err := b.ops.Begin(withCaller(b.t.Context(), caller{User: "admin"}), "admin", operation.Request{ComputerIDs: ids, Program: program, Note: "Before the exams"})
	b.check(err)
	b.names = append(b.names, op.ID, "ID-deploy")
	b.clock.move(7*time.Minute + 12*time.Second)
	const used = 61 * gigabyte
	for n, r := range map[int]protocol.Report{
		1: {State: protocol.Done, Stage: protocol.StageConfiguring, Verified: l.image.Info.UsedBytes,
			Scripts: []protocol.ScriptResult{{Name: "classroom Lab 2.01", Output: "licence: ok\n"}}},
		2: {State: protocol.Done, Stage: protocol.StageConfiguring, Verified: l.image.Info.UsedBytes, Warnings: []protocol.Failure{{
			Code: 1, Stage: protocol.StageConfiguring, Problem: "the name pc-02 was not set: the registry cannot be written",
			Advice: "start Windows once, shut it down fully, and capture the image again", Detail: "hivex: failed to commit: Read-only file system"}},
			Scripts: []protocol.ScriptResult{{Name: "image windows11", Exit: 3, Output: "slmgr: no licence server\n"}, {Name: "classroom Lab 2.01"}}},
		3: {Stage: protocol.StageWriting, Bytes: 25 * gigabyte, Total: used, Rate: 98_000_000, Slow: protocol.SlowDisk, Dirty: true},
		4: {Stage: protocol.StageVerifying, Bytes: 44 * gigabyte, Total: used, Rate: 510_000_000, Dirty: true},
		5: {Stage: protocol.StageWriting, Bytes: 55 * gigabyte, Total: used, Rate: 310_000_000, Dirty: true, Slow: protocol.SlowDecoding},
		6: {Stage: protocol.StageWaiting},
		8: {Stage: protocol.StageWriting, Bytes: 3 * gigabyte, Total: used, Rate: 11_000_000, Dirty: true, Slow: protocol.SlowNetwork,
			Notes: []string{"no cache: the image comes straight to the disk by UNICAST"}},
		10: {Stage: protocol.StageCaching, Bytes: 9 * gigabyte, Total: 28 * gigabyte, Rate: 11_200_000, Slow: protocol.SlowNetwork},
		11: {State: protocol.Failed, Stage: protocol.StageWriting, Dirty: true, Failure: &protocol.Failure{Code: protocol.ErrImage, Stage: protocol.StageWriting,
			Problem: "disk 1 cannot be written at byte 41,203,794,432", Advice: "replace the disk", Detail: "write /dev/nvme0n1p2: input/output error"}},
		12: {Stage: protocol.StageWriting, Bytes: 20 * gigabyte, Total: used, Rate: 90_000_000, Dirty: true},
	} {
		b.report(l.pcs[n-1], r)
	}
	b.leave(l.pcs[11])
	b.clock.move(5 * time.Second)
	b.rooms.say(&multicast.SenderStatus{Phase: multicast.Waiting, Receivers: make([]multicast.ReceiverStatus, 3)})
	return op
}

// settle ends it: those that work are done, and who stays away has stayed away.
func (b *bed) settle(l lab, op operation.Operation) {
	b.t.Helper()
	for _, n := range []int{3, 4, 5, 6, 8, 10} {
		b.report(l.pcs[n-1], protocol.Report{State: protocol.Done, Stage: protocol.StageConfiguring, Verified: l.image.Info.UsedBytes})
	}
	for _, n := range []int{1, 2, 3, 4, 5, 6, 8, 10} {
		b.eventually("the second statement", func() bool { return b.instruction(l.pcs[n-1]).Kind == operation.BootDisk })
		b.report(l.pcs[n-1], protocol.Report{State: protocol.Done})
	}
	b.clock.move(operation.DefaultLate)
	b.eventually("the end", func() bool {
		got, err := b.ops.Operation(op.ID)
		return err == nil && !got.Ended.IsZero()
	})
}

// TestADeploymentInPictures looks at every page that leads to a deployment, at one that runs, and at its report.
func TestADeploymentInPictures(t *testing.T) {
	b := newBed(t)
	c := openChrome(t, b.serve().URL)
	c.logIn(b)
	l := b.lab()
	b.leave(l.pcs[8])
	night := catalog.Procedure{Name: "Windows 11 at night", Text: "# before seven\nupdateCache REPO windows11 UNICAST\npoweroff\n", Comment: "Friday's image"}
	p, err := b.cat.PutProcedure(night, b.clock.Now())
	b.check(err)
	for _, s := range []catalog.Schedule{
		{Name: "Weekdays", ProcedureID: p.ID, ClassroomIDs: []string{l.room.ID}, Days: []time.Weekday{1, 2, 3, 4, 5}, At: "03:30", Zone: "Europe/Madrid", Actor: "admin"},
		{Name: "Exam", ProcedureID: p.ID, ComputerIDs: []string{l.pcs[0].ID, l.pcs[1].ID}, Once: b.clock.Now().Add(100 * time.Hour), Actor: "admin", Off: true},
	} {
		_, err = b.cat.PutSchedule(s, b.clock.Now())
		b.check(err)
	}
	_, err = b.cat.AddHoliday(catalog.Holiday{Name: "Christmas", First: "2031-12-24", Last: "2032-01-06"})
	b.check(err)
	six := l.query(1, 7)
	scheme := "table=GPT&number=1&type=EFI&filesystem=FAT32&label=ESP&size=512M" +
		"&number=2&type=NTFS&filesystem=NTFS&label=Windows&size=250G&number=3&type=LINUX&filesystem=EXT4&label=&size="
	for _, page := range []struct{ name, path string }{
		{"lab-room", "/classrooms/" + l.room.ID}, {"lab-pc", "/computers/" + l.pcs[0].ID}, {"lab-image", "/images/windows11"},
		{"lab-restore", "/restore?image=main%2Fwindows11&" + six},
		{"lab-deploy", "/deploy?image=main%2Fwindows11&classroom=" + l.room.ID}, {"lab-deploy-none", "/deploy"},
		{"lab-program", "/deploy/generate?mode=deployImage&image=main%2Fwindows11&protocol=MULTICAST&port=9000&duplex=full-duplex" +
			"&address=239.194.17.36&speed=90&computers=12&wait=60&adapt=1&source=REPO&after=bootOs&classroom=" + l.room.ID},
		{"lab-partition", "/partition?" + scheme + "&" + six}, {"lab-partition-program", "/partition/generate?disk=1&" + scheme + "&" + six},
		{"lab-format", "/partition?what=format&" + six}, {"lab-cache-make", "/partition?what=cache&cache=size&cachesize=40G&" + six},
		{"lab-caches", "/cache?classroom=" + l.room.ID}, {"lab-instructions", "/instructions"}, {"lab-instructions-wrong", "/instructions?text=reboott&" + six},
		{"lab-procedures", "/procedures"}, {"lab-schedules", "/schedules"},
		{"lab-defaults", "/classrooms/" + l.room.ID + "/defaults"}, {"lab-wake", "/power?kind=wakeUp&" + six},
	} {
		c.visit(page.name, page.path)
	}
	op := b.deploy(l)
	c.visit("lab-running", "/operations/"+op.ID)
	c.visit("lab-room-running", "/classrooms/"+l.room.ID)
	b.settle(l, op)
	c.visit("lab-report", "/operations/"+op.ID)
	c.visit("lab-operations", "/operations")
	c.clean()
}
