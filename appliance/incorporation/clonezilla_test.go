package incorporation

import (
	"crypto/md5"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"aula/clientos/disk"
	"aula/imagestore/format"
)

// makeClonezilla makes an image directory of two disks by Clonezilla's own pipelines: sda with a dos table, dumped by an old sfdisk, and
// nvme0n1 with a GPT.
func makeClonezilla(t *testing.T) (dir string, disks []string, want map[string][]byte) {
	t.Helper()
	sda, nvme := diskFile(t, dosScript, 40*mib), diskFile(t, nvmeScript, 64*mib)
	overwrite(t, nvme, 34*512, make([]byte, mib-34*512)) // Clonezilla does not save the gap of a disk with a GPT, in which nothing belongs
	dir = filepath.Join(t.TempDir(), "2026-11-02-img")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	file := func(name string) string { return filepath.Join(dir, name) }
	write(t, file("clonezilla-img"), []byte("This image was saved by Clonezilla\n"))
	write(t, file("disk"), []byte("sda nvme0n1\n"))
	write(t, file("parts"), []byte("sda1 sda5 nvme0n1p1 nvme0n1p2 nvme0n1p3\n"))

	write(t, file("sda-pt.sf"), []byte(oldDump))
	write(t, file("sda-mbr"), firstBytes(t, sda, 0, 512))
	write(t, file("sda-hidden-data-after-mbr"), firstBytes(t, sda, 512, mib))
	write(t, file("sda-pt.parted"), []byte(fmt.Sprintf("Model: ATA DISK (scsi)\nDisk /dev/sda: %ds\nSector size (logical/physical): 512B/4096B\nPartition Table: msdos\n", 40*mib/512)))
	write(t, file("swappt-sda6.info"), []byte("UUID=\""+swapID+"\"\nLABEL=\"\"\n"))

	write(t, file("nvme0n1-pt.sf"), []byte(strings.ReplaceAll(string(dumpOf(t, nvme)), "/dev/sda", "/dev/nvme0n1p")))
	write(t, file("nvme0n1-mbr"), firstBytes(t, nvme, 0, 512))
	write(t, file("nvme0n1-gpt-1st"), firstBytes(t, nvme, 0, 34*512))
	write(t, file("efi-nvram.dat"), []byte("BootCurrent: 0001\nBootOrder: 0001\nBoot0001* Windows Boot Manager\tHD(1,GPT)/File(\\EFI\\Microsoft\\Boot\\bootmgfw.efi)\n"))

	ext := makePartition(t, "ext4", 8*mib).image(t, "-z", "10485760")
	pipe(t, []string{ext}, file("sda1.ext4-ptcl-img.zst"), []string{"zstd", "-3", "-c"})
	ntfs := makePartition(t, "ntfs", 8*mib)
	image := ntfs.image(t, "-z", "10485760")
	pipe(t, []string{image}, file("sda5.ntfs-ptcl-img.gz"), []string{"gzip", "-c"})
	split(t, file("sda5.ntfs-ptcl-img.gz"), "100k", "-a", "2")
	esp := makePartition(t, "vfat", 8*mib).image(t)
	pipe(t, []string{esp}, file("nvme0n1p1.vfat-ptcl-img.lz4"), []string{"lz4", "-c"})
	pipe(t, nil, file("nvme0n1p2.dd-ptcl-img.zst"), []string{"head", "-c", "1048576", "/dev/zero"}, []string{"zstd", "-c"})
	pipe(t, nil, file("nvme0n1p3.ntfs-img"), []string{"ntfsclone", "--force", "--save-image", "-O", "-", ntfs.path}, []string{"gzip", "-c"})
	split(t, file("nvme0n1p3.ntfs-img"), "100k", "-a", "2")

	var sums strings.Builder
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		fmt.Fprintf(&sums, "%x  %s\n", md5.Sum(read(t, file(e.Name()))), e.Name())
	}
	write(t, file("MD5SUMS"), []byte(sums.String()))
	return dir, []string{sda, nvme}, map[string][]byte{
		"p1": restored(t, ext), "p5": restored(t, image), "d2-p1": restored(t, esp), "d2-p3": read(t, ntfs.path),
	}
}

const nvmeScript = `label: gpt
label-id: 5DA5A1C5-5D46-4A4B-8D7E-9E2E2D5B3D8A
unit: sectors

1 : start=2048, size=16384, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, name="EFI system partition", attrs="GUID:63"
2 : start=18432, size=2048, type=E3C9E316-0B5C-4DB8-817D-F92DF00215AE, name="Microsoft reserved partition"
3 : start=20480, size=16384, type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7, name="Basic data partition"
`

