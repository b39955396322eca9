package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"testing"
	"time"

	"aula/appliance/catalog"
	"aula/appliance/roster"
	"aula/clientos/disk"
	"aula/clientos/protocol"
)

var update = flag.Bool("update", false, "write the golden files instead of comparing with them")

// golden compares what a command printed with a file.
func golden(t *testing.T, name, got string) {
	t.Helper()
	got = calm(got)
	file := filepath.Join("testdata", "golden", name+".txt")
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", file, got, want)
	}
}

var differing = regexp.MustCompile(`[0-9]{8}T[0-9]{9}-[0-9a-z]+|[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9:]{5,8}`)

// calm takes out what differs from run to run: the ids of operations and the times, which stay as long as they were.
func calm(text string) string {
	return differing.ReplaceAllStringFunc(text, func(s string) string {
		if len(s) > len(time.DateTime) {
			return "OPERATION"
		}
		return "YYYY-MM-DD HH:MM:SS"[:len(s)]
	})
}

// testPCs are the PCs that are connected.
type testPCs struct {
	*roster.Roster
	report  func(string, protocol.Report)
	working sync.WaitGroup

	mu   sync.Mutex
	obey map[string]func(protocol.Instruct) []protocol.Report // by id
	seq  uint64
}

func (p *testPCs) Connected(id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.obey[id] != nil
}

func (p *testPCs) Instruct(id string, in protocol.Instruct) error {
	p.mu.Lock()
	obey := p.obey[id]
	p.mu.Unlock()
	if obey == nil {
		return fmt.Errorf("%s is not connected", id)
	}
	p.working.Go(func() {
		for _, r := range obey(in) {
			p.mu.Lock()
			p.seq++
			r.ID, r.Seq = in.ID, p.seq
			p.mu.Unlock()
			p.report(id, r)
		}
	})
	return nil
}

func (p *testPCs) Cancel(string, string) error { return nil }
func (p *testPCs) Settle(string, string) error { return nil }

// restores is what a PC reports that does as it is told.
func restores(in protocol.Instruct) []protocol.Report {
	r := protocol.Report{State: protocol.Done, Stage: protocol.StageFinishing}
	for _, part := range in.Parts {
		r.Verified += part.Image.UsedBytes
	}
	return []protocol.Report{{State: protocol.Running, Stage: protocol.StageWriting, Bytes: 1, Total: 2, Dirty: true}, r}
}

// breaks is what a PC reports whose disk is bad.
func breaks(protocol.Instruct) []protocol.Report {
	return []protocol.Report{{State: protocol.Failed, Stage: protocol.StageWriting, Dirty: true, Failure: &protocol.Failure{
		Code: protocol.ErrImage, Stage: protocol.StageWriting, Problem: "the disk does not take what is written", Advice: "replace it",
	}}}
}

// waits is a PC that never reports.
func waits(protocol.Instruct) []protocol.Report { return nil }

// room makes a classroom of as many PCs, which are not connected.
func (b *bed) room(centre, name string, first, n int) []catalog.Computer {
	b.t.Helper()
	ok := func(err error) {
		b.t.Helper()
		if err != nil {
			b.t.Fatal(err)
		}
	}
	c, err := b.cat.AddCentre(centre)
	ok(err)
	room, err := b.cat.AddClassroom(c.ID, name)
	ok(err)
	var pcs []catalog.Computer
	for i := first; i < first+n; i++ {
		pc, err := b.cat.Observe(macOf(i), "", inventoryOf(i), time.Date(2026, 11, 2, 8, 0, 0, 0, time.UTC))
		ok(err)
		pc, err = b.cat.AcceptComputer(pc.ID, room.ID, fmt.Sprintf("pc-%02d", i))
		ok(err)
		pcs = append(pcs, pc)
	}
	return pcs
}

// connect has a PC do something when it is told to.
func (b *bed) connect(pc catalog.Computer, obey func(protocol.Instruct) []protocol.Report) {
	b.pcs.mu.Lock()
	defer b.pcs.mu.Unlock()
	b.pcs.obey[pc.ID] = obey
}

func macOf(i int) string { return fmt.Sprintf("52:54:00:00:00:%02x", i) }

// inventoryOf is that of a PC with one disk of 100 MB, of which the second partition holds a filesystem.
func inventoryOf(i int) protocol.Inventory {
	return protocol.Inventory{
		Firmware: "bios", NICs: []protocol.NIC{{Name: "eth0", MAC: macOf(i)}},
		Disks: []disk.Disk{{
			Number: 1, Path: "/dev/vda", Model: "QEMU", Serial: fmt.Sprint("S", i), Bytes: 100e6, SectorSize: 512, Table: "dos",
			Partitions: []disk.Partition{
				{Number: 1, Start: 1 << 20, Bytes: 20e6, Type: "7", Filesystem: "NTFS", Label: "Boot", Used: 5e6},
				{Number: 2, Start: 30 << 20, Bytes: 40e6, Type: "83", Filesystem: "EXT4", Used: 12e6},
			},
		}},
		Cache: cacheAt(i),
	}
}

// cacheAt is the cache of every second PC.
func cacheAt(i int) *protocol.CacheState {
	if i%2 == 0 {
		return nil
	}
	return &protocol.CacheState{Disk: 1, Partition: 4, Bytes: 20e6, Free: 4e6, Images: []protocol.CachedImage{
		{Name: "lab", Bytes: 16e6, Repository: "main", Revision: 1, Digest: "of another"}, {Name: "win10", Bytes: 1e6, Partial: true},
	}}
}
