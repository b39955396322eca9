package hive_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"aula/clientos/system/hive"
	"aula/clientos/system/hive/hivetest"
)

var (
	nameKey = []string{"ControlSet001", "Control", "ComputerName", "ComputerName"}
	tcpip   = []string{"controlset001", "services", "TCPIP", "Parameters"}
)

func parse(t *testing.T, data []byte) *hive.Hive {
	t.Helper()
	h, err := hive.Parse(data)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func set(t *testing.T, h *hive.Hive, path []string, name, text string) {
	t.Helper()
	k, err := h.Key(path...)
	if err != nil {
		t.Fatal(err)
	}
	if err := k.SetString(name, text); err != nil {
		t.Fatal(err)
	}
}

func wantText(t *testing.T, h *hive.Hive, path []string, name, want string) {
	t.Helper()
	k, err := h.Key(path...)
	if err != nil {
		t.Fatal(err)
	}
	v, err := k.Value(name)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := v.Text(); err != nil || got != want {
		t.Errorf("%s of %s: got %q, %v, want %q", name, k.Path, got, err, want)
	}
}

func TestSetString(t *testing.T) {
	t.Parallel()
	names := map[string]string{
		"shorter": "PC1", "as long": "DESKTOP-ABCDEFG", "longer": strings.Repeat("X", 63), "very long, in a new bin": strings.Repeat("Y", 4000),
	}
	for name, text := range names {
		t.Run(name, func(t *testing.T) {
			h := parse(t, hivetest.Make(hivetest.Windows("DESKTOP-1234567")))
			set(t, h, nameKey, "COMPUTERNAME", text)
			set(t, h, tcpip, "Hostname", text)
			h = parse(t, h.Bytes())
			wantText(t, h, nameKey, "ComputerName", text)
			wantText(t, h, tcpip, "hostname", text)
			wantText(t, h, tcpip, "NV Hostname", "DESKTOP-1234567")
			wantText(t, h, tcpip, "ICSDomain", "mshome.net")
			wantText(t, h, nameKey, "", "mnmsrvc")
			k, err := h.Key("Select")
			if err != nil {
				t.Fatal(err)
			}
			v, err := k.Value("LastKnownGood")
			if err != nil {
				t.Fatal(err)
			}
			if n, err := v.Uint32(); n != 2 || err != nil {
				t.Errorf("LastKnownGood: got %d, %v, want 2", n, err)
			}
		})
	}
}

func TestSameLengthChangesNothingElse(t *testing.T) {
	t.Parallel()
	before := hivetest.Make(hivetest.Windows("DESKTOP-1234567"))
	h := parse(t, before)
	set(t, h, tcpip, "Hostname", "DESKTOP-7654321")
	after := h.Bytes()
	if len(after) != len(before) {
		t.Fatalf("the hive has %d bytes, had %d", len(after), len(before))
	}
	changed := 0
	for i := 4096; i < len(after); i++ {
		if after[i] != before[i] {
			changed++
		}
	}
	if changed != 6 { // the digit in the middle is the same
		t.Errorf("%d bytes of the bins changed, want the 6 digits", changed)
	}
}

func TestNewValue(t *testing.T) {
	t.Parallel()
	h := parse(t, hivetest.Make(hivetest.Windows("OLD")))
	for _, path := range [][]string{nameKey, tcpip, {"ControlSet002"}} { // the last has no values yet
		set(t, h, path, "A new one", "PC-01")
		set(t, h, path, "A second", "PC-02")
	}
	h = parse(t, h.Bytes())
	for _, path := range [][]string{nameKey, tcpip, {"ControlSet002"}} {
		wantText(t, h, path, "A new one", "PC-01")
		wantText(t, h, path, "A second", "PC-02")
	}
	wantText(t, h, nameKey, "ComputerName", "OLD")
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	good := hivetest.Make(hivetest.Windows("PC"))
	tests := map[string]struct {
		spoil func(b []byte) []byte
		want  error
	}{
		"empty":                    {func(b []byte) []byte { return nil }, hive.ErrNotHive},
		"another file":             {func(b []byte) []byte { copy(b, "MZ"); return b }, hive.ErrNotHive},
		"written half":             {func(b []byte) []byte { b[4]++; return b }, hive.ErrDirty},
		"checksum":                 {func(b []byte) []byte { b[100]++; return b }, hive.ErrDirty},
		"cut":                      {func(b []byte) []byte { return b[:len(b)-1] }, hive.ErrNotHive},
		"no bin":                   {func(b []byte) []byte { b[4096] = 0; return b }, hive.ErrNotHive},
		"a cell beyond its bin":    {func(b []byte) []byte { copy(b[4096+32:], "\xff\xff\xff\x7f"); return b }, hive.ErrNotHive},
		"a cell of no size at all": {func(b []byte) []byte { copy(b[4096+32:], "\x00\x00\x00\x00"); return b }, hive.ErrNotHive},
	}
	for name, test := range tests {
		if _, err := hive.Parse(test.spoil(bytes.Clone(good))); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", name, err, test.want)
		}
	}
	h := parse(t, good)
	if _, err := h.Key("ControlSet003"); !errors.Is(err, hive.ErrNotFound) {
		t.Errorf("a key that is not there: %v", err)
	}
	k, err := h.Key("Select")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.Value("Currant"); !errors.Is(err, hive.ErrNotFound) {
		t.Errorf("a value that is not there: %v", err)
	}
}

