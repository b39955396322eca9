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
