package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"aula/webui/client"
)

// A remote is where the commands about PCs find the appliance: on this machine, or elsewhere by the console's address.
type remote struct {
	server
	URL   string `help:"Address of the console, of an appliance on another machine." name:"server" env:"AULA_SERVER" placeholder:"https://HOST:PORT"`
	Token string `help:"Token for --server, as POST /api/v1/sessions gives it; others see it here: better in the environment." env:"AULA_TOKEN" placeholder:"TOKEN"`
	CA    string `help:"Certificate to know --server by: console.crt of its data folder." name:"ca" env:"AULA_CA" placeholder:"FILE"`
}

// client is a client of it. It takes the place of the server's own.
func (r remote) client() (*client.Client, error) {
	if r.URL == "" {
		return r.server.client()
	}
	c, err := client.New(r.URL)
	if err != nil {
		return nil, exitError{fmt.Errorf("--server: %w", err), exitNoFile}
	}
	c.Token = r.Token
	if r.CA == "" {
		return c, nil
	}
	pem, err := os.ReadFile(r.CA)
	if err != nil {
		return nil, exitError{fmt.Errorf("--ca: %w", err), exitNoFile}
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		return nil, exitError{fmt.Errorf("--ca %s: it holds no certificate in PEM form", r.CA), exitNoFile}
	}
	c.HTTP.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, TLSHandshakeTimeout: 10 * time.Second}
	return c, nil
}

// explain adds what a technician can do about an answer of the appliance, and gives it its exit status.
func (r remote) explain(err error) error {
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.Is(err, client.ErrDenied):
		return fmt.Errorf("%w (a token is valid for 12 hours after its last use: log in anew by POST /api/v1/sessions, and put it into AULA_TOKEN)", err)
	case errors.As(err, &unknown):
		return fmt.Errorf("%w (give its console.crt with --ca)", err)
	}
	return answerError(err)
}
