package incorporation

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"aula/clientos/disk"
	"aula/clientos/disk/disktest"
)

const mib = 1 << 20

const gptScript = `label: gpt
label-id: 5DA5A1C5-5D46-4A4B-8D7E-9E2E2D5B3D8A
unit: sectors

1 : start=2048, size=2048, type=21686148-6449-6E6F-744E-656564454649, uuid=11111111-2222-4333-8444-555555555555, name="BIOS boot"
3 : start=8192, size=16384, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, name="EFI \x22sys\x22", attrs="RequiredPartition LegacyBIOSBootable GUID:60,63"
4 : start=24576, size=20480, type=0FC63DAF-8483-4772-8E79-3D69D8477DE4, name="Größe"
`

const dosScript = `label: dos
label-id: 0xdeadbeef
unit: sectors

1 : start=2048, size=16384, type=83, bootable
2 : start=20480, size=40960, type=5
5 : start=22528, size=16384, type=7
6 : start=40960, size=16384, type=82
`

// diskFile makes a file with a partition table, boot code and a gap full of code.
func diskFile(t *testing.T, script string, size int64) string {
	t.Helper()
	disktest.Need(t, "sfdisk")
	path := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
	tool(t, script, "sfdisk", "--quiet", path)
	overwrite(t, path, 0, bytes.Repeat([]byte("CODE"), 440/4))
	overwrite(t, path, 64*512, bytes.Repeat([]byte("GAP!"), 5000))
	return path
}

// firstBytes reads the beginning of a file.
func firstBytes(t *testing.T, path string, from, to int) []byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	data := make([]byte, to-from)
	if _, err := f.ReadAt(data, int64(from)); err != nil {
		t.Fatal(err)
	}
	return data
}

// dumpOf is what sfdisk says, as of /dev/sda.
func dumpOf(t *testing.T, path string) []byte {
	t.Helper()
	return []byte(strings.ReplaceAll(tool(t, "", "sfdisk", "--dump", path), path, "/dev/sda"))
}

func TestGPTFromCopies(t *testing.T) {
	t.Parallel()
	disktest.Need(t, "sgdisk")
	path := diskFile(t, gptScript, 64*mib)
	backup := filepath.Join(t.TempDir(), "backup")
	tool(t, "", "sgdisk", "--backup="+backup, path)
	saved, err := os.ReadFile(backup)
	if err != nil {
		t.Fatal(err)
	}
	want, _, err := record{dumps: [][]byte{dumpOf(t, path)}}.layout()
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"backup of sgdisk": saved, "first sectors": firstBytes(t, path, 0, 34*512)} {
		got, _, err := record{gpts: [][]byte{data}}.layout()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got.DiskBytes != 64*mib {
			t.Errorf("%s: disk of %d bytes, want %d", name, got.DiskBytes, 64*mib)
		}
		sameTable(t, name, got, want)
		// sfdisk must make the same table of it, names and attributes and all.
		other := filepath.Join(t.TempDir(), "other")
		if err := os.WriteFile(other, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Truncate(other, 64*mib); err != nil {
			t.Fatal(err)
		}
		tool(t, got.Dump, "sfdisk", "--quiet", other)
		if a, b := string(dumpOf(t, other)), string(dumpOf(t, path)); a != b {
			t.Errorf("%s: sfdisk makes\n%s\nwant\n%s", name, a, b)
		}
	}
}

func TestGPTOf4KSectors(t *testing.T) {
	t.Parallel()
	d := disktest.New(t, "4K", 64*mib, 4096)
	d.Partition(t, "label: gpt\n\n1 : start=256, size=1024, type=L\n")
	t1, err := parseGPT(firstBytes(t, d.Path, 0, 34*512))
	if err == nil {
		t.Errorf("a table of 128 entries in %d bytes: %+v", 34*512, t1)
	}
	l, _, err := record{gpts: [][]byte{firstBytes(t, d.Path, 0, 34*4096)}}.layout()
	if err != nil {
		t.Fatal(err)
	}
	if l.SectorSize != 4096 || l.DiskBytes != 64*mib {
		t.Errorf("got %d bytes in sectors of %d", l.DiskBytes, l.SectorSize)
	}
}

