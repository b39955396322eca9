package multicast

import (
	"crypto/rand"
	"fmt"
	"io"
	"os"

	"github.com/zeebo/blake3"
)

// A Key is the secret of a session: who lacks it reads nothing of what is sent and can add nothing to it. The zero Key is no key: that of a
// session without a secret, whose packets are only protected against accidents.
type Key [32]byte

// NewKey makes a key.
func NewKey() Key {
	var k Key
	rand.Read(k[:]) // never fails
	return k
}

const (
	// keyContext keeps a secret that is used here apart from other uses of the same file (BLAKE3 paper, section 6.2).
	keyContext   = "aula imagestore/multicast 2026 key of a session, of a file"
	minKeySecret = 16       // bytes
	maxKeySecret = 64 << 10 // bytes; who gives more has named the wrong file
)

// ReadKey makes a key of the bytes of a file, whatever they are: 16 at least, 64 KiB at most. Who may read the file has the key.
func ReadKey(path string) (Key, error) {
	f, err := os.Open(path)
	if err != nil {
		return Key{}, fmt.Errorf("key file: %w", err)
	}
	defer f.Close()
	secret, err := io.ReadAll(io.LimitReader(f, maxKeySecret+1))
	switch {
	case err != nil:
		return Key{}, fmt.Errorf("key file: %w", err)
	case len(secret) < minKeySecret:
		return Key{}, fmt.Errorf("key file %s has %d bytes, and %d are the least: 'head -c 32 /dev/urandom > FILE' makes one that nobody guesses",
			path, len(secret), minKeySecret)
	case len(secret) > maxKeySecret:
		return Key{}, fmt.Errorf("key file %s has more than %d bytes: is it the right file? 'head -c 32 /dev/urandom > FILE' makes a key",
			path, maxKeySecret)
	}
	var k Key
	blake3.DeriveKey(keyContext, secret, k[:])
	return k, nil
}
