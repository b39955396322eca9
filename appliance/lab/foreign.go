package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Addresses of the foreign DHCP server and of the range that it leases.
const (
	ForeignAddress = "10.77.0.2"
	ForeignFirst   = "10.77.0.50"
	ForeignLast    = "10.77.0.99"
)

const (
	foreignName = "foreign"
	foreignMAC  = "52:54:00:77:ff:01"
)

// A ForeignDHCP is somebody else's DHCP server in the classroom: dnsmasq, which leases addresses and knows nothing of booting.
type ForeignDHCP struct {
	server *child
	log    *os.File
}

// Foreign is the other DHCP server, with Config.Foreign.
func (l *Lab) Foreign() *ForeignDHCP { return l.foreign }

// addForeign starts a foreign DHCP server on a machine of its own.
func (l *Lab) addForeign() (*ForeignDHCP, error) {
	if _, err := exec.LookPath("dnsmasq"); err != nil {
		return nil, fmt.Errorf("foreign DHCP server (package dnsmasq-base): %w", err)
	}
	log, err := os.Create(filepath.Join(l.Dir(), foreignName+".log"))
	if err != nil {
		return nil, err
	}
	f := &ForeignDHCP{log: log}
	l.own(f)
	if err := plugNamespace(foreignName, foreignMAC); err != nil {
		return nil, err
	}
	if err := command("ip", "-netns", foreignName, "address", "add", ForeignAddress+"/24", "broadcast", "+", "dev", nicOf); err != nil {
		return nil, fmt.Errorf("foreign DHCP server: %w", err)
	}
	cmd := inNamespace(foreignName, "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--user=root", "--pid-file=",
		"--port=0", // no DNS
		"--interface="+nicOf, "--dhcp-range="+ForeignFirst+","+ForeignLast+",10m", "--dhcp-authoritative",
		"--no-ping", // it would try each address for 3 s before it offers it
		"--dhcp-leasefile="+filepath.Join(l.Dir(), foreignName+".leases"), "--log-dhcp", "--log-facility=-")
	cmd.Stdout, cmd.Stderr = log, log
	if f.server, err = startChild(cmd); err != nil {
		return nil, fmt.Errorf("foreign DHCP server: %w", err)
	}
	return f, nil
}

// Log is what the server has written.
func (f *ForeignDHCP) Log() (string, error) {
	text, err := os.ReadFile(f.log.Name())
	return string(text), err
}

func (f *ForeignDHCP) close() error {
	if f.server != nil {
		f.server.kill()
	}
	return errors.Join(unplug(foreignName), command("ip", "netns", "delete", foreignName), f.log.Close())
}
