package protocol

import (
	"encoding/json"
	"strings"
	"testing"

	"aula/clientos/disk"
)

func validHello() Hello {
	return Hello{
		Version: "1", Boot: "ABCDEFGH", MAC: "52:54:00:12:34:56",
		Inventory: Inventory{Firmware: "uefi", NICs: []NIC{{MAC: "52:54:00:12:34:56"}}, Disks: []disk.Disk{{Number: 1}}},
	}
}

// numbered returns n disks, numbered from 1.
func numbered(n int) []disk.Disk {
	disks := make([]disk.Disk, n)
	for i := range disks {
		disks[i].Number = i + 1
	}
	return disks
}

// partitions returns n partitions, numbered from 1.
func partitions(n int) []disk.Partition {
	list := make([]disk.Partition, n)
	for i := range list {
		list[i].Number = i + 1
	}
	return list
}

func TestHelloCheck(t *testing.T) {
	t.Parallel()
	if err := validHello().Check(); err != nil {
		t.Fatalf("a good hello: %v", err)
	}
	full := validHello()
	full.Inventory.Disks = numbered(64)
	full.Inventory.Disks[0].Partitions = append(partitions(128), disk.Partition{Number: 1024, Used: -1})
	full.Inventory.Disks[63].Partitions = partitions(128)
	if err := full.Check(); err != nil {
		t.Errorf("as many disks and partitions as are taken: %v", err)
	}
	tests := map[string]func(h *Hello){
		"no boot":               func(h *Hello) { h.Boot = "" },
		"boot with a path":      func(h *Hello) { h.Boot = "../../../etc" },
		"no address":            func(h *Hello) { h.MAC = "" },
		"address of InfiniBand": func(h *Hello) { h.MAC = "00:00:00:00:fe:80:00:00:00:00:00:00:02:00:5e:10:00:00:00:01" },
		"huge ticket":           func(h *Hello) { h.Ticket = strings.Repeat("x", 1000) },
		"unknown firmware":      func(h *Hello) { h.Inventory.Firmware = "coreboot" },
		"huge text":             func(h *Hello) { h.Inventory.Vendor = strings.Repeat("x", 1000) },
		"card without address":  func(h *Hello) { h.Inventory.NICs[0].MAC = "x" },
		"too many disks":        func(h *Hello) { h.Inventory.Disks = numbered(1000) },
		"too many partitions":   func(h *Hello) { h.Inventory.Disks[0].Partitions = partitions(1000) },
		"disk number 0":         func(h *Hello) { h.Inventory.Disks[0].Number = 0 },
		"disk number 65":        func(h *Hello) { h.Inventory.Disks[0].Number = 65 },
		"a disk twice":          func(h *Hello) { h.Inventory.Disks = append(h.Inventory.Disks, disk.Disk{Number: 1}) },
		"negative disk":         func(h *Hello) { h.Inventory.Disks[0].Bytes = -1 },
		"partition number -1":   func(h *Hello) { h.Inventory.Disks[0].Partitions = []disk.Partition{{Number: -1}} },
		"partition number 0":    func(h *Hello) { h.Inventory.Disks[0].Partitions = []disk.Partition{{Number: 0}} },
		"partition number 1025": func(h *Hello) { h.Inventory.Disks[0].Partitions = []disk.Partition{{Number: 1025}} },
		"a partition twice":     func(h *Hello) { h.Inventory.Disks[0].Partitions = []disk.Partition{{Number: 3}, {Number: 3}} },
		"negative partition":    func(h *Hello) { h.Inventory.Disks[0].Partitions = []disk.Partition{{Number: 1, Bytes: -1}} },
		"partition before 0":    func(h *Hello) { h.Inventory.Disks[0].Partitions = []disk.Partition{{Number: 1, Start: -1}} },
		"failed for no reason":  func(h *Hello) { h.Running = &Report{ID: "a", State: Failed} },
	}
	for name, spoil := range tests {
		h := validHello()
		spoil(&h)
		if err := h.Check(); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestReportCheck(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		report Report
		good   bool
	}{
		"running":          {Report{ID: "a", State: Running}, true},
		"failed":           {Report{ID: "a", State: Failed, Failure: &Failure{}}, true},
		"no instruction":   {Report{State: Running}, false},
		"no such state":    {Report{ID: "a", State: "perhaps"}, false},
		"failed, not how":  {Report{ID: "a", State: Failed}, false},
		"negative bytes":   {Report{ID: "a", State: Running, Bytes: -1}, false},
		"negative verdict": {Report{ID: "a", State: Done, Verified: -1}, false},
	}
	for name, test := range tests {
		if err := test.report.Check(); (err == nil) != test.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestInstructCheck(t *testing.T) {
	t.Parallel()
	ref := disk.Ref{Number: 1, Bytes: 1 << 30, SectorSize: 512}
	part := func(partition int) Part { return Part{partition, Image{Name: "debian", Revision: 2, UsedBytes: 10}} }
	restore := func(parts ...Part) Instruct { return Instruct{ID: "a", Kind: RestoreImage, Disk: ref, Parts: parts} }
	capture := Instruct{ID: "a", Kind: CreateImage, Disk: ref, Partition: 1, Capture: &Capture{Name: "debian"}}
	with := func(i Instruct, change func(*Instruct)) Instruct {
		change(&i)
		return i
	}
	tests := map[string]struct {
		instruct Instruct
		good     bool
	}{
		"restart":                         {Instruct{ID: "a", Kind: Reboot}, true},
		"capture":                         {capture, true},
		"restore of a partition":          {restore(part(1)), true},
		"restore of three partitions":     {restore(part(1), part(5), part(2)), true},
		"restore of a disk":               {restore(part(0)), true},
		"restore with a layout":           {with(restore(part(1)), func(i *Instruct) { i.Layout = []byte("{}") }), true},
		"no identifier":                   {Instruct{Kind: Reboot}, false},
		"unknown kind":                    {with(capture, func(i *Instruct) { i.Kind = "format" }), false},
		"capture of a whole disk":         {with(capture, func(i *Instruct) { i.Partition = 0 }), false},
		"capture without a name":          {with(capture, func(i *Instruct) { i.Capture = &Capture{} }), false},
		"capture without a disk":          {with(capture, func(i *Instruct) { i.Disk = disk.Ref{} }), false},
		"restore of nothing":              {restore(), false},
		"restore without a disk":          {with(restore(part(1)), func(i *Instruct) { i.Disk = disk.Ref{} }), false},
		"restore without a name":          {restore(Part{1, Image{Revision: 1}}), false},
		"restore without a revision":      {restore(Part{1, Image{Name: "debian"}}), false},
		"restore to partition -1":         {restore(part(-1)), false},
		"restore to partition 1025":       {restore(part(1025)), false},
		"two images for a partition":      {restore(part(1), part(1)), false},
		"a disk and a partition":          {restore(part(0), part(1)), false},
		"a disk with a layout":            {with(restore(part(0)), func(i *Instruct) { i.Layout = []byte("{}") }), false},
		"more images than partitions are": {restore(make([]Part, 1000)...), false},
		"image of a negative size":        {restore(Part{1, Image{Name: "debian", Revision: 1, UsedBytes: -1}}), false},
	}
	for name, test := range tests {
		if err := test.instruct.Check(); (err == nil) != test.good {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestUsedBytes(t *testing.T) {
	t.Parallel()
	i := Instruct{Parts: []Part{{1, Image{UsedBytes: 3}}, {2, Image{UsedBytes: 4}}}}
	if got := i.UsedBytes(); got != 7 {
		t.Errorf("used bytes of two parts: got %d, want 7", got)
	}
}

func TestPairingCode(t *testing.T) {
	t.Parallel()
	server, agent := Key{1}, Key{2}
	code := PairingCode(server, agent)
	if len(code) != 6 || strings.Trim(code, pairingSymbols) != "" {
		t.Errorf("code %q, want six symbols", code)
	}
	if code != PairingCode(server, agent) {
		t.Error("the two sides derive different codes")
	}
	if code == PairingCode(agent, server) || code == PairingCode(server, Key{3}) || code == PairingCode(Key{3}, agent) {
		t.Error("other keys give the same code")
	}
}

func FuzzHello(f *testing.F) {
	good, err := json.Marshal(validHello())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"boot":"ABCDEFGH","mac":"52-54-00-12-34-56","inventory":{"firmware":"bios"},"running":{"id":"a","state":"done"}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var h Hello
		if json.Unmarshal(text, &h) != nil || h.Check() != nil {
			return
		}
		if _, err := NormalizeMAC(h.MAC); err != nil {
			t.Errorf("checked hello with address %q", h.MAC)
		}
		if h.Running != nil && h.Running.State == Failed && h.Running.Failure == nil {
			t.Error("checked hello with a failure without a reason")
		}
	})
}

func FuzzInstruct(f *testing.F) {
	f.Add([]byte(`{"id":"a","kind":"restoreImage","disk":{"number":1,"bytes":1},"parts":[{"partition":1,"image":{"name":"x","revision":1}},{"partition":2,"image":{"name":"y","revision":1}}]}`))
	f.Add([]byte(`{"id":"a","kind":"restoreImage","disk":{"number":1,"bytes":1},"parts":[{"partition":0,"image":{"name":"x","revision":1}}],"layout":"e30="}`))
	f.Add([]byte(`{"id":"a","kind":"createImage","disk":{"number":1,"bytes":1},"partition":1,"capture":{"name":"x","compressor":"LZOP"}}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		var i Instruct
		if json.Unmarshal(text, &i) != nil || i.Check() != nil || i.Kind != RestoreImage {
			return
		}
		whole := false
		for _, p := range i.Parts {
			whole = whole || p.Partition == 0
		}
		if len(i.Parts) == 0 || whole && (len(i.Parts) > 1 || len(i.Layout) > 0) {
			t.Errorf("checked restore with parts %+v and a layout of %d bytes", i.Parts, len(i.Layout))
		}
	})
}
