package dhcp

import (
	"bytes"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/iana"

	"aula/netboot/lease"
)

var (
	now    = time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	server = ip(1)
	pc1    = lease.MAC{0x52, 0x54, 0, 0, 0, 1}
	pc2    = lease.MAC{0x52, 0x54, 0, 0, 0, 2}
)

func ip(last byte) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, last}) }

func testNetwork() Network {
	return Network{
		Server: server,
		Subnets: []Subnet{{
			Prefix: netip.MustParsePrefix("10.0.0.0/24"), First: ip(10), Last: ip(12), Gateway: ip(254), DNS: []netip.Addr{ip(2), ip(3)},
		}},
		LeaseTime: time.Hour, HTTP: "10.0.0.1", Files: Files{BIOS: "undionly.kpxe", UEFI: "shimx64.efi"},
		Script: func(m lease.MAC, f Firmware) string {
			return fmt.Sprintf("http://10.0.0.1/boot/%s/script.ipxe?firmware=%s", m, f)
		},
	}
}

// newResponder has a network whose addresses have been found silent.
func newResponder(leases ...lease.Lease) *Responder {
	s := NewResponder(testNetwork(), lease.NewBook(testNetwork().pools(), leases), nil)
	for _, last := range []byte{10, 11, 12} {
		s.vouched[ip(last)] = now
	}
	return s
}

func bound(last byte, mac lease.MAC) lease.Lease {
	return lease.Lease{Address: ip(last), MAC: mac, State: lease.Bound, Expires: now.Add(time.Hour)}
}

type option = dhcpv4.Modifier

func generic(code uint8, v ...byte) option {
	return dhcpv4.WithOption(dhcpv4.OptGeneric(dhcpv4.GenericOptionCode(code), v))
}
func wants(a netip.Addr) option       { return dhcpv4.WithOption(dhcpv4.OptRequestedIPAddress(a.AsSlice())) }
func to(a netip.Addr) option          { return dhcpv4.WithOption(dhcpv4.OptServerIdentifier(a.AsSlice())) }
func uses(a netip.Addr) option        { return dhcpv4.WithClientIP(a.AsSlice()) }
func through(relay netip.Addr) option { return dhcpv4.WithGatewayIP(relay.AsSlice()) }
func arch(a ...iana.Arch) option {
	return dhcpv4.WithOption(dhcpv4.OptClientArch(a...))
}
func class(s string) option { return dhcpv4.WithOption(dhcpv4.OptClassIdentifier(s)) }

