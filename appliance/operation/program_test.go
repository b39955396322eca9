package operation

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"aula/clientos/disk"
	"aula/clientos/instruction"
	"aula/clientos/protocol"
)

// begin starts a program.
func (b *bench) begin(text string, ids ...string) Operation {
	b.t.Helper()
	op, err := b.m.Begin(b.t.Context(), "marta", b.request(text, ids...))
	if err != nil {
		b.t.Fatal(err)
	}
	b.work()
	return op
}

func (b *bench) request(text string, ids ...string) Request {
	b.t.Helper()
	program, err := instruction.Parse(text)
	if err != nil {
		b.t.Fatal(err)
	}
	return Request{ComputerIDs: ids, Program: program}
}

// does has a PC carry out the instruction that it was sent last.
func (b *bench) does(id string, r protocol.Report) {
	b.t.Helper()
	in := b.agents.sent[id]
	r.ID, r.State = in.ID, protocol.Done
	r.Seq = 1000
	switch in.Kind {
	case RestoreImage:
		r.Verified = in.UsedBytes()
	case UpdateCache:
		r.Verified = in.FileBytes()
	}
	b.m.Report(id, r)
	b.work()
}

// goes and comes are a PC that is switched off and on.
func (b *bench) goes(id string) {
	b.agents.offline[id] = true
	b.m.Disconnected(id)
	b.work()
}

func (b *bench) comes(id string) {
	b.agents.offline[id] = false
	b.m.Connected(id, nil)
	b.work()
}

// withCache gives a PC a cache partition with so much room.
func (b *bench) withCache(id string, free int64, images ...protocol.CachedImage) {
	pc := b.computers.all[id]
	pc.Inventory.Cache = &protocol.CacheState{Disk: 1, Partition: 4, Bytes: 100 * gb, Free: free, Images: images}
	b.computers.all[id] = pc
}

func TestProgramGoesOnPCByPC(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	op := b.begin("updateCache REPO windows11 UNICAST\nrestoreImage REPO windows11 1 1\nreboot", "pc1", "pc2")
	b.wantState(op, Failed) // neither has a cache

	b = newBench(t)
	b.withCache("pc1", 50*gb)
	b.withCache("pc2", 50*gb)
	op = b.begin("updateCache REPO windows11 UNICAST\nrestoreImage REPO windows11 1 1\nreboot", "pc1", "pc2")
	b.wantHeard("instruct pc1", "instruct pc2")
	if in := b.agents.sent["pc1"]; in.Kind != UpdateCache || in.Delivery.Session != op.ID+".0" {
		t.Errorf("first instruction is %+v", in)
	}
	b.does("pc1", protocol.Report{})
	b.wantHeard("instruct pc1", "settle pc1")
	if got := b.wantTarget(op, "pc1", Waiting); got.Step != 1 {
		t.Errorf("pc1 is at statement %d, want 1, whatever pc2 does", got.Step)
	}
	if in := b.agents.sent["pc1"]; in.Kind != RestoreImage || in.ID != instructionID(op.ID, "pc1")+".1" {
		t.Errorf("second instruction is %+v", in)
	}
	// An agent that did not hear that its verdict is stored says it again.
	b.m.Report("pc1", protocol.Report{ID: instructionID(op.ID, "pc1"), State: protocol.Done, Seq: 7, Verified: 18 * gb})
	b.work()
	b.wantHeard("settle pc1")
	b.wantTarget(op, "pc1", Waiting)

	b.restart()
	b.comes("pc1")
	b.agents.heard()
	b.does("pc1", protocol.Report{Dirty: true})
	if in := b.agents.sent["pc1"]; in.Kind != Reboot {
		t.Errorf("third instruction is %+v", in)
	}
	b.does("pc1", protocol.Report{})
	if got := b.wantTarget(op, "pc1", Done); got.Verified != 40*gb || got.Dirty {
		t.Errorf("pc1 ends as %+v", got)
	}
	b.wantState(op, Running)
}

