package dhcp

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"aula/netboot/lease"
)

// The rows of the table of RFC 2131 behaviour that a DHCP server is held to, by their numbers. Rows 19 to 21, which are about booting, are in
// boot_test.go and proxy_test.go.

func TestRow01DiscoverOfAKnownBindingIsOfferedTheSameAndHeld(t *testing.T) {
	s := newResponder(bound(11, pc1))
	xid := dhcpv4.WithTransactionID(dhcpv4.TransactionID{1, 2, 3, 4})
	first := s.Decide(now, request(t, pc1, discover, xid))
	for _, later := range []time.Duration{0, time.Second, 4 * time.Second, 59 * time.Second} {
		d := s.Decide(now.Add(later), request(t, pc1, discover, xid))
		if !slices.Equal(encode(d.Reply), encode(first.Reply)) || d.Address() != ip(11) {
			t.Errorf("%s later the offer is %s, want the same as first", later, d.Reply.Summary())
		}
	}
	// An offer of what nobody has is held as well: a minute for whom it was made.
	s = newResponder(bound(10, lease.MAC{2, 2}), bound(11, lease.MAC{2, 3}))
	mustGet(t, s.Decide(now, request(t, pc1, discover)), offer, ip(12))
	if d := s.Decide(now.Add(59*time.Second), request(t, pc2, discover)); d.Reply != nil {
		t.Errorf("%s was offered to two PCs within a minute", d.Address())
	}
	mustGet(t, s.Decide(now.Add(60*time.Second), request(t, pc2, discover)), offer, ip(12))
}

func TestRow02AddressesArePreferredInOrder(t *testing.T) {
	expired := func(last byte, mac lease.MAC) lease.Lease {
		l := bound(last, mac)
		l.Expires = now.Add(-time.Hour)
		return l
	}
	for name, row := range map[string]struct {
		leases []lease.Lease
		wanted netip.Addr
		want   netip.Addr
	}{
		"what it has, not what it asks for":    {[]lease.Lease{bound(12, pc1)}, ip(11), ip(12)},
		"what it had, not what it asks for":    {[]lease.Lease{expired(12, pc1)}, ip(11), ip(12)},
		"what it asks for, when that is free":  {nil, ip(12), ip(12)},
		"a new one, when that is another's":    {[]lease.Lease{bound(12, pc2)}, ip(12), ip(10)},
		"a new one, when it asks for nothing":  {nil, netip.Addr{}, ip(10)},
		"a new one before one of another's":    {[]lease.Lease{expired(10, pc2)}, netip.Addr{}, ip(11)},
		"another's old one, when none is left": {[]lease.Lease{bound(10, pc2), expired(11, lease.MAC{2}), bound(12, lease.MAC{4})}, netip.Addr{}, ip(11)},
	} {
		options := []option{}
		if row.wanted.IsValid() {
			options = append(options, wants(row.wanted))
		}
		if d := newResponder(row.leases...).Decide(now, request(t, pc1, discover, options...)); d.Address() != row.want {
			t.Errorf("%s: offered %s, want %s", name, d.Address(), row.want)
		}
	}
}

func TestRow03RequestForAnotherServerIsLeftAlone(t *testing.T) {
	s := newResponder()
	mustGet(t, s.Decide(now, request(t, pc1, discover, wants(ip(12)))), offer, ip(12))
	d := s.Decide(now, request(t, pc1, ask, to(ip(99)), wants(ip(50))))
	if d.Reply != nil {
		t.Errorf("answered %s, want silence", d.Reply.Summary())
	}
	if d.Key != "dhcp/other-server/10.0.0.99" || d.Note == "" {
		t.Errorf("people are told %q (%s), want the other server's address", d.Note, d.Key)
	}
	mustGet(t, s.Decide(now, request(t, pc2, discover, wants(ip(12)))), offer, ip(12))
}

func TestRow04InitRebootOfAnUnknownClientIsSilent(t *testing.T) {
	if d := newResponder().Decide(now, request(t, pc1, ask, wants(ip(11)))); d.Reply != nil {
		t.Errorf("answered %s, want silence", d.Reply.Summary())
	}
	foreign := newResponder().Decide(now, request(t, pc1, ask, wants(netip.MustParseAddr("192.168.9.9"))))
	mustGet(t, foreign, nak, netip.Addr{})
}

