package advert

import (
	"encoding/hex"
	"net"
	"net/netip"
	"testing"
)

// solicitation is what Linux and iPXE send: from an address of the link, with the option of the sender's MAC.
func solicitation(from netip.Addr, options ...byte) []byte {
	to := netip.MustParseAddr("ff02::2")
	body := append([]byte{133, 0, 0, 0, 0, 0, 0, 0}, options...)
	sum := checksum(from, to, body)
	body[2], body[3] = byte(sum>>8), byte(sum)
	p := append([]byte{6 << 4, 0, 0, 0, 0, byte(len(body)), 58, 255}, from.AsSlice()...)
	return append(append(p, to.AsSlice()...), body...)
}

var (
	pcMAC     = net.HardwareAddr{0x52, 0x54, 0, 0x12, 0x34, 0x56}
	ofPC      = netip.MustParseAddr("fe80::5054:ff:fe12:3456")
	sourceMAC = []byte{1, 1, 0x52, 0x54, 0, 0x12, 0x34, 0x56}
)

// captured is a solicitation of QEMU's iPXE ROM of 2019, from its IPv6 header on.
const captured = "6000000000103afffe80000000000000505400fffe123456ff020000000000000000000000000002" + "850071b5000000000101525400123456"

func TestParse(t *testing.T) {
	change := func(at int, to byte) []byte {
		p := solicitation(ofPC, sourceMAC...)
		p[at] = to
		return p
	}
	rom, err := hex.DecodeString(captured)
	if err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string]struct {
		packet []byte
		ok     bool
	}{
		"of the ROM":                      {rom, true},
		"with the MAC":                    {solicitation(ofPC, sourceMAC...), true},
		"without options":                 {solicitation(ofPC), true},
		"no address yet":                  {solicitation(netip.IPv6Unspecified()), true},
		"no address, but a MAC":           {solicitation(netip.IPv6Unspecified(), sourceMAC...), false},
		"from afar":                       {solicitation(netip.MustParseAddr("2001:db8::1"), sourceMAC...), false},
		"padded by Ethernet":              {append(solicitation(ofPC), 0, 0, 0, 0), true},
		"empty":                           {nil, false},
		"short":                           {solicitation(ofPC)[:47], false},
		"IPv4":                            {change(0, 4<<4), false},
		"not ICMPv6":                      {change(6, 17), false},
		"forwarded by a router":           {change(7, 254), false},
		"another type":                    {change(40, 134), false},
		"another code":                    {change(41, 1), false},
		"wrong checksum":                  {change(43, 0), false},
		"longer than it is":               {change(5, 200), false},
		"shorter than a solicitation":     {change(5, 4), false},
		"option of no length":             {solicitation(ofPC, 1, 0, 0, 0, 0, 0, 0, 0), false},
		"option that leaves the packet":   {solicitation(ofPC, 1, 2, 0, 0, 0, 0, 0, 0), false},
		"option that is cut":              {solicitation(ofPC, 1, 1, 0, 0), false},
		"an option that nobody has named": {solicitation(ofPC, 250, 1, 0, 0, 0, 0, 0, 0), true},
	} {
		if _, ok := parse(row.packet); ok != row.ok {
			t.Errorf("%s: parse says %v, want %v", name, ok, row.ok)
		}
	}
}

// The advertisement has to offer nothing: this is what makes it harmless.
func TestAdvertisementOffersNothing(t *testing.T) {
	from := netip.MustParseAddr("fe80::1")
	p := advertisement(from, ofPC, net.HardwareAddr{2, 0, 0, 0, 0, 1})
	const want = "6000000000183afffe800000000000000000000000000001fe80000000000000505400fffe123456" +
		"8600" + "%s" + "0000" + "0000" + "00000000" + "00000000" + "0101020000000001"
	got := hex.EncodeToString(p)
	sum := got[84:88]
	if got != want[:84]+sum+want[86:] {
		t.Errorf("advertisement is\n%s", got)
	}
	if checksum(from, ofPC, p[headerSize:]) != 0 {
		t.Error("its checksum is wrong")
	}
	if p := advertisement(from, netip.IPv6Unspecified(), pcMAC); netip.AddrFrom16([16]byte(p[24:40])) != allNodes {
		t.Error("a PC without an address is not answered at that of all nodes")
	}
}

func TestMadeUpAddressIsNotTheKernels(t *testing.T) {
	if a := madeUp(pcMAC); !a.IsLinkLocalUnicast() || a == ofPC || a != netip.MustParseAddr("fe80::5254:ff:fe12:3456") {
		t.Errorf("made up %s", a)
	}
}

func FuzzParse(f *testing.F) {
	rom, err := hex.DecodeString(captured)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(rom)
	f.Add(solicitation(ofPC))
	f.Add(solicitation(netip.IPv6Unspecified(), sourceMAC...))
	f.Add(solicitation(ofPC, append(sourceMAC, 14, 1, 1, 2, 3, 4, 5, 6)...))
	f.Fuzz(func(t *testing.T, p []byte) {
		from, ok := parse(p)
		if !ok {
			return
		}
		if !from.IsUnspecified() && !from.IsLinkLocalUnicast() {
			t.Errorf("a PC at %s is answered", from)
		}
		if reply := advertisement(madeUp(pcMAC), from, pcMAC); len(reply) != 64 {
			t.Errorf("answer of %d bytes", len(reply))
		}
	})
}
