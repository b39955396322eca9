package incorporation

import (
	"strings"
	"testing"
)

func pieces(names string) []piece {
	var list []piece
	for _, name := range strings.Fields(names) {
		list = append(list, piece{dir: "/d", name: name, size: 10})
	}
	return list
}

func TestGroup(t *testing.T) {
	t.Parallel()
	tests := map[string]struct{ files, want string }{
		"one file":                         {"win10.img", "win10.img"},
		"FOG volumes in any order":         {"d1p1.img.002 d1p1.img.000 d1p1.img.001", "d1p1.img.000+d1p1.img.001+d1p1.img.002"},
		"letters":                          {"x.gz.ab x.gz.aa", "x.gz.aa+x.gz.ab"},
		"three letters":                    {"x.aab x.aaa", "x.aaa+x.aab"},
		"two digits":                       {"x.01 x.00", "x.00+x.01"},
		"from 001":                         {"x.002 x.001 x.003", "x.001+x.002+x.003"},
		"a single first volume":            {"x.img.000", "x.img.000"},
		"beyond a letter":                  {"x.az x.ba x.ay x.ax " + letters("x.a", 'a', 'w'), strings.ReplaceAll(letters("x.a", 'a', 'z'), " ", "+") + "+x.ba"},
		"two images":                       {"a.000 b.000 a.001", "a.000+a.001 b.000"},
		"two manners of packing":           {"x.gz x.xz", "x.gz x.xz"},
		"versions that look like volumes":  {"win.10 win.11", "win.10 win.11"},
		"years that look like volumes":     {"win.2003 win.2008", "win.2003 win.2008"},
		"a word that looks like a volume":  {"my.disk", "my.disk"},
		"hidden name":                      {".000", ".000"},
		"an image and volumes of the same": {"x.img x.img.000 x.img.001", "x.img x.img.000+x.img.001"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			groups, err := group(pieces(test.files))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, g := range groups {
				var names []string
				for _, p := range g.pieces {
					names = append(names, p.name)
				}
				got = append(got, strings.Join(names, "+"))
			}
			if strings.Join(got, " ") != test.want {
				t.Errorf("got %s, want %s", strings.Join(got, " "), test.want)
			}
		})
	}
}

func letters(prefix string, from, to byte) string {
	var list []string
	for c := from; c <= to; c++ {
		list = append(list, prefix+string(c))
	}
	return strings.Join(list, " ")
}

func TestGroupTellsWhatIsMissing(t *testing.T) {
	t.Parallel()
	for files, want := range map[string]string{
		"x.000 x.002":             "x.001 is missing",
		"x.aa x.ab x.ad":          "x.ac is missing",
		"x.002 x.003":             "x.000 is missing",
		"x.ab x.ac":               "x.aa is missing",
		"d1p2.img.000 d1p2.img.9": "", // no volume
		"x.az x.aa":               "x.ab is missing",
	} {
		_, err := group(pieces(files))
		if want == "" {
			if err != nil {
				t.Errorf("%s: %v", files, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want an error with %q", files, err, want)
		}
	}
}

func TestSuffixLikeIsTheInverseOfOrdinal(t *testing.T) {
	t.Parallel()
	for _, suffix := range []string{"aa", "az", "zz", "aaab", "00", "007", "999", "0123"} {
		if got := suffixLike(suffix, ordinal(suffix)); got != suffix {
			t.Errorf("%s: ordinal %d gives %s", suffix, ordinal(suffix), got)
		}
	}
}

func FuzzGroup(f *testing.F) {
	f.Add("d1p1.img.000 d1p1.img.001 x.aa x.ab a.gz")
	f.Add("x.zzzz x.aaaa")
	f.Fuzz(func(t *testing.T, names string) {
		files := pieces(names)
		groups, err := group(files)
		if err != nil {
			return
		}
		n := 0
		for _, g := range groups {
			n += len(g.pieces)
			if len(g.pieces) == 0 || g.words() == "" || g.stem == "" {
				t.Errorf("empty group in %q", names)
			}
			g.uneven()
		}
		if n != len(files) {
			t.Errorf("%q: %d of %d files are in groups", names, n, len(files))
		}
	})
}
