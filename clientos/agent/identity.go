package agent

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"strings"
	"time"

	"aula/clientos/protocol"
)

// errStranger means that who answers is not the server whose key is pinned.
var errStranger = errors.New("the server that answers is not the one that started this PC (its key differs)")

// An identity is the key that the PC makes at each boot and that never leaves its memory, and the server's key that it trusts.
type identity struct {
	certificate tls.Certificate
	key         protocol.Key
	server      protocol.Key
}

func newIdentity(pin string) (identity, error) {
	raw, err := hex.DecodeString(strings.TrimSpace(pin))
	if err != nil || len(raw) != len(protocol.Key{}) {
		return identity{}, fmt.Errorf("the server's pin %.80q is not 64 hexadecimal digits", pin)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return identity{}, fmt.Errorf("make this boot's key: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "Aula agent"},
		NotBefore:    time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), // the server looks at no date
		NotAfter:     time.Date(2999, 12, 31, 0, 0, 0, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return identity{}, fmt.Errorf("make this boot's certificate: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return identity{}, fmt.Errorf("make this boot's certificate: %w", err)
	}
	return identity{
		certificate: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf},
		key:         protocol.KeyOf(leaf),
		server:      protocol.Key(raw),
	}, nil
}

// tls is the configuration for every connection to the server. The pin takes the place of names, dates and authorities,
// which a PC without a clock cannot check anyway.
func (i identity) tls() *tls.Config {
	return &tls.Config{
		MinVersion:         tls.VersionTLS13,
		Certificates:       []tls.Certificate{i.certificate},
		NextProtos:         []string{"http/1.1"},
		InsecureSkipVerify: true, // VerifyConnection compares the key instead, on resumed connections too
		VerifyConnection: func(state tls.ConnectionState) error {
			if len(state.PeerCertificates) == 0 || protocol.KeyOf(state.PeerCertificates[0]) != i.server {
				return errStranger
			}
			return nil
		},
	}
}

// code is the pairing code of this boot.
func (i identity) code() string { return protocol.PairingCode(i.server, i.key) }
