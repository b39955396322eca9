package lab

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
)

// leaseScript is what udhcpc runs when something happens to its lease. It hands the lease to the classroom; nothing in it
// comes from outside.
const leaseScript = `#!/bin/sh
if [ "$1" = bound ]; then env; echo end-of-lease; fi
`

func (l *Lab) leaseScript() string { return filepath.Join(l.Dir(), "lease-script") }

func (l *Lab) writeLeaseScript() error {
	return os.WriteFile(l.leaseScript(), []byte(leaseScript), 0o700)
}

// A lease is a native PC's address, and the DHCP client that keeps it.
type lease struct {
	address netip.Prefix
	script  string // URL of the boot script
	ownDisk bool   // DHCP sends the PC on to its own disk
	client  *child
}

// close ends the client without giving the address back, as a PC does when its boot loader ends.
func (l *lease) close() { l.client.kill() }

// lease asks the classroom for an address as iPXE does, with Busybox's DHCP client, and sets it on the NIC.
func (p *NativePC) lease(ctx context.Context) (*lease, error) {
	cmd := inNamespace(p.name, "udhcpc", "-f", "-i", nicOf, "-s", p.script,
		"-t", "5", "-T", "2", "-A", "1", // discover five times 2 s apart, then again after 1 s
		"-V", "PXEClient:Arch:00000:UNDI:002001", // option 60
		"-x", "0x5d:0000", // client architecture, RFC 4578 2.1: BIOS
		"-x", "0x4d:69505845", // user class, the four letters of iPXE
		"-O", "bootfile")
	cmd.Stderr = p.serial
	said, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	client, err := startChild(cmd)
	if err != nil {
		return nil, fmt.Errorf("ask for an address: %w", err)
	}
	// Cutting the power ends the client, and with it what is read here.
	stop := context.AfterFunc(ctx, client.kill)
	defer stop()
	got, err := readLease(said)
	if err == nil {
		err = command("ip", "-netns", p.name, "address", "replace", got.address.String(), "dev", nicOf)
	}
	if err != nil {
		client.kill()
		return nil, fmt.Errorf("no address from DHCP: %w", err)
	}
	got.client = client
	return got, nil
}

// vendorOptions is how Busybox calls option 43.
const vendorOptions = "opt43"

// readLease reads what leaseScript says.
func readLease(r io.Reader) (*lease, error) {
	said := map[string]string{}
	for lines := bufio.NewScanner(r); lines.Scan(); {
		name, value, ok := strings.Cut(lines.Text(), "=")
		if ok {
			said[name] = value
			continue
		}
		if name != "end-of-lease" {
			continue
		}
		address, err := netip.ParsePrefix(said["ip"] + "/" + said["mask"])
		if err != nil {
			return nil, fmt.Errorf("lease: %w", err)
		}
		script := said["bootfile"]
		if script == "" {
			script = said["boot_file"]
		}
		// A menu of boot servers for the ROM, and no file: its only entry is "local boot".
		return &lease{address: address, script: script, ownDisk: script == "" && said[vendorOptions] != ""}, nil
	}
	return nil, errors.New("the DHCP client ended without a lease")
}
