package operation

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"aula/appliance/catalog"
	"aula/clientos/protocol"
	"aula/imagestore"
)

func TestRestoreToARoomWithOneSmallDisk(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	small := testPC("pc3", "pc-03")
	small.Inventory.Disks[0].Partitions[0].Bytes = 50 * gb
	b.computers.all["pc3"] = small

	op := b.restore("pc1", "pc2", "pc3")
	b.wantHeard("instruct pc1", "instruct pc2")
	if f := b.wantTarget(op, "pc3", Failed).Failure; f.Code != protocol.ErrSize || !strings.Contains(f.Problem, "10.0 GB (10000000000 bytes) are missing") {
		t.Errorf("the small disk's failure is %+v, want code %d and the figures", *f, protocol.ErrSize)
	}
	if got := b.images.holders(); !slices.Equal(got, []string{"restore on 3 computers"}) {
		t.Errorf("image held by %q", got)
	}
	b.finishes(op, "pc1")
	b.wantHeard("settle pc1")
	b.wantState(op, Running)
	b.finishes(op, "pc2")
	b.wantTarget(op, "pc1", Done)
	b.wantState(op, Failed)
	if got := b.images.holders(); len(got) != 0 {
		t.Errorf("image still held by %q after the end", got)
	}
	if b.changed == 0 {
		t.Error("nobody was told of a change")
	}
}

func TestRestoreThatNoPCPasses(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.agents.offline["pc1"] = true
	op := b.restore("pc1")
	if got := b.wantTarget(op, "pc1", Failed); !strings.Contains(got.Failure.Problem, "not connected") {
		t.Errorf("got %q", got.Failure.Problem)
	}
	b.wantState(op, Failed)
	if len(b.images.holders()) != 0 {
		t.Error("the image is held for nothing")
	}
	b.restore("pc2") // and nothing keeps others
}

func TestCaptureBecomesARevision(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	op := b.capture("pc1", "ubuntu")
	in, ok := b.m.Entitled("pc1", instructionID(op.ID, "pc1"))
	if !ok || in.Capture.Name != "ubuntu" || in.Disk.Serial != "S5Y1" {
		t.Errorf("entitled to %+v, %v; want the capture of ubuntu", in, ok)
	}
	if _, ok := b.m.Entitled("pc2", in.ID); ok {
		t.Error("another PC is entitled to the capture")
	}
	b.reports(op, "pc1", protocol.Report{Seq: 1, Stage: protocol.StageReading, Bytes: 5})
	b.m.Publishing("pc1", in.ID, 1, 2)
	if got := b.wantTarget(op, "pc1", Running); got.Stage != protocol.StagePublishing {
		t.Errorf("stage %s, want publishing", got.Stage)
	}
	b.m.Published("pc1", in.ID, imagestore.Image{Name: "ubuntu", Revision: 7})
	b.reports(op, "pc1", protocol.Report{Seq: 2, State: protocol.Done})
	if got := b.wantState(op, Done); got.Revision != 7 {
		t.Errorf("revision %d, want 7", got.Revision)
	}
	b.wantHeard("instruct pc1", "settle pc1")
	if _, ok := b.m.Entitled("pc1", in.ID); ok {
		t.Error("still entitled after the end")
	}
	b.restart()
	if got := b.wantState(op, Done); got.Revision != 7 {
		t.Errorf("after a restart: revision %d, want 7", got.Revision)
	}
}