// sameTable compares the partitions of two layouts.
func sameTable(t *testing.T, name string, got, want disk.Layout) {
	t.Helper()
	a, err := got.Partitions()
	if err != nil {
		t.Fatal(err)
	}
	b, err := want.Partitions()
	if err != nil {
		t.Fatal(err)
	}
	if got.Table != want.Table || !reflect.DeepEqual(a, b) {
		t.Errorf("%s: got %s table\n%+v, want\n%+v", name, got.Table, a, b)
	}
}

// Dumps by sfdisk before 2.26 (Clonezilla and FOG up to about 2014) have no label and no identifier.
const oldDump = `# partition table of /dev/sda
unit: sectors

/dev/sda1 : start=     2048, size=    16384, Id=83, bootable
/dev/sda2 : start=    20480, size=    40960, Id= 5
/dev/sda3 : start=        0, size=        0, Id= 0
/dev/sda4 : start=        0, size=        0, Id= 0
/dev/sda5 : start=    22528, size=    16384, Id= 7
/dev/sda6 : start=    40960, size=    16384, Id=82
`

func TestLayoutFromOldDump(t *testing.T) {
	t.Parallel()
	path := diskFile(t, dosScript, 40*mib)
	want, _, err := record{dumps: [][]byte{dumpOf(t, path)}, head: firstBytes(t, path, 0, 512)}.layout()
	if err != nil {
		t.Fatal(err)
	}
	got, warnings, err := record{
		dumps: [][]byte{[]byte(oldDump)}, head: firstBytes(t, path, 0, 512), after: firstBytes(t, path, 512, mib),
		swaps: []disk.Swap{{Partition: 6, UUID: "510e6b9d-8421-4495-b13f-a2559c13e558"}, {Partition: 9, UUID: "510e6b9d-8421-4495-b13f-a2559c13e558"}, {Partition: 6, UUID: "x; reboot"}},
	}.layout()
	if err != nil {
		t.Fatal(err)
	}
	sameTable(t, "old dump", got, want)
	if !strings.Contains(got.Dump, "label-id: 0xdeadbeef") {
		t.Errorf("the disk's identifier is not that of the MBR:\n%s", got.Dump)
	}
	if !bytes.Equal(got.BootCode[:440], bytes.Repeat([]byte("CODE"), 110)) {
		t.Error("the boot code is not the disk's")
	}
	if got.GapStart != 512 || !bytes.Equal(append(make([]byte, 63*512), bytes.Repeat([]byte("GAP!"), 5000)...), got.Gap) {
		t.Errorf("gap of %d bytes at %d is not the disk's", len(got.Gap), got.GapStart)
	}
	if len(got.Swaps) != 1 || len(warnings) != 2 {
		t.Errorf("swaps %+v, warnings %q: want the one that there can be, and two warnings", got.Swaps, warnings)
	}
}

func TestLayoutWithoutDump(t *testing.T) {
	t.Parallel()
	path := diskFile(t, "label: dos\nlabel-id: 0x12345678\n\n1 : start=2048, size=16384, type=7, bootable\n2 : start=18432, size=4096, type=27\n", 40*mib)
	want, _, err := record{dumps: [][]byte{dumpOf(t, path)}}.layout()
	if err != nil {
		t.Fatal(err)
	}
	got, _, err := record{head: firstBytes(t, path, 0, mib)}.layout()
	if err != nil {
		t.Fatal(err)
	}
	sameTable(t, "MBR alone", got, want)

	logicals := diskFile(t, dosScript, 40*mib)
	if l, _, err := (record{head: firstBytes(t, logicals, 0, mib)}).layout(); err == nil {
		t.Errorf("the logical partitions of an extended one are guessed: %+v", l)
	}
	if _, _, err := (record{}).layout(); err == nil || !strings.Contains(err.Error(), "no partition table") {
		t.Errorf("nothing: got %v", err)
	}
}

