package lab

import (
	"bytes"
	"context"
	"os"
	"regexp"
	"slices"
	"testing"
	"time"

	"aula/appliance/operation"
	"aula/clientos/disk"
	"aula/clientos/protocol"
	"aula/webui/api"
)

const (
	extImage = "room-ext4"
	ntfImage = "room-ntfs"
)

// quiet is the progress of an operation that nobody watches.
func quiet(api.Operation) {}

// captured makes both images of a model PC.
func (c *classroom) captured(model api.Computer) {
	c.t.Helper()
	for partition, image := range map[int]string{extNumber: extImage, ntfNumber: ntfImage} {
		if _, err := c.CaptureImage(c.t.Context(), model, partition, image, quiet); err != nil {
			c.t.Fatal(err)
		}
	}
}

// TestRoomOfEight captures ext4 and NTFS from one PC and restores them on eight others at once, with their layout.
func TestRoomOfEight(t *testing.T) {
	c := startClassroom(t, Config{})
	model, models := c.natives(1, NativeSpec{Disk: DiskSpec{From: modelDisk(t, 20*mib)}})
	c.captured(models[0])

	pcs, computers := c.natives(8, NativeSpec{Disk: DiskSpec{Bytes: diskSize}})
	if err := c.RestoreImage(t.Context(), computers, extNumber, extImage, true, quiet); err != nil {
		t.Fatal(err)
	}
	for _, pc := range pcs {
		c.awaitPartition(pc, ntfNumber)
	}
	if err := c.RestoreImage(t.Context(), computers, ntfNumber, ntfImage, false, quiet); err != nil {
		t.Fatal(err)
	}

	ext, ntfs := c.restoredByPartclone(extImage), c.restoredByPartclone(ntfImage)
	for _, pc := range pcs {
		if err := ext.differences(pc.Disk(), extStart); err != nil {
			t.Errorf("%s, ext4: %v", pc.Name(), err)
		}
		if err := ntfs.differences(pc.Disk(), ntfStart); err != nil {
			t.Errorf("%s, NTFS: %v", pc.Name(), err)
		}
		if got, want := firstSector(t, pc), firstSector(t, model[0]); !bytes.Equal(got, want) {
			t.Errorf("%s: boot code and partition table are\n% x, want\n% x", pc.Name(), got, want)
		}
	}

	// One wrong byte must be found, or the comparison proves nothing.
	spoil(t, pcs[0], extStart+ext.used[len(ext.used)-1].Offset)
	if ext.differences(pcs[0].Disk(), extStart) == nil {
		t.Error("a spoilt disk passes for a restored one")
	}
}

// spoil changes one byte of a PC's disk.
func spoil(t *testing.T, pc PC, at int64) {
	t.Helper()
	f, err := os.OpenFile(pc.Disk(), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, at); err != nil {
		t.Fatal(err)
	}
	b[0] ^= 1
	if _, err := f.WriteAt(b, at); err != nil {
		t.Fatal(err)
	}
}

// TestPowerCommands has PCs restart, boot their own disks, and switch themselves off.
func TestPowerCommands(t *testing.T) {
	c := startClassroom(t, Config{})
	pcs, computers := c.natives(1, NativeSpec{Disk: DiskSpec{Bytes: 16 * mib}})
	pc, id := pcs[0], computers[0].ID
	agentStarts := regexp.MustCompile("native PC: has .*, agent for")
	hear := func(words *regexp.Regexp) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), faultLimit)
		defer cancel()
		if _, err := pc.Serial().WaitFor(ctx, words); err != nil {
			t.Fatal(err)
		}
	}
	command := func(kind string) {
		t.Helper()
		o, err := c.API().Power(t.Context(), kind, id)
		if err != nil {
			t.Fatal(err)
		}
		if got := c.settled(o); got.State != operation.Done {
			t.Errorf("%s ended as %s: %v", kind, got.State, got.Failure)
		}
	}
	hear(agentStarts)

	command(protocol.Reboot)
	hear(agentStarts)
	c.awaitConnection(pc, true)

	command(protocol.BootDisk)
	hear(regexp.MustCompile("boots its own disk"))

	pc.PowerOff()
	if err := pc.PowerOn(); err != nil {
		t.Fatal(err)
	}
	hear(agentStarts)
	c.awaitConnection(pc, true)

	command(protocol.PowerOff)
	select {
	case <-pc.Off():
	case <-time.After(faultLimit):
		t.Error("the PC is still on")
	}
}

// awaitPartition waits until the appliance knows that the PC's disk has the partition.
func (c *classroom) awaitPartition(pc PC, number int) {
	c.t.Helper()
	_, err := c.AwaitComputer(c.t.Context(), pc, "waiting for the new partition in its inventory", hasPartition(number))
	if err != nil {
		c.t.Fatal(err)
	}
}

// hasPartition is the condition that disk 1 has the partition.
func hasPartition(number int) func(api.Computer) bool {
	return func(c api.Computer) bool {
		disks := c.Inventory.Disks
		return len(disks) > 0 && slices.ContainsFunc(disks[0].Partitions, func(p disk.Partition) bool { return p.Number == number })
	}
}

func firstSector(t *testing.T, pc PC) []byte {
	t.Helper()
	f, err := os.Open(pc.Disk())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	sector := make([]byte, 512)
	if _, err := f.ReadAt(sector, 0); err != nil {
		t.Fatal(err)
	}
	return sector
}
