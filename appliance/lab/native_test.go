package lab

import (
	"testing"
)

func TestNativePCsAreAccepted(t *testing.T) {
	c := startClassroom(t, Config{})
	_, computers := c.natives(3, NativeSpec{Disk: DiskSpec{Bytes: 64 << 20}})
	for _, got := range computers {
		if disks := got.Inventory.Disks; len(disks) != 1 || disks[0].Bytes != 64<<20 {
			t.Errorf("%s has the disks %+v, want one of 64 MiB", got.Name, disks)
		}
	}
}
