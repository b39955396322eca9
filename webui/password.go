package webui

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"
)

// Cost of a new password hash: OWASP's minimum for argon2id. A hash carries its own parameters, so that these may grow.
const (
	argonTime    = 2
	argonKiB     = 19 * 1024
	argonLanes   = 1
	argonSaltLen = 16
	argonKeyLen  = 32
)

// maxHashKiB and maxHashTime bound what a stored hash may ask for.
const (
	maxHashKiB  = 256 * 1024
	maxHashTime = 16
)

// Bounds of a password, in characters and bytes.
const (
	minPassword = 8
	maxPassword = 1024
)

// A hasher makes and checks password hashes, few at a time: each takes 19 MiB, and a flood of logins must not take
// the memory that images need.
type hasher struct {
	slots chan struct{}
}

func newHasher() *hasher { return &hasher{slots: make(chan struct{}, 2)} }

// enter waits for a slot.
func (h *hasher) enter(ctx context.Context) (leave func(), err error) {
	select {
	case h.slots <- struct{}{}:
		return func() { <-h.slots }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// hash returns the argon2id hash of a new password in PHC form. It refuses a password that is too short.
func (h *hasher) hash(ctx context.Context, password string) (string, error) {
	if n := utf8.RuneCountInString(password); n < minPassword {
		return "", invalid("the password has %d characters; use at least %d", n, minPassword)
	}
	if len(password) > maxPassword {
		return "", invalid("the password is longer than %d bytes", maxPassword)
	}
	leave, err := h.enter(ctx)
	if err != nil {
		return "", err
	}
	defer leave()
	salt := make([]byte, argonSaltLen)
	rand.Read(salt)
	key := argon2.IDKey([]byte(password), salt, argonTime, argonKiB, argonLanes, argonKeyLen)
	return phc{argonTime, argonKiB, argonLanes, salt, key}.String(), nil
}

// check reports whether password belongs to a stored hash. An empty hash takes as long and never matches, so that an
// unknown name cannot be told by the clock.
func (h *hasher) check(ctx context.Context, hash, password string) (bool, error) {
	known := hash != ""
	p := phc{argonTime, argonKiB, argonLanes, make([]byte, argonSaltLen), make([]byte, argonKeyLen)}
	if known {
		var err error
		if p, err = parsePHC(hash); err != nil {
			return false, err
		}
	}
	if len(password) > maxPassword {
		return false, nil
	}
	leave, err := h.enter(ctx)
	if err != nil {
		return false, err
	}
	defer leave()
	key := argon2.IDKey([]byte(password), p.salt, p.time, p.kib, p.lanes, uint32(len(p.key)))
	return subtle.ConstantTimeCompare(key, p.key) == 1 && known, nil
}

// A phc is a password hash in the form of the password hashing competition: $argon2id$v=19$m=..,t=..,p=..$salt$key.
type phc struct {
	time, kib uint32
	lanes     uint8
	salt, key []byte
}

func (p phc) String() string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, p.kib, p.time, p.lanes,
		b64.EncodeToString(p.salt), b64.EncodeToString(p.key))
}

var errBadHash = errors.New("stored password hash cannot be read; have another user, or the machine's administrator, set the password again")

func parsePHC(s string) (phc, error) {
	f := strings.Split(s, "$")
	if len(f) != 6 || f[0] != "" || f[1] != "argon2id" {
		return phc{}, errBadHash
	}
	var p phc
	var version int
	if _, err := fmt.Sscanf(f[2], "v=%d", &version); err != nil || version != argon2.Version {
		return phc{}, errBadHash
	}
	if _, err := fmt.Sscanf(f[3], "m=%d,t=%d,p=%d", &p.kib, &p.time, &p.lanes); err != nil {
		return phc{}, errBadHash
	}
	var errSalt, errKey error
	p.salt, errSalt = base64.RawStdEncoding.DecodeString(f[4])
	p.key, errKey = base64.RawStdEncoding.DecodeString(f[5])
	if errSalt != nil || errKey != nil || len(p.salt) < 8 || len(p.key) < 16 || len(p.key) > 64 ||
		p.time < 1 || p.time > maxHashTime || p.kib < 8 || p.kib > maxHashKiB || p.lanes < 1 {
		return phc{}, errBadHash
	}
	return p, nil
}
