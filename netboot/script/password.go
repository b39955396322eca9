package script

import (
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// The form of GRUB's grub-mkpasswd-pbkdf2: grub.pbkdf2.sha512.ITERATIONS.SALT.HASH, both in hexadecimal.
const (
	hashPrefix     = "grub.pbkdf2.sha512."
	hashIterations = 10_000 // GRUB's own figure; it computes them at the PC, which takes old ones a second
	mostIterations = 1_000_000
	hashBytes      = 64
	longestHash    = 1024
)

// Bounds of a menu's password, in bytes. iPXE takes no more.
const (
	shortestPassword = 4
	longestPassword  = 64
)

// HashPassword makes the hash of a password for Menu.PasswordHash. The password must be of characters that every PC's firmware can type: ASCII, without blanks at
// its ends.
func HashPassword(password string) (string, error) {
	if len(password) < shortestPassword || len(password) > longestPassword || strings.TrimSpace(password) != password {
		return "", fmt.Errorf("the menu's password must have %d to %d characters and neither begin nor end with a blank", shortestPassword, longestPassword)
	}
	if strings.ContainsFunc(password, func(r rune) bool { return r < ' ' || r > '~' }) {
		return "", errors.New("the menu's password can have only characters that every keyboard of a starting PC types: ASCII letters, digits and signs")
	}
	salt := make([]byte, hashBytes)
	rand.Read(salt) // never fails
	sum, err := pbkdf2.Key(sha512.New, password, salt, hashIterations, hashBytes)
	if err != nil {
		return "", fmt.Errorf("hash of the menu's password: %w", err)
	}
	return fmt.Sprintf("%s%d.%X.%X", hashPrefix, hashIterations, salt, sum), nil
}

// CheckPassword tells whether the hash, of HashPassword or grub-mkpasswd-pbkdf2, is of the password. A hash that cannot be read is of none.
func CheckPassword(hash, password string) bool {
	rest, ok := strings.CutPrefix(hash, hashPrefix)
	parts := strings.Split(rest, ".")
	if !ok || len(hash) > longestHash || len(parts) != 3 {
		return false
	}
	iterations, err := strconv.Atoi(parts[0])
	salt, saltErr := hex.DecodeString(parts[1])
	want, wantErr := hex.DecodeString(parts[2])
	if errors.Join(err, saltErr, wantErr) != nil || iterations < 1 || iterations > mostIterations || len(want) == 0 {
		return false
	}
	got, err := pbkdf2.Key(sha512.New, password, salt, iterations, len(want))
	return err == nil && subtle.ConstantTimeCompare(got, want) == 1
}