func TestProgramAfterARestartOfThePC(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	op := b.begin("reboot\nrestoreImage REPO windows11 1 1", "pc1")
	b.does("pc1", protocol.Report{})
	b.agents.heard()
	b.passes(2 * time.Second)
	b.wantHeard() // it is about to go: what is sent now would be lost
	b.goes("pc1")
	b.comes("pc1")
	b.wantHeard("instruct pc1")
	if in := b.agents.sent["pc1"]; in.Kind != RestoreImage {
		t.Errorf("after the restart it is told %+v", in)
	}
	b.does("pc1", protocol.Report{})
	b.wantTarget(op, "pc1", Done)
}

func TestLatePCComesIn(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.agents.offline["pc2"], b.agents.offline["pc3"] = true, true
	op := b.begin("deployImage REPO windows11 1 1 UNICAST", "pc1", "pc2", "pc3")
	b.wantTarget(op, "pc2", Waiting)
	b.does("pc1", protocol.Report{})
	b.restart() // what a PC is waited for survives
	b.passes(10 * time.Minute)
	b.wantTarget(op, "pc2", Waiting)
	b.comes("pc2")
	if in := b.agents.sent["pc2"]; in.Kind != RestoreImage || in.Disk.Serial != "S5Y1" || in.Configuration.Hostname != "pc-02" {
		t.Errorf("the late PC is told %+v", in)
	}
	b.does("pc2", protocol.Report{})
	b.wantTarget(op, "pc2", Done)
	b.passes(21 * time.Minute)
	got := b.wantTarget(op, "pc3", NeverCame)
	if got.Failure == nil || !strings.Contains(got.Failure.Problem, "not there in time") {
		t.Errorf("the PC that never came: %+v", got.Failure)
	}
	b.wantState(op, NeverCame)
}

func TestStartNow(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.agents.offline["pc2"] = true
	op := b.begin("deployImage REPO windows11 1 1 UNICAST", "pc1", "pc2")
	if err := b.m.StartNow(t.Context(), op.ID); err != nil {
		t.Fatal(err)
	}
	b.wantTarget(op, "pc2", NeverCame)
	b.wantTarget(op, "pc1", Waiting) // it is at work on it, and has not said so yet
	b.does("pc1", protocol.Report{})

	again, err := b.m.Retry(t.Context(), "marta", op.ID)
	if err != nil {
		t.Fatal(err)
	}
	if len(again.Targets) != 1 || again.Targets[0].ComputerID != "pc2" {
		t.Errorf("a retry is for %+v, want pc2 only", again.Targets)
	}
	b.comes("pc2")
	b.does("pc2", protocol.Report{})
	b.wantState(again, Done)
	if _, err := b.m.Retry(t.Context(), "marta", again.ID); err == nil || !strings.Contains(err.Error(), "nothing to repeat") {
		t.Errorf("a retry of what is done: %v", err)
	}
}

