package arp

import (
	"net"
	"net/netip"
	"testing"

	"aula/netboot/lease"
)

// The probe itself is tested in package netboot, against a real network stack.

func TestRequestClaimsNoAddress(t *testing.T) {
	own := net.HardwareAddr{0x52, 0x54, 0, 0, 0, 1}
	p := request(own, netip.MustParseAddr("10.0.0.7"))
	want := []byte{0, 1, 8, 0, 6, 4, 0, 1, 0x52, 0x54, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10, 0, 0, 7}
	if string(p) != string(want) {
		t.Errorf("request = %v, want %v", p, want)
	}
	if mac, a, ok := parse(p); ok {
		t.Errorf("parse takes another's probe for a user of an address: %s at %s", mac, a)
	}
}

func TestParse(t *testing.T) {
	reply := []byte{0, 1, 8, 0, 6, 4, 0, 2, 0x52, 0x54, 0, 0, 0, 9, 10, 0, 0, 7, 0x52, 0x54, 0, 0, 0, 1, 0, 0, 0, 0}
	for name, row := range map[string]struct {
		packet []byte
		ok     bool
	}{
		"reply":             {reply, true},
		"reply with a tail": {append(append([]byte(nil), reply...), make([]byte, 18)...), true},
		"short":             {reply[:27], false},
		"empty":             {nil, false},
		"another protocol":  {append([]byte{0, 1, 0x86, 0xdd}, reply[4:]...), false},
		"sender is a group": {append(append(append([]byte(nil), reply[:8]...), 1), reply[9:]...), false},
	} {
		mac, a, ok := parse(row.packet)
		if ok != row.ok {
			t.Errorf("%s: parse = %v, want %v", name, ok, row.ok)
		}
		if want := (lease.MAC{0x52, 0x54, 0, 0, 0, 9}); ok && (mac != want || a.String() != "10.0.0.7") {
			t.Errorf("%s: parse = %s at %s, want %s at 10.0.0.7", name, mac, a, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte{0, 1, 8, 0, 6, 4, 0, 2, 0x52, 0x54, 0, 0, 0, 9, 10, 0, 0, 7, 0x52, 0x54, 0, 0, 0, 1, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, p []byte) {
		if mac, a, ok := parse(p); ok && (!a.Is4() || mac == lease.MAC{}) {
			t.Errorf("parse = %s at %s", mac, a)
		}
	})
}
