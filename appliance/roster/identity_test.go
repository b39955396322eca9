package roster_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"aula/appliance/roster"
)

const keyFile = "agents.key"

func TestIdentityStays(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	first, err := roster.LoadIdentity(dir)
	check(t, err)
	info, err := os.Stat(filepath.Join(dir, keyFile))
	check(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("key has mode %v, want 0600", info.Mode())
	}
	if len(first.Pin()) != 64 {
		t.Errorf("pin %q, want 64 hexadecimal digits", first.Pin())
	}
	second, err := roster.LoadIdentity(dir)
	check(t, err)
	if first.Pin() != second.Pin() {
		t.Error("the pin changed with the second start")
	}
	other, err := roster.LoadIdentity(t.TempDir())
	check(t, err)
	if first.Pin() == other.Pin() {
		t.Error("two servers have the same key")
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
		t.Errorf("left over: %v", left)
	}
}

func TestDamagedIdentityIsRefusedAndKept(t *testing.T) {
	t.Parallel()
	good := t.TempDir()
	_, err := roster.LoadIdentity(good)
	check(t, err)
	key, err := os.ReadFile(filepath.Join(good, keyFile))
	check(t, err)
	tests := map[string]struct {
		content []byte
		mode    os.FileMode
		says    string
	}{
		"empty":              {nil, 0o600, "hold no private key"},
		"cut":                {key[:len(key)/2], 0o600, "hold no private key"},
		"another kind":       {[]byte("-----BEGIN PRIVATE KEY-----\nMAA=\n-----END PRIVATE KEY-----\n"), 0o600, "backup"},
		"readable by others": {key, 0o644, "chmod 600"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := filepath.Join(dir, keyFile)
			check(t, os.WriteFile(path, test.content, test.mode))
			check(t, os.Chmod(path, test.mode))
			if _, err := roster.LoadIdentity(dir); err == nil || !strings.Contains(err.Error(), test.says) {
				t.Errorf("LoadIdentity: %v, want an error with %q", err, test.says)
			}
			if now, err := os.ReadFile(path); err != nil || string(now) != string(test.content) {
				t.Errorf("the file was changed: %q, %v", now, err)
			}
		})
	}
	t.Run("link", func(t *testing.T) {
		t.Parallel()
		dir := t.TempDir()
		check(t, os.Symlink(filepath.Join(good, keyFile), filepath.Join(dir, keyFile)))
		if _, err := roster.LoadIdentity(dir); err == nil {
			t.Error("a link to another file was followed")
		}
	})
}
