package webui

import (
	"testing"
	"time"

	"aula/appliance/operation"
	"aula/clientos/disk"
	"aula/clientos/protocol"
)

func TestNumbersAsPeopleReadThem(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{size(0), "0 B"}, {size(999), "999 B"}, {size(1000), "1.0 kB"}, {size(9_950), "10 kB"}, {size(262_144), "262 kB"}, {size(999_600_000), "1.0 GB"},
		{size(512_110_190_592), "512 GB"}, {size(1 << 62), "4612 PB"}, {size(-1), "–"},
		{memory(16 << 30), "16 GB"}, {memory(512 << 20), "512 MB"}, {memory(0), "–"},
		{perSecond(0), ""}, {perSecond(112_000_000), "112 MB/s"},
		{left(0, 0, 10), ""}, {left(10, 100, 0), ""}, {left(99, 100, 10), "a few seconds left"}, {left(0, 450, 10), "40 s left"}, {left(0, 1200, 10), "2 min left"},
		{left(0, 42_000, 10), "1 h 10 min left"}, {left(100, 100, 10), ""},
		{took(0), "0 s"}, {took(61 * time.Second), "1 min 01 s"}, {took(3*time.Hour + 5*time.Minute), "3 h 05 min"},
		{percentText(percent(1, 3)), "33 %"}, {percentText(percent(999, 1000)), "99 %"}, {percentText(percent(1000, 1000)), "100 %"}, {percentText(percent(5, 0)), ""}, {percentText(percent(-5, 10)), "0 %"},
		{speed(protocol.NIC{Link: true, Mbit: 2500}), "2500 Mb/s"}, {speed(protocol.NIC{Link: true, Mbit: 1000}), "1 Gb/s"}, {speed(protocol.NIC{}), "no link"}, {speed(protocol.NIC{Link: true}), "linked"},
		{sentence("disk 1 is too small"), "Disk 1 is too small."}, {sentence("pc-17 is off"), "pc-17 is off."}, {sentence("win11 is busy!"), "win11 is busy!"}, {sentence(""), ""},
	} {
		if c.got != c.want {
			t.Errorf("got %q, want %q", c.got, c.want)
		}
	}
}

