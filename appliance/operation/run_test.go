package operation

import (
	"context"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"aula/appliance/catalog"
	"aula/clientos/protocol"
)

// runs starts b's Manager on the clock of the bubble and answers how to end it.
func runs(t *testing.T, b *bench) (stop func()) {
	t.Helper()
	b.cfg.Now = time.Now
	b.cfg.Changed = func(string) {}
	b.restart()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- b.m.Run(ctx) }()
	return func() {
		t.Helper()
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}

// ask starts a restore without carrying out effects: Run does.
func (b *bench) ask(ids ...string) Operation {
	b.t.Helper()
	op, err := b.m.Restore(b.t.Context(), "marta", RestoreRequest{ComputerIDs: ids, Disk: 1, Partition: 1, Image: "windows11"})
	if err != nil {
		b.t.Fatal(err)
	}
	return op
}

func TestRunGivesUpASilentPCInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		defer runs(t, b)()
		op := b.ask("pc1")
		synctest.Wait()
		b.wantHeard("instruct pc1")
		b.m.Report("pc1", protocol.Report{ID: instructionID(op.ID, "pc1"), Seq: 1, State: protocol.Running, Stage: protocol.StageWriting, Dirty: true})

		time.Sleep(silenceLimit + tickInterval)
		synctest.Wait()
		b.wantTarget(op, "pc1", LostContact)
		time.Sleep(lostAfter - silenceLimit - 2*tickInterval)
		synctest.Wait()
		b.wantTarget(op, "pc1", LostContact)
		time.Sleep(2 * tickInterval)
		synctest.Wait()
		b.wantTarget(op, "pc1", Incomplete)
		b.wantState(op, Incomplete)
	})
}

func TestRunStoresProgressNowAndThen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		stop := runs(t, b)
		op := b.ask("pc1")
		synctest.Wait()
		report := protocol.Report{ID: instructionID(op.ID, "pc1"), State: protocol.Running, Stage: protocol.StageReading}
		report.Seq++
		b.m.Report("pc1", report)
		before := b.store.writes
		for range 40 { // ten seconds of reports
			time.Sleep(protocol.ReportInterval)
			report.Seq++
			report.Bytes += gb
			b.m.Report("pc1", report)
		}
		if got := b.store.writes - before; got < 4 || got > 6 {
			t.Errorf("ten seconds of progress took %d writes, want one each %v", got, tickInterval)
		}
		report.Seq++
		report.Bytes += gb
		b.m.Report("pc1", report)
		stop()
		b.restart()
		if got := b.wantTarget(op, "pc1", LostContact); got.Bytes != 41*gb {
			t.Errorf("after an orderly stop: got %d bytes, want all 41 GB", got.Bytes)
		}
	})
}

func TestOnePCWhoseConnectionIsStuckHoldsNobodyUp(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		stuck := make(chan struct{})
		b.agents.hook = func(id string) {
			if id == "pc1" {
				<-stuck
			}
		}
		stop := runs(t, b)
		op := b.ask("pc1", "pc2", "pc3")
		synctest.Wait()
		b.wantHeard("instruct pc2", "instruct pc3")
		if err := b.m.Cancel(t.Context(), op.ID); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		b.wantHeard("cancel pc2", "cancel pc3")
		close(stuck)
		synctest.Wait()
		b.wantHeard("cancel pc1", "instruct pc1")
		stop()
	})
}

func TestChangedMayCallBack(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.cfg.Changed = func(id string) {
		if _, err := b.m.Operation(id); err != nil {
			t.Error(err)
		}
	}
	b.restart()
	op := b.restore("pc1")
	b.finishes(op, "pc1")
	b.wantTarget(op, "pc1", Done)
}

func TestManyPCsAtOnceOnARealCatalog(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "catalog.db")
	cat, err := catalog.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	b := newBench(t)
	var ids []string
	for _, n := range []string{"01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "11", "12"} {
		id := "room" + n
		ids = append(ids, id)
		b.computers.all[id] = testPC(id, "pc-"+n)
	}
	b.cfg.Store, b.cfg.Now, b.cfg.Changed = cat, time.Now, func(string) {}
	b.restart()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() {
		if err := b.m.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	op := b.ask(ids...)
	var pcs sync.WaitGroup
	for _, id := range ids {
		pcs.Go(func() {
			r := protocol.Report{ID: instructionID(op.ID, id), State: protocol.Running, Stage: protocol.StageWriting, Dirty: true}
			for range 50 {
				r.Seq++
				b.m.Report(id, r)
				b.m.Current(id)
			}
			r.Seq++
			r.State, r.Verified = protocol.Done, 40*gb
			b.m.Report(id, r)
			b.m.Disconnected(id)
		})
	}
	pcs.Wait()
	cancel()
	running.Wait()
	b.wantState(op, Done)
	if err := cat.Close(); err != nil {
		t.Fatal(err)
	}

	cat, err = catalog.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer cat.Close()
	b.cfg.Store = cat
	b.restart()
	b.wantState(op, Done)
}
