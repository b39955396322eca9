package main

import (
	"net/http/httptest"
	"strings"
	"testing"

	"aula/webui/api"
)

func TestPlacesAreCalledByName(t *testing.T) {
	t.Parallel()
	s := scope{
		centres: []api.Centre{{ID: "c1", Name: "North"}, {ID: "c2", Name: "South"}},
		rooms:   []api.Classroom{{ID: "r1", CentreID: "c1", Name: "Room 1"}, {ID: "r2", CentreID: "c2", Name: "Room 1"}, {ID: "r3", CentreID: "c2", Name: "Lab"}},
		pcs: []api.Computer{
			{ID: "p1", Name: "pc-01", ClassroomID: "r1", State: "accepted", MACs: []string{"52:54:00:00:00:01"}},
			{ID: "p2", Name: "Lab", ClassroomID: "r1", State: "accepted"},
			{ID: "p3", Name: "lab", ClassroomID: "r3", State: "accepted"},
			{ID: "p4", Name: "pc-02", State: "pending"},
		},
	}
	for _, c := range []struct{ word, pcs, rooms string }{
		{"pc-01", "p1", ""}, {"PC-01", "p1", ""}, {"p1", "p1", ""}, {"52:54:00:00:00:01", "p1", ""},
		{"North/Room 1", "", "r1"}, {"south/room 1", "", "r2"}, {"r2", "", "r2"}, {"lab", "p3", ""}, {" South/Lab ", "", "r3"},
	} {
		found, err := s.find([]string{c.word})
		pcs, rooms := found.ids()
		if err != nil || strings.Join(pcs, " ") != c.pcs || strings.Join(rooms, " ") != c.rooms {
			t.Errorf("%q: got %v, %v, %v", c.word, pcs, rooms, err)
		}
	}
	for _, c := range []struct{ word, says string }{
		{"Room 1", "classroom Room 1 of North (r1), classroom Room 1 of South (r2); say which by its id"},
		{"Lab", "classroom Lab of South (r3), computer Lab in Room 1 (p2)"},
		{"LAB", "computer lab in Lab (p3)"},
		{"pc-02", "accept it"},
		{"Attic", `no computer "Attic"; classrooms: Room 1, Room 1, Lab`},
		{"", "--on"},
	} {
		if _, err := s.find([]string{c.word}); err == nil || !strings.Contains(err.Error(), c.says) || exitStatus(err) != exitNoFile {
			t.Errorf("%q: got %v; want %q", c.word, err, c.says)
		}
	}
	all, err := s.find([]string{"r1", "pc-01", "r3"})
	if got := s.computers(all); err != nil || len(got) != 3 {
		t.Errorf("two classrooms and a PC of one of them: got %d PCs, %v; want 3", len(got), err)
	}
}

func TestApplianceElsewhere(t *testing.T) {
	b := newBed(t)
	b.room("North", "Room 1", 1, 1)
	console := httptest.NewTLSServer(b.console.Console())
	defer console.Close()
	for _, c := range []struct {
		name, says string
		status     int
		args       []string
	}{
		{"a certificate that nobody knows", "--ca", 1, []string{"--server", console.URL}},
		{"no address", "neither an https:// address", 2, []string{"--server", "classroom"}},
		{"no certificate", "no such file", 2, []string{"--server", console.URL, "--ca", "/nowhere.crt"}},
		{"no appliance here", "aula serve", 1, []string{"--data", t.TempDir()}},
	} {
		for _, command := range [][]string{{"operation", "list"}, {"cache", "list"}, {"deploy", "lab", "--to", "1/2", "--on", "Room 1"}, {"procedure", "list"}} {
			stdout, stderr, status := aula(t, append(command, c.args...)...)
			if status != c.status || stdout != "" || !strings.Contains(stderr, c.says) || strings.Count(stderr, "\n") != 1 {
				t.Errorf("%s: %v: got status %d, %q, %q; want %q", c.name, command, status, stdout, stderr, c.says)
			}
		}
	}
	plain := httptest.NewServer(b.console.Console())
	defer plain.Close()
	for _, command := range [][]string{{"operation", "list"}, {"run", "-c", "reboot", "--on", "Room 1"}, {"schedule", "off", "Week"}, {"holiday", "list"}} {
		_, stderr, status := aula(t, append(command, "--server", plain.URL, "--token", "guessed")...)
		if status != 1 || !strings.Contains(stderr, "AULA_TOKEN") {
			t.Errorf("%v with a token that is none: got status %d, %q", command, status, stderr)
		}
	}
}

func TestCachesAreListedAndCleaned(t *testing.T) {
	b := newBed(t)
	pcs := b.room("North", "Room 1", 1, 2)
	b.connect(pcs[0], restores)
	stdout, _, status := aula(t, "cache", "list", "--data", b.data)
	if status != 0 {
		t.Errorf("got status %d", status)
	}
	golden(t, "cache-list", stdout)
	if stdout, _, _ := aula(t, "cache", "list", "pc-02", "--json", "--data", b.data); !strings.Contains(stdout, `"name": "pc-02"`) || strings.Contains(stdout, "pc-01") {
		t.Errorf("of one PC: got %s", stdout)
	}
	stdout, stderr, status := aula(t, "cache", "remove", "lab", "win10", "--on", "pc-01", "--yes", "--data", b.data)
	if status != 0 || !strings.Contains(stdout, "pc-01: done") {
		t.Errorf("got status %d, %q, %q", status, stdout, stderr)
	}
}

func TestWordsAreExplained(t *testing.T) {
	stdout, _, status := aula(t, "instruction", "words")
	if status != 0 || !strings.Contains(stdout, "deployImage REPO|CACHE") || !strings.Contains(stdout, "\npartitionDisk DISK") {
		t.Errorf("got status %d, %q", status, stdout)
	}
	if stdout, _, status = aula(t, "instruction", "words", "POWEROFF"); status != 0 || stdout != "poweroff\n    switches the PC off\nfor example:\n    poweroff\n" {
		t.Errorf("got status %d, %q", status, stdout)
	}
	if _, stderr, status := aula(t, "instruction", "words", "explode"); status != 2 || !strings.Contains(stderr, "explode") {
		t.Errorf("got status %d, %q", status, stderr)
	}
}
