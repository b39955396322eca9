package instruction

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"aula/clientos/disk"
	"aula/clientos/protocol"
)

const session = "9000:full-duplex:239.194.17.36:90M:20:60"

func delivery(name string, direct bool, parameters string) protocol.Delivery {
	return protocol.Delivery{From: protocol.Repo, Protocol: name, Direct: direct, Parameters: parameters}
}

// accepted are texts of OpenGnsys and of Aula: what they mean, and how they are written.
var accepted = []struct {
	text, written string
	want          Statement
}{
	{"deployImage REPO /windows11 1 2 MULTICAST " + session, "deployImage REPO windows11 1 2 MULTICAST " + session,
		Statement{Word: DeployImage, Image: "windows11", Disk: 1, Partition: 2, Delivery: delivery("MULTICAST", false, session)}},
	{"deployImage REPO /windows11 1 2 MULTICAST-CACHE 9000:FULL-DUPLEX:239.194.17.36:090M:20:60", "deployImage REPO windows11 1 2 MULTICAST " + session,
		Statement{Word: DeployImage, Image: "windows11", Disk: 1, Partition: 2, Delivery: delivery("MULTICAST", false, session)}},
	{"deployImage REPO w 1 2", "deployImage REPO w 1 2 UNICAST",
		Statement{Word: DeployImage, Image: "w", Disk: 1, Partition: 2, Delivery: delivery("UNICAST", false, "")}},
	{"DEPLOYIMAGE cache /w.img 01 2 UNICAST", "deployImage CACHE w 1 2",
		Statement{Word: DeployImage, Image: "w", Disk: 1, Partition: 2, Delivery: protocol.Delivery{From: protocol.Cache}}},
	{"deployImage lab4 w 1 2 TORRENT-DIRECT seeder: fallback=none plain revision=3", "deployImage lab4 w 1 2 TORRENT-DIRECT seeder:0 revision=3 fallback=NONE plain",
		Statement{Word: DeployImage, Repository: "lab4", Image: "w", Disk: 1, Partition: 2, Revision: 3, Plain: true,
			Delivery: protocol.Delivery{From: "REPO", Protocol: "TORRENT", Direct: true, Parameters: "seeder:0", Fallback: "NONE"}}},
	{"restoreImage REPO w 1 2", "restoreImage REPO w 1 2 UNICAST-DIRECT",
		Statement{Word: RestoreImage, Image: "w", Disk: 1, Partition: 2, Delivery: delivery("UNICAST", true, "")}},
	{"restoreImage REPO w 1 2 MULTICAST layout", "restoreImage REPO w 1 2 MULTICAST-DIRECT layout",
		Statement{Word: RestoreImage, Image: "w", Disk: 1, Partition: 2, Layout: true, Delivery: delivery("MULTICAST", true, "")}},
	{"restoreImage REPO w 1 2 TORRENT peer:60", "restoreImage REPO w 1 2 TORRENT-CACHE peer:60",
		Statement{Word: RestoreImage, Image: "w", Disk: 1, Partition: 2, Delivery: delivery("TORRENT", false, "peer:60")}},
	{`restoreImage "REPO" w.img.img 1 2 UNICAST-CACHE`, `restoreImage "REPO" w.img.img 1 2 UNICAST-CACHE`,
		Statement{Word: RestoreImage, Repository: "REPO", Image: "w.img", Disk: 1, Partition: 2, Delivery: delivery("UNICAST", false, "")}},
	{"updateCache REPO /windows11.img TORRENT peer:60", "updateCache REPO windows11 TORRENT peer:60",
		Statement{Word: UpdateCache, Image: "windows11", Delivery: delivery("TORRENT", false, "peer:60")}},
	{"restoreDiskImage REPO room 1 MULTICAST grow=2 setdisk=1", "restoreDiskImage REPO room 1 MULTICAST-DIRECT grow=2 setdisk=1",
		Statement{Word: RestoreDiskImage, Image: "room", Disk: 1, Grow: 2, SetDisk: 1, Delivery: delivery("MULTICAST", true, "")}},
	{"deployDiskImage CACHE room 2", "deployDiskImage CACHE room 2",
		Statement{Word: DeployDiskImage, Image: "room", Disk: 2, Delivery: protocol.Delivery{From: protocol.Cache}}},
	{"createImage 1 2 REPO /windows11", "createImage 1 2 REPO windows11", Statement{Word: CreateImage, Disk: 1, Partition: 2, Image: "windows11"}},
	{"createDiskImage 1 lab4 room zstd:9", "createDiskImage 1 lab4 room ZSTD:9",
		Statement{Word: CreateDiskImage, Disk: 1, Repository: "lab4", Image: "room", Compressor: "ZSTD", Level: 9}},
	{"partitionDisk 1 MSDOS NTFS:10000000 EXT3:5000000 LINUX-SWAP:1000000", "partitionDisk 1 MSDOS NTFS:10000000 EXT3:5000000 LINUX-SWAP:1000000 cache=keep",
		Statement{Word: PartitionDisk, Disk: 1, Scheme: &disk.Scheme{Table: "dos", Cache: disk.KeepCache, Partitions: []disk.Planned{
			{Number: 1, Type: "NTFS", Bytes: 10000000 << 10}, {Number: 2, Type: "EXT3", Bytes: 5000000 << 10}, {Number: 3, Type: "LINUX-SWAP", Bytes: 1000000 << 10}}}}},
	{`partitionDisk 1 MSDOS NTFS:40G:NTFS:"Data disk" EMPTY:0 EXTENDED:* 5:LINUX:1536M:EXT4 boot=1 cache=60GiB`,
		`partitionDisk 1 MSDOS NTFS:40G:NTFS:"Data disk" 3:EXTENDED:* 5:LINUX:1536M:EXT4 boot=1 cache=60G`,
		Statement{Word: PartitionDisk, Disk: 1, Scheme: &disk.Scheme{Table: "dos", Cache: 60 << 30, Partitions: []disk.Planned{
			{Number: 1, Type: "NTFS", Bytes: 40 << 30, Filesystem: "NTFS", Label: "Data disk", Bootable: true},
			{Number: 3, Type: "EXTENDED"}, {Number: 5, Type: "LINUX", Bytes: 1536 << 20, Filesystem: "EXT4"}}}}},
	{`ogFormat 1 3 ext4 "Room 4"`, `formatPartition 1 3 EXT4 "Room 4"`,
		Statement{Word: FormatPartition, Disk: 1, Partition: 3, Scheme: &disk.Scheme{Cache: disk.KeepCache,
			Partitions: []disk.Planned{{Number: 3, Filesystem: "EXT4", Label: "Room 4"}}}}},
	{"initCache 20000000", "initCache 1 20000000", Statement{Word: InitCache, Disk: 1, Scheme: &disk.Scheme{Cache: 20000000 << 10}}},
	{"initCache 2 -1", "initCache 2 delete", Statement{Word: InitCache, Disk: 2, Scheme: &disk.Scheme{}}},
	{"initCache 0", "initCache 1 keep", Statement{Word: InitCache, Disk: 1, Scheme: &disk.Scheme{Cache: disk.KeepCache}}},
	{"deleteCachedImage a /b.img", "deleteCachedImage a b", Statement{Word: DeleteCachedImage, Images: []string{"a", "b"}}},
	{"configureOs 1 2", "configureOs 1 2", Statement{Word: ConfigureOS, Disk: 1, Partition: 2}},
	{"wakeup 300", "wakeUp 300", Statement{Word: WakeUp, Seconds: 300}},
	{"bootOs", "bootOs", Statement{Word: BootOS}},
	{"bootOs 1 2", "bootOs 1 2", Statement{Word: BootOS, Disk: 1, Partition: 2}},
	{"reboot", "reboot", Statement{Word: Reboot}},
	{"PowerOff # for the night", "poweroff", Statement{Word: PowerOff}},
}

