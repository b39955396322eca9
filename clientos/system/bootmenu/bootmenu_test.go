package bootmenu_test

import (
	"bytes"
	"encoding/hex"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"aula/clientos/system/bootmenu"
)

const global = "-8be4df61-93ca-11d2-aa0d-00e098032b8c"

var debian = bootmenu.Option{
	Attributes: bootmenu.Active, Label: "debian", Loader: `\EFI\debian\shimx64.efi`,
	Disk: bootmenu.Place{Number: 1, Start: 2048, Sectors: 1048576, ID: "2D6D9B7D-1B5C-4C3A-9E1F-0123456789AB"},
}

// pxe is what OVMF makes for a card: PciRoot(0x0)/Pci(0x3,0x0)/MAC(525400123456,1)/IPv4(...).
const pxe = "01000000" + "6200" + "55004500460049002000500058004500" + "0000" +
	"02010c00d041030a00000000" + "0101060000" + "03" + "030b2500525400123456" + "0000000000000000000000000000000000000000000000000000" + "01" +
	"030c1b00" + "0000000000000000000000000000000000000000000000" + "7fff0400" + "4eac0881119f594d850ee21a522c59b2"

func fromHex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func put(t *testing.T, folder, name string, value []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(folder, name+global), append([]byte{7, 0, 0, 0}, value...), 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, folder string) *bootmenu.Menu {
	t.Helper()
	m, err := bootmenu.Read(folder)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestOptionThereAndBack(t *testing.T) {
	t.Parallel()
	dos := debian
	dos.Disk.ID = bootmenu.DOS(0xdeadbeef, 1)
	for _, want := range []bootmenu.Option{debian, dos} {
		b, err := want.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		got, err := bootmenu.Parse(b)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
		// Windows hands its loader words of its own, which are no part of the path.
		if got, err = bootmenu.Parse(append(b, "WINDOWS\x00"...)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("with data for the loader: got %+v, %v", got, err)
		}
		for n := range b {
			if got, err := bootmenu.Parse(b[:n]); err == nil && reflect.DeepEqual(got, want) {
				t.Errorf("cut to %d of %d bytes: taken for whole", n, len(b))
			}
		}
	}
	if _, err := (bootmenu.Option{Disk: bootmenu.Place{ID: "2D6D9B7D-1B5C-4C3A-9E1F"}}).Bytes(); err == nil {
		t.Error("a GUID that is none: accepted")
	}
}

func TestMenu(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	put(t, folder, "Boot0000", fromHex(t, pxe))
	put(t, folder, "Boot0001", []byte("damaged"))
	put(t, folder, "BootOrder", []byte{0, 0, 1, 0})
	put(t, folder, "BootCurrent", []byte{0, 0})
	put(t, folder, "BootNext", []byte{0, 0})
	m := read(t, folder)
	if o := m.Options[0]; !o.Network || o.Loader != "" || o.Label != "UEFI PXE" || !m.HasCurrent || m.Current != 0 {
		t.Errorf("got %+v, want the card's entry, and that the PC was started by it", o)
	}
	n, err := m.Add(debian)
	if err != nil || n != 2 {
		t.Fatalf("added as %d, %v, want 2: 1 is taken by what cannot be read", n, err)
	}
	if err := m.SetOrder([]uint16{0, 2, 1}); err != nil {
		t.Fatal(err)
	}
	m = read(t, folder)
	if !reflect.DeepEqual(m.Options[2], debian) || !reflect.DeepEqual(m.Order, []uint16{0, 2, 1}) {
		t.Errorf("read back: got %+v, order %v", m.Options[2], m.Order)
	}
	if err := m.Remove(2); err != nil {
		t.Fatal(err)
	}
	if m = read(t, folder); len(m.Options) != 1 || !reflect.DeepEqual(m.Order, []uint16{0, 1}) {
		t.Errorf("after a removal: got %+v, order %v", m.Options, m.Order)
	}
}

func TestActivateKeepsTheRest(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	asleep := debian
	asleep.Attributes = 0
	b, err := asleep.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	b = append(b, "data for the loader"...)
	put(t, folder, "Boot0005", b)
	if err := read(t, folder).Activate(5); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(folder, "Boot0005"+global))
	if err != nil {
		t.Fatal(err)
	}
	b[0] = bootmenu.Active
	if !bytes.Equal(got[4:], b) {
		t.Errorf("got %x, want %x", got[4:], b)
	}
}

// Another program that knows boot menus finds in ours what was put there.
func TestEfibootmgrReadsIt(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("efibootmgr"); err != nil {
		t.Skip("SKIPPED: efibootmgr is not installed")
	}
	folder := t.TempDir() + "/"
	put(t, folder, "Boot0000", fromHex(t, pxe))
	put(t, folder, "BootOrder", []byte{0, 0})
	m := read(t, folder)
	n, err := m.Add(debian)
	if err != nil {
		t.Fatal(err)
	}
	if err := m.SetOrder([]uint16{0, n}); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "efibootmgr", "--verbose")
	cmd.Env = append(os.Environ(), "EFIVARFS_PATH="+folder, "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("efibootmgr: %v\n%s", err, out)
	}
	for _, want := range []string{
		"BootOrder: 0000,0001\n", "Boot0000* UEFI PXE", "MAC(525400123456,1)",
		"Boot0001* debian\tHD(1,GPT,2d6d9b7d-1b5c-4c3a-9e1f-0123456789ab,0x800,0x100000)/File(\\EFI\\debian\\shimx64.efi)\n",
	} {
		if !strings.Contains(string(out), want) {
			t.Errorf("efibootmgr does not say %q:\n%s", want, out)
		}
	}
}

func FuzzOption(f *testing.F) {
	b, err := debian.Bytes()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(b)
	f.Fuzz(func(t *testing.T, b []byte) {
		o, err := bootmenu.Parse(b)
		if err != nil || o.Disk.ID == "" {
			return
		}
		again, err := o.Bytes()
		if err != nil {
			t.Fatalf("%+v cannot be written: %v", o, err)
		}
		if back, err := bootmenu.Parse(again); err != nil || back.Disk != o.Disk || back.Loader != o.Loader {
			t.Errorf("got %+v, %v, want %+v", back, err, o)
		}
	})
}