func TestClonezillaDirectory(t *testing.T) {
	t.Parallel()
	dir, disks, want := makeClonezilla(t)
	p := examine(t, Options{Name: "lab"}, dir)
	if p.System != "Clonezilla" || len(p.Images) != 4 || len(p.Warnings) != 2 {
		t.Errorf("plan: %s with %d images, warnings %q, want Clonezilla with 4 and two about the firmware", p.System, len(p.Images), p.Warnings)
	}
	wantWarning(t, p, "Windows Boot Manager")
	wantWarning(t, p, "BOOTX64.EFI")
	repo := openRepository(t)
	images := take(t, p, repo)
	infos := map[string]string{
		"p1": "PARTCLONE:ZSTD:EXT4:8192", "p5": "PARTCLONE:GZIP:NTFS:8192", "d2-p1": "PARTCLONE:LZ4:FAT16:8192", "d2-p3": "NTFSCLONE:GZIP:NTFS:8192",
	}
	for _, img := range images {
		part := strings.TrimPrefix(img.Name, "lab-")
		if img.Info.String() != infos[part] || img.Source.Set != "lab" || img.Source.System != "Clonezilla" || !img.HasLayout {
			t.Errorf("image %+v, want %s of set lab", img, infos[part])
		}
		if part == "d2-p3" {
			checkUsed(t, content(t, repo, img), want[part])
		} else {
			sameContent(t, repo, img, want[part])
		}
	}
	if t.Failed() {
		return
	}
	checkRebuilt(t, repo, images[0], disks[0], 40*mib, 6)
	checkRebuilt(t, repo, images[3], disks[1], 64*mib, 0)
}

// checkUsed compares a partition with what was restored of its used clusters; the others are zeros.
func checkUsed(t *testing.T, got, whole []byte) {
	t.Helper()
	const cluster = 4096
	for i := 0; i+cluster <= len(got); i += cluster {
		if piece := got[i : i+cluster]; !allZero(piece) && string(piece) != string(whole[i:i+cluster]) {
			t.Errorf("byte %d on differs from the partition", i)
			return
		}
	}
}

func TestClonezillaSumsAreChecked(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "img")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	file := func(name string) string { return filepath.Join(dir, name) }
	image := smallImage(t, 2000, format.Gzip)
	var sums strings.Builder
	for name, data := range map[string][]byte{
		"parts": []byte("sda5\n"), "disk": []byte("sda\n"), "sda-pt.sf": []byte("label-id: 0x12345678\n" + oldDump), "sda-mbr": make([]byte, 512),
		"sda5.ntfs-ptcl-img.gz.aa": image[:2*mib], "sda5.ntfs-ptcl-img.gz.ab": image[2*mib:],
	} {
		write(t, file(name), data)
		fmt.Fprintf(&sums, "%x *./%s\n", md5.Sum(data), name)
	}
	write(t, file("MD5SUMS"), []byte(sums.String()))
	repo := openRepository(t)
	take(t, examine(t, Options{}, dir), repo)

	bend := func(name string) (mend func()) {
		data := read(t, file(name))
		write(t, file(name), append([]byte{data[0] ^ 1}, data[1:]...))
		return func() { write(t, file(name), data) }
	}
	mend := bend("sda5.ntfs-ptcl-img.gz.ab")
	images, err := examine(t, Options{}, dir).Run(t.Context(), repo, nil)
	if err == nil || !strings.Contains(err.Error(), "sda5.ntfs-ptcl-img.gz.ab is damaged") || len(images) > 0 {
		t.Errorf("got %d images, %v, want none and the name of the damaged file", len(images), err)
	}
	mend()
	mend = bend("sda-pt.sf")
	refused(t, "sda-pt.sf is damaged", dir)
	mend()
	if err := os.Remove(file("sda-mbr")); err != nil {
		t.Fatal(err)
	}
	refused(t, "sda-mbr is missing", dir)
	write(t, file("MD5SUMS"), []byte("not a sum\n"))
	refused(t, "line 1 is no sum", dir)
}

func TestClonezillaDirectoryThatCannotBeTaken(t *testing.T) {
	t.Parallel()
	make := func(t *testing.T, files map[string]string) string {
		dir := filepath.Join(t.TempDir(), "img")
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		for name, data := range files {
			write(t, filepath.Join(dir, name), []byte(data))
		}
		return dir
	}
	for name, test := range map[string]struct {
		files map[string]string
		want  string
	}{
		"encrypted":           {map[string]string{"gocryptfs.info": "x", "parts": "sda1"}, "is encrypted"},
		"partition missing":   {map[string]string{"parts": "sda1", "sda-pt.sf": oldDump}, "partition sda1 has no image file"},
		"odd device":          {map[string]string{"parts": "../../etc/passwd", "sda-pt.sf": oldDump}, "names no devices"},
		"twice":               {map[string]string{"parts": "sda1 sda1", "sda-pt.sf": oldDump}, "names sda1 twice"},
		"two files":           {map[string]string{"parts": "sda1", "sda-mbr": "", "sda1.ext4-ptcl-img.gz": "a", "sda1.ext4-ptcl-img.zst": "b"}, "is there twice"},
		"nothing in it":       {map[string]string{"parts": "", "clonezilla-img": "x"}, "holds no image"},
		"unknown compression": {map[string]string{"parts": "sda1", "sda-mbr": "", "sda1.ext4-ptcl-img.lrz": "LRZI and so on"}, "lrzip"},
	} {
		t.Run(name, func(t *testing.T) { refused(t, test.want, make(t, test.files)) })
	}
}

