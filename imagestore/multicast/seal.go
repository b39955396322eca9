package multicast

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
)

// seals encrypt and authenticate the packets of one session, with keys that are made of the session's Key and of the salt that the
// sender chose: no two sessions use the same, even with the same Key.
//
// AES-128-GCM. The nonce is the header but for the session's number: of a sender's packets no two have the same sequence, of
// receivers' no two the same receiver and sequence. The header (and a command's salt) is authenticated with the packet.
type seals struct {
	sender, receiver cipher.AEAD
}

func newSeals(key Key, salt [saltSize]byte) (seals, error) {
	sender, err := newAEAD(key, salt, "aula multicast 1: sender")
	if err != nil {
		return seals{}, err
	}
	receiver, err := newAEAD(key, salt, "aula multicast 1: receivers")
	return seals{sender, receiver}, err
}

func newAEAD(key Key, salt [saltSize]byte, purpose string) (cipher.AEAD, error) {
	derived, err := hkdf.Key(sha256.New, key[:], salt[:], purpose, 16)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

type nonce [12]byte

// from fills the nonce of the packet with that header.
func (n *nonce) from(header []byte) []byte {
	copy(n[:8], header[:8])
	copy(n[8:], header[12:16])
	return n[:]
}

// seal appends plain to the packet b, of which b[:clear] is authenticated only.
func seal(a cipher.AEAD, n *nonce, b []byte, clear int, plain []byte) []byte {
	return a.Seal(b, n.from(b), plain, b[:clear])
}

// open appends what the packet b holds behind its clear part to dst. Only the bytes of dst's capacity are touched when it is forged.
func open(a cipher.AEAD, n *nonce, dst, b []byte, clear int) ([]byte, error) {
	plain, err := a.Open(dst, n.from(b), b[clear:], b[:clear])
	if err != nil {
		return nil, errPacket
	}
	return plain, nil
}
