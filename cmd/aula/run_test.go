package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aula/clientos/protocol"
	"aula/webui/api"
)

// deployLab is as it would be typed.
func deployLab(data string, more ...string) []string {
	return append([]string{"run", "-c", "restoreImage REPO lab 1 2 UNICAST-DIRECT", "--on", "Room 1", "--data", data}, more...)
}

func TestRunTellsWhatWouldBecomeOfEachPC(t *testing.T) {
	b := newBed(t)
	pcs := b.room("North", "Room 1", 1, 3)
	b.connect(pcs[0], restores)
	b.connect(pcs[1], restores)

	stdout, stderr, status := aula(t, deployLab(b.data, "--check", "--late", "0")...)
	if status != 1 || !strings.Contains(stderr, "1 of 3 computers cannot carry it out") {
		t.Errorf("one PC is off and not waited for: got status %d, %q", status, stderr)
	}
	golden(t, "check-without-late", stdout)

	stdout, stderr, status = aula(t, deployLab(b.data, "--check")...)
	if status != 0 {
		t.Errorf("one PC is off and may come: got status %d, %q", status, stderr)
	}
	golden(t, "check", stdout)

	stdout, _, _ = aula(t, deployLab(b.data, "--check", "--json")...)
	var found []api.Preflight
	if err := json.Unmarshal([]byte(stdout), &found); err != nil || len(found) != 3 || found[0].ComputerID != pcs[0].ID {
		t.Errorf("as JSON: got %q, %v", stdout, err)
	}
	if operations, _, _ := aula(t, "operation", "list", "--data", b.data); !strings.HasPrefix(operations, "nothing was asked") {
		t.Errorf("a check has begun something: %s", operations)
	}
}

func TestRunAsksBeforeDataIsLost(t *testing.T) {
	b := newBed(t)
	pcs := b.room("North", "Room 1", 1, 2)
	b.connect(pcs[0], restores)
	_, stderr, status := aula(t, deployLab(b.data)...)
	want := "nothing is begun: data on 2 computers will be lost, and there is no terminal to ask (--yes"
	if status != 1 || !strings.Contains(stderr, want) {
		t.Errorf("got status %d, %q; want %q", status, stderr, want)
	}
	if operations, _, _ := aula(t, "operation", "list", "--data", b.data); !strings.HasPrefix(operations, "nothing was asked") {
		t.Errorf("it has begun: %s", operations)
	}
	_, stderr, status = aula(t, "run", "-c", "restoreImage REPO lab 1 7 UNICAST", "--on", "pc-01", "--yes", "--data", b.data)
	if status != 1 || !strings.Contains(stderr, "none of the computers can") {
		t.Errorf("a partition that no PC has: got status %d, %q", status, stderr)
	}
}

