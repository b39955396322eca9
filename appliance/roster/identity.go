package roster

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/big"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"aula/clientos/protocol"
)

// keyFile is the one secret of the agents' plane. Every client OS that is handed out names its public half, so losing it
// means that no running agent trusts the server any more.
const keyFile = "agents.key"

// An Identity is the key by which agents know this server. Agents compare the public key and nothing else, so the
// certificate around it is made anew at each start and neither expires nor needs a name.
type Identity struct {
	certificate tls.Certificate
	key         protocol.Key
}

// Pin returns the SHA-256 of the public key (SubjectPublicKeyInfo) in hexadecimal.
func (i Identity) Pin() string { return i.key.String() }

// LoadIdentity reads the key in the folder dir, or makes one (ECDSA P-256) when there is none. A key that is there but
// cannot be used is an error, never replaced: the PCs that trust it would be lost.
func LoadIdentity(dir string) (Identity, error) {
	path := filepath.Join(dir, keyFile)
	key, err := readKey(path)
	if errors.Is(err, fs.ErrNotExist) {
		if err := makeKey(path); err != nil {
			return Identity{}, fmt.Errorf("make the agents' key %s: %w", path, err)
		}
		key, err = readKey(path)
	}
	if err != nil {
		return Identity{}, err
	}
	return newIdentity(key)
}

func newIdentity(key *ecdsa.PrivateKey) (Identity, error) {
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "Aula"},
		// Agents look at no date: a PC's clock may be years off.
		NotBefore: time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC),
		NotAfter:  time.Date(2999, 12, 31, 0, 0, 0, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return Identity{}, fmt.Errorf("certificate of the agents' key: %w", err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		return Identity{}, fmt.Errorf("certificate of the agents' key: %w", err)
	}
	return Identity{
		certificate: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf},
		key:         protocol.KeyOf(leaf),
	}, nil
}

// readKey reads the key after making sure that nobody else on this machine can have read or placed it.
func readKey(path string) (*ecdsa.PrivateKey, error) {
	// O_NOFOLLOW: a link could lead to a file of somebody else's choice.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, fmt.Errorf("agents' key: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("agents' key: %w", err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("agents' key %s is not a plain file: restore it from a backup", path)
	}
	if perm := info.Mode().Perm(); perm&0o077 != 0 {
		return nil, fmt.Errorf("agents' key %s can be read by others (mode %04o): if nobody has copied it, run chmod 600 on it", path, perm)
	}
	if st, ok := info.Sys().(*syscall.Stat_t); ok && int(st.Uid) != os.Geteuid() {
		return nil, fmt.Errorf("agents' key %s belongs to user %d and the server runs as user %d: run chown on it", path, st.Uid, os.Geteuid())
	}
	text, err := io.ReadAll(io.LimitReader(f, 64<<10))
	if err != nil {
		return nil, fmt.Errorf("agents' key %s: %w", path, err)
	}
	key, err := parseKey(text)
	if err != nil {
		return nil, fmt.Errorf("agents' key %s: %w: restore it from a backup, or remove it to make a new one (every PC in the client OS must then boot again)", path, err)
	}
	return key, nil
}

func parseKey(text []byte) (*ecdsa.PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil || block.Type != "PRIVATE KEY" {
		return nil, fmt.Errorf("%d bytes that hold no private key in PEM form", len(text))
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("not an ECDSA key on the curve P-256")
	}
	return key, nil
}

// makeKey writes a new key under its final name only when it is whole and on stable storage, and never over another one.
func makeKey(path string) (err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+keyFile+".*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.Remove(f.Name())) }()
	if err := errors.Join(pem.Encode(f, &pem.Block{Type: "PRIVATE KEY", Bytes: der}), f.Sync(), f.Close()); err != nil {
		return err
	}
	// A link, unlike a rename, fails when there is a file of that name: the one who came first wins.
	if err := os.Link(f.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(filepath.Dir(path))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
