package protocol

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
)

// A Key is the SHA-256 of a public key in its SubjectPublicKeyInfo form, by which both sides of a session know each other.
type Key [sha256.Size]byte

// KeyOf returns the key of a certificate.
func KeyOf(c *x509.Certificate) Key { return sha256.Sum256(c.RawSubjectPublicKeyInfo) }

// String is the hexadecimal form, that of the pin in the initramfs.
func (k Key) String() string { return hex.EncodeToString(k[:]) }

// Symbols of a pairing code: Crockford's base 32, without the letters that look like digits.
const pairingSymbols = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// PairingCode returns the six symbols that the console and the PC's screen show of a pending PC. Each side derives them from the
// two keys as it sees them, so that equal codes mean that nobody sits between the two.
func PairingCode(server, agent Key) string {
	h := sha256.New()
	h.Write([]byte("aula pairing code 1\x00"))
	h.Write(server[:])
	h.Write(agent[:])
	sum := h.Sum(nil)
	code := make([]byte, 6)
	for i := range code {
		code[i] = pairingSymbols[sum[i]%32]
	}
	return string(code)
}
