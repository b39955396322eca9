package netboot_test

import (
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"aula/netboot"
	"aula/netboot/script"
)

// Somebody chooses the admin entry at a BIOS PC and types a password, which arrives as it was typed; nobody touches the next menu, which
// boots the PC's own disk.
func TestBIOSPCShowsAMenu(t *testing.T) {
	t.Parallel()
	if !inNamespace(t) {
		return
	}
	const mac, password = "52:54:00:00:00:b2", `pa+%&" || x`
	disk := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(disk, bootSector(ownDisk), 0o600); err != nil {
		t.Fatal(err)
	}
	c, console := virtualClassroom(t, 0,
		"-machine", "pc,graphics=off", "-drive", "format=raw,file="+disk, "-device", "virtio-net-pci,netdev=lan,mac="+mac+",bootindex=0")
	c.setBoot(netboot.Boot{Target: netboot.BootMenu, Menu: script.Menu{
		Title: "Mesa del ordenador número 7", Timeout: 15 * time.Second, PasswordHash: "grub.pbkdf2.sha512.10000.AA.BB",
		Entries: []script.Entry{{ID: script.EntryDisk, Label: "Own disk"}, {ID: "client", Label: "Client OS", Admin: true}},
	}})
	console.await(t, "Mesa del ordenador numero 7", emulated)
	console.await(t, "Client OS (password)", emulated)
	console.press(t, "\x1b[B", "\r") // down, enter
	console.await(t, "Password:", emulated)
	console.press(t, "\r") // the user's name is there
	for _, key := range password {
		console.press(t, string(key))
	}
	console.press(t, "\r")
	console.await(t, ownDisk, emulated)
	all := c.decisions()
	if len(all) != 2 {
		t.Fatalf("Decide was called %d times, want 2: %+v", len(all), all)
	}
	if got := all[1]; all[0].Choice != "" || got.Choice != "client" || got.Password != password || got.PasswordChecked || got.MAC != mac {
		t.Errorf("Decide was asked about %+v, want what was chosen and typed", all)
	}
}

// press presses keys one after another, as a hand does: iPXE takes what comes together for one sequence.
func (c *console) press(t *testing.T, keys ...string) {
	t.Helper()
	for _, key := range keys {
		if _, err := io.WriteString(c.keys, key); err != nil {
			t.Fatal(err)
		}
		time.Sleep(200 * time.Millisecond)
	}
}
