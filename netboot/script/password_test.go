package script

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"
)

func TestPasswordHash(t *testing.T) {
	hash, err := HashPassword("tiza y borrador")
	if err != nil {
		t.Fatal(err)
	}
	for password, want := range map[string]bool{"tiza y borrador": true, "tiza": false, "": false, "Tiza y borrador": false} {
		if CheckPassword(hash, password) != want {
			t.Errorf("CheckPassword(hash, %q) = %v, want %v", password, !want, want)
		}
	}
	for _, broken := range []string{"", "tiza", hash[:len(hash)-1], strings.Replace(hash, "10000", "0", 1), strings.Replace(hash, "10000", "99999999999", 1), hash + ".00", "grub.pbkdf2.sha512.1.."} {
		if CheckPassword(broken, "tiza y borrador") {
			t.Errorf("%q lets somebody in", broken)
		}
	}
	for _, refused := range []string{"", "abc", " tiza", "contraseña", strings.Repeat("x", 65), "a\nbcd"} {
		if hash, err := HashPassword(refused); err == nil {
			t.Errorf("HashPassword(%q) = %s, want an error", refused, hash)
		}
	}
}

func TestPasswordHashIsGRUBs(t *testing.T) {
	program, err := exec.LookPath("grub-mkpasswd-pbkdf2")
	if err != nil {
		t.Skip("SKIPPED: this machine has no grub-mkpasswd-pbkdf2 (package grub-common)")
	}
	cmd := exec.CommandContext(t.Context(), program)
	cmd.Stdin = strings.NewReader("pizarra\npizarra\n")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	hash := regexp.MustCompile(`grub\.pbkdf2\S+`).FindString(string(out))
	if !CheckPassword(hash, "pizarra") || CheckPassword(hash, "Pizarra") {
		t.Errorf("GRUB's hash %q is not understood", hash)
	}
}

func FuzzCheckPassword(f *testing.F) {
	f.Add("grub.pbkdf2.sha512.1.00.00")
	f.Add("grub.pbkdf2.sha512.1..")
	f.Fuzz(func(t *testing.T, hash string) {
		if len(hash) < 200 {
			CheckPassword(hash, "tiza")
		}
	})
}