func TestWakeUp(t *testing.T) {
	t.Parallel()
	var woken []string
	b := newBench(t, func(c *Config) {
		c.Wake = func(macs []string) error { woken = append(woken, macs...); return nil }
	})
	for _, id := range []string{"pc2", "pc3"} {
		pc := b.computers.all[id]
		pc.MACs = []string{"52:54:00:00:00:0" + id[2:]}
		b.computers.all[id] = pc
		b.agents.offline[id] = true
	}
	op := b.begin("wakeUp 300\ndeployImage REPO windows11 1 1 UNICAST", "pc1", "pc2", "pc3")
	b.passes(2 * time.Second)
	if slices.Sort(woken); !slices.Equal(woken, []string{"52:54:00:00:00:02", "52:54:00:00:00:03"}) {
		t.Errorf("woken: %q", woken)
	}
	if in := b.agents.sent["pc1"]; in.Kind != RestoreImage {
		t.Errorf("the PC that is on waits: %+v", in)
	}
	b.comes("pc2")
	if in := b.agents.sent["pc2"]; in.Kind != RestoreImage {
		t.Errorf("the PC that woke up is told %+v", in)
	}
	b.passes(30 * time.Second)
	if n := len(woken); n != 3 {
		t.Errorf("%d packets in all, want another one for pc3: %q", n, woken)
	}
	b.passes(4*time.Minute + 20*time.Second)
	b.passes(20 * time.Second)
	b.wantTarget(op, "pc3", Waiting) // it has not woken up in 300 s, and may come late all the same
	if n := len(woken); n != 4 {
		t.Errorf("%d packets in all, want none for pc3 after its 300 s: %q", n, woken)
	}
	b.passes(26 * time.Minute)
	b.wantTarget(op, "pc3", NeverCame)

	r := b.request("wakeUp 300\ndeployImage REPO windows11 1 1 UNICAST", "pc3")
	r.Late = -1
	alone := b.request("wakeUp 300", "pc3")
	for _, r := range []Request{r, alone} { // nobody may come late, and there is nothing to come late to
		op, err := b.m.Begin(t.Context(), "marta", r)
		if err != nil {
			t.Fatal(err)
		}
		b.work()
		b.passes(299 * time.Second)
		b.wantTarget(op, "pc3", Waiting)
		b.passes(2 * time.Second)
		b.wantTarget(op, "pc3", NeverCame)
	}
}

func TestWayOfTheImage(t *testing.T) {
	t.Parallel()
	const digest = "00112233"
	b := newBench(t)
	b.images.image.Blake3 = digest
	same := protocol.CachedImage{Name: "windows11", Digest: digest, Bytes: 18 * gb}
	old := protocol.CachedImage{Name: "windows11", Digest: "aa", Bytes: 18 * gb}
	for _, test := range []struct {
		text   string
		free   int64 // of the cache; negative: there is none
		images []protocol.CachedImage
		way    string
		code   int
	}{
		{"deployImage REPO windows11 1 1 MULTICAST", 0, []protocol.CachedImage{same}, "from its cache, which has it already", 0},
		{"deployImage REPO windows11 1 1 MULTICAST", 50 * gb, nil, "through its cache by MULTICAST", 0},
		{"deployImage REPO windows11 1 1 TORRENT", 1 * gb, []protocol.CachedImage{old}, "through its cache by TORRENT", 0},
		{"deployImage REPO windows11 1 1 MULTICAST", 1 * gb, nil, "straight to the disk by UNICAST: the image takes 18.0 GB", 0},
		{"deployImage REPO windows11 1 1 MULTICAST fallback=MULTICAST", -1, nil, "straight to the disk by MULTICAST: pc-01 has no cache", 0},
		{"deployImage REPO windows11 1 1 MULTICAST fallback=NONE", -1, nil, "", protocol.ErrNotCache},
		{"deployImage REPO windows11 1 1 MULTICAST fallback=NONE", 1 * gb, nil, "", protocol.ErrCacheSize},
		{"deployImage REPO windows11 1 1 MULTICAST-DIRECT", -1, nil, "straight to the disk by MULTICAST", 0},
		{"restoreImage CACHE windows11 1 1", 50 * gb, nil, "", protocol.ErrNotFound},
		{"restoreImage CACHE windows11 1 1", 0, []protocol.CachedImage{same}, "from its cache, which has it already", 0},
		{"updateCache REPO windows11 TORRENT peer:60", 0, []protocol.CachedImage{same}, "nothing to do: its cache has it already", 0},
		{"updateCache REPO windows11 TORRENT peer:60", 50 * gb, nil, "into its cache by TORRENT", 0},
		{"updateCache REPO windows11 UNICAST\ndeployImage REPO windows11 1 1 UNICAST", 50 * gb, nil,
			"into its cache by UNICAST; then from its cache, which has it already", 0},
		{"updateCache REPO windows11 TORRENT peer:60", 1 * gb, nil, "", protocol.ErrCacheSize},
		{"updateCache REPO windows11 TORRENT peer:60", -1, nil, "", protocol.ErrNotCache},
		{"initCache 1 40G\ndeployImage REPO windows11 1 1 MULTICAST fallback=NONE", -1, nil, "through its cache by MULTICAST", 0},
	} {
		if test.free < 0 {
			b.computers.all["pc1"] = testPC("pc1", "pc-01")
		} else {
			b.withCache("pc1", test.free, test.images...)
		}
		got, err := b.m.Check(t.Context(), b.request(test.text, "pc1"))
		if err != nil {
			t.Errorf("%s: %v", test.text, err)
			continue
		}
		if !strings.HasPrefix(got[0].Way, test.way) || test.way == "" && got[0].Way != "" {
			t.Errorf("%s, cache of %d: it comes %q, want %q", test.text, test.free, got[0].Way, test.way)
		}
		checkFailure(t, got[0].Failure, test.code, "", "")
	}
}

