package incorporation

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"aula/clientos/disk"
	"aula/clientos/disk/disktest"
	"aula/imagestore"
	"aula/imagestore/format"
)

const swapID = "510e6b9d-8421-4495-b13f-a2559c13e558"

// fogDisk makes a FOG image directory of a dos disk by FOG's own pipelines: partclone without checksums, zstd or gzip, split.
// It returns the disk and what the partitions restore to.
func makeFOG(t *testing.T) (dir, disk string, want map[int][]byte) {
	t.Helper()
	disk = diskFile(t, dosScript, 40*mib)
	dir = filepath.Join(t.TempDir(), "Aula 3 – Linux")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	file := func(name string) string { return filepath.Join(dir, name) }
	write(t, file("d1.partitions"), dumpOf(t, disk))
	write(t, file("d1.mbr"), firstBytes(t, disk, 0, mib))
	write(t, file("d1.has_grub"), nil)
	write(t, file("d1p2.ebr"), make([]byte, 512))
	write(t, file("d1p2.img"), make([]byte, 1024)) // old versions saved the head of the extended partition
	write(t, file("d1.fixed_size_partitions"), []byte("2:6\n"))
	write(t, file("d1.original.fstypes"), []byte("/dev/sda1 extfs\n/dev/sda5 ntfs\n"))
	write(t, file("d1.original.swapuuids"), []byte("/dev/sda6 "+swapID+"\n"))
	write(t, file("d1.size"), []byte(fmt.Sprintf("1:%d\n", 40*mib)))

	ext := makePartition(t, "ext4", 8*mib).image(t, "-a0")
	pipe(t, []string{ext}, file("d1p1.img"), []string{"zstd", "-3", "--rsyncable", "-c"})
	split(t, file("d1p1.img"), "100k", "-a", "3", "-d")
	ntfs := makePartition(t, "ntfs", 8*mib).image(t, "-a0")
	pipe(t, []string{ntfs}, file("d1p5.img"), []string{"gzip", "-c"})
	return dir, disk, map[int][]byte{1: restored(t, ext), 5: restored(t, ntfs)}
}

