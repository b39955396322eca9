package lab

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"aula/clientos/disk"
)

// The model PC of a whole room: partitions of the model disk, and swap behind them.
const (
	swapNumber = 3
	swapStart  = ntfStart + ntfSize
	swapSize   = 8 * mib
	swapUUID   = "a01a0000-1ab0-4000-8000-000000000003"
	noiseBytes = 10 * mib
	ntfsNoise  = 5 * mib // as modelDisk has it
)

// wholeModel makes the disk of a PC with a Linux, a partition for data and swap.
func wholeModel(t *testing.T) string {
	t.Helper()
	need(t, "mkswap", "sfdisk")
	path := modelDiskWith(t, noiseBytes, map[string]string{"etc/hostname": "model\n", "etc/hosts": "127.0.0.1 localhost\n127.0.1.1 model\n"})
	tool(t, fmt.Sprintf("start=%d, size=%d, type=82\n", swapStart/512, swapSize/512), "sfdisk", "--quiet", "--append", path)
	swap := filepath.Join(t.TempDir(), "swap")
	writeBlank(t, swap, swapSize)
	tool(t, "", "mkswap", "-U", swapUUID, swap)
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	place(t, f, swapStart, swap)
	return path
}

// TestWholeRoom captures a PC as a whole and deploys it by one session to PCs with other disks, of which one has a cache that stays.
func TestWholeRoom(t *testing.T) {
	need(t, "debugfs", "e2fsck", "ntfscat", "ntfsresize", "blkid")
	c := startClassroom(t, Config{})
	models, model := c.natives(1, NativeSpec{Disk: DiskSpec{From: wholeModel(t)}})
	c.carried("createDiskImage 1 REPO whole\ncreateImage 1 2 REPO other", model...)

	same, sames := c.natives(1, NativeSpec{Disk: DiskSpec{Bytes: diskSize}})
	larger, largers := c.natives(1, NativeSpec{Disk: DiskSpec{Bytes: diskSize + 64*mib}})
	keeper, keepers := c.natives(1, NativeSpec{Disk: DiskSpec{Bytes: cachedDisk}})
	c.carried(withCache+"\nupdateCache REPO other", keepers...)
	before := c.disk(keeper[0]).Partitions

	parts := c.carried("deployDiskImage REPO whole 1 MULTICAST fallback=MULTICAST", sames[0], largers[0], keepers[0])
	wantNote(t, parts[same[0].Name()], "straight to the disk by MULTICAST")
	wantNote(t, parts[larger[0].Name()], "straight to the disk by MULTICAST")
	if n := c.sessions(); n != 1 {
		t.Errorf("%d multicast sessions, want one for the room", n)
	}
	boot := firstSector(t, models[0])[:440]
	for _, pc := range []*NativePC{same[0], larger[0], keeper[0]} {
		if !bytes.Equal(firstSector(t, pc)[:440], boot) {
			t.Errorf("%s has not the model's boot code", pc.Name())
		}
		c.wantSystem(pc, extNumber)
		c.wantData(pc)
		c.wantSwap(pc)
	}
	if grown := c.partition(larger[0], ntfNumber).Bytes; grown != ntfSize+64*mib {
		t.Errorf("on the larger disk the last partition that can grow has %d bytes, want %d", grown, ntfSize+64*mib)
	}

	was, is := before[len(before)-1], c.disk(keeper[0]).Partitions
	if kept := is[len(is)-1]; kept.Start != was.Start || kept.Bytes != was.Bytes || !kept.Cache() {
		t.Errorf("the cache is %+v, was %+v", kept, was)
	}
	for _, image := range []string{"other", "whole-p1", "whole-p2"} {
		if !c.cached(keeper[0], image) {
			t.Errorf("image %s is not in the cache", image)
		}
	}
	c.carried("deployImage CACHE other 1 2 plain", keepers...)

	// An image of a partition, in a larger one.
	c.carried("partitionDisk 1 MSDOS LINUX:64M:EXT4 cache=none\ndeployImage REPO whole-p1 1 1 UNICAST-DIRECT", sames...)
	c.wantSystem(same[0], extNumber)
}

// sessions counts the multicast sessions that the appliance has begun.
func (c *classroom) sessions() int {
	c.t.Helper()
	text, err := os.ReadFile(c.ServerLog())
	if err != nil {
		c.t.Fatal(err)
	}
	return strings.Count(string(text), "multicast session begins")
}

