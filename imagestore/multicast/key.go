package multicast

import (
	"crypto/rand"
)

// A Key is the secret of a session: who lacks it reads nothing of what is sent and can add nothing to it. The zero Key is that of a
// session without a secret, whose packets are only protected against accidents.
type Key [32]byte

// NewKey makes a key.
func NewKey() Key {
	var k Key
	rand.Read(k[:]) // never fails
	return k
}