// packet makes what a PC sends.
func packet(t testing.TB, mac lease.MAC, kind dhcpv4.MessageType, options ...option) []byte {
	t.Helper()
	p, err := dhcpv4.New(append([]option{dhcpv4.WithHwAddr(net.HardwareAddr(mac[:])), dhcpv4.WithMessageType(kind)}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	return p.ToBytes()
}

func request(t testing.TB, mac lease.MAC, kind dhcpv4.MessageType, options ...option) Request {
	t.Helper()
	r, err := Decode(packet(t, mac, kind, options...))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const (
	discover = dhcpv4.MessageTypeDiscover
	ask      = dhcpv4.MessageTypeRequest
	offer    = dhcpv4.MessageTypeOffer
	ack      = dhcpv4.MessageTypeAck
	nak      = dhcpv4.MessageTypeNak
	silence  = dhcpv4.MessageTypeNone
)

// The rows of RFC 2131 that concern one subnet without relays, as a technician would tell them.
func TestAnswers(t *testing.T) {
	everybody := "255.255.255.255:68"
	for _, row := range []struct {
		name    string
		leases  []lease.Lease
		mac     lease.MAC
		kind    dhcpv4.MessageType
		options []option
		want    dhcpv4.MessageType
		address netip.Addr // in the reply
		to      string
		durable bool
	}{
		{name: "unknown PC looks for a server",
			mac: pc1, kind: discover, want: offer, address: ip(10), to: "frame to 10.0.0.10:68"},
		{name: "known PC looks for a server, wanting another address than it has",
			leases: []lease.Lease{bound(11, pc1)}, mac: pc1, kind: discover, options: []option{wants(ip(10))}, want: offer, address: ip(11), to: "frame to 10.0.0.11:68"},
		{name: "PC from another network looks for a server",
			mac: pc1, kind: discover, options: []option{wants(netip.MustParseAddr("192.168.1.77"))}, want: offer, address: ip(10), to: "frame to 10.0.0.10:68"},
		{name: "all addresses are in use",
			leases: []lease.Lease{bound(10, pc2), bound(11, lease.MAC{2, 3}), bound(12, lease.MAC{2, 4})}, mac: pc1, kind: discover, want: silence},

		{name: "PC takes our offer",
			mac: pc1, kind: ask, options: []option{to(server), wants(ip(10))}, want: ack, address: ip(10), to: "frame to 10.0.0.10:68", durable: true},
		{name: "PC takes another server's offer",
			mac: pc1, kind: ask, options: []option{to(ip(99)), wants(ip(10))}, want: silence},
		{name: "PC takes an offer that has since been given to another PC",
			leases: []lease.Lease{bound(10, pc2)}, mac: pc1, kind: ask, options: []option{to(server), wants(ip(10))}, want: nak, to: everybody},
		{name: "PC takes an address outside the pool",
			mac: pc1, kind: ask, options: []option{to(server), wants(ip(200))}, want: nak, to: everybody},
		{name: "PC takes the appliance's own address",
			mac: pc1, kind: ask, options: []option{to(server), wants(server)}, want: nak, to: everybody},

		{name: "PC renews",
			leases: []lease.Lease{bound(11, pc1)}, mac: pc1, kind: ask, options: []option{uses(ip(11))}, want: ack, address: ip(11), to: "10.0.0.11:68", durable: true},
		{name: "PC renews and names the server, as some do",
			leases: []lease.Lease{bound(11, pc1)}, mac: pc1, kind: ask, options: []option{uses(ip(11)), to(server)}, want: ack, address: ip(11), to: "10.0.0.11:68", durable: true},
		{name: "PC renews after the lease database was lost",
			mac: pc1, kind: ask, options: []option{uses(ip(11))}, want: ack, address: ip(11), to: "10.0.0.11:68", durable: true},
		{name: "PC renews another PC's address",
			leases: []lease.Lease{bound(11, pc2)}, mac: pc1, kind: ask, options: []option{uses(ip(11))}, want: nak, to: everybody},
		{name: "PC renews an address that a smaller pool left outside",
			leases: []lease.Lease{bound(77, pc1)}, mac: pc1, kind: ask, options: []option{uses(ip(77))}, want: nak, to: everybody},

		{name: "known PC starts again with its address",
			leases: []lease.Lease{bound(11, pc1)}, mac: pc1, kind: ask, options: []option{wants(ip(11))}, want: ack, address: ip(11), to: "frame to 10.0.0.11:68", durable: true},
		{name: "known PC starts again with a wrong address",
			leases: []lease.Lease{bound(11, pc1)}, mac: pc1, kind: ask, options: []option{wants(ip(12))}, want: nak, to: everybody},
		{name: "unknown PC starts again with an address of this network",
			mac: pc1, kind: ask, options: []option{wants(ip(12))}, want: silence},
		{name: "unknown PC starts again with an address of another network",
			mac: pc1, kind: ask, options: []option{wants(netip.MustParseAddr("192.168.1.77"))}, want: nak, to: everybody},

		{name: "PC finds something else at its address",
			leases: []lease.Lease{bound(11, pc1)}, mac: pc1, kind: dhcpv4.MessageTypeDecline, options: []option{to(server), wants(ip(11))}, want: silence, durable: true},
		{name: "PC declines another PC's address",
			leases: []lease.Lease{bound(11, pc2)}, mac: pc1, kind: dhcpv4.MessageTypeDecline, options: []option{to(server), wants(ip(11))}, want: silence},
		{name: "PC gives its address back",
			leases: []lease.Lease{bound(11, pc1)}, mac: pc1, kind: dhcpv4.MessageTypeRelease, options: []option{to(server), uses(ip(11))}, want: silence, durable: true},
		{name: "PC gives another PC's address back",
			leases: []lease.Lease{bound(11, pc2)}, mac: pc1, kind: dhcpv4.MessageTypeRelease, options: []option{to(server), uses(ip(11))}, want: silence},
		{name: "PC with a fixed address asks for the rest",
			mac: pc1, kind: dhcpv4.MessageTypeInform, options: []option{uses(ip(200))}, want: ack, to: "10.0.0.200:68"},
		{name: "PC of another network asks for the rest",
			mac: pc1, kind: dhcpv4.MessageTypeInform, options: []option{uses(netip.MustParseAddr("192.168.1.77"))}, want: silence},

		{name: "PC behind a relay in this network looks for a server",
			mac: pc1, kind: discover, options: []option{through(ip(200))}, want: offer, address: ip(10), to: "10.0.0.200:67"},
		{name: "PC behind a relay in another network looks for a server",
			mac: pc1, kind: discover, options: []option{through(netip.MustParseAddr("192.168.1.1"))}, want: silence},
		{name: "PC behind a relay takes another PC's address",
			leases: []lease.Lease{bound(10, pc2)}, mac: pc1, kind: ask, options: []option{to(server), wants(ip(10)), through(ip(200))}, want: nak, to: "10.0.0.200:67"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newResponder(row.leases...)
			d := s.Decide(now, request(t, row.mac, row.kind, row.options...))
			if got := kindOfReply(d); got != row.want {
				t.Fatalf("reply = %s, want %s (%s)", got, row.want, d.Note)
			}
			if d.Durable != row.durable || (d.Durable != (s.book.Changes() != nil)) {
				t.Errorf("Durable = %v with changes %v, want %v", d.Durable, s.book.Changes(), row.durable)
			}
			if d.Reply == nil {
				return
			}
			if got := address(d.Reply.YourIPAddr); got != row.address {
				t.Errorf("address = %s, want %s", got, row.address)
			}
			if got := sentTo(d); got != row.to {
				t.Errorf("sent to %s, want %s", got, row.to)
			}
		})
	}
}

// sentTo says where a reply goes, and how.
func sentTo(d Decision) string {
	if d.Frame {
		return "frame to " + d.To.String()
	}
	return d.To.String()
}

func kindOfReply(d Decision) dhcpv4.MessageType {
	if d.Reply == nil {
		return silence
	}
	return d.Reply.MessageType()
}

func TestPCThatChoseAnotherServerLeavesItsOfferToOthers(t *testing.T) {
	n := testNetwork()
	n.Subnets[0].Last = ip(10)
	s := NewResponder(n, lease.NewBook(n.pools(), nil), nil)
	s.vouched[ip(10)] = now
	if d := s.Decide(now, request(t, pc1, discover)); d.Reply == nil {
		t.Fatal("no offer")
	}
	if d := s.Decide(now, request(t, pc2, discover)); d.Reply != nil {
		t.Fatal("the same address was offered to two PCs")
	}
	s.Decide(now, request(t, pc1, ask, to(ip(99)), wants(ip(10))))
	if d := s.Decide(now, request(t, pc2, discover)); d.Reply == nil {
		t.Error("an address that nobody wants any more is not offered")
	}
}

func TestExhaustionIsToldOnce(t *testing.T) {
	s := newResponder(bound(10, lease.MAC{2, 2}), bound(11, lease.MAC{2, 3}), bound(12, lease.MAC{2, 4}))
	said := 0
	for range 5 {
		if d := s.Decide(now, request(t, pc1, discover)); d.Note != "" {
			said++
		}
	}
	if said != 1 {
		t.Errorf("an empty pool was told %d times, want once", said)
	}
}

func TestAddressIsProbedBeforeItIsFirstOffered(t *testing.T) {
	s := NewResponder(testNetwork(), lease.NewBook(testNetwork().pools(), nil), nil)
	r := request(t, pc1, discover)
	d := s.Decide(now, r)
	if d.Reply != nil || d.Probe != ip(10) {
		t.Fatalf("decision = %+v, want a probe of %s", d, ip(10))
	}
	d = s.Probed(now, r, ip(10), Found{true, lease.MAC{2, 9}}) // a printer
	if d.Reply != nil || d.Probe != ip(11) || !strings.Contains(d.Note, "02:09:00:00:00:00 uses it") {
		t.Fatalf("decision = %+v, want the next address to be probed and the printer named", d)
	}
	d = s.Probed(now, r, ip(11), Found{})
	if kindOfReply(d) != offer || address(d.Reply.YourIPAddr) != ip(11) {
		t.Fatalf("decision = %+v, want an offer of %s", d, ip(11))
	}
	if d := s.Decide(now, request(t, pc1, discover)); d.Reply == nil {
		t.Error("an address that was just found silent is probed again")
	}
	if l, _ := s.book.At(ip(10)); l.State != lease.Quarantined {
		t.Errorf("the printer's address is %q, want quarantined", l.State)
	}

	known := NewResponder(testNetwork(), lease.NewBook(testNetwork().pools(), []lease.Lease{bound(12, pc1)}), nil)
	if d := known.Decide(now, r); d.Reply == nil {
		t.Error("an address is probed though the PC itself has it")
	}
	itself := NewResponder(testNetwork(), lease.NewBook(testNetwork().pools(), nil), nil)
	if d := itself.Probed(now, r, ip(10), Found{true, pc1}); d.Reply == nil {
		t.Error("a PC that answers at its own address gets no offer")
	}
}

// What each kind of firmware is told to load.
func TestBootLoaderByFirmware(t *testing.T) {
	script := func(f string) string { return "http://10.0.0.1/boot/52:54:00:00:00:01/script.ipxe?firmware=" + f }
	ipxe := generic(77, []byte("iPXE")...)
	for _, row := range []struct {
		name    string
		options []option
		file    string
	}{
		{"BIOS ROM", []option{class("PXEClient:Arch:00000:UNDI:002001"), arch(0)}, "undionly.kpxe"},
		{"BIOS ROM that says its architecture only in its class", []option{class("PXEClient:Arch:00000:UNDI:002001")}, "undionly.kpxe"},
		{"iPXE on BIOS, by its user class", []option{class("PXEClient:Arch:00000:UNDI:002001"), arch(0), ipxe}, script("bios")},
		{"iPXE on BIOS, by its options", []option{class("PXEClient:Arch:00000:UNDI:002001"), arch(0), generic(175, 177, 5, 1, 0x80, 0x86, 0x10, 0x0e)}, script("bios")},
		{"UEFI ROM", []option{class("PXEClient:Arch:00007:UNDI:003016"), arch(7)}, "shimx64.efi"},
		{"UEFI ROM that calls itself byte code", []option{class("PXEClient:Arch:00009:UNDI:003016"), arch(9)}, "shimx64.efi"},
		{"UEFI ROM with several architectures", []option{class("PXEClient:Arch:00006:UNDI:003016"), arch(6, 7)}, "shimx64.efi"},
		{"UEFI ROM that says its architecture only in its class", []option{class("PXEClient:Arch:00007:UNDI:003016")}, "shimx64.efi"},
		{"iPXE on UEFI", []option{class("PXEClient:Arch:00007:UNDI:003016"), arch(7), ipxe}, script("uefi")},
		{"32-bit UEFI", []option{class("PXEClient:Arch:00006:UNDI:003016"), arch(6)}, ""},
		{"ARM UEFI", []option{class("PXEClient:Arch:00011:UNDI:003016"), arch(11)}, ""},
		{"iPXE on ARM", []option{class("PXEClient:Arch:00011:UNDI:003016"), arch(11), ipxe}, ""},
		{"UEFI HTTP Boot", []option{class("HTTPClient:Arch:00016:UNDI:003016"), arch(16)}, "http://10.0.0.1/shimx64.efi"},
		{"PXE ROM without an architecture", []option{class("PXEClient")}, ""},
		{"Windows", []option{class("MSFT 5.0")}, ""},
		{"the client OS", nil, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			d := newResponder().Decide(now, request(t, pc1, discover, row.options...))
			if got := kindOfReply(d); got != offer {
				t.Fatalf("reply = %s, want an offer", got)
			}
			p := d.Reply
			if p.BootFileName != row.file {
				t.Errorf("file field = %q, want %q", p.BootFileName, row.file)
			}
			if row.file == "" {
				if address(p.ServerIPAddr).IsValid() || p.Options.Has(dhcpv4.OptionBootfileName) || p.Options.Has(dhcpv4.OptionTFTPServerName) {
					t.Errorf("a PC that is to load nothing is sent to a server: %s", p.Summary())
				}
				return
			}
			if got := address(p.ServerIPAddr); got != server {
				t.Errorf("siaddr = %s, want %s", got, server)
			}
		})
	}
}

func TestPCWithFirmwareThatIsNotServedIsNamed(t *testing.T) {
	d := newResponder().Decide(now, request(t, pc1, discover, class("PXEClient:Arch:00011:UNDI:003016"), arch(11)))
	if !strings.Contains(d.Note, UEFIARM64.Title()) {
		t.Errorf("note = %q, want it to name the firmware", d.Note)
	}
}

func TestOfferToABIOSROM(t *testing.T) {
	uuid := slices.Concat([]byte{0}, []byte("0123456789abcdef"))
	r := request(t, pc1, discover, class("PXEClient:Arch:00000:UNDI:002001"), arch(0), generic(97, uuid...), generic(61, 0, 1, 2, 3), dhcpv4.WithBroadcast(true))
	got := newResponder().Decide(now, r).Reply
	for code, want := range map[uint8][]byte{
		1:  {255, 255, 255, 0},
		3:  {10, 0, 0, 254},
		6:  {10, 0, 0, 2, 10, 0, 0, 3},
		28: {10, 0, 0, 255},
		43: {6, 1, 8, 255},
		51: {0, 0, 14, 16},
		53: {2},
		54: {10, 0, 0, 1},
		58: {0, 0, 7, 8},
		59: {0, 0, 12, 78},
		60: []byte("PXEClient"),
		61: {0, 1, 2, 3},
		66: []byte("10.0.0.1\x00"),
		67: []byte("undionly.kpxe\x00"),
		97: uuid,
	} {
		if v := got.Options.Get(dhcpv4.GenericOptionCode(code)); !slices.Equal(v, want) {
			t.Errorf("option %d = %v, want %v", code, v, want)
		}
	}
	if len(got.Options) != 15 {
		t.Errorf("there are %d options, want 15: %s", len(got.Options), got.Summary())
	}
	if got.TransactionID != r.packet.TransactionID || !got.IsBroadcast() || got.ServerHostName != "10.0.0.1" {
		t.Errorf("header is wrong: %s", got.Summary())
	}
}

func TestIPXEIsToldNotToWaitForAProxy(t *testing.T) {
	d := newResponder().Decide(now, request(t, pc1, discover, class("PXEClient:Arch:00000:UNDI:002001"), arch(0), generic(175)))
	if got, want := d.Reply.Options.Get(dhcpv4.GenericOptionCode(175)), []byte{176, 1, 1}; !slices.Equal(got, want) {
		t.Errorf("option 175 = %v, want %v", got, want)
	}
}

func TestNAKSaysWhyAndNothingElse(t *testing.T) {
	d := newResponder(bound(10, pc2)).Decide(now, request(t, pc1, ask, to(server), wants(ip(10)), class("PXEClient:Arch:00000")))
	if got := d.Reply.Message(); got != "10.0.0.10: address belongs to another PC" {
		t.Errorf("message = %q", got)
	}
	if len(d.Reply.Options) != 3 {
		t.Errorf("options = %s, want type, server and message only (RFC 2131 table 3)", d.Reply.Options)
	}
}

func TestReplyToAnEnormousClientIdentifierStillFits(t *testing.T) {
	id := generic(61, slices.Repeat([]byte{7}, 255)...)
	for _, row := range []struct {
		name    string
		options []option
		limit   int
	}{
		{"says nothing of its size", []option{id}, 548},
		{"takes less than it must", []option{id, dhcpv4.WithOption(dhcpv4.OptMaxMessageSize(100))}, 548},
		{"takes more", []option{id, dhcpv4.WithOption(dhcpv4.OptMaxMessageSize(1260))}, 1232},
	} {
		options := append(row.options, class("PXEClient:Arch:00000:UNDI:002001"), arch(0), generic(175))
		p := newResponder().Decide(now, request(t, pc1, discover, options...)).Reply
		if got := len(p.ToBytes()); got > row.limit {
			t.Errorf("%s: the reply has %d bytes, want at most %d", row.name, got, row.limit)
		}
		if p.BootFileName == "" || p.Options.Get(dhcpv4.OptionSubnetMask) == nil || p.Options.Get(dhcpv4.OptionIPAddressLeaseTime) == nil {
			t.Errorf("%s: what matters is gone: %s", row.name, p.Summary())
		}
	}
}

func TestRelayFindsWhatItAdded(t *testing.T) {
	r := request(t, pc1, ask, to(server), wants(ip(99)), through(ip(200)), generic(82, 1, 2, 3, 4))
	d := newResponder().Decide(now, r)
	if kindOfReply(d) != nak || !d.Reply.IsBroadcast() || address(d.Reply.GatewayIPAddr) != ip(200) {
		t.Errorf("reply = %s, want a nak through the relay, to be broadcast", d.Reply.Summary())
	}
	if wire := d.Reply.ToBytes(); !bytes.Contains(wire, []byte{82, 4, 1, 2, 3, 4, 255}) {
		t.Errorf("option 82 is not untouched and last: %v", wire)
	}
}

func TestRepliesArePaddedForOldRelays(t *testing.T) {
	if got := len(newResponder().Decide(now, request(t, pc1, discover)).Reply.ToBytes()); got < 300 {
		t.Errorf("the reply has %d bytes, want at least 300", got)
	}
}