// disk is a PC's disk as its agent has told.
func (c *classroom) disk(pc PC) disk.Disk {
	c.t.Helper()
	known, ok, err := c.computer(c.t.Context(), pc)
	if err != nil || !ok || len(known.Inventory.Disks) == 0 {
		c.t.Fatalf("%s: %v, known is %v: %+v", pc.Name(), err, ok, known.Inventory)
	}
	return known.Inventory.Disks[0]
}

func (c *classroom) partition(pc PC, number int) disk.Partition {
	c.t.Helper()
	p, ok := c.disk(pc).Partition(number)
	if !ok {
		c.t.Fatalf("%s has no partition %d", pc.Name(), number)
	}
	return p
}

// cut copies a partition of a PC to a file.
func (c *classroom) cut(pc PC, number int) (path string, p disk.Partition) {
	c.t.Helper()
	p = c.partition(pc, number)
	path = filepath.Join(c.t.TempDir(), "partition")
	cutOut(c.t, pc.Disk(), path, p.Start, p.Bytes)
	return path, p
}

// wantSystem checks that a partition holds the model's Linux, whole, as large as the partition and with the name of the PC.
func (c *classroom) wantSystem(pc PC, number int) {
	t := c.t
	t.Helper()
	path, p := c.cut(pc, number)
	tool(t, "", "e2fsck", "-f", "-n", path)
	wantNoise(t, pc.Name()+", ext4", said(t, "debugfs", "-R", "cat /noise", path), noiseBytes)
	if got := string(said(t, "debugfs", "-R", "cat /etc/hostname", path)); got != pc.Name()+"\n" {
		t.Errorf("%s is called %q", pc.Name(), got)
	}
	super := make([]byte, 1024) // of ext4: blocks at 4, log2 of their size in KiB at 24
	f, err := os.Open(path)
	if err == nil {
		defer f.Close()
		_, err = f.ReadAt(super, 1024)
	}
	if err != nil {
		t.Fatal(err)
	}
	size := int64(binary.LittleEndian.Uint32(super[4:])) << (10 + binary.LittleEndian.Uint32(super[24:]))
	if size+mib/16 < p.Bytes {
		t.Errorf("%s: the filesystem has %d bytes and its partition %d", pc.Name(), size, p.Bytes)
	}
}

// wantData checks that the second partition holds the model's NTFS, whole and as large as the partition.
func (c *classroom) wantData(pc PC) {
	t := c.t
	t.Helper()
	path, p := c.cut(pc, ntfNumber)
	tool(t, "", "ntfsresize", "--info", "--force", path)
	wantNoise(t, pc.Name()+", NTFS", said(t, "ntfscat", "--force", path, "noise"), ntfsNoise)
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	boot := make([]byte, 512) // of NTFS: hidden sectors at 28, sectors at 40
	if _, err := f.ReadAt(boot, 0); err != nil {
		t.Fatal(err)
	}
	if hidden := int64(binary.LittleEndian.Uint32(boot[28:])); hidden != p.Start/512 {
		t.Errorf("%s: NTFS says that %d sectors are before it, and it is %d", pc.Name(), hidden, p.Start/512)
	}
	if size := int64(binary.LittleEndian.Uint64(boot[40:])) * 512; size+mib/16 < p.Bytes {
		t.Errorf("%s: NTFS has %d bytes and its partition %d", pc.Name(), size, p.Bytes)
	}
}

// wantSwap checks that the third partition is the swap space by which the model's system knows it.
func (c *classroom) wantSwap(pc PC) {
	c.t.Helper()
	path, p := c.cut(pc, swapNumber)
	uuid := strings.TrimSpace(string(said(c.t, "blkid", "-p", "-o", "value", "-s", "UUID", path)))
	if uuid != swapUUID || p.Bytes != swapSize {
		c.t.Errorf("%s: swap %q of %d bytes, want %s of %d", pc.Name(), uuid, p.Bytes, swapUUID, int64(swapSize))
	}
}

// said is what a tool writes.
func said(t *testing.T, name string, args ...string) []byte {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), name, args...).Output()
	if err != nil {
		t.Fatalf("%s %v: %v", name, args, err)
	}
	return out
}

// wantNoise checks bytes against those of writeNoise.
func wantNoise(t *testing.T, what string, got []byte, size int64) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "noise")
	writeNoise(t, path, size)
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: the file has %d bytes that are not the model's %d", what, len(got), len(want))
	}
}