// Another program that knows hives finds in them what was put there.
func TestHivexReadsIt(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("hivexget"); err != nil {
		t.Skip("SKIPPED: hivexget (libhivex-bin) is not installed")
	}
	h := parse(t, hivetest.Make(hivetest.Windows("OLD")))
	long := strings.Repeat("LONG", 1000)
	set(t, h, nameKey, "ComputerName", "PC-01")
	set(t, h, tcpip, "NV Hostname", long)
	set(t, h, tcpip, "Fresh", "value")
	file := filepath.Join(t.TempDir(), "SYSTEM")
	if err := os.WriteFile(file, h.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		key  []string
		name string
		want string
	}{{nameKey, "ComputerName", "PC-01"}, {tcpip, "NV Hostname", long}, {tcpip, "Fresh", "value"}, {tcpip, "Hostname", "OLD"}} {
		out, err := exec.CommandContext(t.Context(), "hivexget", file, strings.Join(test.key, `\`), test.name).CombinedOutput()
		if got := strings.TrimSpace(string(out)); err != nil || got != test.want {
			t.Errorf("hivexget %s: got %.80q, %v, want %.80q", test.name, got, err, test.want)
		}
	}
	if out, err := exec.CommandContext(t.Context(), "hivexml", file).CombinedOutput(); err != nil {
		t.Errorf("hivexml: %v\n%s", err, out)
	}
}

// What was changed at random keeps its shape: any texts in any order, and all that was put there last is there.
func TestManyChanges(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(6, 1))
	h := parse(t, hivetest.Make(hivetest.Windows("OLD")))
	last := map[string]string{}
	for range 500 {
		name := "V" + string(rune('a'+random.IntN(20)))
		text := strings.Repeat("x", random.IntN(300))
		set(t, h, tcpip, name, text)
		last[name] = text
	}
	h = parse(t, h.Bytes())
	for name, text := range last {
		wantText(t, h, tcpip, name, text)
	}
	wantText(t, h, tcpip, "Hostname", "OLD")
	wantText(t, h, nameKey, "ComputerName", "OLD")
}

func FuzzHive(f *testing.F) {
	f.Add(hivetest.Make(hivetest.Windows("DESKTOP-1")), "PC-01")
	f.Add(hivetest.Make(hivetest.Key{Name: "ROOT"}), strings.Repeat("x", 3000))
	f.Fuzz(func(t *testing.T, data []byte, text string) {
		if len(data) >= 512 { // a head that is right lets what is behind it be tried
			var sum uint32
			copy(data[8:12], data[4:8])
			for i := 0; i < 508; i += 4 {
				sum ^= binary.LittleEndian.Uint32(data[i:])
			}
			binary.LittleEndian.PutUint32(data[508:], sum)
		}
		h, err := hive.Parse(data)
		if err != nil {
			return
		}
		k, err := h.Key(nameKey...)
		if err != nil {
			if k, err = h.Key(); err != nil {
				return
			}
		}
		_ = k.SetString("ComputerName", text)
		_ = k.SetString("Another", text)
		if _, err := k.Value("ComputerName"); err != nil && !errors.Is(err, hive.ErrNotFound) && !errors.Is(err, hive.ErrNotHive) {
			t.Errorf("a value of an unknown fate: %v", err)
		}
		if after, err := hive.Parse(h.Bytes()); err == nil {
			_, _ = after.Key(nameKey...)
		}
	})
}
