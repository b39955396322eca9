package chain

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// With -captures FOLDER what each PC sends to DHCP's ports is kept there, one file for each kind, as netboot/dhcp/testdata/captures/README.md says.
var captures = flag.String("captures", "", "folder for the DHCP packets of real firmware")

// capture keeps what a PC has sent to DHCP while it booted.
func (p *pc) capture(t *testing.T, role string) {
	t.Helper()
	if *captures == "" {
		return
	}
	about := "OVMF 2022.11"
	if p.spec.Firmware == "bios" {
		about = "iPXE ROM of QEMU 7.2"
	}
	name := strings.ToLower(strings.ReplaceAll(p.name, " ", "-")) + "-" + role + ".txt"
	text := fmt.Sprintf("# %s, %s, from power-on to the agent of the client OS.\nserver 10.77.0.1/24\nrole %s\n", about, p.name, role)
	if err := os.WriteFile(filepath.Join(*captures, name), []byte(text+dump(p.packets(), p.MAC())), 0o644); err != nil {
		t.Error(err)
	}
}

// dump writes what a PC sent to DHCP's ports.
func dump(packets []packet, mac string) string {
	var b strings.Builder
	for _, p := range packets {
		if port := p.target.Port(); !p.isDHCP() || p.from != mac || port != dhcpServer && port != pxeServer {
			continue
		}
		fmt.Fprintf(&b, "\npacket %d from %s\n", p.target.Port(), p.source)
		for at := 0; at < len(p.payload); at += 16 {
			fmt.Fprintf(&b, "  %04x  % x\n", at, p.payload[at:min(at+16, len(p.payload))])
		}
	}
	return b.String()
}