func TestPoorDumpOfGPT(t *testing.T) {
	t.Parallel()
	path := diskFile(t, gptScript, 64*mib)
	head := firstBytes(t, path, 0, mib)
	good := record{dumps: [][]byte{dumpOf(t, path)}, gpts: [][]byte{head}, head: head}
	want, _, err := good.layout()
	if err != nil {
		t.Fatal(err)
	}
	if want.GapStart != 34*512 || !bytes.HasPrefix(want.Gap[64*512-34*512:], []byte("GAP!")) {
		t.Errorf("gap of %d bytes at %d is not the disk's", len(want.Gap), want.GapStart)
	}
	for name, dump := range map[string]string{
		"protective table only": "# partition table of /dev/sda\nunit: sectors\n\n/dev/sda1 : start=        1, size=   131071, Id=ee\n",
		"no identifiers":        "label: gpt\nlabel-id: 5DA5A1C5-5D46-4A4B-8D7E-9E2E2D5B3D8A\nunit: sectors\n\n/dev/sda1 : start=2048, size=2048, type=21686148-6449-6E6F-744E-656564454649\n",
		"nonsense":              "sfdisk: cannot open /dev/sda: Permission denied\n",
	} {
		poor := good
		poor.dumps = [][]byte{[]byte(dump)}
		got, _, err := poor.layout()
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		sameTable(t, name, got, want)
	}
}

func TestHostileGPT(t *testing.T) {
	t.Parallel()
	path := diskFile(t, gptScript, 64*mib)
	good := firstBytes(t, path, 0, 34*512)
	for name, bend := range map[string]func(b []byte){
		"header checksum":  func(b []byte) { b[512+56]++ },
		"entries checksum": func(b []byte) { b[1024]++ },
		"many entries":     func(b []byte) { binary.LittleEndian.PutUint32(b[512+80:], 1<<31) },
		"huge entries":     func(b []byte) { binary.LittleEndian.PutUint32(b[512+84:], 1<<31) },
		"long header":      func(b []byte) { binary.LittleEndian.PutUint32(b[512+12:], 1<<31) },
	} {
		b := bytes.Clone(good)
		bend(b)
		if _, err := parseGPT(b); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	for n := range len(good) {
		if _, err := parseGPT(good[:n]); err == nil {
			t.Fatalf("the first %d bytes are taken for the whole", n)
		}
	}
}

func TestSwapFiles(t *testing.T) {
	t.Parallel()
	const id = "510e6b9d-8421-4495-b13f-a2559c13e558"
	got := parseSwapUUIDs([]byte("/dev/sda6 " + id + "\n/dev/nvme0n1p3 " + id + "\n2 " + id + "\n\nnothing\n/dev/sda x\n"))
	want := []disk.Swap{{Partition: 6, UUID: id}, {Partition: 3, UUID: id}, {Partition: 2, UUID: id}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("swapuuids: got %+v, want %+v", got, want)
	}
	if got, want := parseSwapInfo([]byte("UUID=\""+id+"\"\nLABEL=\"my swap\"\n")), (disk.Swap{UUID: id, Label: "my swap"}); got != want {
		t.Errorf("swappt: got %+v, want %+v", got, want)
	}
}

// FuzzLayout makes layouts of any bytes; what is made passes Check.
func FuzzLayout(f *testing.F) {
	f.Add([]byte(oldDump), []byte(gptScript), []byte("/dev/sda6 510e6b9d-8421-4495-b13f-a2559c13e558\n"), []byte{})
	mbr := make([]byte, 512)
	mbr[510], mbr[511] = 0x55, 0xAA
	copy(mbr[mbrTable:], "\x80\x00\x00\x00\x07\x00\x00\x00\x00\x08\x00\x00\x00\x40\x00\x00")
	f.Add([]byte{}, []byte("label: dos"), []byte("2 x"), mbr)
	f.Fuzz(func(t *testing.T, dump, other, swaps, head []byte) {
		r := record{dumps: [][]byte{dump, other}, gpts: [][]byte{head}, head: head, after: other, swaps: parseSwapUUIDs(swaps)}
		l, _, err := r.layout()
		if err != nil {
			return
		}
		if err := l.Check(); err != nil {
			t.Errorf("a layout that cannot be used: %v", err)
		}
	})
}