func TestRequestsThatAreRefused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		do   func(b *bench) error
		want string
	}{
		"no computers": {func(b *bench) error {
			_, err := b.m.Restore(b.t.Context(), "marta", RestoreRequest{Disk: 1, Partition: 1, Image: "windows11"})
			return err
		}, "no computers"},
		"the same computer twice": {func(b *bench) error {
			_, err := b.m.Power(b.t.Context(), "marta", Reboot, []string{"pc1", "pc1"})
			return err
		}, "twice"},
		"a computer that was removed": {func(b *bench) error {
			_, err := b.m.Power(b.t.Context(), "marta", Reboot, []string{"pc9"})
			return err
		}, "pc9"},
		"an image that was removed": {func(b *bench) error {
			_, err := b.m.Restore(b.t.Context(), "marta", RestoreRequest{ComputerIDs: []string{"pc1"}, Disk: 1, Partition: 1, Image: "nope"})
			return err
		}, "no such image"},
		"an image without data": {func(b *bench) error {
			b.images.image.Info.UsedBytes = 0
			_, err := b.m.Restore(b.t.Context(), "marta", RestoreRequest{ComputerIDs: []string{"pc1"}, Disk: 1, Partition: 1, Image: "windows11"})
			return err
		}, "holds no data"},
		"disk zero": {func(b *bench) error {
			_, err := b.m.Restore(b.t.Context(), "marta", RestoreRequest{ComputerIDs: []string{"pc1"}, Partition: 1, Image: "windows11"})
			return err
		}, "numbered from 1"},
		"a layout that is not there": {func(b *bench) error {
			b.images.layout = nil
			_, err := b.m.Restore(b.t.Context(), "marta", RestoreRequest{ComputerIDs: []string{"pc1"}, Disk: 1, Partition: 1, Image: "windows11", Layout: true})
			return err
		}, "restore without it"},
		"a layout that is damaged": {func(b *bench) error {
			b.images.layout = []byte("{}")
			_, err := b.m.Restore(b.t.Context(), "marta", RestoreRequest{ComputerIDs: []string{"pc1"}, Disk: 1, Partition: 1, Image: "windows11", Layout: true})
			return err
		}, "layout"},
		"a power command that does not exist": {func(b *bench) error {
			_, err := b.m.Power(b.t.Context(), "marta", "explode", []string{"pc1"})
			return err
		}, "explode"},
		"a PC that restores": {func(b *bench) error {
			b.restore("pc1")
			_, err := b.m.Power(b.t.Context(), "luis", PowerOff, []string{"pc2", "pc1"})
			return err
		}, "pc-01 is busy: restoring windows11, asked for by marta"},
		"a name that is being captured": {func(b *bench) error {
			b.capture("pc1", "ubuntu")
			_, err := b.m.Capture(b.t.Context(), "luis", CaptureRequest{ComputerID: "pc2", Disk: 1, Partition: 1, Image: "ubuntu"})
			return err
		}, "being captured from pc-01"},
		"a capture from a PC that is off": {func(b *bench) error {
			b.agents.offline["pc1"] = true
			_, err := b.m.Capture(b.t.Context(), "luis", CaptureRequest{ComputerID: "pc1", Disk: 1, Partition: 1, Image: "ubuntu"})
			return err
		}, "not connected"},
		"a record that cannot be stored": {func(b *bench) error {
			b.store.full = true
			_, err := b.m.Power(b.t.Context(), "marta", Reboot, []string{"pc2"})
			if errors.Is(err, errFull) { // not the operator's mistake, and yet nothing was done
				err = refused(err)
			}
			return err
		}, "no space left"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t)
			err := test.do(b)
			if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want a refusal with %q", err, test.want)
			}
			b.agents.heard()
			b.work()
			b.wantHeard()
			if _, _, busy := b.m.Current("pc2"); busy {
				t.Error("pc2 is busy with what was refused")
			}
		})
	}
}

func TestVerdictIsStoredBeforeThePCForgets(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	op := b.restore("pc1")
	b.reports(op, "pc1", protocol.Report{Seq: 1, Stage: protocol.StageWriting, Dirty: true})
	b.agents.heard()

	b.store.full = true
	b.finishes(op, "pc1")
	b.wantHeard() // not settled: the record does not say Done
	b.restart()
	b.wantTarget(op, "pc1", LostContact)
	b.m.Connected("pc1", &protocol.Report{ID: instructionID(op.ID, "pc1"), Seq: 1000, State: protocol.Done, Verified: 40 * gb})
	b.work()
	b.wantHeard()

	b.store.full = false
	b.passes(tickInterval)
	b.wantHeard("settle pc1")
	b.restart()
	b.wantTarget(op, "pc1", Done)
}