func TestFOGDirectory(t *testing.T) {
	t.Parallel()
	dir, original, want := makeFOG(t)
	p := examine(t, Options{}, dir)
	if p.System != "FOG" || len(p.Images) != 2 || len(p.Warnings) > 0 {
		t.Fatalf("plan: %s with %d images, warnings %q, want FOG with 2 and none", p.System, len(p.Images), p.Warnings)
	}
	repo := openRepository(t)
	images := take(t, p, repo)
	const set = "Aula_3_Linux"
	infos := []string{"PARTCLONE:ZSTD:EXT4:8192", "PARTCLONE:GZIP:NTFS:8192"}
	for i, number := range []int{1, 5} {
		img := images[i]
		source := imagestore.Source{Disk: 1, Partition: number, SectorSize: 512, Set: set, Import: images[0].Source.Import, System: "FOG"}
		if img.Name != fmt.Sprintf("%s-p%d", set, number) || img.Source != source || img.Source.Import == "" || !img.HasLayout || img.Info.String() != infos[i] {
			t.Errorf("image %+v, want %s-p%d, %s, with a layout, from %+v", img, set, number, infos[i], source)
		}
		sameContent(t, repo, img, want[number])
	}
	f, err := repo.OpenFile(images[0].Name, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var joined bytes.Buffer
	for i := 0; exists(filepath.Join(dir, fmt.Sprintf("d1p1.img.%03d", i))); i++ {
		joined.Write(read(t, filepath.Join(dir, fmt.Sprintf("d1p1.img.%03d", i))))
	}
	if got := make([]byte, joined.Len()+1); true {
		if n, _ := f.ReadAt(got, 0); !bytes.Equal(got[:n], joined.Bytes()) {
			t.Error("the file in the repository is not the volumes one after the other")
		}
	}
	checkRebuilt(t, repo, images[0], original, 40*mib, 6)
}

// checkRebuilt applies the layout of an image to an empty disk and compares it with the one it was made from. swap is the number of the
// swap partition, 0 for none.
func checkRebuilt(t *testing.T, repo *imagestore.Repository, img imagestore.Image, original string, size int64, swap int) {
	t.Helper()
	data, err := repo.Layout(img.Name, img.Revision)
	if err != nil {
		t.Fatal(err)
	}
	l, err := disk.ParseLayout(data)
	if err != nil {
		t.Fatal(err)
	}
	if l.DiskBytes != size {
		t.Errorf("the layout says that the disk had %d bytes, want %d", l.DiskBytes, size)
	}
	loop := disktest.New(t, "REBUILT", size, 512)
	disks, err := disk.System{Devices: []string{loop.Path}}.Disks(t.Context())
	if err != nil || len(disks) != 1 {
		t.Fatalf("disks: %+v, %v", disks, err)
	}
	if err := disk.ApplyLayout(t.Context(), disks[0], l); err != nil {
		t.Fatal(err)
	}
	if a, b := dumpLines(tool(t, "", "sfdisk", "--dump", loop.Path)), dumpLines(tool(t, "", "sfdisk", "--dump", original)); !reflect.DeepEqual(a, b) {
		t.Errorf("the table is\n%s\nwant\n%s", strings.Join(a, "\n"), strings.Join(b, "\n"))
	}
	for name, area := range map[string][2]int{"boot code": {0, 440}, "gap": {34 * 512, mib}} {
		if !bytes.Equal(firstBytes(t, loop.Path, area[0], area[1]), firstBytes(t, original, area[0], area[1])) {
			t.Errorf("the %s is not that of the original disk", name)
		}
	}
	if swap > 0 {
		if got := tool(t, "", "blkid", "-p", "-o", "value", "-s", "UUID", fmt.Sprintf("%sp%d", loop.Path, swap)); strings.TrimSpace(got) != swapID {
			t.Errorf("the swap area has UUID %q, want %q", got, swapID)
		}
	}
}

// dumpLines is a dump without the names of devices and what belongs to the size of the disk.
func dumpLines(dump string) []string {
	var lines []string
	for line := range strings.Lines(dump) {
		if _, fields, ok := strings.Cut(line, " : "); ok {
			line = fields
		} else if strings.HasPrefix(line, "device:") {
			continue
		}
		lines = append(lines, strings.TrimSpace(line))
	}
	return lines
}

func TestFOGDirectoryOfAGPTDiskWithGRUB(t *testing.T) {
	t.Parallel()
	disktest.Need(t, "sgdisk")
	original := diskFile(t, gptScript, 64*mib)
	dir := filepath.Join(t.TempDir(), "lab")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	file := func(name string) string { return filepath.Join(dir, name) }
	tool(t, "", "sgdisk", "--backup="+file("d1.mbr"), original)
	write(t, file("d1.grub.mbr"), firstBytes(t, original, 0, mib))
	write(t, file("d1.partitions"), dumpOf(t, original))
	core := bytes.Repeat([]byte("GRUB core "), 3000)
	area := partition{path: filepath.Join(t.TempDir(), "core"), clone: "partclone.imager"}
	write(t, area.path, append(core, make([]byte, mib-len(core))...))
	pipe(t, []string{area.image(t)}, file("d1p1.img"), []string{"zstd", "-c"})
	esp := makePartition(t, "vfat", 8*mib).image(t, "-a0")
	pipe(t, []string{esp}, file("d1p3.img"), []string{"zstd", "-c"})
	ext := makePartition(t, "ext4", 10*mib).image(t, "-a0")
	pipe(t, []string{ext}, file("d1p4.img"), []string{"zstd", "-c"})

	p := examine(t, Options{Name: "room-7"}, dir)
	wantWarning(t, p, `BOOTX64.EFI`)
	repo := openRepository(t)
	images := take(t, p, repo)
	if len(images) != 2 || images[0].Name != "room-7-p3" || images[1].Name != "room-7-p4" {
		t.Fatalf("images %+v, want room-7-p3 and room-7-p4", images)
	}
	sameContent(t, repo, images[0], restored(t, esp))
	sameContent(t, repo, images[1], restored(t, ext))
	checkRebuilt(t, repo, images[1], original, 64*mib, 0)
	data, err := repo.Layout("room-7-p3", 1)
	if err != nil {
		t.Fatal(err)
	}
	l, err := disk.ParseLayout(data)
	if err != nil {
		t.Fatal(err)
	}
	if len(l.BootAreas) != 1 || l.BootAreas[0].Partition != 1 || !bytes.Equal(bytes.TrimRight(l.BootAreas[0].Data, "\x00"), core) {
		t.Errorf("the BIOS boot partition's code is not in the layout: %d areas", len(l.BootAreas))
	}
}

// smallFOG makes a FOG image directory of small images of partitions 1, in volumes, and 5, in one file, without the real tools.
func smallFOG(t testing.TB) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "Aula 3 – Linux")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	mbr := make([]byte, mib)
	copy(mbr, "boot code")
	mbr[510], mbr[511] = 0x55, 0xAA
	first := smallImage(t, 2000, format.Zstd)
	for name, data := range map[string][]byte{
		"d1.mbr": mbr, "d1.partitions": []byte(oldDump), "d1.original.swapuuids": []byte("/dev/sda6 " + swapID + "\n"),
		"d1p1.img.000": first[:mib], "d1p1.img.001": first[mib : 2*mib], "d1p1.img.002": first[2*mib:],
		"d1p5.img": smallImage(t, 2001, format.Gzip),
	} {
		write(t, filepath.Join(dir, name), data)
	}
	return dir
}

