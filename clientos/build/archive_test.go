package build

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestFindMirrors(t *testing.T) {
	tests := []struct {
		name, targets, codename string
		want                    Mirrors
		wantErr                 string
	}{
		{
			name:     "Debian 12 as installed",
			targets:  "http://m.example/debian bookworm\nhttp://m.example/debian bookworm-updates\nhttp://m.example/security bookworm-security\n",
			codename: "bookworm",
			want:     Mirrors{"http://m.example/debian", "http://m.example/security"},
		},
		{
			name:     "somebody else's packages come first",
			targets:  "https://vendor.example/apt nodistro\nhttps://vendor.example/docker bookworm-extra\nhttp://m.example/debian bookworm\n",
			codename: "bookworm",
			want:     Mirrors{Main: "http://m.example/debian"},
		},
		{
			name:     "sources by class, not by name",
			targets:  "http://m.example/debian stable\nhttp://m.example/security stable-security\n",
			codename: "trixie",
			want:     Mirrors{"http://m.example/debian", "http://m.example/security"},
		},
		{name: "no source at all", targets: "", codename: "bookworm", wantErr: "no source of Debian packages"},
		{name: "another distribution", targets: "http://m.example/u jammy\n", codename: "bookworm", wantErr: "-mirror"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			got, err := findMirrors(test.targets, test.codename)
			if test.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), test.wantErr) {
					t.Errorf("error %v, want one with %q", err, test.wantErr)
				}
				return
			}
			if err != nil || got != test.want {
				t.Errorf("mirrors %+v, %v, want %+v", got, err, test.want)
			}
		})
	}
}

func TestCodename(t *testing.T) {
	if got := codename("NAME=\"Debian GNU/Linux\"\nVERSION_CODENAME=bookworm\nID=debian\n"); got != "bookworm" {
		t.Errorf("codename is %q, want bookworm", got)
	}
	if got := codename("ID=other\n"); got != "" {
		t.Errorf("codename is %q, want none", got)
	}
}

func TestParsePlan(t *testing.T) {
	plan := `Reading package lists...
The following NEW packages will be installed:
  kmod libc6
Inst libc6 (2.41-12 Debian:13.1/stable [amd64])
Inst kmod (34.2-2 Debian:13.1/stable, Debian-Security:13/stable-security [amd64])
Conf libc6 (2.41-12 Debian:13.1/stable [amd64])
`
	want := []Package{{Name: "libc6", Version: "2.41-12"}, {Name: "kmod", Version: "34.2-2"}}
	if got := parsePlan(plan); !slices.Equal(got, want) {
		t.Errorf("plan %v, want %v", got, want)
	}
}

func TestParseURIs(t *testing.T) {
	text := `Reading package lists...
'http://m.example/pool/k/kmod_34.2-2_amd64.deb' kmod_34.2-2_amd64.deb 105292 SHA256:aa11
'http://m.example/pool/b/busybox-static_1.37.0-6+b9_amd64.deb' busybox-static_1%3a1.37.0-6+b9_amd64.deb 955316 SHA256:bb22
`
	want := []Package{
		{Name: "busybox-static", Version: "1:1.37.0-6+b9", SHA256: "bb22", File: "busybox-static_1%3a1.37.0-6+b9_amd64.deb"},
		{Name: "kmod", Version: "34.2-2", SHA256: "aa11", File: "kmod_34.2-2_amd64.deb"},
	}
	got, err := parseURIs(text)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("packages %+v, %v, want %+v", got, err, want)
	}
	for name, line := range map[string]string{
		"a weak digest":           "'http://m.example/x' x_1_all.deb 5 MD5Sum:00",
		"a name that climbs out":  "'http://m.example/x' ../x_1_all.deb 5 SHA256:00",
		"a name of another shape": "'http://m.example/x' x.deb 5 SHA256:00",
	} {
		if got, err := parseURIs(line); err == nil {
			t.Errorf("%s: taken as %+v", name, got)
		}
	}
}

func TestSources(t *testing.T) {
	r := recipe{suite: "trixie", components: []string{"main", "non-free-firmware"}}
	a := archive{mirrors: Mirrors{"http://m.example/debian", "http://m.example/security"}}
	options := "deb [arch=amd64 signed-by=" + keyring + "] "
	want := options + "http://m.example/debian trixie main non-free-firmware\n" +
		options + "http://m.example/debian trixie-updates main non-free-firmware\n" +
		options + "http://m.example/security trixie-security main non-free-firmware\n"
	if got := a.sources(r); got != want {
		t.Errorf("sources:\n%swant:\n%s", got, want)
	}
}

func TestDownloadedPackageIsChecked(t *testing.T) {
	a := &archive{dir: t.TempDir()}
	if err := os.MkdirAll(a.debs(), 0o755); err != nil {
		t.Fatal(err)
	}
	good := Package{Name: "good", File: "good_1_all.deb",
		SHA256: "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"} // of "hello"
	bad := Package{Name: "bad", File: "bad_1_all.deb", SHA256: good.SHA256}
	for file, data := range map[string]string{good.File: "hello", bad.File: "hellO", "old_1_all.deb": "left over"} {
		if err := os.WriteFile(filepath.Join(a.debs(), file), []byte(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.check(bad); err == nil || !strings.Contains(err.Error(), "bad_1_all.deb has SHA-256") {
		t.Errorf("a changed package: error %v", err)
	}
	// Nothing is missing, so this asks no mirror.
	if err := a.download(t.Context(), []Package{good}); err != nil {
		t.Fatal(err)
	}
	if !a.have([]Package{good}) || a.have([]Package{good, bad}) {
		t.Error("download should keep what is wanted and remove the rest")
	}
}
