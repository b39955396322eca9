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

func TestHelloCheck(t *testing.T) {
	t.Parallel()
	if err := validHello().Check(); err != nil {
		t.Fatalf("a good hello: %v", err)
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
		"too many disks":        func(h *Hello) { h.Inventory.Disks = make([]disk.Disk, 1000) },
		"too many partitions":   func(h *Hello) { h.Inventory.Disks[0].Partitions = make([]disk.Partition, 1000) },
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
