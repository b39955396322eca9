package operation

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"aula/appliance/catalog"
	"aula/clientos/disk"
	"aula/clientos/protocol"
)

// TestLongNamesAndManyScripts has a PC whose name no host may have, and a room whose images have more scripts than one.
func TestLongNamesAndManyScripts(t *testing.T) {
	t.Parallel()
	script := "secret-1"
	b := newBench(t, func(c *Config) {
		c.Scripts = func(pc catalog.Computer, images []string) (all []protocol.Script) {
			for i := range 9 {
				all = append(all, protocol.Script{Name: fmt.Sprint(images[0], i), Text: script})
			}
			return all
		}
	})
	pc := b.computers.all["pc1"]
	pc.Name = strings.Repeat("ñandú ", 10) + "07"
	b.computers.all["pc1"] = pc
	op := b.begin("deployImage REPO windows11 1 1 UNICAST", "pc1", "pc2")
	want := hostname(pc.Name)
	if got := b.agents.sent["pc1"].Configuration; got.Hostname != want || len(got.Hostname) > 63 || !strings.HasSuffix(got.Hostname, "07") || len(got.Scripts) != 9 {
		t.Errorf("it is told to be %q, want %q, with %d scripts", got.Hostname, want, len(got.Scripts))
	}
	if got := b.agents.sent["pc2"].Configuration; got.Scripts[0].Name != "windows110" {
		t.Errorf("script %q, want one of the image", got.Scripts[0].Name)
	}
	for id, record := range b.store.records {
		if strings.Contains(string(record), "secret") {
			t.Errorf("record %s has the script", id)
		}
	}

	// After a restart of the server, and in a retry, they are what the catalog has then.
	b.agents.offline["pc1"], b.agents.offline["pc2"] = true, true
	script = "secret-2"
	b.restart()
	b.comes("pc1")
	if got := b.agents.sent["pc1"].Configuration.Scripts; len(got) != 9 || got[0].Text != "secret-2" {
		t.Errorf("after a restart of the server: %+v", got)
	}
	b.comes("pc2")
	b.does("pc1", protocol.Report{Warnings: []protocol.Failure{{Code: protocol.ErrGeneric, Problem: "a script failed"}}})
	b.does("pc2", protocol.Report{})
	script = "secret-3"
	if _, err := b.m.Retry(t.Context(), "marta", op.ID); err != nil {
		t.Fatal(err)
	}
	b.work()
	if in := b.agents.sent["pc1"]; in.Kind != ConfigureOS || in.Configuration.Scripts[0].Text != "secret-3" || in.Configuration.Scripts[0].Name != "windows110" {
		t.Errorf("a retry sends %+v", in)
	}
}

func TestHostname(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"pc-01": "pc-01", "pc-01.lab.example.org": "pc-01", "Aula 3, PC 7": "Aula-3--PC-7", "-x-": "x", "机房": "机房",
		strings.Repeat("a", 70) + "12": strings.Repeat("a", 61) + "12", strings.Repeat("7", 70): strings.Repeat("7", 63),
		strings.Repeat("机", 30): strings.Repeat("机", 21),
	} {
		if got := hostname(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

// TestWarningsOfADiskAreRetriedWhereItWasRestored repeats the configuration of a set: not of the cache, nor of what else is on the disk.
func TestWarningsOfADiskAreRetriedWhereItWasRestored(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	op := b.begin("deployDiskImage REPO lab 1 UNICAST-DIRECT", "pc1")
	pc := b.computers.all["pc1"]
	pc.Inventory.Disks[0].Partitions = []disk.Partition{
		{Number: 1, Bytes: 60 * gb, Filesystem: "NTFS"}, {Number: 3, Bytes: 60 * gb, Filesystem: "EXT4"}, {Number: 4, Bytes: 60 * gb, Filesystem: "EXT4", Label: "CACHE"},
		{Number: 5, Bytes: 60 * gb, Filesystem: "EXT4"}, {Number: 6, Bytes: gb, Type: "82", Filesystem: "LINUX-SWAP"},
	}
	b.computers.all["pc1"] = pc
	configured := func() (numbers []int) {
		for _, p := range b.agents.sent["pc1"].Parts {
			numbers = append(numbers, p.Partition)
		}
		return numbers
	}
	b.does("pc1", protocol.Report{Warnings: []protocol.Failure{{Code: protocol.ErrGeneric, Problem: "the name could not be set"}}})
	for range 2 { // a retry, and a retry of that
		again, err := b.m.Retry(t.Context(), "marta", op.ID)
		if err != nil {
			t.Fatal(err)
		}
		b.work()
		if got := configured(); !slices.Equal(got, []int{1, 5}) {
			t.Errorf("partitions %v are configured again, want 1 and 5", got)
		}
		b.does("pc1", protocol.Report{Warnings: []protocol.Failure{{Code: protocol.ErrGeneric, Problem: "the name could not be set"}}})
		op = again
	}
	_, b.agents.sent["pc1"] = configurePlan{disk: 1}.check(pc, true)
	if got := configured(); !slices.Equal(got, []int{1, 3, 5}) {
		t.Errorf("partitions %v of the whole disk are configured, want all but cache and swap", got)
	}
}
