package imagestore

import (
	"errors"
	"strings"
	"testing"
)

func TestCheckName(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a", "Windows10", "ubuntu-22.04_lab", "-", "_", "a.img", strings.Repeat("x", 128)} {
		if err := CheckName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	tests := []struct{ name, why, suggestion string }{
		{"", "empty", "image"},
		{".hidden", "begins with a dot", "hidden"},
		{"..", "begins with a dot", "image"},
		{"../etc/passwd", "begins with a dot", "etc_passwd"},
		{"a/b", `'/'`, "a_b"},
		{"a\x00b", `'\x00'`, "a_b"},
		{"aula 3", `' '`, "aula_3"},
		{"Física – 2º", `'í'`, "Fisica_2"},
		{"日本", `'日'`, "image"},
		{"\xFF\xFE", "'�'", "image"},
		{strings.Repeat("x", 129), "longer than 128", strings.Repeat("x", 128)},
		{strings.Repeat("á", 500), "longer than 128", strings.Repeat("a", 128)},
	}
	for _, test := range tests {
		err := CheckName(test.name)
		if !errors.Is(err, ErrBadName) {
			t.Errorf("%q: got %v", test.name, err)
			continue
		}
		if !strings.Contains(err.Error(), test.why) || !strings.Contains(err.Error(), `"`+test.suggestion+`" would do`) {
			t.Errorf("%q: got %q, want it to say %q and suggest %q", test.name, err, test.why, test.suggestion)
		}
		if err := CheckName(test.suggestion); err != nil {
			t.Errorf("suggestion for %q: %v", test.name, err)
		}
	}
}

func FuzzCheckName(f *testing.F) {
	for _, name := range []string{"lab", "", ".a", "é b", "_", "\xFF", strings.Repeat(".", 200)} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if err := CheckName(SuggestName(name)); err != nil {
			t.Errorf("suggestion for %q: %v", name, err)
		}
		if CheckName(name) == nil && SuggestName(name) != name && strings.Trim(name, "_") == name {
			t.Errorf("%q is right, and %q is suggested", name, SuggestName(name))
		}
	})
}
