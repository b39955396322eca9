package chain

import (
	"net/netip"
	"strings"
	"testing"

	"aula/appliance/lab"
	"aula/netboot"
)

// TestForeignDHCP boots PCs where another server leases the addresses, which the appliance finds by itself: it leases none, and the PCs boot from it all the same.
func TestForeignDHCP(t *testing.T) {
	c := startClassroom(t, lab.Config{OwnDisk: true, Mode: netboot.ModeAuto, Foreign: true})
	c.role = "proxy"
	c.each(t, securePXE, bios)

	first, last := netip.MustParseAddr(lab.ForeignFirst), netip.MustParseAddr(lab.ForeignLast)
	c.tape.mu.Lock()
	defer c.tape.mu.Unlock()
	leased := 0
	for _, p := range c.tape.packets {
		if p.dhcpKind() != "ACK" && p.dhcpKind() != "OFFER" || p.source.Addr().String() == lab.ForeignAddress {
			continue
		}
		if your := netip.AddrFrom4([4]byte(p.payload[16:20])); !your.IsUnspecified() {
			leased++
			t.Errorf("the appliance, %s, leases %s, but %s to %s are the other server's", p.source, your, first, last)
		}
	}
	log, err := c.Foreign().Log()
	if err != nil || strings.Count(log, "DHCPACK") == 0 {
		t.Errorf("the other server has leased nothing: %v\n%s", err, log)
	}
}
