package disk

import (
	"strings"
	"testing"
)

const dosDump = `label: dos
label-id: 0xdeadbeef
device: /dev/loop0
unit: sectors
sector-size: 512

/dev/loop0p1 : start=        2048, size=       40960, type=83, bootable
/dev/loop0p2 : start=       43008, size=       80000, type=5
/dev/loop0p5 : start=       45056, size=       20000, type=7
/dev/loop0p6 : start=       67104, size=       20000, type=82
`

const gptDump = `label: gpt
label-id: 5DA5A1C5-5D46-4A4B-8D7E-9E2E2D5B3D8A
device: /dev/nvme0n1
unit: sectors
first-lba: 34
last-lba: 976773134
sector-size: 512

/dev/nvme0n1p1 : start=        2048, size=      204800, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, uuid=0E2A2C0D-7DB6-4C53-8A36-FE4A7B0AFB48, name="EFI system, \x22partition\x22", attrs="GUID:63"
/dev/nvme0n1p3 : start=      239616, size=   900000000, type=ebd0a0a2-b9e5-4433-87c0-68b6b72699c7, uuid=31FDB92A-4FA6-4AFE-B3C1-D6B3D1D7DF2A, name="Basic data partition"
`

func TestParseTableDOS(t *testing.T) {
	got, err := parseTable(dosDump)
	if err != nil {
		t.Fatal(err)
	}
	want := table{label: "dos", id: "0xdeadbeef", sectorSize: 512, entries: []entry{
		{number: 1, start: 2048, sectors: 40960, typ: "83", bootable: true},
		{number: 2, start: 43008, sectors: 80000, typ: "05"},
		{number: 5, start: 45056, sectors: 20000, typ: "07"},
		{number: 6, start: 67104, sectors: 20000, typ: "82"},
	}}
	if diff := got.differsFrom(want); diff != "" || got.sectorSize != 512 {
		t.Errorf("dos dump: %s; got %+v", diff, got)
	}
	if got, want := got.neededBytes(), int64(43008+80000)*512; got != want {
		t.Errorf("needed bytes: got %d, want %d", got, want)
	}
	if got, want := got.firstStart(), int64(2048*512); got != want {
		t.Errorf("first start: got %d, want %d", got, want)
	}
}

func TestParseTableGPT(t *testing.T) {
	got, err := parseTable(gptDump)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.entries) != 2 || got.entries[1].number != 3 {
		t.Fatalf("got %+v, want partitions 1 and 3", got.entries)
	}
	if got, want := got.entries[0].name, `EFI system, "partition"`; got != want {
		t.Errorf("name: got %q, want %q", got, want)
	}
	if got, want := got.entries[0].attrs, "GUID:63"; got != want {
		t.Errorf("attributes: got %q, want %q", got, want)
	}
	if got, want := got.entries[1].typ, "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7"; got != want {
		t.Errorf("type: got %q, want %q", got, want)
	}
	if got, want := got.reservedBytes(), int64(34*512); got != want {
		t.Errorf("reserved bytes: got %d, want %d", got, want)
	}
	if got, want := got.neededBytes(), int64(239616+900000000+33)*512; got != want {
		t.Errorf("needed bytes: got %d, want %d", got, want)
	}
	if strings.Contains(got.script(), "last-lba") || strings.Contains(got.script(), "/dev/") {
		t.Errorf("the script names the source disk or its end:\n%s", got.script())
	}
}

func TestParseTableRefuses(t *testing.T) {
	gpt := "label: gpt\nlabel-id: 5DA5A1C5-5D46-4A4B-8D7E-9E2E2D5B3D8A\n"
	const data = "type=EBD0A0A2-B9E5-4433-87C0-68B6B72699C7"
	for name, test := range map[string]struct{ dump, want string }{
		"empty":                       {"", "neither dos nor gpt"},
		"not a dump":                  {"hello", "neither a header nor a partition"},
		"other label":                 {"label: sun\n", "neither dos nor gpt"},
		"signature that is a command": {"label: dos\nlabel-id: 0x1; reboot\n", "disk signature"},
		"cylinders":                   {"label: dos\nunit: cylinders\n", "only sectors"},
		"odd sector size":             {"label: dos\nlabel-id: 0x1\nsector-size: 520\n", "sector size"},
		"overlap":                     {"label: dos\nlabel-id: 0x1\n/dev/a1 : start=2048, size=100, type=83\n/dev/a2 : start=2100, size=10, type=83\n", "overlap"},
		"same number twice":           {"label: dos\nlabel-id: 0x1\n/dev/a1 : start=2048, size=100, type=83\n/dev/a1 : start=4096, size=10, type=83\n", "listed twice"},
		"logical without extended":    {"label: dos\nlabel-id: 0x1\n/dev/a5 : start=2048, size=100, type=83\n", "not inside an extended"},
		"two extended":                {"label: dos\nlabel-id: 0x1\n/dev/a1 : start=2048, size=100, type=5\n/dev/a2 : start=4096, size=10, type=f\n", "both extended"},
		"larger than dos can hold":    {"label: dos\nlabel-id: 0x1\n/dev/a1 : start=2048, size=5000000000, type=83\n", "dos table"},
		"negative":                    {"label: dos\nlabel-id: 0x1\n/dev/a1 : start=-5, size=50, type=83\n", "not possible"},
		"no number":                   {"label: dos\nlabel-id: 0x1\n/dev/sda : start=5, size=50, type=83\n", "partition number"},
		"inside the gpt":              {gpt + "/dev/a1 : start=20, size=100, " + data, "inside the table"},
		"gpt type":                    {gpt + "/dev/a1 : start=2048, size=100, type=83", "not a GUID"},
		"gpt attributes":              {gpt + `/dev/a1 : start=2048, size=100, attrs="a;b", ` + data, "attributes"},
		"gpt name":                    {gpt + `/dev/a1 : start=2048, size=100, name="` + strings.Repeat("x", 37) + `", ` + data, "36 characters"},
		"quote without an end":        {gpt + `/dev/a1 : start=2048, size=100, name="abc`, "quote without an end"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseTable(test.dump)
			if err == nil {
				t.Fatalf("got %+v, want an error with %q", got, test.want)
			}
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("got error %q, want one with %q", err, test.want)
			}
		})
	}
}

// FuzzParseTable checks that whatever is accepted keeps its meaning when it is written for sfdisk and read again,
// and that the script holds one line for each partition and nothing that the dump smuggled in.
func FuzzParseTable(f *testing.F) {
	f.Add(dosDump)
	f.Add(gptDump)
	f.Add("label: gpt\nlabel-id: 5DA5A1C5-5D46-4A4B-8D7E-9E2E2D5B3D8A\ntable-length: 4\n")
	f.Add("label: dos\nlabel-id: 0x0\n/dev/sda1 : start=63, size=0, Id= 0\n")
	f.Fuzz(func(t *testing.T, dump string) {
		first, err := parseTable(dump)
		if err != nil {
			return
		}
		script := first.script()
		second, err := parseTable(script)
		if err != nil {
			t.Fatalf("own script refused: %v\n%s", err, script)
		}
		if diff := second.differsFrom(first); diff != "" {
			t.Fatalf("%s\n%s", diff, script)
		}
		if got, want := strings.Count(script, " : "), len(first.entries); got < want {
			t.Fatalf("%d partitions in the script, want %d:\n%s", got, want, script)
		}
		if first.neededBytes() < first.firstStart() {
			t.Fatalf("needs %d bytes although it starts at %d", first.neededBytes(), first.firstStart())
		}
	})
}
