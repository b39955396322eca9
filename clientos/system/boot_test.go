package system

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"aula/clientos/disk"
	"aula/clientos/disk/disktest"
	"aula/clientos/system/bootmenu"
)

func TestFindLoaders(t *testing.T) {
	t.Parallel()
	windows := disk.BootEntry{Label: "Windows Boot Manager", Loader: `\EFI\Microsoft\Boot\bootmgfw.efi`, Partition: 3}
	debian := disk.BootEntry{Label: "debian", Loader: `\EFI\debian\shimx64.efi`, Partition: 3}
	tests := map[string]struct {
		files []string
		want  []disk.BootEntry
	}{
		"nothing": {nil, nil},
		"two systems, and what all have": {
			[]string{"EFI/BOOT/BOOTX64.EFI", "EFI/BOOT/grubx64.efi", "EFI/Microsoft/Boot/bootmgfw.efi", "EFI/debian/grubx64.efi", "EFI/debian/shimx64.efi"},
			[]disk.BootEntry{windows, debian},
		},
		"without shim":        {[]string{"EFI/arch/grubx64.efi"}, []disk.BootEntry{{Label: "arch", Loader: `\EFI\arch\grubx64.efi`, Partition: 3}}},
		"the fallback alone":  {[]string{"EFI/BOOT/BOOTX64.EFI"}, []disk.BootEntry{{Label: "UEFI OS", Loader: `\EFI\BOOT\BOOTX64.EFI`, Partition: 3}}},
		"a folder, no loader": {[]string{"EFI/debian/shimx64.efi/x"}, nil},
	}
	for name, test := range tests {
		folder := t.TempDir()
		for _, f := range test.files {
			if err := os.MkdirAll(filepath.Join(folder, filepath.Dir(f)), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(folder, f), []byte("MZ"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if got := findLoaders(folder, 3); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%s: got %+v, want %+v", name, got, test.want)
		}
	}
}

// options fills a menu, and returns what it then holds when it is read again.
func options(t *testing.T, all ...bootmenu.Option) *bootmenu.Menu {
	t.Helper()
	folder := t.TempDir()
	m, err := bootmenu.Read(folder)
	if err != nil {
		t.Fatal(err)
	}
	var order []uint16
	for _, o := range all {
		n, err := m.Add(o)
		if err != nil {
			t.Fatal(err)
		}
		order = append(order, n)
	}
	if err := m.SetOrder(order); err != nil {
		t.Fatal(err)
	}
	return m
}

const (
	espID   = "AAAAAAAA-0000-4000-8000-000000000001"
	otherID = "BBBBBBBB-0000-4000-8000-000000000001"
	goneID  = "CCCCCCCC-0000-4000-8000-000000000001"
)

func option(label, id, loader string) bootmenu.Option {
	return bootmenu.Option{Attributes: bootmenu.Active, Label: label, Loader: loader, Disk: bootmenu.Place{Number: 1, Start: 2048, Sectors: 4096, ID: id}}
}

func TestUpdateMenu(t *testing.T) {
	t.Parallel()
	places := []place{
		{bootmenu.Place{Number: 1, Start: 2048, Sectors: 4096, ID: espID}, 1}, {bootmenu.Place{Number: 1, Start: 2048, Sectors: 4096, ID: otherID}, 2},
	}
	const shim = `\EFI\debian\shimx64.efi`
	wanted := []disk.BootEntry{{Label: "debian", Loader: shim, Partition: 1}}
	network := option("UEFI: PXE IPv4", goneID, "")
	tests := map[string]struct {
		before []bootmenu.Option
		labels []string // in the order that is then set
		count  int
	}{
		"an empty menu":             {nil, []string{"debian"}, 1},
		"there already":             {[]bootmenu.Option{option("Debian", espID, `\efi\DEBIAN\shimx64.efi`)}, []string{"Debian"}, 1},
		"network first":             {[]bootmenu.Option{option("usb", otherID, `\x.efi`), network}, []string{"UEFI: PXE IPv4", "debian", "usb"}, 3},
		"stale: it goes":            {[]bootmenu.Option{option("debian", goneID, shim)}, []string{"debian"}, 1},
		"stale, of another name":    {[]bootmenu.Option{option("ubuntu", goneID, shim)}, []string{"debian", "ubuntu"}, 2},
		"on another disk: it stays": {[]bootmenu.Option{option("debian", otherID, shim)}, []string{"debian", "debian"}, 2},
	}
	for name, test := range tests {
		m := options(t, test.before...)
		for range 2 { // the second time nothing changes
			if err := updateMenu(m, 1, places, wanted); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			var labels []string
			for _, n := range m.Order {
				labels = append(labels, m.Options[n].Label)
			}
			if !slices.Equal(labels, test.labels) || len(m.Options) != test.count {
				t.Errorf("%s: got %q of %d, want %q of %d", name, labels, len(m.Options), test.labels, test.count)
			}
		}
	}
}

func TestReadBoots(t *testing.T) {
	t.Parallel()
	loop := disktest.New(t, "BOOTS", 64<<20, 512)
	loop.Partition(t, "label: gpt\n1 : start=2048, size=8192, type=C12A7328-F81F-11D2-BA4B-00A0C93EC93B, uuid="+espID+"\n")
	disks, err := disk.System{Devices: []string{loop.Path}}.Disks(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	folder := t.TempDir()
	m, err := bootmenu.Read(folder)
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range []bootmenu.Option{option("b", espID, `\b.efi`), option("other", otherID, `\b.efi`), option("a", espID, `\a.efi`)} {
		if _, err := m.Add(o); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.SetOrder([]uint16{2, 1, 0}); err != nil {
		t.Fatal(err)
	}
	want := []disk.BootEntry{{Label: "a", Loader: `\a.efi`, Partition: 1}, {Label: "b", Loader: `\b.efi`, Partition: 1}}
	if got, err := ReadBoots(t.Context(), folder, disks[0]); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	if got, err := ReadBoots(t.Context(), "", disks[0]); err != nil || got != nil {
		t.Errorf("a PC without EFI: got %+v, %v", got, err)
	}
}
