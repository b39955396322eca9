package main

import (
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"aula/clientos/protocol"
	"aula/webui/api"
)

var regexpTook = regexp.MustCompile(`\b[0-9]+s\b`)

// roomAtWork is an operation with a PC in each state.
func roomAtWork() api.Operation {
	begun := time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC)
	const deploy = "deployImage REPO windows11 1 2 MULTICAST"
	noCache := []string{"no cache: straight to the disk by UNICAST"}
	gone := &protocol.Failure{Code: 5, Stage: "writing", Problem: "the disk does not take what is written", Advice: "replace it"}
	return api.Operation{
		ID: "20261102T080000000-abc", Kind: "restoreImage", Actor: "admin", Created: begun, State: "running", Image: "windows11", Revision: 3,
		Summary: "1 of 8 verified; 3 running", Session: "sending to 3 computers", Text: "wakeUp 300\n" + deploy + "\n", Note: "procedure morning",
		Targets: []api.Target{
			{ComputerID: "1", Name: "pc-01", State: "done", Step: 1, Steps: 2, Verified: 31e9, Started: begun, Ended: begun.Add(8 * time.Minute)},
			{ComputerID: "2", Name: "pc-02", State: "done", Step: 1, Steps: 2, Verified: 31e9, Started: begun, Ended: begun.Add(9 * time.Minute),
				Warnings: []protocol.Failure{{Code: 18, Stage: "configuring", Problem: "the filesystem was not extended"}},
				Scripts:  []protocol.ScriptResult{{Name: "room 1", Exit: 3, Output: "no such\x1b[2J printer\n"}}},
			{ComputerID: "3", Name: "pc-03", State: "running", Stage: "writing", Step: 1, Steps: 2, Statement: deploy, Bytes: 21e9, Total: 50e9, Rate: 100e6,
				Slow: "network", Notes: noCache, Started: begun},
			{ComputerID: "4", Name: "pc-04", State: "running", Stage: "waiting", Step: 1, Steps: 2, Statement: deploy, Notes: noCache},
			{ComputerID: "5", Name: "pc-05", State: "lost contact", Stage: "writing", Step: 1, Steps: 2, Statement: deploy},
			{ComputerID: "6", Name: "pc-06", State: "failed", Stage: "writing", Step: 1, Steps: 2, Statement: deploy, Failure: gone, Dirty: true},
			{ComputerID: "7", Name: "pc-07", State: "failed", Stage: "writing", Step: 1, Steps: 2, Statement: deploy, Failure: gone, Dirty: true},
			{ComputerID: "8", Name: "pc-08", State: "waiting", Steps: 2, Statement: "wakeUp 300"},
		},
	}
}

func TestPictureOfARoomAtWork(t *testing.T) {
	t.Parallel()
	op := roomAtWork()
	golden(t, "picture", strings.Join(pictureOf(op, 300, 50), "\n")+"\n")
	small := pictureOf(op, 60, 7)
	golden(t, "picture-small", strings.Join(small, "\n")+"\n")
	if len(small) > 7 {
		t.Errorf("%d lines on a terminal of 7", len(small))
	}
	for _, line := range small {
		if len([]rune(line)) > 60 {
			t.Errorf("more than 60 characters: %q", line)
		}
	}
	for height := -1; height < 12; height++ {
		for width := -1; width < 9; width++ {
			pictureOf(op, width, height) // of whatever size a terminal says that it is
		}
	}
}

func TestRemarksPutTheSameTogether(t *testing.T) {
	t.Parallel()
	op := roomAtWork()
	op.Ended = op.Created.Add(time.Hour)
	golden(t, "remarks", strings.Join(remarks(op), "\n")+"\n")
}

func TestScreenDrawsInPlace(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	s := &screen{w: &out, size: func() (int, int) { return 80, 24 }}
	s.show(roomAtWork())
	first := out.Len()
	if n := strings.Count(out.String(), "\n"); n != s.lines || n != 10 {
		t.Errorf("%d lines drawn, %d known; want 10", n, s.lines)
	}
	s.show(roomAtWork())
	if again := out.String()[first:]; !strings.HasPrefix(again, "\x1b[10A\x1b[J") {
		t.Errorf("the second picture begins with %.20q", again)
	}
	s.end()
	if !strings.HasSuffix(out.String(), "\x1b[10A\x1b[J") || s.lines != 0 {
		t.Error("the end did not wipe the picture")
	}
}

func TestChangesAreLines(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	l := &changes{w: &out}
	op := roomAtWork()
	op.Targets = op.Targets[2:4]
	l.show(op)
	l.show(op)
	op.Targets[0].Bytes += 1e9 // 44 %
	l.show(op)
	op.Targets[0].Bytes += 6e9 // 56 %
	op.Session = "sent"
	l.show(op)
	op.Targets[0].State, op.Targets[0].Verified = "done", 50e9
	l.show(op)
	golden(t, "changes", out.String())
}

func TestRateOfNothingIsNoDivision(t *testing.T) {
	t.Parallel()
	for _, c := range []api.Target{{State: "running"}, {State: "running", Total: -5, Bytes: 3, Rate: 1}, {State: "running", Total: 10, Bytes: 30, Rate: -1},
		{State: "running", Bytes: -7, Total: 10, Rate: 1 << 62}} {
		if text := fmt.Sprint(percentText(c), speedOf(c), leftOf(c)); strings.Contains(text, "-") {
			t.Errorf("%+v: got %q", c, text)
		}
	}
}