// Only swappt-PARTITION.info tells of a swap area; other files end in .info too.
func TestClonezillaSwaps(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, data := range map[string]string{
		"swappt-sda6.info": "UUID=\"" + swapID + "\"\n", "sda1.info": "UUID=\"x\"\n", "swappt-sda7": "UUID=\"x\"\n", "blkdev.info": "", "swappt-sdb1.info": "",
	} {
		write(t, filepath.Join(dir, name), []byte(data))
	}
	f, err := readFolder(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	r, err := readClonedRecord(f, "sda")
	if want := []disk.Swap{{Partition: 6, UUID: swapID}}; err != nil || !reflect.DeepEqual(r.swaps, want) {
		t.Errorf("got %+v, %v, want %+v", r.swaps, err, want)
	}
}

func TestClonezillaDeviceNames(t *testing.T) {
	t.Parallel()
	for part, want := range map[string]struct {
		disk   string
		number int
	}{
		"sda1": {"sda", 1}, "sdaa12": {"sdaa", 12}, "hdb5": {"hdb", 5}, "vda2": {"vda", 2}, "nvme0n1p3": {"nvme0n1", 3}, "mmcblk0p1": {"mmcblk0", 1},
		"cciss-c0d0p1": {"cciss-c0d0", 1}, "md126p2": {"md126", 2}, "vg-root": {"vg-root", 0}, "vg-lv2": {"vg-lv2", 0}, "sda": {"sda", 0},
		"sda0": {"sda0", 0}, "sda999": {"sda999", 0}, "xvda1": {"xvda", 1},
	} {
		if disk, number := splitDevice(part, nil); disk != want.disk || number != want.number {
			t.Errorf("%s: got disk %s, partition %d, want %s, %d", part, disk, number, want.disk, want.number)
		}
	}
	if disk, number := splitDevice("dm-0p1", []string{"sda", "dm-0"}); disk != "dm-0" || number != 1 {
		t.Errorf("got %s, %d, want the disk that is known", disk, number)
	}
}

func TestEFIEntries(t *testing.T) {
	t.Parallel()
	got := efiEntries([]byte("BootCurrent: 0000\nBoot0000* ubuntu\tHD(1)\nBoot0003  Linpus lite\tHD\nBoot2001* EFI USB Device\tRC\nMirroredPercentageAbove4G: 0\n"))
	if want := []string{"ubuntu", "Linpus lite", "EFI USB Device"}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// FuzzDirectory reads directories of FOG and Clonezilla with any small files in them.
func FuzzDirectory(f *testing.F) {
	f.Add("sda1 sda5 vg-root", "sda", []byte(oldDump), []byte("UUID=\""+swapID+"\"\n"), []byte("d41d8cd98f00b204e9800998ecf8427e  parts\n"))
	f.Add("../x", "/dev/cciss/c0d0", []byte("label: gpt\n"), []byte("/dev/sda6 "+swapID), []byte("x"))
	f.Fuzz(func(t *testing.T, parts, disks string, dump, swap, sums []byte) {
		dir := t.TempDir()
		for name, data := range map[string][]byte{
			"parts": []byte(parts), "disk": []byte(disks), "sda-pt.sf": dump, "sda-mbr": dump, "swappt-sda6.info": swap, "lvm_vg_dev.list": swap,
			"efi-nvram.dat": dump, "sda-pt.parted": dump, "d1.partitions": dump, "d1.mbr": dump, "d1.size": sums, "d1.original.swapuuids": swap,
			"sda1.ext4-ptcl-img.aa": swap, "MD5SUMS": sums,
		} {
			write(t, filepath.Join(dir, name), data)
		}
		folder, err := readFolder(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		if folder.readSums() != nil {
			return
		}
		if disks, err := readFOG(folder); err == nil {
			for _, d := range disks {
				_, _, _ = d.record.layout()
			}
		}
		if z, err := readClonezilla(folder); err == nil {
			for _, d := range z.disks {
				_, _, _ = d.record.layout()
			}
		}
	})
}