func TestParse(t *testing.T) {
	for _, c := range accepted {
		program, err := Parse(c.text)
		if err != nil {
			t.Errorf("%s: %v", c.text, err)
			continue
		}
		got := unplaced(program).Statements
		if len(got) != 1 || !reflect.DeepEqual(got[0], c.want) {
			t.Errorf("%s: got %+v, want %+v", c.text, got, c.want)
		}
		if got := c.want.String(); got != c.written {
			t.Errorf("%s: written %s, want %s", c.text, got, c.written)
		}
		readsBack(t, program)
	}
}

func TestProgramHasPlaces(t *testing.T) {
	program, err := Parse("\ufeff# at seven\r\nwakeUp; deployImage REPO w 1 2 # the room\r\n\r\n\tpoweroff;\n")
	if err != nil {
		t.Fatal(err)
	}
	var got []int
	for _, s := range program.Statements {
		got = append(got, s.Line, s.Column)
	}
	if want := []int{2, 1, 2, 9, 4, 2}; !reflect.DeepEqual(got, want) {
		t.Errorf("places %v, want %v", got, want)
	}
	if got, want := program.String(), "wakeUp\ndeployImage REPO w 1 2 UNICAST\npoweroff\n"; got != want {
		t.Errorf("written %q, want %q", got, want)
	}
}