// Two disks, and the parts of one lost: each is told.
func TestFOGDirectoryWithoutAll(t *testing.T) {
	t.Parallel()
	dir := smallFOG(t)
	file := func(name string) string { return filepath.Join(dir, name) }
	if err := os.Remove(file("d1.original.swapuuids")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(file("d1p5.img")); err != nil {
		t.Fatal(err)
	}
	write(t, file("d1p5.lvm"), nil)
	write(t, file("d1.minimum.partitions"), []byte(oldDump))
	write(t, file("d2p1.img"), smallImage(t, 9, format.Lzop))
	p := examine(t, Options{Name: "x"}, dir)
	for _, want := range []string{"swap area in partition 6", "partition 5 of disk 1 has no image", "(LVM)", "table of disk 2 cannot be used", "enlarge them"} {
		wantWarning(t, p, want)
	}
	if len(p.Images) != 2 || p.Images[1].Name != "x-d2-p1" || p.Images[1].Layout != nil || p.Images[1].Source.Disk != 2 || p.Images[1].Source.Set != "x" {
		t.Errorf("planned %+v, want x-p1, and x-d2-p1 without a layout", p.Images)
	}
}

func TestFOGDirectoryThatIsNotWhole(t *testing.T) {
	t.Parallel()
	dir := smallFOG(t)
	if err := os.Rename(filepath.Join(dir, "d1p1.img.001"), filepath.Join(dir, "..", "away")); err != nil {
		t.Fatal(err)
	}
	refused(t, "d1p1.img.001 is missing", dir)
	if err := os.Rename(filepath.Join(dir, "..", "away"), filepath.Join(dir, "d1p1.img.001")); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "d1p5.img.000"), []byte("x"))
	refused(t, "partition 5 of disk 1 is there twice", dir)
}

// The last volume's absence shows only when all is read: nothing of the set stays.
func TestSetIsTakenInWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	dir := smallFOG(t)
	packed := read(t, filepath.Join(dir, "d1p5.img"))
	write(t, filepath.Join(dir, "d1p5.img.000"), packed[:len(packed)/2])
	if err := os.Remove(filepath.Join(dir, "d1p5.img")); err != nil {
		t.Fatal(err)
	}
	repo, err := imagestore.Open(t.TempDir(), imagestore.Options{Name: "main", Keep: 0})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { repo.Close() })
	fails := func() {
		t.Helper()
		images, err := examine(t, Options{}, dir).Run(t.Context(), repo, nil)
		if err == nil || !strings.Contains(err.Error(), "d1p5.img.000") || len(images) != 0 {
			t.Errorf("got %d images, %v, want none and an error with the file's name", len(images), err)
		}
	}
	fails()
	if left, err := repo.Images(); err != nil || len(left) != 0 {
		t.Errorf("in the repository: %v, %v, want nothing", left, err)
	}

	// What was there before stays, although this repository keeps no previous revisions.
	write(t, filepath.Join(dir, "d1p5.img.000"), packed)
	want := take(t, examine(t, Options{}, dir), repo)
	write(t, filepath.Join(dir, "d1p5.img.000"), packed[:len(packed)/2])
	fails()
	if left, err := repo.Images(); err != nil || !reflect.DeepEqual(left, want) {
		t.Errorf("in the repository: %+v, %v, want both images as they were: %+v", left, err, want)
	}
}

// Nothing of a set is published before all of it could be.
func TestSetIsPublishedInOneGo(t *testing.T) {
	t.Parallel()
	dir := smallFOG(t)
	repo := openRepository(t)
	examined := 0
	_, err := examine(t, Options{}, dir).Run(t.Context(), repo, func(p Progress) {
		if p.Stage == "checking" {
			examined++
		}
		if images, err := repo.Images(); err != nil || len(images) > 0 {
			t.Errorf("during the import there are %d images already, %v", len(images), err)
		}
	})
	if images, _ := repo.Images(); err != nil || examined == 0 || len(images) != 2 {
		t.Errorf("afterwards: %d images, %v", len(images), err)
	}
}

