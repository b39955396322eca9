package cache

import (
	"os"
	"path/filepath"
	"testing"

	"aula/clientos/disk/disktest"
)

// TestPowerCutOnDisk copies the disk itself after every step of Keep, with what the kernel had sent to it by then, and later mounts each copy as a PC does
// whose power had gone there.
func TestPowerCutOnDisk(t *testing.T) {
	t.Parallel()
	loop := disktest.New(t, "POWER", 12*mib, 512)
	disktest.Run(t, "mkfs.ext4", "-q", "-F", loop.Path)
	mount := t.TempDir()
	up := func() *Open {
		t.Helper()
		if err := tryMount(loop.Path, mount, "ext4"); err != nil {
			t.Fatal(err)
		}
		return bare(t, mount)
	}
	down := func() {
		t.Helper()
		if err := unmount(mount); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		if here, _ := mountedAt(mount, loop.Path); here {
			disktest.Unmount(t, mount)
		}
	})

	old, data := file(1, 300_000), file(2, 400_000)
	oldImage, image := imageOf("linux", 1, old), imageOf("linux", 2, data)
	o := up()
	keep(t, o, oldImage, old)
	down()
	o = up()
	write(t, reserve(t, o, image), data) // and nobody brings it to the disk but Keep
	type copied struct{ step, path string }
	var copies []copied
	snapshots := t.TempDir()
	o.shelf.after = func(step, path string) {
		c := copied{step + " " + filepath.Base(path), filepath.Join(snapshots, string(rune('a'+len(copies)/26))+string(rune('a'+len(copies)%26)))}
		write(t, c.path, read(t, loop.File))
		copies = append(copies, c)
	}
	if _, err := o.Keep(t.Context(), image, nil); err != nil {
		t.Fatal(err)
	}
	o.shelf.after = nil
	down()

	states := map[string]int{}
	for _, c := range copies {
		device, err := os.OpenFile(loop.Path, os.O_WRONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := device.Write(read(t, c.path)); err != nil {
			t.Fatal(err)
		}
		if err := device.Close(); err != nil {
			t.Fatal(err)
		}
		o := up()
		if err := o.shelf.mend(); err != nil {
			t.Errorf("%s: %v", c.step, err)
		}
		states[wantOneOf(t, c.step, o, oldImage, old, image, data)]++
		down()
	}
	if states["old"] == 0 || states["new"] == 0 {
		t.Errorf("got the states %v, want the old image after the first cuts, and the new one after the last", states)
	}
	t.Logf("%d cuts: %v", len(copies), states)
}
