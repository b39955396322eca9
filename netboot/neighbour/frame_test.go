package neighbour

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/bpf"
)

func sample() []byte {
	return request(otherAddr, netip.MustParseAddr("10.20.30.80")).frame(everybody)
}

func TestParse(t *testing.T) {
	good := sample()
	tagged := func(id byte) []byte { return slices.Insert(slices.Clone(good), 12, 0x81, 0, 0x20, id) }
	withOptions := slices.Insert(slices.Clone(good), 34, 1, 1, 1, 0)
	withOptions[14]++
	withOptions[17] += 4 // total length
	change := func(at int, to byte) []byte {
		b := slices.Clone(good)
		b[at] = to
		return b
	}
	for name, row := range map[string]struct {
		frame []byte
		want  string
	}{
		"good":                       {good, ""},
		"filled up":                  {append(slices.Clone(good), make([]byte, 20)...), ""},
		"with a priority":            {tagged(0), ""},
		"of another VLAN":            {tagged(7), "VLAN 7"},
		"IPv4 options":               {withOptions, ""},
		"empty":                      {nil, "shorter than its header"},
		"header alone":               {good[:14], "IPv4 packet shorter"},
		"IPv6":                       {change(12, 0x86), "not IPv4"},
		"wrong version":              {change(14, 0x65), "IP version 6"},
		"header too short":           {change(14, 0x44), "header of 16 bytes"},
		"header too long":            {change(14, 0x4f)[:60], "header of 60 bytes"},
		"cut off":                    {good[:len(good)-1], "came"},
		"fragment":                   {change(20, 0x20), "fragment"},
		"not UDP":                    {change(23, 6), "not UDP"},
		"UDP longer than the packet": {change(38, 0xff), "UDP length"},
		"UDP shorter than itself":    {change(39, 7), "UDP length"},
		"no DHCP":                    {change(42+236, 0), "not a DHCP packet"},
	} {
		if name == "UDP shorter than itself" {
			row.frame[38] = 0
		}
		p, err := parse(row.frame)
		switch {
		case row.want == "" && (err != nil || p.to != everyServer || p.source != nobody || p.from.String() != pcMAC.String() || !p.dhcp.ServerIdentifier().Equal(otherAddr.AsSlice())):
			t.Errorf("%s: %+v, %v", name, p, err)
		case row.want != "" && (err == nil || !strings.Contains(err.Error(), row.want)):
			t.Errorf("%s: %v, want an error with %q", name, err, row.want)
		}
	}
}

// The checksums are right: the sum over all of it, with them, is zero.
func TestFrameChecksums(t *testing.T) {
	f := sample()
	if got := checksum(f[14:34], 0); got != 0 {
		t.Errorf("IPv4 checksum is off by %04x", got)
	}
	if got := checksum(f[34:], partial(f[26:34], protocolUDP+uint32(len(f)-34))); got != 0 {
		t.Errorf("UDP checksum is off by %04x", got)
	}
}

func TestFilter(t *testing.T) {
	vm, err := bpf.NewVM(dhcp)
	if err != nil {
		t.Fatal(err)
	}
	good := sample()
	change := func(at int, to ...byte) []byte {
		b := slices.Clone(good)
		copy(b[at:], to)
		return b
	}
	for name, row := range map[string]struct {
		frame []byte
		pass  bool
	}{
		"to a server": {good, true}, "to a client": {change(36, 0, 68), true}, "to a boot server": {change(36, 0x0f, 0xab), true},
		"to DNS": {change(36, 0, 53), false}, "TCP": {change(23, 6), false}, "ARP": {change(12, 8, 6), false}, "fragment": {change(20, 0, 1), false},
		"longer header": {slices.Insert(change(14, 0x46), 34, 1, 1, 1, 0), true}, "short": {good[:30], false},
	} {
		if n, err := vm.Run(row.frame); err != nil || (n > 0) != row.pass {
			t.Errorf("%s: %d, %v, want it to pass: %v", name, n, err, row.pass)
		}
	}
}

func FuzzParse(f *testing.F) {
	good := sample()
	f.Add(good)
	f.Add(slices.Insert(slices.Clone(good), 12, 0x81, 0, 0, 0))
	f.Add(good[:len(good)-3])
	f.Add(offer(request(otherAddr, otherAddr).dhcp, otherAddr).frame(everybody))
	f.Fuzz(func(t *testing.T, frame []byte) {
		p, err := parse(frame)
		if err != nil {
			return
		}
		if p.dhcp == nil || !p.source.IsValid() || !p.to.IsValid() || len(p.from) != 6 {
			t.Fatalf("half a packet: %+v", p)
		}
		if h, ok := helloOf(p.dhcp); ok && (!plainName(h.name) || !h.address.Is4()) {
			t.Errorf("took the name %q at %s", h.name, h.address)
		}
		for _, r := range bootFile(p.dhcp) {
			if r < ' ' || r > '~' {
				t.Errorf("boot file with %q", r)
			}
		}
		c := newCable(nil) // whatever it is, a Lookout lives through it
		(newLookout(Config{NIC: &testNIC, Name: "schiller", Own: func() []netip.Addr { return []netip.Addr{ownAddr} }}, c)).hear(p)
		again, err := parse(p.frame(everybody))
		if err != nil || again.source != p.source || again.to != p.to {
			t.Errorf("written again it is %+v, %v", again, err)
		}
	})
}