func TestServerRestartsInTheMiddleOfARestore(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	op := b.restore("pc1", "pc2", "pc3")
	b.reports(op, "pc1", protocol.Report{Seq: 5, Stage: protocol.StageWriting, Bytes: 9 * gb, Dirty: true})
	b.reports(op, "pc2", protocol.Report{Seq: 5, Stage: protocol.StageWriting, Bytes: 9 * gb, Dirty: true})
	b.finishes(op, "pc3")
	b.passes(tickInterval)
	b.agents.heard()

	b.restart()
	if got := b.wantTarget(op, "pc1", LostContact); got.Bytes != 9*gb || !got.Dirty {
		t.Errorf("after the restart pc-01 stands at %d, dirty %v; want what was known", got.Bytes, got.Dirty)
	}
	b.wantTarget(op, "pc3", Done)
	if got := b.images.holders(); !slices.Equal(got, []string{"restore on 3 computers"}) {
		t.Errorf("image held by %q after the restart", got)
	}
	if !b.m.Reading("pc1", "main", "windows11", 4) || b.m.Reading("pc1", "main", "windows11", 3) ||
		b.m.Reading("pc1", "attic", "windows11", 4) || b.m.Reading("pc3", "main", "windows11", 4) {
		t.Error("the PCs that may read the image are not those that restore it")
	}
	b.m.Connected("pc1", &protocol.Report{ID: instructionID(op.ID, "pc1"), Seq: 50, State: protocol.Running, Stage: protocol.StageVerifying})
	b.m.Connected("pc2", nil)
	b.work()
	b.wantTarget(op, "pc1", Running)
	b.wantTarget(op, "pc2", Failed)
	b.wantHeard("settle pc2")
	b.finishes(op, "pc1")
	b.wantState(op, Failed)
	if got := b.images.holders(); len(got) != 0 {
		t.Errorf("image still held by %q", got)
	}
}

func TestLayoutTravelsWithTheInstructionOnly(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	op, err := b.m.Restore(t.Context(), "marta", RestoreRequest{ComputerIDs: []string{"pc1"}, Disk: 1, Partition: 1, Image: "windows11", Layout: true})
	if err != nil {
		t.Fatal(err)
	}
	check := func() {
		t.Helper()
		b.work()
		if got := b.agents.sent["pc1"]; string(got.Layout) != string(b.images.layout) {
			t.Errorf("the PC got a layout of %d bytes, want %d", len(got.Layout), len(b.images.layout))
		}
		if got := b.wantTarget(op, "pc1", Waiting); got.Instruct.Layout != nil {
			t.Error("the layout is in what the console reads")
		}
	}
	b.restart() // before anything was sent
	b.m.Connected("pc1", nil)
	check()
	for id, record := range b.store.records {
		if strings.Contains(string(record), "bootCode") || strings.Contains(string(record), `"layout":"`) {
			t.Errorf("the layout is in record %s", id)
		}
	}
}

func TestPower(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.agents.offline["pc2"] = true
	op, err := b.m.Power(t.Context(), "marta", BootDisk, []string{"pc1", "pc2"})
	if err != nil {
		t.Fatal(err)
	}
	b.agents.hook = func(id string) {
		if b.computers.nextBoot[id] != catalog.BootDisk {
			t.Error("the PC restarts before the server knows that it shall boot its disk")
		}
	}
	b.work()
	b.m.Disconnected("pc1")
	b.wantTarget(op, "pc1", Done)
	b.wantTarget(op, "pc2", Failed)
	if got := b.computers.nextBoot["pc2"]; got != "" {
		t.Errorf("the PC that was off shall boot %q next", got)
	}
}

func TestServerRestartsWhileAPCObeys(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	op, err := b.m.Power(t.Context(), "marta", Reboot, []string{"pc1"})
	if err != nil {
		t.Fatal(err)
	}
	b.work()
	b.wantHeard("instruct pc1")
	b.restart()
	b.m.Connected("pc1", nil)
	b.work()
	b.wantTarget(op, "pc1", Done)
	b.wantHeard("settle pc1") // and it is not restarted a second time
}

func TestCancelledBootOfItsDiskIsUndone(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	op, err := b.m.Power(t.Context(), "marta", BootDisk, []string{"pc1"})
	if err != nil {
		t.Fatal(err)
	}
	b.agents.hook = func(string) {
		b.agents.offline["pc1"] = true
		if err := b.m.Cancel(t.Context(), op.ID); err != nil {
			t.Error(err)
		}
	}
	b.work()
	b.wantTarget(op, "pc1", Cancelled)
	if got := b.computers.nextBoot["pc1"]; got != "" {
		t.Errorf("next boot is %q, want the client OS again", got)
	}
}

