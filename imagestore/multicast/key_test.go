package multicast

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestReadKey(t *testing.T) {
	t.Parallel()
	file := func(content []byte) string {
		t.Helper()
		path := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	secret := bytes.Repeat([]byte{7}, 32)
	key, err := ReadKey(file(secret))
	if err != nil || key == (Key{}) {
		t.Fatalf("got %x, %v", key, err)
	}
	if again, err := ReadKey(file(secret)); err != nil || again != key {
		t.Errorf("the same bytes in another file: got %x, %v; want %x", again, err, key)
	}
	if bytes.Equal(key[:], secret) {
		t.Error("the key is the secret itself")
	}
	if other, err := ReadKey(file(secret[1:])); err != nil || other == key {
		t.Errorf("a byte less: got %x, %v; want another key", other, err)
	}
	if _, err := ReadKey(file(make([]byte, maxKeySecret))); err != nil {
		t.Errorf("the largest file: %v", err)
	}
	for _, c := range []struct{ name, path, says string }{
		{"empty", file(nil), "has 0 bytes"},
		{"short", file(make([]byte, 15)), "head -c 32 /dev/urandom"},
		{"an image", file(make([]byte, maxKeySecret+1)), "is it the right file?"},
		{"missing", filepath.Join(t.TempDir(), "none"), "no such file"},
		{"a folder", t.TempDir(), "is a directory"},
	} {
		if k, err := ReadKey(c.path); k != (Key{}) || err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %x, %v; want an error that says %s", c.name, k, err, c.says)
		}
	}
}