// What a wizard fills in never becomes another instruction.
func TestNamesDoNotBecomeInstructions(t *testing.T) {
	for _, name := range []string{"w 1 2\npoweroff", "w;poweroff", `w" 1 2;poweroff`, "w#", "", "w\\", "plain x", "\x00"} {
		s := Statement{Word: DeployImage, Image: name, Disk: 1, Partition: 2}
		if program, err := Parse(s.String()); err == nil {
			t.Errorf("%q became %v", name, program)
		}
		s = Statement{Word: FormatPartition, Disk: 1, Partition: 2, Scheme: &disk.Scheme{Cache: disk.KeepCache,
			Partitions: []disk.Planned{{Number: 2, Filesystem: "EXT4", Label: name}}}}
		if program, err := Parse(s.String()); err == nil && (len(program.Statements) != 1 || program.Statements[0].Scheme.Partitions[0].Label != name) {
			t.Errorf("label %q became %v", name, program)
		}
	}
}

// Each word's example is right, and written as it is given but for what is understood.
func TestExamplesOfWords(t *testing.T) {
	for _, h := range Words() {
		program, err := Parse(h.Example)
		if err != nil || len(program.Statements) != 1 || program.Statements[0].Word != h.Word {
			t.Errorf("%s: %v, %v", h.Example, program, err)
		}
		if !strings.HasPrefix(h.Usage, h.Word) || h.Help == "" {
			t.Errorf("%s has usage %q and help %q", h.Word, h.Usage, h.Help)
		}
	}
}

func TestAllErrorsTogether(t *testing.T) {
	_, err := Parse("deployImge REPO w 1 2\nreboot\nconfigureOs 1 x; poweroff now")
	var all SyntaxErrors
	var first *SyntaxError
	if !errors.As(err, &all) || len(all) != 3 || !errors.As(err, &first) || first.Line != 1 || all[2].Column != 27 {
		t.Errorf("got %v", err)
	}
}

func unplaced(p Program) Program {
	p.Statements = append([]Statement(nil), p.Statements...)
	for i := range p.Statements {
		p.Statements[i].Line, p.Statements[i].Column = 0, 0
	}
	return p
}

// readsBack fails unless what is written of a parsed program means the same.
func readsBack(t *testing.T, p Program) {
	t.Helper()
	text := p.String()
	if len(text) > MaxText {
		return // of a text just below the bound, with what it left to be understood
	}
	again, err := Parse(text)
	if err != nil {
		t.Fatalf("written as %q it is refused: %v", text, err)
	}
	if !reflect.DeepEqual(unplaced(p), unplaced(again)) {
		t.Fatalf("written as %q\n%+v became\n%+v", text, p, again)
	}
}

func FuzzParse(f *testing.F) {
	for _, c := range accepted {
		f.Add(c.text)
	}
	for _, c := range refused {
		f.Add(c.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		program, err := Parse(text)
		if err == nil {
			readsBack(t, program)
			return
		}
		var all SyntaxErrors
		if !errors.As(err, &all) || len(all) == 0 || all[0].Line < 1 || all[0].Column < 1 || all[0].Expected == "" {
			t.Fatalf("%q: error %#v", text, err)
		}
	})
}