func TestPartitioningIsForeseen(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	got, err := b.m.Check(t.Context(), b.request("partitionDisk 1 MSDOS NTFS:70G EXT4:*:EXT4\nrestoreImage REPO windows11 1 1", "pc1"))
	if err != nil {
		t.Fatal(err)
	}
	if got[0].Failure != nil || len(got[0].Loses) < 2 {
		t.Errorf("with room for it: %+v", got[0])
	}
	got, err = b.m.Check(t.Context(), b.request("partitionDisk 1 MSDOS NTFS:20G EXT4:*:EXT4\nrestoreImage REPO windows11 1 1", "pc1"))
	if err != nil {
		t.Fatal(err)
	}
	checkFailure(t, got[0].Failure, protocol.ErrSize, "are missing", "")
}

func TestWarningsAreRetriedAlone(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	op := b.begin("deployImage REPO windows11 1 1 UNICAST", "pc1", "pc2")
	b.does("pc1", protocol.Report{Warnings: []protocol.Failure{{Code: protocol.ErrGeneric, Problem: "the name could not be set"}}})
	b.does("pc2", protocol.Report{})
	if got := b.wantTarget(op, "pc1", Done); len(got.Warnings) != 1 {
		t.Errorf("warnings: %+v", got.Warnings)
	}
	again, err := b.m.Retry(t.Context(), "marta", op.ID)
	if err != nil {
		t.Fatal(err)
	}
	b.work()
	if in := b.agents.sent["pc1"]; in.Kind != ConfigureOS || in.Configuration.Hostname != "pc-01" || in.Parts[0].Partition != 1 {
		t.Errorf("it is told %+v", in)
	}
	b.does("pc1", protocol.Report{})
	b.wantState(again, Done)
}

func TestAwaited(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.agents.offline["pc3"] = true
	op := b.begin("deployImage REPO windows11 1 1 MULTICAST-DIRECT", "pc1", "pc2", "pc3")
	in := b.agents.sent["pc1"]
	if in.Delivery.Parameters != "9000:full-duplex:239.194.17.36:0M:3:60" {
		t.Errorf("parameters %q", in.Delivery.Parameters)
	}
	want := func(n int) {
		t.Helper()
		if got := b.m.Awaited(in.Delivery.Session); got != n {
			t.Errorf("%d are awaited, want %d", got, n)
		}
	}
	want(2) // one that is switched off is not
	b.reports(op, "pc1", protocol.Report{Seq: 1, Stage: protocol.StageWaiting})
	want(1)
	b.reports(op, "pc2", protocol.Report{Seq: 1, Stage: protocol.StageWriting})
	want(0)
	b.does("pc1", protocol.Report{})
	b.does("pc2", protocol.Report{})
	if err := b.m.Cancel(t.Context(), op.ID); err != nil {
		t.Fatal(err)
	}
	want(-1)
}

func TestCancelBetweenStatements(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	op := b.begin("restoreImage REPO windows11 1 1\nreboot", "pc1")
	if err := b.m.Cancel(t.Context(), op.ID); err != nil {
		t.Fatal(err)
	}
	b.does("pc1", protocol.Report{}) // it was too late to stop the first
	b.wantTarget(op, "pc1", Cancelled)
	if in := b.agents.sent["pc1"]; in.Kind != RestoreImage {
		t.Errorf("after the cancel it is told %+v", in)
	}
}

