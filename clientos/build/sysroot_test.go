package build

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const loaderName = "/lib64/ld-linux-x86-64.so.2"

// plant writes files below dir; content that starts with "->" makes a symbolic link.
func plant(t *testing.T, dir string, files map[string]string) {
	t.Helper()
	for name, content := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, ok := strings.CutPrefix(content, "->"); ok {
			err = os.Symlink(target, path)
		} else {
			err = os.WriteFile(path, []byte(content), 0o755)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// program is an ELF file that asks for the loader and for libraries.
func program(libraries ...string) string {
	return string(elfFile(loaderName, dynamic(libraries...)...))
}

func TestTreeTakesWhatAProgramNeeds(t *testing.T) {
	dir := t.TempDir()
	plant(t, dir, map[string]string{
		"usr/sbin/mkfs.ext4":                             "->mke2fs",
		"usr/sbin/mke2fs":                                program("libe2p.so.2", "libc.so.6"),
		"usr/sbin/unwanted":                              program("libnothing.so"),
		"usr/lib/x86_64-linux-gnu/libe2p.so.2":           "->libe2p.so.2.3",
		"usr/lib/x86_64-linux-gnu/libe2p.so.2.3":         string(elfFile("", dynamic("libcom_err.so.2", "libe2p.so.2")...)),
		"usr/lib/libcom_err.so.2":                        string(elfFile("", dynamic("libc.so.6")...)),
		"usr/lib/x86_64-linux-gnu/libc.so.6":             string(elfFile("")),
		"usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2":  string(elfFile("")),
		"usr/lib64/ld-linux-x86-64.so.2":                 "->/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
		"usr/lib/x86_64-linux-gnu/libunwanted.so.1":      string(elfFile("")),
		"usr/share/doc/a-file-that-nobody-asked-for.txt": "text",
	})
	tree := newTree(sysroot{dir})
	if err := tree.add("sbin/mkfs.ext4"); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"usr/lib/libcom_err.so.2",
		"usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2",
		"usr/lib/x86_64-linux-gnu/libc.so.6",
		"usr/lib/x86_64-linux-gnu/libe2p.so.2",
		"usr/lib/x86_64-linux-gnu/libe2p.so.2.3",
		"usr/lib64/ld-linux-x86-64.so.2",
		"usr/sbin/mke2fs",
		"usr/sbin/mkfs.ext4",
	}
	if got := slices.Sorted(maps.Keys(tree.entries)); !slices.Equal(got, want) {
		t.Errorf("taken:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestTreeRefuses(t *testing.T) {
	tests := []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"a file that no package has", nil, "no package has usr/bin/x"},
		{"a library that no package has", map[string]string{"usr/bin/x": string(elfFile("", dynamic("libgone.so.1")...))},
			"usr/bin/x: no package has the library libgone.so.1"},
		{"a library that is a link to nowhere", map[string]string{
			"usr/bin/x": string(elfFile("", dynamic("liby.so.1")...)), "usr/lib/liby.so.1": "->liby.so.1.2",
		}, "usr/lib/liby.so.1 links to usr/lib/liby.so.1.2"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			plant(t, dir, test.files)
			tree := newTree(sysroot{dir})
			err := tree.addFiles(recipe{groups: []group{{name: "g", files: []string{"usr/bin/x"}}}})
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want one with %q", err, test.want)
			}
		})
	}
}

func TestNeeds(t *testing.T) {
	dir := t.TempDir()
	plant(t, dir, map[string]string{
		"program": program("libc.so.6", "libm.so.6"),
		"static":  string(elfFile("")),
		"script":  "#!/bin/sh\n",
		"empty":   "",
		"damaged": "\x7fELF",
	})
	for name, want := range map[string][]string{
		"program": {"libc.so.6", "libm.so.6", loaderName}, "static": nil, "script": nil, "empty": nil,
	} {
		got, err := needs(filepath.Join(dir, name))
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s needs %v, %v, want %v", name, got, err, want)
		}
	}
	if got, err := needs(filepath.Join(dir, "damaged")); err == nil {
		t.Errorf("a damaged program needs %v", got)
	}
}
