package dhcp

import (
	"net/netip"
	"strings"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"aula/netboot/lease"
)

func TestDecodeDrops(t *testing.T) {
	good := func(change func(b []byte) []byte) []byte { return change(packet(t, pc1, discover)) }
	set := func(at int, v ...byte) func([]byte) []byte {
		return func(b []byte) []byte { copy(b[at:], v); return b }
	}
	for name, row := range map[string]struct {
		packet []byte
		want   string
	}{
		"nothing":                      {nil, "not a DHCP packet"},
		"a short packet":               {good(func(b []byte) []byte { return b[:200] }), "not a DHCP packet"},
		"another protocol":             {good(set(236, 0)), "not a DHCP packet"},
		"an option longer than itself": {good(set(241, 200)), "not a DHCP packet"},
		"a server's reply":             {good(set(0, 2)), "a server's reply"},
		"token ring":                   {good(set(1, 6)), "only Ethernet"},
		"a MAC of eight bytes":         {good(set(2, 8)), "8 bytes"},
		"no MAC":                       {good(set(28, 0, 0, 0, 0, 0, 0)), "all zeros"},
		"a group's MAC":                {good(set(28, 255, 255, 255, 255, 255, 255)), "group"},
		"BOOTP":                        {packet(t, pc1, discover, dhcpv4.WithoutOption(dhcpv4.OptionDHCPMessageType)), "BOOTP"},
		"a message of two types":       {packet(t, pc1, discover, generic(53, 1, 3)), "2 times"},
		"an offer from a client":       {packet(t, pc1, offer), "not a client's"},
		"a request for nothing":        {packet(t, pc1, ask), "without an address"},
		"a decline of nothing":         {packet(t, pc1, dhcpv4.MessageTypeDecline), "without an address"},
		"a release of nothing":         {packet(t, pc1, dhcpv4.MessageTypeRelease), "without an address"},
		"an inform from nowhere":       {packet(t, pc1, dhcpv4.MessageTypeInform), "without an address"},
		"an address of three bytes":    {packet(t, pc1, ask, generic(50, 10, 0, 0)), "option 50"},
	} {
		if r, err := Decode(row.packet); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: Decode = %+v, %v, want an error with %q", name, r, err, row.want)
		}
	}
}

func TestDecodeForgivesAMissingEnd(t *testing.T) {
	b := packet(t, pc1, discover)[:240+3] // the header, and the option 53
	if r, err := Decode(b); err != nil || r.Kind != Discover {
		t.Errorf("Decode = %+v, %v, want a discover", r, err)
	}
}

// FuzzDecode runs whatever arrives through everything that a packet goes through, as one of a registered PC and as one of a stranger.
func FuzzDecode(f *testing.F) {
	for _, p := range [][]byte{
		packet(f, pc1, discover),
		packet(f, pc1, discover, class("PXEClient:Arch:00000:UNDI:002001"), arch(0), generic(97, 0, 1, 2), generic(175, 1, 1, 1)),
		packet(f, pc1, discover, class("PXEClient:Arch:00007:UNDI:003016"), arch(7, 9), generic(57, 5, 0xb4)),
		packet(f, pc1, discover, class("HTTPClient"), arch(16)),
		packet(f, pc2, ask, to(server), wants(ip(10))),
		packet(f, pc2, ask, uses(ip(11))),
		packet(f, pc2, ask, wants(netip.MustParseAddr("192.168.1.1"))),
		packet(f, pc1, dhcpv4.MessageTypeDecline, to(server), wants(ip(11))),
		packet(f, pc1, dhcpv4.MessageTypeRelease, uses(ip(11))),
		packet(f, pc1, dhcpv4.MessageTypeInform, uses(ip(99))),
		packet(f, pc2, discover, through(addr("10.1.0.1")), generic(82, 1, 1, 7, 5, 4, 10, 2, 0, 0), generic(61, 0, 1, 2)),
		packet(f, pc2, discover, generic(118, 10, 1, 0, 0), generic(52, 3)),
	} {
		f.Add(p, true)
		f.Add(p, false)
	}
	f.Fuzz(func(t *testing.T, b []byte, known bool) {
		r, err := Decode(b)
		if err != nil {
			return
		}
		n := routed()
		s := NewResponder(n, lease.NewBook(n.pools(), []lease.Lease{bound(11, pc1)}), acquaintances{r.MAC: known})
		for range 3 { // again, it is a repetition
			d := s.Decide(now, r)
			for d.Probe.IsValid() {
				d = s.Probed(now, r, d.Probe, Found{})
			}
			if d.Reply != nil {
				checkReply(t, n, r, d)
			}
		}
	})
}

// checkReply looks for what no reply may be.
func checkReply(t *testing.T, n Network, r Request, d Decision) {
	t.Helper()
	wire := encode(d.Reply)
	if n := length(d.Reply); n != len(wire) {
		t.Errorf("the reply has %d bytes, and is thought to have %d", len(wire), n)
	}
	limit := minMessage
	if said, err := r.packet.MaxMessageSize(); err == nil {
		limit = min(max(int(said), minMessage), maxMessage)
	}
	// What a relay agent added comes back whole, however long it is.
	agent := len(r.packet.Options.Get(dhcpv4.OptionRelayAgentInformation)) + len(r.packet.Options.Get(optionSubnetSelection))
	if len(wire) < minPacket || len(wire) > maxMessage || len(wire) > limit && agent == 0 {
		t.Errorf("reply of %d bytes to who takes %d", len(wire), limit)
	}
	back, err := dhcpv4.FromBytes(wire)
	if err != nil {
		t.Fatalf("the reply cannot be read: %v", err)
	}
	if back.OpCode != dhcpv4.OpcodeBootReply || back.TransactionID != r.packet.TransactionID || back.ClientHWAddr.String() != r.MAC.String() {
		t.Errorf("the reply is not to the request: %s", back.Summary())
	}
	if !d.To.IsValid() {
		t.Error("the reply goes nowhere")
	}
	a := d.Address()
	if !a.IsValid() {
		return
	}
	for _, p := range n.pools() {
		if p.Contains(a) {
			return
		}
	}
	t.Errorf("%s was given, which is in no pool", a)
}
