package build

import (
	"slices"
	"strings"
	"testing"
)

const smallRecipe = `
# a comment
suite trixie main non-free-firmware
follow lib* linux-image-*
leave  libperl*
group kernel: signed
  package linux-image-amd64 kmod
  kernel boot/vmlinuz-*
group network: to boot
  module drivers/net/
  without drivers/net/wan/ drivers/net/slip
  file usr/bin/kmod
  loader shimx64.efi usr/lib/shim/shimx64.efi.signed
`

func TestParseRecipe(t *testing.T) {
	r, err := parseRecipe(smallRecipe)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := r.packages(), []string{"kmod", "linux-image-amd64"}; !slices.Equal(got, want) {
		t.Errorf("packages %v, want %v", got, want)
	}
	network := r.groups[1]
	if network.name != "network" || network.why != "to boot" {
		t.Errorf("second group is %q because %q", network.name, network.why)
	}
	if got, want := network.without, []string{"drivers/net/wan/", "drivers/net/slip"}; !slices.Equal(got, want) {
		t.Errorf("without %v, want %v", got, want)
	}
	if got, want := network.loaders, []loader{{"shimx64.efi", "usr/lib/shim/shimx64.efi.signed"}}; !slices.Equal(got, want) {
		t.Errorf("loaders %v, want %v", got, want)
	}
	for name, want := range map[string]bool{
		"kmod": true, "libc6": true, "linux-image-6.12.1-amd64": true, "libperl5.40": false, "dpkg": false,
	} {
		if got := r.wants(name); got != want {
			t.Errorf("wants %s: %v, want %v", name, got, want)
		}
	}
}

func TestParseRecipeRefuses(t *testing.T) {
	tests := []struct{ name, text, want string }{
		{"an unknown keyword", "group a: b\nfiel usr/bin/x", `line 2: "fiel" is not a keyword`},
		{"a keyword with nothing", "suite", "line 1: suite says nothing"},
		{"a group without a reason", "group kernel", "line 1: group kernel has no reason"},
		{"a package before the first group", "package kmod", "line 1: package comes before the first group"},
		{"a loader without a path", "group a: b\nloader shimx64.efi", "line 2: loader wants"},
		{"a broken pattern", "group a: b\nfile usr/[bin", "line 2: usr/[bin"},
		{"no suite", "group a: b\nkernel boot/vmlinuz", "no suite"},
		{"no kernel", "suite trixie main", "0 kernels"},
		{"two kernels", "suite trixie main\ngroup a: b\nkernel x\ngroup c: d\nkernel y", "2 kernels"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := parseRecipe(test.text)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

func TestRecipeOfTheTree(t *testing.T) {
	r, err := parseRecipe(recipeText)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"partclone", "ntfs-3g", "e2fsprogs", "shim-signed", "ipxe"} {
		if !slices.Contains(r.packages(), name) {
			t.Errorf("the recipe lacks %s", name)
		}
	}
}