func TestRow05InitRebootOnTheWrongSubnetIsRefusedByBroadcast(t *testing.T) {
	wrong := wants(netip.MustParseAddr("192.168.9.9"))
	d := newResponder(bound(11, pc1)).Decide(now, request(t, pc1, ask, wrong))
	if kindOfReply(d) != nak || sentTo(d) != "255.255.255.255:68" {
		t.Errorf("%s to %s, want a broadcast nak", kindOfReply(d), sentTo(d))
	}
	d = newResponder(bound(11, pc1)).Decide(now, request(t, pc1, ask, wrong, through(ip(200))))
	if kindOfReply(d) != nak || sentTo(d) != "10.0.0.200:67" || !d.Reply.IsBroadcast() {
		t.Errorf("through a relay: %s to %s, broadcast bit %v; want a nak to the relay with the bit", kindOfReply(d), sentTo(d), d.Reply.IsBroadcast())
	}
}

func TestRow06RenewingExtendsAndIsTrustedOnlyForTheBinding(t *testing.T) {
	s := newResponder(bound(11, pc1))
	later := now.Add(30 * time.Minute)
	d := s.Decide(later, request(t, pc1, ask, uses(ip(11))))
	mustGet(t, d, ack, ip(11))
	if l, _ := s.book.At(ip(11)); !l.Expires.Equal(later.Add(time.Hour)) || !d.Durable {
		t.Errorf("the lease ends at %s, durable %v; want an hour from the renewal, durable", l.Expires, d.Durable)
	}
	for code, want := range map[dhcpv4.OptionCode]time.Duration{
		dhcpv4.OptionIPAddressLeaseTime: time.Hour, dhcpv4.OptionRenewTimeValue: 30 * time.Minute, dhcpv4.OptionRebindingTimeValue: 52*time.Minute + 30*time.Second,
	} {
		if got := d.Reply.Options.Get(code); !slices.Equal(got, dhcpv4.Duration(want).ToBytes()) {
			t.Errorf("%s = %v, want %s", code, got, want)
		}
	}
	for name, a := range map[string]netip.Addr{"another's": ip(12), "one that is free, but not its own": ip(10)} {
		s := newResponder(bound(11, pc1), bound(12, pc2))
		if d := s.Decide(now, request(t, pc1, ask, uses(a))); kindOfReply(d) != nak {
			t.Errorf("renewing %s (%s): %s, want a nak", a, name, kindOfReply(d))
		}
	}
}

func TestRow07DeclineQuarantinesWithALimitForEachPC(t *testing.T) {
	s := newResponder(bound(11, pc1))
	d := s.Decide(now, request(t, pc1, dhcpv4.MessageTypeDecline, to(server), wants(ip(11))))
	if d.Reply != nil || !d.Durable || d.Key != conflictKey(ip(11)) {
		t.Fatalf("decision = %+v, want a durable quarantine that is told, and silence", d)
	}
	for _, later := range []time.Duration{0, lease.Quarantine - 1} {
		for _, a := range offers(t, s, now.Add(later), 3) {
			if a == ip(11) {
				t.Errorf("%s after it was declined %s is offered", later, a)
			}
		}
	}
	n := testNetwork()
	n.Subnets[0].Last = ip(99)
	s = NewResponder(n, lease.NewBook(n.pools(), nil), nil)
	for i := range lease.DeclineLimit + 1 {
		a := offered(t, s, now, request(t, pc1, discover))
		d := s.Decide(now, request(t, pc1, dhcpv4.MessageTypeDecline, to(server), wants(a)))
		if last := i == lease.DeclineLimit; d.Durable == last {
			t.Errorf("decline %d: durable %v (%s)", i+1, d.Durable, d.Note)
		}
	}
}

func TestRow08ReleaseIsNotAnsweredAndTheAddressStaysPreferred(t *testing.T) {
	s := newResponder(bound(11, pc1))
	if d := s.Decide(now, request(t, pc1, dhcpv4.MessageTypeRelease, to(server), uses(ip(11)))); d.Reply != nil || !d.Durable {
		t.Errorf("decision = %+v, want silence and a durable change", d)
	}
	mustGet(t, s.Decide(now, request(t, pc2, discover)), offer, ip(10))
	later, again := now.Add(24*time.Hour), request(t, pc1, discover)
	if d := s.Decide(later, again); d.Probe != ip(11) {
		t.Errorf("a day later: %+v, want a probe of what was its address", d)
	}
	mustGet(t, s.Probed(later, again, ip(11), Found{}), offer, ip(11))
}

func TestRow09InformIsAnsweredWithoutAnAddress(t *testing.T) {
	d := newResponder().Decide(now, request(t, pc1, dhcpv4.MessageTypeInform, uses(ip(200))))
	mustGet(t, d, ack, netip.Addr{})
	if sentTo(d) != "10.0.0.200:68" || d.Durable {
		t.Errorf("sent to %s, durable %v", sentTo(d), d.Durable)
	}
	for _, code := range []dhcpv4.OptionCode{dhcpv4.OptionIPAddressLeaseTime, dhcpv4.OptionRenewTimeValue, dhcpv4.OptionRebindingTimeValue} {
		if d.Reply.Options.Has(code) {
			t.Errorf("%s is told to a PC with a fixed address", code)
		}
	}
	if d.Reply.SubnetMask() == nil || len(d.Reply.DNS()) != 2 {
		t.Errorf("the rest is missing: %s", d.Reply.Summary())
	}
}