func TestCaptureOfADisk(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	pc := b.computers.all["pc1"]
	pc.Inventory.Disks[0].Partitions = append(pc.Inventory.Disks[0].Partitions,
		disk.Partition{Number: 3, Start: 100 * gb, Bytes: 20 * gb, Filesystem: "EXT4", Used: 5 * gb},
		disk.Partition{Number: 4, Start: 200 * gb, Bytes: 20 * gb, Filesystem: "EXT4", Label: "CACHE", Name: "CACHE", Used: 5 * gb})
	b.computers.all["pc1"] = pc
	op := b.begin("createDiskImage 1 REPO room", "pc1")
	in := b.agents.sent["pc1"]
	if got := in.Capture.Partitions; !slices.Equal(got, []int{1, 3}) {
		t.Fatalf("images are made of partitions %v, want 1 and 3: neither swap nor cache", got)
	}
	for _, partition := range in.Capture.Partitions {
		img := testImage()
		img.Name, img.Source.Set, img.Source.Partition = in.Capture.ImageName(partition), "room", partition
		b.wantTarget(op, "pc1", Waiting)
		b.m.Published("pc1", in.ID, img)
	}
	b.does("pc1", protocol.Report{})
	b.wantTarget(op, "pc1", Done)
}

func TestNothingGoesToTheCachePartition(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	pc := b.computers.all["pc1"]
	pc.Inventory.Disks[0].Partitions[0].Label, pc.Inventory.Disks[0].Partitions[0].Name = "CACHE", "CACHE"
	b.computers.all["pc1"] = pc
	got, err := b.m.Check(t.Context(), b.request("restoreImage REPO windows11 1 1", "pc1"))
	if err != nil {
		t.Fatal(err)
	}
	checkFailure(t, got[0].Failure, protocol.ErrPartition, "is the cache", "")
}

func TestProgramsThatAreRefused(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	for text, want := range map[string]string{
		"restoreImage REPO windows12 1 1":         "line 1: restoreImage: image windows12",
		"reboot\nrestoreImage REPO kiosk 1 1":     "line 2: restoreImage: image kiosk is of a whole disk",
		"updateCache REPO nothing UNICAST":        "updateCache",
		"restoreDiskImage REPO windows11 1":       "is of a partition",
		"restoreImage REPO windows11 1 1 plain\n": "",
	} {
		_, err := b.m.Check(t.Context(), b.request(text, "pc1"))
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: %v, want %q", text, err, want)
		}
	}
	if _, err := b.m.Begin(t.Context(), "marta", Request{ComputerIDs: []string{"pc1"}}); err == nil {
		t.Error("a program without instructions was begun")
	}
}

// TestLayoutThatDoesAwayWithTheCache has the image come through a cache that would be gone before it is read.
func TestLayoutThatDoesAwayWithTheCache(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.withCache("pc1", 50*gb)
	pc := b.computers.all["pc1"]
	pc.Inventory.Disks[0].Partitions = append(pc.Inventory.Disks[0].Partitions,
		disk.Partition{Number: 4, Start: 400 * gb, Bytes: 100 * gb, Filesystem: "EXT4", Label: "CACHE", Used: 5 * gb})
	b.computers.all["pc1"] = pc
	for text, code := range map[string]int{
		"deployImage REPO windows11 1 1 UNICAST layout":         protocol.ErrCacheSize,
		"restoreImage REPO windows11 1 1 UNICAST-CACHE layout":  protocol.ErrCacheSize,
		"restoreImage REPO windows11 1 1 UNICAST-DIRECT layout": 0,
		"restoreImage REPO windows11 1 4 UNICAST-DIRECT":        protocol.ErrPartition, // by its label it is the cache
	} {
		got, err := b.m.Check(t.Context(), b.request(text, "pc1"))
		if err != nil {
			t.Fatal(err)
		}
		if f := got[0].Failure; f == nil && code != 0 || f != nil && f.Code != code {
			t.Errorf("%s: %v, want code %d", text, f, code)
		}
	}
}

