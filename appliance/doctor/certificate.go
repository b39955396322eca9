package doctor

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"time"

	"aula/appliance"
)

// certificateFacts are what is known of the console's certificate.
type certificateFacts struct {
	path    string
	err     error
	found   *x509.Certificate
	address netip.Addr // of the appliance
	now     time.Time
}

func testCertificate(_ context.Context, m *machine) []Result {
	f := certificateFacts{path: appliance.CertificatePath(m.cfg.Data), address: m.address.Addr(), now: time.Now()}
	f.found, f.err = readCertificate(f.path)
	return judgeCertificate(f)
}

func readCertificate(path string) (*x509.Certificate, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("it is not in PEM form")
	}
	return x509.ParseCertificate(block.Bytes)
}

// soon is how long before its end a certificate is worth a warning.
const soon = 30 * 24 * time.Hour

func judgeCertificate(f certificateFacts) []Result {
	const test = "certificate"
	renew := fmt.Sprintf("put a new one and its key there, or remove both (%s and the .key beside it) and start the appliance again, which makes them", f.path)
	switch {
	case errors.Is(f.err, fs.ErrNotExist):
		return []Result{{test, OK, "the console's will be made at the first start", ""}}
	case errors.Is(f.err, fs.ErrPermission):
		return []Result{{test, Warning, f.path + " may not be read", "run this as root (sudo aula doctor)"}}
	case f.err != nil:
		return []Result{{test, Problem, fmt.Sprintf("%s: %v", f.path, f.err), renew}}
	case f.now.After(f.found.NotAfter):
		return []Result{{test, Problem, "the console's ended on " + f.found.NotAfter.Format(time.DateOnly), renew}}
	case f.now.Before(f.found.NotBefore):
		return []Result{{test, Problem, "the console's begins on " + f.found.NotBefore.Format(time.DateOnly) + ", which is not yet", "set the clock of this machine"}}
	case f.found.NotAfter.Sub(f.now) < soon:
		return []Result{{test, Warning, "the console's ends on " + f.found.NotAfter.Format(time.DateOnly), renew}}
	case f.address.IsValid() && f.found.VerifyHostname(net.IP(f.address.AsSlice()).String()) != nil && len(f.found.IPAddresses) > 0:
		return []Result{{test, Warning, fmt.Sprintf("the console's is not for %s, where it answers", f.address), renew + "; browsers warn of it until then"}}
	default:
		return []Result{{test, OK, "the console's ends on " + f.found.NotAfter.Format(time.DateOnly), ""}}
	}
}