func TestQuestionCountsWhoLosesData(t *testing.T) {
	t.Parallel()
	loses := api.Preflight{Online: true, Loses: []string{"partition 2"}}
	comes := api.Preflight{Failure: &protocol.Failure{Problem: "it has no partition 2"}}
	cannot := api.Preflight{Online: true, Loses: []string{"partition 2"}, Failure: &protocol.Failure{Problem: "it is too small"}}
	for _, c := range []struct {
		name, want   string
		writes, late bool
		found        []api.Preflight
	}{
		{"nothing is lost", "", true, true, []api.Preflight{{Online: true}, cannot}},
		{"some", "data on 2 computers will be lost", true, true, []api.Preflight{loses, loses, cannot}},
		{"one may come", "data on 1 computer may be lost when they come", true, true, []api.Preflight{{Online: true}, comes}},
		{"both", "data on 1 computer will be lost, and may be on 1 computer more when they come", true, true, []api.Preflight{loses, comes}},
		{"one comes, and nothing is written", "", false, true, []api.Preflight{comes}},
		{"none is waited for", "", true, false, []api.Preflight{comes}},
	} {
		if got := (outlook{found: c.found, writes: c.writes, late: c.late}).question(); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestRunWatchesUntilAllAreDone(t *testing.T) {
	b := newBed(t)
	for _, pc := range b.room("North", "Room 1", 1, 2) {
		b.connect(pc, restores)
	}
	stdout, stderr, status := aula(t, deployLab(b.data, "--yes")...)
	if status != 0 {
		t.Fatalf("got status %d, %q, %q", status, stdout, stderr)
	}
	for _, want := range []string{"pc-01: done", "pc-02: done", "2 of 2 verified"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("%q is not in\n%s", want, stdout)
		}
	}
}

func TestRunFailsWhenSomePCFails(t *testing.T) {
	b := newBed(t)
	pcs := b.room("North", "Room 1", 1, 2)
	b.connect(pcs[0], restores)
	b.connect(pcs[1], breaks)
	stdout, stderr, status := aula(t, deployLab(b.data, "--yes", "--json")...)
	var op api.Operation
	if err := json.Unmarshal([]byte(stdout), &op); err != nil || status != 1 || !strings.Contains(stderr, "failed: 1 of 2 verified; 1 failed: the disk does not take") {
		t.Fatalf("got status %d, %q, %q: %v", status, stdout, stderr, err)
	}
	shown, _, _ := aula(t, "operation", "show", op.ID, "--data", b.data)
	golden(t, "operation-failed", regexpTook.ReplaceAllString(shown, "0s"))

	b.connect(pcs[1], restores)
	stdout, stderr, status = aula(t, "operation", "retry", op.ID, "--data", b.data)
	if status != 0 || !strings.Contains(stdout, "pc-02") || strings.Contains(stdout, "pc-01") {
		t.Errorf("retry: got status %d, %q, %q; want only pc-02 again", status, stdout, stderr)
	}
}

func TestOperationIsCancelledAndShown(t *testing.T) {
	b := newBed(t)
	pcs := b.room("North", "Room 1", 1, 2)
	b.connect(pcs[0], waits)
	stdout, stderr, status := aula(t, deployLab(b.data, "--yes", "--no-wait")...)
	id := strings.TrimSpace(stdout[strings.LastIndexByte(strings.TrimSpace(stdout), '\n')+1:])
	if status != 0 || differing.FindString(id) != id {
		t.Fatalf("got status %d, %q, %q", status, stdout, stderr)
	}
	stdout, _, _ = aula(t, "operation", "show", id, "--data", b.data)
	golden(t, "operation-waiting", stdout)
	stdout, _, _ = aula(t, "operation", "list", "--data", b.data)
	golden(t, "operation-list", stdout)
	if stdout, stderr, status = aula(t, "operation", "cancel", id, "--data", b.data); status != 0 || !strings.Contains(stdout, "told to stop") {
		t.Errorf("cancel: got status %d, %q, %q", status, stdout, stderr)
	}
	for _, verb := range []string{"show", "watch", "cancel", "retry", "start"} {
		if _, stderr, status := aula(t, "operation", verb, "20260101T000000000-none", "--data", b.data); status != 2 || strings.Count(stderr, "\n") != 1 {
			t.Errorf("%s what is not there: got status %d, %q", verb, status, stderr)
		}
	}
}

func TestProgramComesFromAFileOrAPipe(t *testing.T) {
	file := filepath.Join(t.TempDir(), "night.txt")
	if err := os.WriteFile(file, []byte("# at night\nwakeup 300\nDEPLOYIMAGE repo lab 1 2 multicast\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	stdout, stderr, status := aula(t, "instruction", "check", file)
	if want := "wakeUp 300\ndeployImage REPO lab 1 2 MULTICAST\n"; status != 0 || stdout != want {
		t.Errorf("got status %d, %q, %q; want %q", status, stdout, stderr, want)
	}
	for _, c := range []struct {
		name, says string
		args       []string
	}{
		{"nothing on standard input", "the text is empty", []string{"run", "-", "--on", "Room 1"}},
		{"no file", "there is no file", []string{"run", file + ".no", "--on", "Room 1"}},
		{"both", "either a file or -c", []string{"run", file, "-c", "reboot", "--on", "Room 1"}},
		{"neither", "give a file", []string{"run", "--on", "Room 1"}},
	} {
		if _, stderr, status := aula(t, c.args...); status != 2 || !strings.Contains(stderr, c.says) {
			t.Errorf("%s: got status %d, %q; want %q", c.name, status, stderr, c.says)
		}
	}
}

func TestSyntaxErrorsPointAtThePlace(t *testing.T) {
	_, stderr, status := aula(t, "run", "--on", "Room 1", "--data", t.TempDir(), "-c",
		"deployImage REPO lab 1 x MULTICAST\n\trestoreImgae REPO \"lab\" 1 2\nupdateCache REPO lab TORRENT "+strings.Repeat("ñ", 200))
	if status != 2 {
		t.Errorf("got status %d", status)
	}
	golden(t, "syntax", stderr)
}