func TestRow10RepliesGoWhereTheyAreHeard(t *testing.T) {
	flag := dhcpv4.WithBroadcast(true)
	for name, row := range map[string]struct {
		kind    dhcpv4.MessageType
		options []option
		want    string
	}{
		"through a relay":             {discover, []option{through(ip(200))}, "10.0.0.200:67"},
		"relay before its address":    {ask, []option{through(ip(200)), uses(ip(11))}, "10.0.0.200:67"},
		"to the address that it has":  {ask, []option{uses(ip(11))}, "10.0.0.11:68"},
		"even with the flag":          {ask, []option{uses(ip(11)), flag}, "10.0.0.11:68"},
		"it asks for a broadcast":     {discover, []option{flag}, "255.255.255.255:68"},
		"it does not":                 {discover, nil, "frame to 10.0.0.11:68"},
		"it takes an offer":           {ask, []option{to(server), wants(ip(11))}, "frame to 10.0.0.11:68"},
		"it starts with what it had":  {ask, []option{wants(ip(11))}, "frame to 10.0.0.11:68"},
		"it may not have its address": {ask, []option{wants(ip(12))}, "255.255.255.255:68"},
	} {
		d := newResponder(bound(11, pc1)).Decide(now, request(t, pc1, row.kind, row.options...))
		if d.Reply == nil || sentTo(d) != row.want {
			t.Errorf("%s: to %s, want %s", name, sentTo(d), row.want)
		}
	}
	// What repeats its request may not hear unicast.
	s, r := newResponder(bound(11, pc1)), request(t, pc1, discover)
	if first, again := s.Decide(now, r), s.Decide(now.Add(4*time.Second), r); sentTo(first) == sentTo(again) || sentTo(again) != "255.255.255.255:68" {
		t.Errorf("offers went to %s and then to %s, want a frame and then a broadcast", sentTo(first), sentTo(again))
	}
}

func TestRow11FieldsAreEchoed(t *testing.T) {
	agent := []byte{1, 2, 0xca, 0xfe, 2, 3, 1, 2, 3, 151, 1, 9}
	r := request(t, pc1, discover, through(ip(200)), generic(61, 0, 9, 8, 7), generic(82, agent...), dhcpv4.WithBroadcast(true))
	p := newResponder().Decide(now, r).Reply
	if p.TransactionID != r.packet.TransactionID || p.Flags != r.packet.Flags || address(p.GatewayIPAddr) != ip(200) || p.ClientHWAddr.String() != pc1.String() {
		t.Errorf("header = %s", p.Summary())
	}
	if got := p.Options.Get(dhcpv4.OptionClientIdentifier); !slices.Equal(got, []byte{0, 9, 8, 7}) {
		t.Errorf("client identifier = %v", got)
	}
	wire := encode(p)
	tail := append([]byte{82, byte(len(agent))}, agent...)
	end := strings.LastIndex(string(wire), string(tail))
	if end < 0 || wire[end+len(tail)] != 255 {
		t.Errorf("option 82 is not untouched and last: %v", wire[240:])
	}
}

// mustGet holds a decision against the reply and the address that it should give.
func mustGet(t *testing.T, d Decision, kind dhcpv4.MessageType, a netip.Addr) {
	t.Helper()
	if kindOfReply(d) != kind || d.Address() != a {
		t.Fatalf("%s of %s (%s), want %s of %s", kindOfReply(d), d.Address(), d.Note, kind, a)
	}
}

// offered returns what a PC is offered, on a network on which nobody answers a probe.
func offered(t testing.TB, s *Responder, at time.Time, r Request) netip.Addr {
	t.Helper()
	d := s.Decide(at, r)
	for d.Probe.IsValid() {
		d = s.Probed(at, r, d.Probe, Found{})
	}
	return d.Address()
}

// offers returns what n PCs that were never seen are offered at once.
func offers(t *testing.T, s *Responder, at time.Time, n int) []netip.Addr {
	t.Helper()
	var all []netip.Addr
	for i := range n {
		if a := offered(t, s, at, request(t, lease.MAC{2, 9, 9, 9, byte(i >> 8), byte(i)}, discover)); a.IsValid() {
			all = append(all, a)
		}
	}
	return all
}