func TestCancelAsksThePCsThatBegan(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	op := b.restore("pc1", "pc2")
	b.reports(op, "pc1", protocol.Report{Seq: 1, Stage: protocol.StageWriting, Dirty: true})
	b.finishes(op, "pc2")
	b.agents.heard()
	if err := b.m.Cancel(t.Context(), op.ID); err != nil {
		t.Fatal(err)
	}
	b.work()
	b.wantHeard("cancel pc1")
	b.wantTarget(op, "pc1", Running)
	b.reports(op, "pc1", protocol.Report{Seq: 2, State: protocol.Cancelled, Dirty: true})
	if got := b.wantTarget(op, "pc1", Cancelled); !got.Dirty {
		t.Error("nobody is told that the disk holds half an image")
	}
	b.wantState(op, Cancelled)
	if err := b.m.Cancel(t.Context(), "nope"); !errors.Is(err, ErrNotFound) {
		t.Errorf("cancel of no operation: got %v", err)
	}
}

func TestPCWithAnInstructionThatNobodyKnows(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.m.Connected("pc1", &protocol.Report{ID: "from.before", State: protocol.Running})
	b.work()
	b.wantHeard("cancel pc1")
	if _, err := b.m.Restore(t.Context(), "marta", RestoreRequest{ComputerIDs: []string{"pc1"}, Disk: 1, Partition: 1, Image: "windows11"}); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "earlier operation") {
		t.Errorf("restore on it: got %v, want a refusal", err)
	}
	if _, err := b.m.Power(t.Context(), "marta", Reboot, []string{"pc1"}); err != nil {
		t.Errorf("it cannot even be restarted: %v", err)
	}
	b.work()
	b.wantHeard("instruct pc1")
	b.m.Report("pc1", protocol.Report{ID: "from.before", State: protocol.Cancelled})
	b.work()
	b.wantHeard("settle pc1")
}

func TestInstructionOfAnotherPCIsNotBelieved(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	op := b.restore("pc1", "pc2")
	b.m.Report("pc2", protocol.Report{ID: instructionID(op.ID, "pc1"), Seq: 1, State: protocol.Done, Verified: 40 * gb})
	b.wantTarget(op, "pc1", Waiting)
	b.m.Connected("pc2", &protocol.Report{ID: instructionID(op.ID, "pc1"), Seq: 1, State: protocol.Done, Verified: 40 * gb})
	b.wantTarget(op, "pc1", Waiting)
}

func TestDamagedRecordsDoNotStopTheServer(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	lost := b.restore("pc1")
	part := b.restore("pc2")
	b.reports(part, "pc2", protocol.Report{Seq: 1, Stage: protocol.StageWriting, Dirty: true})
	b.store.records[lost.ID] = []byte("{")
	b.store.records[instructionID(part.ID, "pc2")] = []byte(`{"target":{"state":"great"}}`)
	b.restart()
	if _, err := b.m.Operation(lost.ID); !errors.Is(err, ErrNotFound) {
		t.Errorf("operation without a plan: got %v, want ErrNotFound", err)
	}
	if got := b.wantTarget(part, "pc2", Incomplete); !strings.Contains(got.Failure.Problem, "damaged") {
		t.Errorf("got %q", got.Failure.Problem)
	}
	b.m.Connected("pc1", &protocol.Report{ID: instructionID(lost.ID, "pc1"), State: protocol.Running})
	b.agents.heard()
	b.work()
	b.wantHeard("cancel pc1")
}

func TestOldOperationsAreForgotten(t *testing.T) {
	t.Parallel()
	b := newBench(t, func(c *Config) { c.Keep = 3 })
	first := b.restore("pc1") // under way all the time
	var ids []string
	for range 5 {
		op := b.restore("pc2")
		b.finishes(op, "pc2")
		ids = append(ids, op.ID)
	}
	kept := func() (all []string) {
		for _, op := range b.m.Operations(0) {
			all = append(all, op.ID)
		}
		return all
	}
	want := []string{ids[4], ids[3], first.ID}
	if got := kept(); !slices.Equal(got, want) {
		t.Errorf("kept %v, want %v", got, want)
	}
	if got := b.m.Operations(1); len(got) != 1 || got[0].ID != ids[4] {
		t.Errorf("the newest is %v, want %s", got, ids[4])
	}
	b.restart()
	if got := kept(); !slices.Equal(got, want) {
		t.Errorf("after a restart: kept %v, want %v", got, want)
	}
	if got := len(b.store.records); got != 6 {
		t.Errorf("%d records are left, want 6", got)
	}
}

