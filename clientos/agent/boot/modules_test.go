package boot

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// indexed makes a folder of modules with depmod's indexes, as the client OS has it, of these lines of modules.alias and modules.dep.
func indexed(t testing.TB, aliases, depends map[string][]string, soft string) string {
	t.Helper()
	dir := t.TempDir()
	for name, keys := range map[string]map[string][]string{"modules.alias.bin": aliases, "modules.dep.bin": depends} {
		if err := os.WriteFile(filepath.Join(dir, name), writeIndex(keys), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "modules.softdep"), []byte(soft), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// writeIndex makes an index with one character to a node.
func writeIndex(keys map[string][]string) []byte {
	out := []byte{0xB0, 0x07, 0xF4, 0x57, 0, 2, 0, 1, 0, 0, 0, 0}
	put := func(n uint32) { out = append(out, byte(n>>24), byte(n>>16), byte(n>>8), byte(n)) }
	var node func(prefix string) uint32
	node = func(prefix string) uint32 {
		var children [256]uint32
		first, last := 256, -1
		for key := range keys {
			if len(key) > len(prefix) && strings.HasPrefix(key, prefix) {
				c := int(key[len(prefix)])
				first, last = min(first, c), max(last, c)
				if children[c] == 0 {
					children[c] = node(key[:len(prefix)+1])
				}
			}
		}
		at := uint32(len(out))
		if last >= 0 {
			at |= nodeHasChildren
			out = append(out, byte(first), byte(last))
			for _, child := range children[first : last+1] {
				put(child)
			}
		}
		if values := keys[prefix]; len(values) > 0 {
			at |= nodeHasValues
			put(uint32(len(values)))
			for i, v := range values {
				put(uint32(i))
				out = append(append(out, v...), 0)
			}
		}
		return at
	}
	root := node("")
	out[8], out[9], out[10], out[11] = byte(root>>24), byte(root>>16), byte(root>>8), byte(root)
	return out
}

// TestModulesInOrder loads what a card's driver needs before the driver, each once, and goes on after one that fails.
func TestModulesInOrder(t *testing.T) {
	t.Parallel()
	dir := indexed(t, map[string][]string{
		"pci:v000010ECd00008168sv*sd*bc*sc*i*": {"r8169"},
		"pci:v*d*sv*sd*bc01sc01i[0-9A-F]0*":    {"ata_generic"},
		"mdio_bus:extra-bits":                  {"realtek"},
	}, map[string][]string{
		"r8169":       {"kernel/r8169.ko: kernel/phylib.ko kernel/mdio.ko"},
		"realtek":     {"kernel/realtek.ko: kernel/mdio.ko"},
		"ata_generic": {"kernel/ata_generic.ko:"},
	}, "# comment\nsoftdep r8169 pre: realtek nothing-like-it post: ata_generic\nsoftdep broken\n")
	var loaded []string
	m, err := newModules(dir, func(file string) error {
		name, _ := filepath.Rel(dir, file)
		loaded = append(loaded, name)
		switch name {
		case "kernel/realtek.ko":
			return errors.New("broken")
		case "kernel/mdio.ko":
			return unix.EEXIST
		}
		return nil
	}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	const card, disk = "pci:v000010ECd00008168sv00001043sd00008677bc02sc00i00", "pci:v00008086d00007010sv00001AF4sd00001100bc01sc01i80"
	for range 2 {
		if err := m.load(t.Context(), []string{card, disk, "acpi:PNP0C0F:", "mdio_bus:extra-bits"}); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"kernel/mdio.ko", "kernel/realtek.ko", "kernel/phylib.ko", "kernel/r8169.ko", "kernel/ata_generic.ko"}
	if !slices.Equal(loaded, want) {
		t.Errorf("loaded %q, want %q", loaded, want)
	}
}

func FuzzIndex(f *testing.F) {
	whole := writeIndex(map[string][]string{"pci:v*d[0-9]*": {"a", "b"}, "pci:v1": {"c"}, "usb:?": {"d"}})
	f.Add(whole, "pci:v1d2")
	f.Add(whole[:len(whole)-9], "usb:x")
	f.Add([]byte{0xB0, 0x07, 0xF4, 0x57, 0, 2, 0, 1, 0x20, 0, 0, 8, 0, 0, 0, 0}, "\x00")
	f.Fuzz(func(t *testing.T, data []byte, key string) {
		x, err := newIndex(data)
		if err != nil {
			return
		}
		x.find(key)
	})
}
