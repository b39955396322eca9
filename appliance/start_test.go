package appliance

import (
	"crypto/x509"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func mustAddr(s string) netip.Addr { return netip.MustParseAddr(s) }

func TestAbsentInterfaceIsNamedWithThoseThereAre(t *testing.T) {
	_, err := ChooseInterface("no-such-nic")
	if err == nil || !strings.Contains(err.Error(), "no-such-nic does not exist") {
		t.Errorf("got error %v", err)
	}
}

func TestPortInUseSaysWhichSettingToChange(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, err = listenTCP(taken.Addr().String(), "web console", "console.listen")
	if err == nil || !strings.Contains(err.Error(), "in use by another program") || !strings.Contains(err.Error(), "console.listen") {
		t.Errorf("got error %v", err)
	}
}

func TestSocketOfADeadServerIsReplacedAndPrivate(t *testing.T) {
	path := filepath.Join(t.TempDir(), "aula.sock")
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := listenLocal(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != 0o600 {
		t.Errorf("mode of the socket: got %o, want 600", got)
	}
}

func TestConsoleCertificateIsMadeOnceAndKept(t *testing.T) {
	dir := t.TempDir()
	address := net.IPv4(10, 77, 0, 1)
	first, err := consoleCertificate(dir, []net.IP{address}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(first.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{address.String(), "127.0.0.1", "localhost"} {
		if err := leaf.VerifyHostname(host); err != nil {
			t.Error(err)
		}
	}
	key, err := os.Stat(filepath.Join(dir, consoleKey))
	if err != nil {
		t.Fatal(err)
	}
	if got := key.Mode().Perm(); got != 0o600 {
		t.Errorf("mode of the key: got %o, want 600", got)
	}
	second, err := consoleCertificate(dir, nil, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if fingerprint(first) != fingerprint(second) {
		t.Error("the second start made another certificate")
	}
}

func TestHalfACertificateIsNotReplaced(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, consoleCert), []byte("the operator's own"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := consoleCertificate(dir, nil, time.Now()); err == nil || !strings.Contains(err.Error(), "put a valid pair there") {
		t.Errorf("got error %v", err)
	}
	if text, err := os.ReadFile(filepath.Join(dir, consoleCert)); err != nil || string(text) != "the operator's own" {
		t.Errorf("the operator's file is now %q, %v", text, err)
	}
}
