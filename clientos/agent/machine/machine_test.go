package machine

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"
	"unicode/utf8"

	"aula/clientos/disk"
	"aula/clientos/protocol"
)

// files is a PC as the kernel shows it.
func files(content map[string]string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for name, text := range content {
		fsys[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return fsys
}

func TestInventory(t *testing.T) {
	t.Parallel()
	const dmi, efi = "sys/class/dmi/id/", "sys/firmware/efi/"
	optiplex := map[string]string{
		dmi + "sys_vendor": "Dell Inc.\n", dmi + "product_name": "OptiPlex 7010  \n", dmi + "product_serial": "5XJ2K13\n",
		dmi + "product_uuid": "4C4C4544-0058-4A10-8032-B5C04F4B3133\n", dmi + "board_vendor": "Dell Inc.\n", dmi + "board_name": "0YXT71\n",
		"proc/cpuinfo": "processor\t: 0\nmodel name\t: Intel(R) Core(TM)  i5-3470 CPU @ 3.20GHz\n\nprocessor\t: 1\nmodel name\t: Intel(R) Core(TM)  i5-3470 CPU @ 3.20GHz\n",
		"proc/meminfo": "MemTotal:        8021988 kB\nMemFree:         7521988 kB\n",
	}
	uefi := map[string]string{
		efi + "efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c": "\x06\x00\x00\x00\x01",
		dmi + "sys_vendor":     "To Be Filled By O.E.M.\n",
		dmi + "product_name":   "System Product Name\n",
		dmi + "product_serial": "Default string\n",
		dmi + "product_uuid":   "03000200-0400-0500-0006-000700080009\n",
		dmi + "board_name":     "B450 AORUS\n",
	}
	nics := []protocol.NIC{{Name: "eth0", MAC: "52:54:00:00:00:01"}}
	tests := map[string]struct {
		files map[string]string
		want  protocol.Inventory
	}{
		"BIOS PC of a brand": {optiplex, protocol.Inventory{
			Firmware: "bios", Vendor: "Dell Inc.", Product: "OptiPlex 7010", Serial: "5XJ2K13",
			UUID: "4c4c4544-0058-4a10-8032-b5c04f4b3133", Board: "Dell Inc. 0YXT71",
			CPU: "Intel(R) Core(TM) i5-3470 CPU @ 3.20GHz", Cores: 2, Memory: 8021988 << 10,
		}},
		"assembled UEFI PC with Secure Boot": {uefi, protocol.Inventory{Firmware: "uefi", SecureBoot: true, Board: "B450 AORUS"}},
		"nothing at all":                     {nil, protocol.Inventory{Firmware: "bios"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			source := Source{
				Root: files(test.files), Disks: disk.System{Devices: []string{"/dev/aula-none"}},
				NICs: func() ([]protocol.NIC, error) { return nics, nil },
			}
			got, _ := source.Inventory(t.Context()) // there is no such disk
			test.want.NICs = nics
			got.Disks = nil
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("inventory\n got %+v\nwant %+v", got, test.want)
			}
			if err := got.Check(); err != nil {
				t.Errorf("the server would refuse it: %v", err)
			}
		})
	}
}

func TestInventoryKeepsWhatItFound(t *testing.T) {
	t.Parallel()
	source := Source{
		Root:  files(map[string]string{"proc/meminfo": "MemTotal: 1024 kB\n"}),
		Disks: disk.System{Devices: []string{"/dev/aula-none"}},
		NICs:  func() ([]protocol.NIC, error) { return nil, errors.New("no netlink") },
	}
	got, err := source.Inventory(t.Context())
	if err == nil || got.Memory != 1<<20 {
		t.Errorf("inventory %+v, %v; want an error and the memory all the same", got, err)
	}
}

func TestPlaceholders(t *testing.T) {
	t.Parallel()
	for _, junk := range []string{
		"", " ", "To be filled by O.E.M.", "TO BE FILLED BY O.E.M.", "Default string", "System Serial Number", "None", "N/A",
		"0", "00000000", "00000000-0000-0000-0000-000000000000", "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF", "xxxxxxxx", "...",
		"03000200-0400-0500-0006-000700080009", "Not Specified", "123456789",
	} {
		if !placeholder(junk) {
			t.Errorf("%q is taken for a real value", junk)
		}
	}
	for _, real := range []string{"5XJ2K13", "PC0A1B2C", "4c4c4544-0058-4a10-8032-b5c04f4b3133", "111", "VMware-56 4d", "LAB-pc1"} {
		if placeholder(real) {
			t.Errorf("%q is taken for a placeholder", real)
		}
	}
}

func TestWired(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		kind, encap string
		wireless    bool
		want        bool
	}{
		"card on the board":         {"device", "ether", false, true},
		"PC of the virtual room":    {"veth", "ether", false, true},
		"wireless card":             {"device", "ether", true, false},
		"loopback":                  {"device", "loopback", false, false},
		"bridge":                    {"bridge", "ether", false, false},
		"tunnel":                    {"tun", "ether", false, false},
		"FireWire or something odd": {"device", "ieee1394", false, false},
	}
	for name, test := range tests {
		if got := wired(test.kind, test.encap, test.wireless); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

func TestDevicesChangeWithDisks(t *testing.T) {
	t.Parallel()
	before := files(map[string]string{"sys/block/sda/size": "1000\n"})
	after := files(map[string]string{"sys/block/sda/size": "1000\n", "sys/block/sdb/size": "2000\n"})
	if a, b := (Source{Root: before}).Devices(), (Source{Root: after}).Devices(); a == b || a == "" {
		t.Errorf("devices %q with one disk and %q with two", a, b)
	}
}

func FuzzClean(f *testing.F) {
	f.Add("  OptiPlex\t7010\n")
	f.Add("\xff\xfe\x00junk")
	f.Add(strings.Repeat("ñ", 300))
	f.Fuzz(func(t *testing.T, text string) {
		got := clean(text)
		if len(got) > maxText || !utf8.ValidString(got) || got != strings.TrimSpace(got) || clean(got) != got {
			t.Errorf("clean(%q) = %q", text, got)
		}
		placeholder(got)
	})
}