func TestAgo(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for want, when := range map[string]time.Time{
		"never": {}, "just now": now.Add(-59 * time.Second), "59 min ago": now.Add(-59 * time.Minute), "23 h ago": now.Add(-23 * time.Hour), "on 21 Nov 2026": now.Add(-48 * time.Hour),
	} {
		if got := ago(when, now); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func op(kind string, states ...string) operation.Operation {
	o := operation.Operation{Kind: kind, Image: "win11"}
	for _, s := range states {
		t := operation.Target{State: s}
		if s == operation.Failed {
			t.Failure = &protocol.Failure{Problem: "partition too small"}
		}
		o.Targets = append(o.Targets, t)
	}
	return o
}

func TestAnOperationInOneSentence(t *testing.T) {
	two := op(operation.RestoreImage, operation.Failed, operation.Failed)
	two.Targets[1].Failure = &protocol.Failure{Problem: "disk died"}
	made := op(operation.CreateImage, operation.Done)
	made.Revision = 3
	for _, c := range []struct {
		op   operation.Operation
		want string
	}{
		{op(operation.RestoreImage, operation.Done, operation.Done, operation.Failed), "2 of 3 verified; 1 failed: partition too small"},
		{op(operation.RestoreImage, operation.Running, operation.Waiting, operation.LostContact), "0 of 3 verified; 1 running; 1 waiting; 1 lost contact"},
		{op(operation.RestoreImage, operation.Cancelled, operation.Incomplete), "0 of 2 verified; 1 cancelled; 1 incomplete"},
		{two, "0 of 2 verified; 2 failed for 2 reasons"},
		{op(operation.CreateImage, operation.Running), "0 of 1 captured; 1 running"},
		{made, "win11 revision 3 made"},
		{op(operation.PowerOff, operation.Done), "1 of 1 done"},
		{operation.Operation{}, ""},
	} {
		if got := summaryOf(c.op); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

func TestHowAPCStands(t *testing.T) {
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	since := now.Add(-time.Hour)
	restore := func(state, stage string) (operation.Operation, operation.Target) {
		return operation.Operation{Kind: operation.RestoreImage, Image: "win11", Revision: 2}, operation.Target{State: state, Stage: stage, Bytes: 50, Total: 100, Rate: 10, Ended: now.Add(-time.Minute),
			Failure: &protocol.Failure{Problem: "disk too small"}}
	}
	for _, c := range []struct {
		name      string
		connected bool
		pending   bool
		busy      bool
		since     time.Time
		state     string
		stage     string
		dirty     bool
		word      string
		tone      tone
		percent   int
	}{
		{name: "connected and idle", connected: true, word: "Ready", tone: toneGood, percent: -1},
		{name: "gone", word: "Not connected", tone: toneIdle, percent: -1},
		{name: "nobody accepted it", connected: true, pending: true, word: "Pending", tone: toneWarn, percent: -1},
		{name: "asked and not begun", connected: true, busy: true, state: operation.Waiting, word: "Waiting", tone: toneIdle, percent: -1},
		{name: "writing", connected: true, busy: true, state: operation.Running, stage: protocol.StageWriting, word: "Writing", tone: toneWork, percent: 50},
		{name: "silent in the middle", busy: true, state: operation.LostContact, stage: protocol.StageWriting, word: "Lost contact", tone: toneWarn, percent: -1},
		{name: "just restored", connected: true, since: since, state: operation.Done, word: "Verified", tone: toneGood, percent: -1},
		{name: "restored, then started again", connected: true, since: now, state: operation.Done, word: "Ready", tone: toneGood, percent: -1},
		{name: "restored and switched off", state: operation.Done, word: "Not connected", tone: toneIdle, percent: -1},
		{name: "failed", connected: true, state: operation.Failed, word: "Failed", tone: toneBad, percent: -1},
		{name: "failed, then gone", state: operation.Failed, word: "Failed", tone: toneBad, percent: -1},
		{name: "half a restore", connected: true, state: operation.Incomplete, word: "Incomplete", tone: toneBad, percent: -1},
		{name: "cancelled in time", connected: true, state: operation.Cancelled, word: "Ready", tone: toneGood, percent: -1},
		{name: "cancelled too late", connected: true, state: operation.Cancelled, dirty: true, word: "Cancelled", tone: toneWarn, percent: -1},
	} {
		st := standing{Connected: c.connected, Pending: c.pending, Busy: c.busy, Since: c.since, LastSeen: since}
		if c.state != "" {
			st.Op, st.Work = restore(c.state, c.stage)
			st.Work.Dirty = c.dirty
		}
		got := conditionOf(st, now)
		if got.Word != c.word || got.Tone != c.tone || got.Percent != c.percent || got.Busy != c.busy || got.Detail == "" || icons[got.Icon] == "" {
			t.Errorf("%s: got %+v, want %s in tone %s at %d", c.name, got, c.word, c.tone, c.percent)
		}
	}
}

func TestDrawnDiskStaysOnItsLine(t *testing.T) {
	part := func(start, bytes int64) disk.Partition {
		return disk.Partition{Start: start, Bytes: bytes, Filesystem: "EXT4"}
	}
	many := disk.Disk{Bytes: 1000}
	for i := range int64(130) {
		many.Partitions = append(many.Partitions, part(i, 1))
	}
	for name, d := range map[string]disk.Disk{
		"ordinary":                     {Bytes: 1000, Partitions: []disk.Partition{part(0, 1), part(1, 500), part(501, 499)}},
		"beyond the end, and negative": {Bytes: 1000, Partitions: []disk.Partition{part(900, 1<<62), part(-5, 20)}},
		"out of order":                 {Bytes: 1000, Partitions: []disk.Partition{part(500, 100), part(0, 100)}},
		"blank":                        {Bytes: 1000}, "of no size": {Partitions: []disk.Partition{part(0, 1)}}, "very many": many,
	} {
		at := 0
		for i, p := range drawDisk(d).Pieces {
			if p.X < 0 || p.Width < 0 || p.X+p.Width > 1000 || p.X < at && len(d.Partitions) < 100 {
				t.Errorf("%s: piece %d is at %d, %d wide, after one that ends at %d", name, i, p.X, p.Width, at)
			}
			at = p.X + p.Width
		}
	}
}

func TestProgressOfTheWhole(t *testing.T) {
	o := op(operation.RestoreImage, operation.Done, operation.Running)
	o.Targets[1].Stage, o.Targets[1].Bytes, o.Targets[1].Total = protocol.StageWriting, 50, 100
	if got := progressOf(o); got != 67 {
		t.Errorf("one verified and one half written: %d %%, want 67", got)
	}
	if got := progressOf(operation.Operation{}); got != 0 {
		t.Errorf("nothing to do: %d %%, want 0", got)
	}
	for stage, share := range stageShares {
		if share[0] >= share[1] || share[1] > 1 || stageWords[stage] == "" {
			t.Errorf("stage %s has share %v and word %q", stage, share, stageWords[stage])
		}
	}
}
