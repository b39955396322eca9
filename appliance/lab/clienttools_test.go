package lab

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"aula/clientos/protocol"
	"aula/webui/api"
)

// TestClientOSBringsWhatItNeeds has the real client OS do what native PCs do with the tools and the drivers of this machine: make every filesystem, have a cache and
// restore from it, mount what was restored, and run scripts.
func TestClientOSBringsWhatItNeeds(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED, NOT TESTED: virtual PCs take minutes, and -short was asked for")
	}
	need(t, "qemu-system-x86_64", "udhcpc", "partclone.extfs", "partclone.ntfs")
	c := startClassroom(t, Config{})
	pc, err := c.AddQEMU(QEMUSpec{Firmware: BIOS, Disk: DiskSpec{Bytes: 2 << 30}})
	if err != nil {
		t.Fatal(err)
	}
	if err := pc.PowerOn(); err != nil {
		t.Fatal(err)
	}
	_, models := c.natives(1, NativeSpec{Disk: DiskSpec{From: modelDisk(t, 4*mib)}})
	c.captured(models[0])
	const script = `[ -d "$AULA_ROOT" ] && ls "$AULA_ROOT" && echo quit | hivexsh && efibootmgr --version && echo "all is there"`
	if err := c.API().SetDefaults(t.Context(), c.room.ID, api.Defaults{Script: script}); err != nil {
		t.Fatal(err)
	}
	computer, err := c.Enrol(t.Context(), pc, c.room.ID)
	if err != nil {
		t.Fatal(err)
	}

	o, err := c.API().Run(t.Context(), api.Program{ComputerIDs: []string{computer.ID}, Text: fmt.Sprintf(`
partitionDisk 1 GPT EFI:64M:FAT32 LINUX:320M:XFS LINUX:128M:BTRFS LINUX:128M:F2FS NTFS:32M:EXFAT LINUX-SWAP:32M:LINUX-SWAP
partitionDisk 1 MSDOS LINUX:64M:EXT4 NTFS:48M:NTFS cache=256M
deployImage REPO %s 1 1 MULTICAST 9000:full-duplex:239.194.17.36:90M:1:60
deployImage REPO %s 1 2 TORRENT peer:1`, extImage, ntfImage)})
	if err != nil {
		t.Fatal(err)
	}
	if o, err = c.Finish(t.Context(), o, nil); err != nil {
		t.Fatal(err)
	}
	part := o.Targets[0]
	wantDone(t, "the program", part)
	if len(part.Scripts) != 2 || slices.ContainsFunc(part.Scripts, scriptFailed) {
		t.Errorf("scripts: %+v", part.Scripts)
	}
	for _, image := range []string{extImage, ntfImage} {
		if !c.cached(pc, image) {
			t.Errorf("the cache has no image %s", image)
		}
	}
}

func scriptFailed(s protocol.ScriptResult) bool {
	return s.Exit != 0 || !strings.Contains(s.Output, "all is there")
}