func TestIdentifiersSortByTimeWhateverTheClockSays(t *testing.T) {
	t.Parallel()
	last := ""
	for i, clock := range []time.Time{t0, t0, t0.Add(time.Millisecond), t0.Add(-time.Hour), t0.Add(time.Second), t0.Add(999999 * time.Nanosecond)} {
		id := newID(clock, last, fmt.Sprintf("%04x", 0xffff-i))
		if id <= last || !isID(id) {
			t.Errorf("%s comes after %s", id, last)
		}
		last = id
	}
	if got, want := newID(t0, "", "4f2a"), "20261122T090000000-4f2a"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestPreflightShowsWhatWillBeLost(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.agents.offline["pc2"] = true
	b.restore("pc3")
	b.agents.heard()
	got, err := b.m.PreflightRestore(t.Context(), RestoreRequest{ComputerIDs: []string{"pc1", "pc2", "pc3"}, Disk: 1, Partition: 1, Image: "windows11"})
	if err != nil {
		t.Fatal(err)
	}
	b.work()
	b.wantHeard() // it only looks
	if want := "Samsung SSD 870, serial S5Y1, 500.0 GB"; got[0].Failure != nil || got[0].Disk != want {
		t.Errorf("pc-01: got %q and %v, want %q", got[0].Disk, got[0].Failure, want)
	}
	if want := []string{`partition 1: NTFS "Windows", 40.0 GB used of 60.0 GB`}; !slices.Equal(got[0].Loses, want) {
		t.Errorf("pc-01 loses %q, want %q", got[0].Loses, want)
	}
	if got[1].Failure == nil || len(got[1].Loses) != 0 {
		t.Errorf("pc-02, which is off: got %+v", got[1])
	}
	if got[2].Failure == nil || got[2].Failure.Code != protocol.ErrLocked {
		t.Errorf("pc-03, which is busy: got %+v", got[2].Failure)
	}
}

// TestWhatNoPCWouldBeginIsNotStored asks for a partition whose number no instruction may have: its record could not be read again.
func TestWhatNoPCWouldBeginIsNotStored(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	pc := b.computers.all["pc1"]
	pc.Inventory.Disks[0].Partitions[0].Number = 5000
	writes := b.store.writes
	_, err := b.m.Restore(t.Context(), "marta", RestoreRequest{ComputerIDs: []string{"pc1"}, Disk: 1, Partition: 5000, Image: "windows11"})
	if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "pc-01") || !strings.Contains(err.Error(), "partition number 5000") {
		t.Errorf("got %v, want a refusal that names the PC and the partition", err)
	}
	if b.work(); b.store.writes != writes || len(b.agents.heard()) > 0 || len(b.images.holders()) > 0 {
		t.Error("something was begun")
	}
	if _, _, busy := b.m.Current("pc1"); busy {
		t.Error("the PC is taken")
	}
}

func FuzzRecords(f *testing.F) {
	op := Operation{
		ID: "20261122T090000000-4f2a", Kind: RestoreImage, Actor: "marta", Created: t0, State: Running, Image: "windows11", Revision: 4,
		Targets: []Target{{ComputerID: "pc1", Name: "pc-01", State: Waiting, Instruct: newPart(RestoreImage).Instruct}},
	}
	op.Targets[0].Instruct.ID = instructionID(op.ID, "pc1")
	plan, err := encodePlan(op)
	if err != nil {
		f.Fatal(err)
	}
	p := part{Target: op.Targets[0], memory: memory{Send: sent, Tries: 1, Taken: true, Seq: 7}}
	p.State, p.Failure = Failed, &protocol.Failure{Code: 5}
	standing, err := encodeStanding(p)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(plan, standing)
	f.Add([]byte("{}"), []byte("{}"))
	f.Add([]byte(`{"targets":[{}]}`), []byte(`{"target":{"state":"done"},"memory":{"send":"x"}}`))
	f.Fuzz(func(t *testing.T, plan, standing []byte) {
		b := newBench(t)
		b.store.records[op.ID] = plan
		b.store.records[instructionID(op.ID, "pc1")] = standing
		b.restart()
		got, err := b.m.Operation(op.ID)
		if err != nil {
			return
		}
		for _, target := range got.Targets {
			if err := checkState(target); err != nil {
				t.Errorf("a record gave a target that is in no state: %v", err)
			}
		}
		// Whatever was read can be worked with to its end, and written again.
		b.m.Connected("pc1", nil)
		b.work()
		b.m.Disconnected("pc1")
		b.agents.offline["pc1"] = true
		b.passes(lostAfter)
		b.passes(lostAfter)
		if got = b.wantState(op, got.State); !ended(b.m.jobs[op.ID].op.State) {
			t.Errorf("it does not end: %+v", got.Targets)
		}
	})
}

