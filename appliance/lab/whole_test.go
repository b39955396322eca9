package lab

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"aula/webui/api"
)

// fogDirectory makes of a model disk what FOG keeps of a PC: partclone's images in zstd and gzip, the table as sfdisk dumps it, and the
// first sectors with the boot code.
func fogDirectory(t *testing.T, disk string) string {
	t.Helper()
	need(t, "partclone.extfs", "partclone.ntfs", "zstd", "gzip")
	dir := filepath.Join(t.TempDir(), "ROOM3")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	save := func(program, compressor, name string, start, size int64) {
		part := filepath.Join(t.TempDir(), "part")
		cutOut(t, disk, part, start, size)
		image := part + ".pcl"
		tool(t, "", program, "-q", "-F", "-c", "-s", part, "-o", image, "-L", part+".log")
		packed, err := exec.CommandContext(t.Context(), compressor, "-q", "-c", image).Output()
		if err != nil {
			t.Fatalf("%s: %v", compressor, err)
		}
		write(t, filepath.Join(dir, name), packed)
	}
	save("partclone.extfs", "zstd", "d1p1.img", extStart, extSize)
	save("partclone.ntfs", "gzip", "d1p2.img", ntfStart, ntfSize)
	dump, err := exec.CommandContext(t.Context(), "sfdisk", "--dump", disk).Output()
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "d1.partitions"), dump)
	cutOut(t, disk, filepath.Join(dir, "d1.mbr"), 0, mib)
	return dir
}

func write(t *testing.T, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// cutOut copies a part of a disk to a file.
func cutOut(t *testing.T, disk, path string, start, size int64) {
	t.Helper()
	from, err := os.Open(disk)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	data := make([]byte, size)
	if _, err := from.ReadAt(data, start); err != nil && err != io.EOF {
		t.Fatal(err)
	}
	write(t, path, data)
}

// imported takes a path of this machine into the repository.
func (c *classroom) imported(path string) {
	c.t.Helper()
	task, err := c.API().Import(c.t.Context(), api.Import{Paths: []string{path}})
	if err != nil {
		c.t.Fatal(err)
	}
	task, err = c.API().WaitTask(c.t.Context(), task.ID, func(api.Task) {})
	if err != nil || task.Problem != "" {
		c.t.Fatalf("import of %s: %v, %s", path, err, task.Problem)
	}
}

// TestImportedDisks takes the image of a PC by FOG and a raw disk in and rebuilds whole PCs from them.
func TestImportedDisks(t *testing.T) {
	c := startClassroom(t, Config{})
	model := modelDisk(t, 10*mib)
	raw := filepath.Join(t.TempDir(), "kiosk.raw")
	cutOut(t, model, raw, 0, diskSize)
	c.imported(fogDirectory(t, model))
	c.imported(raw)

	pcs, computers := c.natives(2, NativeSpec{Disk: DiskSpec{Bytes: diskSize + 32*mib}})
	for i, image := range []string{"ROOM3", "kiosk"} {
		o, err := c.API().Restore(t.Context(), api.Restore{ComputerIDs: []string{computers[i].ID}, Disk: 1, Image: image, Whole: true})
		if err != nil {
			t.Fatal(err)
		}
		if got := c.settled(o); got.Failure != nil {
			t.Fatalf("%s: %s at stage %s: %v", image, got.State, got.Failure.Stage, got.Failure)
		}
		c.awaitPartition(pcs[i], ntfNumber)
	}
	sector := filepath.Join(t.TempDir(), "sector")
	cutOut(t, model, sector, 0, 512)
	sameBytes(t, sector, pcs[0].Disk())
	ext, ntfs := c.restoredByPartclone("ROOM3-p1"), c.restoredByPartclone("ROOM3-p2")
	if err := ext.differences(pcs[0].Disk(), extStart); err != nil {
		t.Errorf("%s, ext4: %v", pcs[0].Name(), err)
	}
	if err := ntfs.differences(pcs[0].Disk(), ntfStart); err != nil {
		t.Errorf("%s, NTFS: %v", pcs[0].Name(), err)
	}
	sameBytes(t, raw, pcs[1].Disk())
}

// sameBytes checks that a disk begins with the bytes of a file.
func sameBytes(t *testing.T, file, disk string) {
	t.Helper()
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(disk)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) < len(want) || !bytes.Equal(got[:len(want)], want) {
		t.Errorf("%s does not begin with the bytes of %s", disk, file)
	}
}