// TestRetryOverwritesNothingNewer repeats an operation whose PC was done by another one since.
func TestRetryOverwritesNothingNewer(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	op := b.begin("deployImage REPO windows11 1 1 UNICAST", "pc1")
	b.m.Report("pc1", protocol.Report{ID: b.agents.sent["pc1"].ID, Seq: 5, State: protocol.Failed, Failure: &protocol.Failure{Code: 5, Problem: "no"}})
	b.work()
	again, err := b.m.Retry(t.Context(), "marta", op.ID)
	if err != nil {
		t.Fatal(err)
	}
	b.work()
	b.does("pc1", protocol.Report{})
	b.wantState(again, Done)
	if _, err := b.m.Retry(t.Context(), "marta", op.ID); err == nil || !strings.Contains(err.Error(), "was done by operation "+again.ID) {
		t.Errorf("the first operation was repeated over the second: %v", err)
	}
}

// TestBusyPCsHoldNobodyUp begins a program on a room of which one PC restores and another is waited for.
func TestBusyPCsHoldNobodyUp(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.restore("pc1")
	b.agents.offline["pc2"] = true
	b.begin("deployImage REPO windows11 1 1 UNICAST", "pc2")
	b.agents.heard()

	_, err := b.m.Begin(t.Context(), "schedule", b.request("deployImage REPO windows11 1 1 UNICAST", "pc1", "pc2"))
	if f, ok := errors.AsType[*protocol.Failure](err); !errors.Is(err, ErrRefused) || !ok || f.Code != protocol.ErrLocked {
		t.Errorf("all are busy: %v, want a refusal with code %d", err, protocol.ErrLocked)
	}
	op := b.begin("deployImage REPO windows11 1 1 UNICAST", "pc1", "pc2", "pc3")
	b.wantHeard("instruct pc3")
	for id, want := range map[string]string{"pc1": "is busy: restoring windows11", "pc2": "is waited for"} {
		if f := b.wantTarget(op, id, Failed).Failure; f == nil || f.Code != protocol.ErrLocked || !strings.Contains(f.Problem, want) {
			t.Errorf("%s: %v, want code %d and %q", id, f, protocol.ErrLocked, want)
		}
	}
	b.does("pc3", protocol.Report{})
	b.wantState(op, Failed)
	b.restart()
	b.wantState(op, Failed)
}

// TestSharingIsNotAwaited has PCs share what they have, while others wait for the session of the next statement.
func TestSharingIsNotAwaited(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	op := b.begin("restoreImage REPO windows11 1 1 TORRENT-DIRECT peer:3600\nrestoreImage REPO lab-p1 1 1 MULTICAST-DIRECT", "pc1", "pc2")
	b.reports(op, "pc1", protocol.Report{Seq: 1, Stage: protocol.StageWriting})
	b.reports(op, "pc2", protocol.Report{Seq: 1, Stage: protocol.StageSharing})
	if got := b.m.Awaited(sessionID(op.ID, 1)); got != 1 {
		t.Errorf("%d are awaited, want only the one that is still writing", got)
	}
}

func TestMulticastWithoutANetwork(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) { c.Network = netip.Prefix{} })
	r := b.request("deployImage REPO windows11 1 1 MULTICAST-DIRECT", "pc1")
	_, err := b.m.Begin(t.Context(), "marta", r)
	_, checked := b.m.Check(t.Context(), r)
	for _, err := range []error{err, checked} {
		if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "write the parameters") {
			t.Errorf("got %v, want a refusal that says what to do", err)
		}
	}
	b.begin("deployImage REPO windows11 1 1 MULTICAST-DIRECT 9000:full-duplex:239.194.17.36:0M:1:60", "pc1")
	b.wantHeard("instruct pc1")
}
