package main

import (
	"strings"
	"testing"

	"aula/appliance/catalog"
)

func TestDeployComposesInstructions(t *testing.T) {
	for _, c := range []struct{ name, args, want string }{
		{"by multicast, as nobody said otherwise", "windows11 --to 1/2", "deployImage REPO windows11 1 2 MULTICAST\n"},
		{"with a session", "windows11 --to 1/2 --by multicast --session 9000:full-duplex:239.194.17.36:90M:20:60",
			"deployImage REPO windows11 1 2 MULTICAST 9000:full-duplex:239.194.17.36:90M:20:60\n"},
		{"the session tells the protocol", "windows11 --to 1/2 --session peer:60", "deployImage REPO windows11 1 2 TORRENT peer:60\n"},
		{"one by one, straight to the disk", "windows11 --to 1/2 --by UNICAST --direct --plain --revision 4", "deployImage REPO windows11 1 2 UNICAST-DIRECT revision=4 plain\n"},
		{"with waking and booting", "windows11 --to 1/2 --by torrent --wake --then boot --fallback none",
			"wakeUp 300\ndeployImage REPO windows11 1 2 TORRENT fallback=NONE\nbootOs 1 2\n"},
		{"a whole disk", "room4 --whole --grow 2 --then poweroff", "deployDiskImage REPO room4 1 MULTICAST grow=2\npoweroff\n"},
		{"the second disk", "room4 --whole --disk 2 --then boot --repo attic", "deployDiskImage attic room4 2 MULTICAST\nbootOs\n"},
		{"only into the caches", "windows11 --update-cache --by torrent --then reboot", "updateCache REPO windows11 TORRENT\nreboot\n"},
		{"from the caches", "windows11 --to 1/3 --repo cache --layout", "deployImage CACHE windows11 1 3 layout\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			stdout, stderr, status := aula(t, append([]string{"deploy", "--print"}, strings.Fields(c.args)...)...)
			if status != 0 || stdout != c.want {
				t.Errorf("got status %d, %q, %q; want %q", status, stdout, stderr, c.want)
			}
		})
	}
}

func TestDeployRefusesWhatDoesNotGoTogether(t *testing.T) {
	for _, c := range []struct{ args, says string }{
		{"windows11", "--to is missing"},
		{"windows11 --to 1", "--to 1/2 for the second"},
		{"windows11 --to 0/2", "--to 1/2 for the second"},
		{"windows11 --to 1/x", "--to 1/2 for the second"},
		{"room4 --whole --to 1/2", "leave out --to"},
		{"windows11 --to 1/2 --grow 2", "--grow goes with --whole"},
		{"windows11 --update-cache --direct", "leave out all that is about disks"},
		{"windows11 --to 1/2 --by pigeon", "PIGEON"},
		{"windows11 --to 1/2 --by unicast --session peer:60", "UNICAST has no parameters"},
		{"windows11 --to 1/2 --by torrent --session 9000", "a mode as peer:60"},
		{"windows11 --to 1/2 --session 9000:half", "a session as PORT:MODE"},
		{"windows11 --to 1/2 --repo CACHE --by torrent", "from the caches"},
		{"windows11 --to 1/2 --then sleep", "reboot, poweroff or boot"},
		{"../windows11 --to 1/2", "the name of an image"},
	} {
		stdout, stderr, status := aula(t, append([]string{"deploy", "--print"}, strings.Fields(c.args)...)...)
		if status != 2 || stdout != "" || !strings.Contains(stderr, c.says) {
			t.Errorf("%s: got status %d, %q, %q; want %q", c.args, status, stdout, stderr, c.says)
		}
	}
}

func TestDeployTakesTheDefaultsOfTheClassroom(t *testing.T) {
	b := newBed(t)
	pcs := b.room("North", "Room 1", 1, 1)
	b.room("South", "Room 2", 2, 1)
	if err := b.cat.SetDefaults(pcs[0].ClassroomID, catalog.Defaults{Protocol: "TORRENT", Direct: true, Fallback: "NONE"}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ on, more, want string }{
		{"Room 1", "", "TORRENT-DIRECT fallback=NONE"},
		{"pc-01", "", "TORRENT-DIRECT fallback=NONE"},
		{"Room 1", "--by=unicast", "UNICAST fallback=NONE"},
		{"Room 1,Room 2", "", "MULTICAST"},
	} {
		args := []string{"deploy", "lab", "--to", "1/2", "--print", "--data", b.data, "--on", c.on}
		if c.more != "" {
			args = append(args, c.more)
		}
		stdout, stderr, status := aula(t, args...)
		if want := "deployImage REPO lab 1 2 " + c.want + "\n"; status != 0 || stdout != want {
			t.Errorf("on %s %s: got status %d, %q, %q; want %q", c.on, c.more, status, stdout, stderr, want)
		}
	}
}

func TestDeployRuns(t *testing.T) {
	b := newBed(t)
	for _, pc := range b.room("North", "Room 1", 1, 2) {
		b.connect(pc, restores)
	}
	stdout, stderr, status := aula(t, "deploy", "lab", "--to", "1/2", "--by", "unicast", "--direct", "--on", "north/room 1", "--yes", "--data", b.data)
	if status != 0 || !strings.Contains(stdout, "2 of 2 verified") {
		t.Errorf("got status %d, %q, %q", status, stdout, stderr)
	}
}