func TestRecordsAreTheSameAfterReading(t *testing.T) {
	t.Parallel()
	p := newPart(RestoreImage)
	p.memory = memory{Send: sent, Tries: 2, Taken: true, Seq: 9, CancelAsked: true}
	p.State, p.Dirty, p.Bytes = LostContact, true, 5
	data, err := encodeStanding(p)
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodeStanding(newPart(RestoreImage).Target, data)
	if err != nil {
		t.Fatal(err)
	}
	again, err := encodeStanding(got)
	if err != nil {
		t.Fatal(err)
	}
	if string(again) != string(data) || len(got.Instruct.Parts) != 1 {
		t.Errorf("got %s, want %s, with the plan's instruction", again, data)
	}
	if !json.Valid(data) || strings.Contains(string(data), "ubuntu") {
		t.Errorf("the record repeats the plan: %s", data)
	}
}

// The agent reports before its server has returned from sending, and the operator cancels in between.
func TestCancelBetweenSendingAndReport(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.agents.hook = func(computerID string) {
		op := b.m.Operations(1)[0]
		if err := b.m.Cancel(t.Context(), op.ID); err != nil {
			t.Error(err)
		}
		b.m.Report(computerID, protocol.Report{ID: instructionID(op.ID, computerID), Seq: 1, State: protocol.Running, Stage: protocol.StagePreflight})
	}
	op := b.restore("pc1")
	b.wantTarget(op, "pc1", Running)
	b.wantHeard("cancel pc1", "instruct pc1")

	stored := b.store.writes
	for range 4 { // the cancel was lost: the PC works on
		b.clock = b.clock.Add(cancelAgain / 2)
		b.reports(op, "pc1", protocol.Report{Seq: 1, Stage: protocol.StagePreflight})
		b.passes(0)
	}
	b.wantHeard("cancel pc1", "cancel pc1")
	if b.store.writes != stored {
		t.Errorf("asking again was stored %d times, want never", b.store.writes-stored)
	}
	b.reports(op, "pc1", protocol.Report{Seq: 2, State: protocol.Cancelled})
	b.wantState(op, Cancelled)
}

// A switch that is off for as long as an agent goes on without the server must not cost its PCs what they have written.
func TestLostAfterOutlastsTheAgent(t *testing.T) {
	t.Parallel()
	const agentPatience = 15 * time.Minute // clientos/clone/fetch.go, docs/house.md
	b := newBench(t, func(c *Config) { c.LostAfter = 0 })
	op := b.restore("pc1", "pc2")
	for _, id := range []string{"pc1", "pc2"} {
		b.reports(op, id, protocol.Report{Seq: 1, Stage: protocol.StageWriting, Dirty: true})
		b.m.Disconnected(id)
	}
	b.agents.offline = map[string]bool{"pc1": true, "pc2": true}
	b.passes(agentPatience + 2*time.Minute)
	b.wantTarget(op, "pc1", LostContact)

	held := protocol.Report{ID: instructionID(op.ID, "pc1"), Seq: 2, State: protocol.Running, Stage: protocol.StageWriting, Dirty: true}
	b.m.Connected("pc1", &held)
	b.wantTarget(op, "pc1", Running)
	b.finishes(op, "pc1")
	b.wantTarget(op, "pc1", Done)
	b.passes(3 * time.Minute)
	b.wantTarget(op, "pc2", Incomplete)
}