// A set that fails at its very end leaves what was there before, all revisions of it, although they would be pruned.
func TestSetThatCannotBePublishedCostsNothing(t *testing.T) {
	t.Parallel()
	dir := smallFOG(t)
	repo := openRepository(t)
	for range 2 {
		take(t, examine(t, Options{}, dir), repo)
	}
	options := repo.Options()
	options.Keep = 0
	repo.SetOptions(options)
	p := examine(t, Options{}, dir)
	revisions := func() (all []imagestore.Image) {
		for _, img := range p.Images {
			of, err := repo.Revisions(img.Name)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, of...)
		}
		return all
	}
	want := revisions()
	r := &runner{repo: repo, progress: func(Progress) {}}
	var all []staged
	for _, img := range p.Images {
		s, err := r.stage(t.Context(), img)
		if err != nil {
			t.Fatal(err)
		}
		if err := r.prepare(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	if err := all[1].Abort(); err != nil {
		t.Fatal(err)
	}
	if images, err := r.commit(t.Context(), all); err == nil || len(images) > 0 {
		t.Errorf("a set whose second image cannot be published: %v, %v", images, err)
	}
	if got := revisions(); len(want) != 4 || !reflect.DeepEqual(got, want) {
		t.Errorf("there are %+v, want %+v", got, want)
	}
}

// A whole disk that FOG saved (image type dd) is a file of the directory's name.
func TestFOGDirectoryOfAWholeDisk(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "kiosk")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	image := smallImage(t, 1, format.Gzip)
	for name, part := range map[string][]byte{"kiosk.000": image[:100_000], "kiosk.001": image[100_000:]} {
		write(t, filepath.Join(dir, name), part)
	}
	if p := examine(t, Options{}, dir); len(p.Images) != 1 || p.Images[0].Name != "kiosk" || len(p.Images[0].source.pieces) != 2 {
		t.Errorf("planned %+v, want the image kiosk of two volumes", p.Images)
	}
}

func TestOldFOGDirectory(t *testing.T) {
	t.Parallel()
	original := diskFile(t, "label: dos\nlabel-id: 0x12345678\n\n1 : start=2048, size=16384, type=7, bootable\n2 : start=18432, size=16384, type=7\n", 40*mib)
	dir := filepath.Join(t.TempDir(), "win7")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	file := func(name string) string { return filepath.Join(dir, name) }
	write(t, file("d1.mbr"), firstBytes(t, original, 0, mib))
	ntfs := makePartition(t, "ntfs", 8*mib).image(t)
	pipe(t, []string{ntfs}, file("rec.img.000"), []string{"gzip", "-c"})
	pipe(t, []string{ntfs}, file("sys.img"), []string{"gzip", "-c"})
	split(t, file("sys.img"), "50k", "-a", "3", "-d")
	p := examine(t, Options{}, dir)
	if len(p.Images) != 2 || p.Images[0].Name != "win7-p1" || p.Images[1].Name != "win7-p2" || len(p.Images[1].source.pieces) < 3 {
		t.Fatalf("planned %+v, want win7-p1 from rec.img.000 and win7-p2 from the volumes of sys.img", p.Images)
	}
	repo := openRepository(t)
	images := take(t, p, repo)
	sameContent(t, repo, images[1], restored(t, ntfs))
	// The disk's size is not known: it is what the partitions take.
	checkRebuilt(t, repo, images[0], original, 17*mib, 0)
}

// One partition and no table is an image by itself.
func TestFOGDirectoryOfOnePartition(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	ext := makePartition(t, "ext4", 8*mib).image(t)
	write(t, filepath.Join(dir, "d1p2.img"), read(t, ext))
	p := examine(t, Options{}, dir)
	if len(p.Images) != 1 || p.Images[0].Name != "data" || p.Images[0].Source.Set != "" || p.Images[0].Source.Partition != 2 {
		t.Fatalf("planned %+v, want the image data of partition 2", p.Images)
	}
	if p.Images[0].Info.Compressor != format.None {
		t.Errorf("info %s", p.Images[0].Info)
	}
	repo := openRepository(t)
	images := take(t, p, repo)
	if images[0].FileBytes != int64(len(read(t, ext))) {
		t.Error("an image that is not compressed is not taken as it is")
	}
}
