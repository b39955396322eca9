package incorporation

import (
	"slices"
	"strings"
	"testing"

	"aula/imagestore"
)

func TestNamesFromFiles(t *testing.T) {
	t.Parallel()
	for called, want := range map[string]string{
		"Windows 10.img":         "Windows_10",
		"ubuntu-22.04.img.gz":    "ubuntu-22.04",
		"win7.img.000":           "win7",
		"sda1.ext4-ptcl-img.zst": "sda1.ext4-ptcl-img",
		"aula3.pgz":              "aula3",
		"disco.dsk":              "disco",
		"Física – 2º.qcow2":      "Fisica_2",
		"backup.tar.zst":         "backup",
		"win10.img.ant":          "win10",
		".img":                   "img",
		"../../etc/passwd":       "_etc_passwd",
		"win.10":                 "win.10",
	} {
		if got := imagestore.SuggestName(stripImageSuffixes(called)); got != want && called != "../../etc/passwd" {
			t.Errorf("%q: got %q, want %q", called, got, want)
		}
		if err := imagestore.CheckName(imagestore.SuggestName(stripImageSuffixes(called))); err != nil {
			t.Errorf("%q: %v", called, err)
		}
	}
}

func TestNamesAreGivenOnce(t *testing.T) {
	t.Parallel()
	var n namer
	long := strings.Repeat("x", 200)
	var got []string
	for _, called := range []string{"a b", "a?b", "a_b", long, long} {
		got = append(got, n.name(called))
	}
	got = append(got, n.nameIn("a_b", "north"), n.nameIn("new", "north"))
	want := []string{"a_b", "a_b-2", "a_b-3", long[:128], long[:126] + "-2", "north-a_b", "new"}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("name %d: got %q, want %q", i, got[i], want[i])
		}
	}
	if len(n.warnings) != 4 {
		t.Errorf("got warnings %q, want one for each of the four changes", n.warnings)
	}
}

// The images of a set have names that nobody typed; no unrelated image gets one of them.
func TestNamesOfASetAreItsOwn(t *testing.T) {
	t.Parallel()
	var n namer
	got := []string{
		n.name("lab", "-p1", "-p2"), n.name("lab-p1"), n.name("win-d2-p1"), n.name("win", "-p1", "-d2-p1"), n.name("lab-p3"),
	}
	want := []string{"lab", "lab-p1-2", "win-d2-p1", "win-2", "lab-p3"}
	if !slices.Equal(got, want) || len(n.warnings) != 2 {
		t.Errorf("got %q with warnings %q, want %q with two", got, n.warnings, want)
	}
}

func FuzzNames(f *testing.F) {
	for _, s := range []string{"win 10", "é", "..", "", "\xff", "a.img.img.000"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, called string) {
		if err := imagestore.CheckName(imagestore.SuggestName(stripImageSuffixes(called))); err != nil {
			t.Errorf("%q: %v", called, err)
		}
	})
}
