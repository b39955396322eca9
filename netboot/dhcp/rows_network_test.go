package dhcp

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"aula/netboot/lease"
	"aula/netboot/quirk"
)

// routed is the network of the tests, and two behind relay agents.
func routed() Network {
	n := testNetwork()
	n.StrangerTime = 10 * time.Minute
	n.Subnets = append(n.Subnets,
		Subnet{Prefix: netip.MustParsePrefix("10.1.0.0/24"), First: addr("10.1.0.10"), Last: addr("10.1.0.12")},
		Subnet{Prefix: netip.MustParsePrefix("10.2.0.0/24"), Gateway: addr("10.2.0.254")},
	)
	return n
}

var addr = netip.MustParseAddr

func newRouted(leases ...lease.Lease) *Responder {
	n := routed()
	return NewResponder(n, lease.NewBook(n.pools(), leases), nil)
}

// acquaintances is a Register that knows some PCs.
type acquaintances map[lease.MAC]bool

func (a acquaintances) Known(mac lease.MAC) bool             { return a[mac] }
func (a acquaintances) Advise(Request) Advice                { return Advice{Action: Load} }
func (a acquaintances) Told(Request, Advice)                 {}
func (a acquaintances) Learn(lease.MAC, quirk.Quirk, string) {}

func TestRow12SubnetIsChosen(t *testing.T) {
	agent := func(a netip.Addr) option { return generic(82, append([]byte{1, 1, 7, 5, 4}, a.AsSlice()...)...) }
	selection := func(a netip.Addr) option { return generic(118, a.AsSlice()...) }
	relay := through(addr("10.1.0.1"))
	for name, row := range map[string]struct {
		options []option
		want    string
		to      string
	}{
		"the NIC's, without anything":          {nil, "10.0.0.10", "frame to 10.0.0.10:68"},
		"the relay agent's":                    {[]option{relay}, "10.1.0.10", "10.1.0.1:67"},
		"what the relay agent names":           {[]option{through(ip(200)), agent(addr("10.1.0.0"))}, "10.1.0.10", "10.0.0.200:67"},
		"what a relay agent elsewhere names":   {[]option{through(addr("172.16.0.1")), agent(addr("10.1.0.77"))}, "10.1.0.10", "172.16.0.1:67"},
		"what the client names":                {[]option{selection(addr("10.1.0.0"))}, "10.1.0.10", "frame to 10.1.0.10:68"},
		"the relay agent's over the client's":  {[]option{through(ip(200)), agent(ip(0)), selection(addr("10.1.0.0"))}, "10.0.0.10", "10.0.0.200:67"},
		"nothing by option 82 without a relay": {[]option{agent(addr("10.1.0.0"))}, "10.0.0.10", "frame to 10.0.0.10:68"},
	} {
		s := newRouted()
		r := request(t, pc1, discover, row.options...)
		if got := offered(t, s, now, r); got.String() != row.want {
			t.Errorf("%s: offered %s, want %s", name, got, row.want)
			continue
		}
		if d := s.Decide(now, request(t, pc1, discover, row.options...)); sentTo(d) != row.to {
			t.Errorf("%s: sent to %s, want %s", name, sentTo(d), row.to)
		}
	}
	// What is given goes with the subnet: the relay agent is the gateway where none is configured, and it is not leased.
	s := newRouted()
	offered(t, s, now, request(t, pc1, discover, through(addr("10.1.0.10"))))
	d := s.Decide(now, request(t, pc1, discover, through(addr("10.1.0.10"))))
	if d.Address() != addr("10.1.0.11") || d.Reply.Router()[0].String() != "10.1.0.10" || d.Reply.SubnetMask().String() != "ffffff00" {
		t.Errorf("behind a relay agent at 10.1.0.10: %s", d.Reply.Summary())
	}
	// Past the relay agent a PC renews in the subnet of its address; after a restart, of which the gateway is not known, it asks through the relay first.
	renew := request(t, pc1, ask, uses(addr("10.1.0.11")))
	renew.Unicast = true
	if d := newRouted().Decide(now, renew); d.Reply != nil {
		t.Errorf("a PC lost its gateway: %s", d.Reply.Summary())
	}
	d = s.Decide(now, renew)
	if mustGet(t, d, ack, addr("10.1.0.11")); sentTo(d) != "10.1.0.11:68" || d.Reply.Router()[0].String() != "10.1.0.10" {
		t.Errorf("renewed to %s: %s", sentTo(d), d.Reply.Summary())
	}
	// Where nothing is leased but what is reserved, others hear nothing.
	if a := offered(t, s, now, request(t, pc2, discover, through(addr("10.2.0.1")))); a.IsValid() {
		t.Errorf("%s is offered in a subnet without a pool", a)
	}
	if err := s.book.Reserve([]lease.Reservation{{MAC: pc2, Address: addr("10.2.0.77"), Name: "PC 2"}}); err != nil {
		t.Fatal(err)
	}
	if a := offered(t, s, now, request(t, pc2, discover, through(addr("10.2.0.1")))); a != addr("10.2.0.77") {
		t.Errorf("offered %s, want the reserved address", a)
	}
}

func TestRow13UnknownGiaddrIsDroppedAndCounted(t *testing.T) {
	s := newRouted()
	told := 0
	for range 5 {
		d := s.Decide(now, request(t, pc1, discover, through(addr("192.168.7.1"))))
		if d.Reply != nil || d.Probe.IsValid() {
			t.Fatalf("answered %+v", d)
		}
		if d.Note != "" {
			told++
			if d.Key != "dhcp/relay/192.168.7.1" || !strings.Contains(d.Note, "a relay agent at 192.168.7.1") || !strings.Contains(d.Note, "[[dhcp.subnet]]") {
				t.Errorf("people are told %q (%s)", d.Note, d.Key)
			}
		}
	}
	if told != 1 || s.drops.UnknownRelay != 5 {
		t.Errorf("told %d times and counted %d, want 1 and 5", told, s.drops.UnknownRelay)
	}
	over := s.board.take(now.Add(2 * rememberRelay))
	if len(over) != 1 || !over[0].Gone || over[0].Key != "dhcp/relay/192.168.7.1" {
		t.Errorf("when it is over: %+v", over)
	}
	r := request(t, pc1, ask, uses(addr("192.168.7.9")))
	r.Unicast = true
	if d := s.Decide(now, r); d.Reply != nil || s.drops.NoSubnet != 1 {
		t.Errorf("unicast from no subnet: %+v, counted %d", d, s.drops.NoSubnet)
	}
	for _, kind := range []dhcpv4.MessageType{ask, dhcpv4.MessageTypeDecline, dhcpv4.MessageTypeRelease, dhcpv4.MessageTypeInform} {
		r := request(t, pc1, kind, uses(ip(11)), wants(ip(11)), through(addr("192.168.7.1")))
		if d := s.Decide(now, r); d.Reply != nil || d.Durable {
			t.Errorf("%s through an unknown relay: %+v", kind, d)
		}
	}
}

func TestRow14ARegisteredPCHasOneLeaseWhateverItRuns(t *testing.T) {
	n := routed()
	s := NewResponder(n, lease.NewBook(n.pools(), nil), acquaintances{pc1: true})
	systems := [][]option{
		{class("PXEClient:Arch:00000:UNDI:002001"), arch(0), generic(61, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1)},
		{class("PXEClient:Arch:00000:UNDI:002001"), arch(0), generic(175, 1, 1, 1), generic(61, append([]byte{1}, pc1[:]...)...)},
		{generic(61, 255, 1, 2, 3, 4, 0, 1)}, // systemd
		nil,
	}
	for i, options := range systems {
		if a := offered(t, s, now, request(t, pc1, discover, options...)); a != ip(10) {
			t.Errorf("system %d of a registered PC is offered %s, want %s", i, a, ip(10))
		}
		mustGet(t, s.Decide(now, request(t, pc1, ask, append(options, to(server), wants(ip(10)))...)), ack, ip(10))
	}
	if l, _ := s.book.At(ip(10)); l.Expires.Sub(now) != n.LeaseTime {
		t.Errorf("a registered PC's lease lasts %s", l.Expires.Sub(now))
	}
	// Of a stranger each client identifier counts, but the one that only says the MAC. Cloned disks do not share an address.
	one := offered(t, s, now, request(t, pc2, discover, systems[2]...))
	if two := offered(t, s, now, request(t, pc2, discover, generic(61, 0, 5))); two == one || !two.IsValid() {
		t.Errorf("two client identifiers of a stranger: %s and %s", one, two)
	}
	s = NewResponder(n, lease.NewBook(n.pools(), nil), acquaintances{})
	one = offered(t, s, now, request(t, pc1, discover, systems[2]...))
	if clone := offered(t, s, now, request(t, pc2, discover, systems[2]...)); clone == one || !clone.IsValid() {
		t.Errorf("two PCs with one cloned identifier: %s and %s", one, clone)
	}
	d := s.Decide(now, request(t, pc1, ask, append(systems[2], to(server), wants(one))...))
	if mustGet(t, d, ack, one); d.Reply.IPAddressLeaseTime(0) != n.StrangerTime {
		t.Errorf("a stranger's lease lasts %s, want %s", d.Reply.IPAddressLeaseTime(0), n.StrangerTime)
	}
	// Once accepted, while it runs, it keeps its address.
	s.reg = acquaintances{pc1: true}
	mustGet(t, s.Decide(now, request(t, pc1, ask, append(systems[2], uses(one))...)), ack, one)
}

func TestRow15OneMACOfSeveralPCsIsServed(t *testing.T) {
	s := newResponder()
	laptop := generic(97, append([]byte{0}, bytes.Repeat([]byte{1}, 16)...)...)
	other := generic(97, append([]byte{0}, bytes.Repeat([]byte{2}, 16)...)...)
	rom := class("PXEClient:Arch:00007:UNDI:003016")
	for _, uuid := range []option{laptop, other, laptop} { // one adapter, plugged into one after the other
		mustGet(t, s.Decide(now, request(t, pc1, discover, rom, arch(7), uuid)), offer, ip(10))
		mustGet(t, s.Decide(now, request(t, pc1, ask, rom, arch(7), uuid, to(server), wants(ip(10)))), ack, ip(10))
	}
}

func TestRow16OddHardwareAddressesAreDropped(t *testing.T) {
	for name, change := range map[string]func([]byte){
		"hardware type":        func(b []byte) { b[1] = 6 },
		"hardware type 0":      func(b []byte) { b[1] = 0 },
		"length 0":             func(b []byte) { b[2] = 0 },
		"length 5":             func(b []byte) { b[2] = 5 },
		"length 16":            func(b []byte) { b[2] = 16 },
		"length 255":           func(b []byte) { b[2] = 255 },
		"zero":                 func(b []byte) { clear(b[28:34]) },
		"multicast":            func(b []byte) { copy(b[28:], []byte{1, 0, 0x5e, 0, 0, 1}) },
		"broadcast":            func(b []byte) { copy(b[28:], []byte{255, 255, 255, 255, 255, 255}) },
		"a reply, not a query": func(b []byte) { b[0] = 2 },
	} {
		b := packet(t, pc1, discover)
		change(b)
		if r, err := Decode(b); err == nil {
			t.Errorf("%s: decoded as %+v", name, r)
		}
	}
}

func TestRow17OptionsAreReadAndWrittenAsTheRFCsHaveThem(t *testing.T) {
	bare := packet(t, pc1, discover)[:optionsAt]
	with := func(options ...byte) []byte { return append(slices.Clone(bare), options...) }
	t.Run("concatenation", func(t *testing.T) {
		r, err := Decode(with(53, 1, 1, 60, 3, 'P', 'X', 'E', 60, 6, 'C', 'l', 'i', 'e', 'n', 't', 93, 1, 0, 93, 1, 7, 255))
		if err != nil || r.Firmware != UEFIx64 {
			t.Errorf("Decode = %+v, %v, want UEFI, said in two halves each", r, err)
		}
	})
	t.Run("overload", func(t *testing.T) {
		b := with(52, 1, 3, 60, 3, 'P', 'X', 'E', 255)
		copy(b[fileAt:], []byte{53, 1, 1, 60, 4, 'C', 'l', 'i', 'e', 0, 0, 255})
		copy(b[snameAt:], []byte{60, 2, 'n', 't', 93, 2, 0, 0, 255})
		r, err := Decode(b)
		if err != nil || r.Kind != Discover || r.Firmware != BIOS || r.packet.BootFileName != "" {
			t.Errorf("Decode = %+v, %v, want a BIOS ROM's discover", r, err)
		}
		for name, bad := range map[string][]byte{
			"of no field": {53, 1, 1, 52, 1, 0, 255}, "of four": {53, 1, 1, 52, 1, 4, 255}, "of two bytes": {53, 1, 1, 52, 2, 1, 1, 255},
		} {
			if _, err := Decode(with(bad...)); err == nil {
				t.Errorf("an overload %s was taken", name)
			}
		}
		long := with(53, 1, 1, 52, 1, 2, 255)
		copy(long[snameAt:], []byte{60, 63})
		if _, err := Decode(long); err == nil {
			t.Error("an option longer than the field was taken")
		}
	})
	t.Run("maximum size", func(t *testing.T) {
		for said, limit := range map[uint16]int{0: 548, 100: 548, 576: 548, 1000: 972, 1472: 1444, 65535: 1444} {
			options := []option{generic(61, bytes.Repeat([]byte{7}, 255)...), generic(82, bytes.Repeat([]byte{0}, 200)...), through(ip(200))}
			if said > 0 {
				options = append(options, dhcpv4.WithOption(dhcpv4.OptMaxMessageSize(said)))
			}
			if got := len(encode(newResponder().Decide(now, request(t, pc1, discover, options...)).Reply)); got > limit {
				t.Errorf("a client that takes %d bytes gets %d, want at most %d", said, got, limit)
			}
		}
	})
	t.Run("missing end", func(t *testing.T) {
		if r, err := Decode(with(53, 1, 1)); err != nil || r.Kind != Discover {
			t.Errorf("Decode = %+v, %v", r, err)
		}
	})
	t.Run("overrun", func(t *testing.T) {
		for _, b := range [][]byte{with(53, 1, 1, 60, 9, 'P'), with(53, 1, 1, 60), with(53, 200, 1, 255)} {
			if r, err := Decode(b); err == nil {
				t.Errorf("%v was decoded as %+v", b[optionsAt:], r)
			}
		}
	})
	t.Run("message type twice", func(t *testing.T) {
		if r, err := Decode(with(53, 1, 1, 53, 1, 3, 255)); err == nil {
			t.Errorf("decoded as %+v", r)
		}
	})
	t.Run("order", func(t *testing.T) {
		wire := encode(newResponder().Decide(now, request(t, pc1, discover)).Reply)
		var codes []byte
		for b := wire[optionsAt:]; b[0] != 255; b = b[2+int(b[1]):] {
			codes = append(codes, b[0])
		}
		if mask, router := slices.Index(codes, 1), slices.Index(codes, 3); mask < 0 || router < mask || codes[0] != 53 {
			t.Errorf("options come as %v, want 53 first and 1 before 3", codes)
		}
	})
}

func TestRow18RepliesHaveAtLeast300Bytes(t *testing.T) {
	s := newResponder()
	for name, d := range map[string]Decision{
		"an offer": s.Decide(now, request(t, pc1, discover)),
		"a nak":    s.Decide(now, request(t, pc1, ask, wants(addr("192.168.9.9")))),
		"an ack":   s.Decide(now, request(t, pc1, dhcpv4.MessageTypeInform, uses(ip(200)))),
	} {
		if got := len(encode(d.Reply)); got < 300 {
			t.Errorf("%s has %d bytes", name, got)
		}
	}
}

func TestRow22LeasesAreOnDiskBeforeTheAckAndOffersAreNotKept(t *testing.T) {
	path := filepath.Join(t.TempDir(), "leases.db")
	store := openStore(t, path)
	_, w, stop := serve(t, store, nil)
	w.in <- packet(t, pc2, discover, wants(ip(12)))
	if got := <-w.out; address(got.YourIPAddr) != ip(12) {
		t.Fatalf("offered %s", got.Summary())
	}
	w.in <- packet(t, pc1, ask, to(server), wants(ip(11)))
	got := <-w.out
	if all, _, err := store.Load(); err != nil || len(all) != 1 || all[0].Address != ip(11) || all[0].MAC != pc1 {
		t.Errorf("when the %s is heard, there is on disk: %+v, %v", got.MessageType(), all, err)
	}
	size := func() int64 {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	before := size()
	for range 200 {
		w.in <- packet(t, pc1, ask, uses(ip(11)))
		<-w.out
	}
	if after := size(); after > 2*before {
		t.Errorf("200 renewals made the file grow from %d to %d bytes", before, after)
	}
	stop()
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	_, w, _ = serve(t, openStore(t, path), nil)
	w.in <- packet(t, lease.MAC{2, 7}, discover, wants(ip(12))) // the offer to pc2 died with the server
	if got := <-w.out; address(got.YourIPAddr) != ip(12) {
		t.Errorf("after a restart offered %s, want %s", got.YourIPAddr, ip(12))
	}
	w.in <- packet(t, lease.MAC{2, 8}, ask, uses(ip(11)))
	if got := <-w.out; got.MessageType() != nak {
		t.Errorf("after a restart another PC gets %s at %s, want a nak", got.MessageType(), ip(11))
	}
}

func TestRow23ClockStepsEndNoLease(t *testing.T) {
	mark := time.Now().Add(365 * 24 * time.Hour) // what a machine whose clock was a year ahead has left on disk
	clock := lease.NewClock(mark)
	if got := clock.Now(); got.Before(mark) {
		t.Errorf("after the clock was set back, the lease clock says %s, want not before %s", got, mark)
	}
	s := newResponder()
	b := lease.NewBook(testNetwork().pools(), []lease.Lease{{Address: ip(11), MAC: pc1, State: lease.Bound, Expires: mark.Add(time.Hour)}})
	s.book = b
	if d := s.Decide(clock.Now(), request(t, pc2, ask, to(server), wants(ip(11)))); kindOfReply(d) != nak {
		t.Errorf("another PC gets %s for an address that is leased by the lease clock", kindOfReply(d))
	}
	// And with a clock that jumped ahead since, the lease ends early for nobody who counts with the monotonic clock.
	if late := clock.Now(); late.Sub(mark) > time.Minute {
		t.Errorf("the lease clock runs ahead: %s after the mark", late.Sub(mark))
	}
}

func TestRow24RepliesLeaveByTheNICOfTheRequest(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	one, two := netip.MustParsePrefix("10.20.1.1/24"), netip.MustParsePrefix("10.20.2.1/24")
	for i, p := range []netip.Prefix{one, two} {
		name := []string{"one", "two"}[i]
		nic := cable(t, name, p, pc1) // the same MAC on both: nothing but the NIC tells them apart
		first := p.Addr()
		for range 9 {
			first = first.Next()
		}
		serveOn(t, nic, Network{Server: p.Addr(), Subnets: []Subnet{{Prefix: p.Masked(), First: first, Last: first.Next()}}, LeaseTime: time.Hour}, nil)
	}
	for name, want := range map[string]string{"one": "serverid=10.20.1.1", "two": "serverid=10.20.2.1"} {
		out := filepath.Join(t.TempDir(), "environment")
		tell := filepath.Join(t.TempDir(), "script")
		if err := os.WriteFile(tell, []byte("#!/bin/sh\n[ \"$1\" = bound ] && env > "+out+"\nexit 0\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		for _, flag := range [][]string{{}, {"-B"}} { // by a frame, and by broadcast
			on(t, name, append([]string{"udhcpc", "-i", "eth0", "-f", "-q", "-n", "-t", "5", "-T", "2", "-s", tell}, flag...)...)
			if got, err := os.ReadFile(out); err != nil || !strings.Contains(string(got), want+"\n") {
				t.Errorf("at NIC %s %v: %v, %s, want %s", name, flag, err, got, want)
			}
		}
	}
}

func TestRow25SubnetPerRelayAndNoOverlap(t *testing.T) {
	s := newRouted()
	if a := offered(t, s, now, request(t, pc1, discover, through(addr("10.1.0.1")))); a != addr("10.1.0.10") {
		t.Errorf("behind 10.1.0.1 offered %s", a)
	}
	if a := offered(t, s, now, request(t, pc2, discover, through(ip(200)))); a != ip(10) {
		t.Errorf("behind %s offered %s", ip(200), a)
	}
	for name, row := range map[string]struct {
		change func(*Network)
		want   string
	}{
		"a network twice":       {func(n *Network) { n.Subnets = append(n.Subnets, n.Subnets[1]) }, "overlap"},
		"a network in another":  {func(n *Network) { n.Subnets[1] = Subnet{Prefix: netip.MustParsePrefix("10.0.0.128/25")} }, "10.0.0.0/24 and 10.0.0.128/25 overlap"},
		"a pool outside":        {func(n *Network) { n.Subnets[1].Last = addr("10.3.0.1") }, "not inside its network"},
		"a pool backwards":      {func(n *Network) { n.Subnets[1].First, n.Subnets[1].Last = n.Subnets[1].Last, n.Subnets[1].First }, "before it begins"},
		"a gateway elsewhere":   {func(n *Network) { n.Subnets[2].Gateway = ip(9) }, "not in the network"},
		"no network of the NIC": {func(n *Network) { n.Subnets = n.Subnets[1:] }, "server's own address"},
		"not a network":         {func(n *Network) { n.Subnets[1].Prefix = netip.MustParsePrefix("10.1.0.7/24") }, "not an IPv4 network"},
	} {
		n := routed()
		row.change(&n)
		if err := n.Check(); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v, want %q", name, err, row.want)
		}
		if _, err := New(Config{Network: n, Store: openStore(t, filepath.Join(t.TempDir(), "leases.db")), Log: slog.New(slog.DiscardHandler)}); err == nil {
			t.Errorf("%s: New succeeded", name)
		}
	}
}

func TestRow26ExhaustionIsSilentAndToldAndRecyclesOnlyWhatEnded(t *testing.T) {
	s := newResponder(bound(10, lease.MAC{2, 2}), lease.Lease{Address: ip(11), State: lease.Quarantined, MAC: pc2, Expires: now.Add(time.Hour)})
	mustGet(t, s.Decide(now, request(t, lease.MAC{2, 3}, discover)), offer, ip(12)) // the last
	d := s.Decide(now, request(t, pc1, discover))
	if d.Reply != nil || d.Level != slog.LevelError || d.Key != "dhcp/exhausted/10.0.0.0/24" || s.drops.Exhausted != 1 {
		t.Fatalf("decision = %+v, want silence, and an error that is told", d)
	}
	if d := s.Decide(now, request(t, pc1, discover)); d.Note != "" {
		t.Errorf("told again: %q", d.Note)
	}
	// Nothing but a lease that ended is recycled: not what is leased, on offer or in quarantine.
	ended := now.Add(50 * time.Second)
	l := bound(10, lease.MAC{2, 2})
	l.Expires = now.Add(-lease.Grace)
	s = newResponder(l, lease.Lease{Address: ip(11), State: lease.Quarantined, MAC: pc2, Expires: now.Add(time.Hour)}, bound(12, pc2))
	mustGet(t, s.Decide(ended, request(t, pc1, discover)), offer, ip(10))
	s.board.tell(now, exhaustedKey(testNetwork().Subnets[0].Prefix), time.Hour)
	s.Decide(ended, request(t, pc1, discover))
	if over := s.board.take(ended); len(over) != 1 || !over[0].Gone {
		t.Errorf("when an address is offered again: %+v, want that it is over", over)
	}
}

func TestRow27LeasesOutsideAShrunkPoolAreRefusedAtRenewal(t *testing.T) {
	s := newResponder(bound(77, pc1))
	mustGet(t, s.Decide(now, request(t, pc1, ask, uses(ip(77)))), nak, netip.Addr{})
	mustGet(t, s.Decide(now, request(t, pc1, discover)), offer, ip(10))
	if l, ok := s.book.At(ip(77)); !ok || l.MAC != pc1 {
		t.Errorf("the record is %+v, %v: want it kept, in case the pool was moved by mistake", l, ok)
	}
	// A server that is not the authority of the network refuses nothing.
	p := NewProxyResponder(testNetwork(), everybody{})
	if d := p.Decide(now, request(t, pc1, ask, uses(ip(77)))); d.Reply != nil {
		t.Errorf("as a ProxyDHCP: %s", d.Reply.Summary())
	}
}

func TestRow28AReservedAddressInUseIsReplacedForAWhileAndTold(t *testing.T) {
	s := newRouted()
	for _, last := range []byte{10, 11, 12} {
		s.vouched[ip(last)] = now
	}
	if err := s.book.Reserve([]lease.Reservation{{MAC: pc1, Address: ip(50), Name: "Teacher's PC"}}); err != nil {
		t.Fatal(err)
	}
	r := request(t, pc1, discover)
	d := s.Decide(now, r)
	if d.Probe != ip(50) {
		t.Fatalf("decision = %+v, want a probe of the reserved address", d)
	}
	printer := lease.MAC{2, 9}
	d = s.Probed(now, r, ip(50), Found{true, printer})
	mustGet(t, d, offer, ip(10))
	if d.Key != "dhcp/conflict/10.0.0.50" || !strings.Contains(d.Note, "Teacher's PC") || !strings.Contains(d.Note, printer.String()) {
		t.Errorf("people are told %q (%s)", d.Note, d.Key)
	}
	mustGet(t, s.Decide(now, request(t, pc1, ask, to(server), wants(ip(10)))), ack, ip(10))
	// When the other has gone, the PC gets what is reserved for it, and nobody else does meanwhile.
	later := now.Add(lease.Quarantine)
	if d := s.Decide(later, request(t, pc2, discover, wants(ip(50)))); d.Address() == ip(50) || d.Probe == ip(50) {
		t.Errorf("a reserved address is offered to another: %+v", d)
	}
	if d = s.Decide(later, r); d.Probe != ip(50) {
		t.Fatalf("an hour later: %+v, want another probe", d)
	}
	mustGet(t, s.Probed(later, r, ip(50), Found{}), offer, ip(50))
	if over := s.board.take(later); len(over) != 1 || over[0].Key != "dhcp/conflict/10.0.0.50" {
		t.Errorf("over: %+v", over)
	}
}

func TestRow29RepetitionsChangeNothing(t *testing.T) {
	s := newResponder()
	xid := dhcpv4.WithTransactionID(dhcpv4.TransactionID{9, 9, 9, 9})
	asked := request(t, pc1, ask, xid, to(server), wants(ip(11)))
	first := s.Decide(now, asked)
	mustGet(t, first, ack, ip(11))
	before, _ := s.book.At(ip(11))
	s.book.Saved()
	for range 100 { // a loop in the network
		d := s.Decide(now.Add(2*time.Second), asked)
		if !slices.Equal(encode(d.Reply), encode(first.Reply)) || d.Note != "" || d.Told || !d.Durable {
			t.Fatalf("repetition: %+v", d)
		}
	}
	if after, _ := s.book.At(ip(11)); after != before || s.book.Changes() != nil {
		t.Errorf("repetitions changed %+v to %+v", before, after)
	}
	// By another relay agent it is answered there as well; with another number it is another request; and it is not believed after a release.
	if d := s.Decide(now, request(t, pc1, ask, xid, to(server), wants(ip(11)), through(ip(200)))); sentTo(d) != "10.0.0.200:67" {
		t.Errorf("through a relay it went to %s", sentTo(d))
	}
	mustGet(t, s.Decide(now.Add(time.Minute), asked), ack, ip(11))
	if l, _ := s.book.At(ip(11)); !l.Expires.Equal(now.Add(time.Minute + time.Hour)) {
		t.Errorf("the same number after a minute renewed until %s", l.Expires)
	}
	s.Decide(now, request(t, pc1, dhcpv4.MessageTypeDecline, xid, to(server), wants(ip(11))))
	if d := s.Decide(now, asked); kindOfReply(d) != nak {
		t.Errorf("after the PC declined the address: %s, want a nak", kindOfReply(d))
	}
}

func TestRow30NothingListensForDHCPv6(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	address := netip.MustParsePrefix("10.20.30.1/24")
	nic := cable(t, "pc", address, pc1)
	serveOn(t, nic, Network{Server: address.Addr(), Subnets: []Subnet{{Prefix: address.Masked()}}, LeaseTime: time.Hour}, nil)
	var lc net.ListenConfig
	for _, port := range []string{"[::]:547", "[::]:546"} {
		c, err := lc.ListenPacket(context.Background(), "udp6", port)
		if err != nil {
			t.Errorf("port %s is taken: %v", port, err)
			continue
		}
		_ = c.Close()
	}
	for _, file := range []string{"/proc/self/net/udp6", "/proc/self/net/raw6"} {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if lines := strings.Split(strings.TrimSpace(string(text)), "\n"); len(lines) > 1 {
			t.Errorf("%s has the sockets %q, want none", file, lines[1:])
		}
	}
}

func TestStarvationLeavesRegisteredPCsTheirShare(t *testing.T) {
	n := routed()
	n.Subnets[0].Last = ip(49) // forty addresses
	s := NewResponder(n, lease.NewBook(n.pools(), nil), acquaintances{pc1: true, pc2: true})
	if got := len(offers(t, s, now, 200)); got != 30 {
		t.Errorf("strangers got %d of 40 addresses, want three quarters", got)
	}
	for _, mac := range []lease.MAC{pc1, pc2} {
		if a := offered(t, s, now, request(t, mac, discover)); !a.IsValid() {
			t.Errorf("registered %s gets nothing", mac)
		}
	}
	// Nor by asking without an offer.
	d := s.Decide(now, request(t, lease.MAC{2, 8, 8}, ask, to(server), wants(ip(48))))
	if kindOfReply(d) == ack {
		t.Errorf("a stranger took %s without an offer", d.Address())
	}
}

func TestNewcomersAreLimitedForEachPortAndInAll(t *testing.T) {
	n := routed()
	n.Subnets[0].Prefix, n.Subnets[0].Last = netip.MustParsePrefix("10.0.0.0/20"), addr("10.0.15.200")
	n.Subnets[0].Gateway = netip.Addr{}
	s := NewResponder(n, lease.NewBook(n.pools(), nil), acquaintances{pc1: true})
	ask := func(at time.Time, i int, port byte) bool {
		mac := lease.MAC{2, 6, 0, port, byte(i >> 8), byte(i)}
		return offered(t, s, at, request(t, mac, discover, through(addr("10.0.1.200")), generic(82, 1, 1, port))).IsValid()
	}
	count := func(at time.Time, n int, port byte) (served int) {
		for i := range n {
			if ask(at, i, port) {
				served++
			}
		}
		return served
	}
	if got := count(now, 200, 1); got != newcomersPerPort {
		t.Errorf("at one port %d newcomers are served in a minute, want %d", got, newcomersPerPort)
	}
	if got := count(now, 10, 2); got != 10 {
		t.Errorf("at another port %d of 10 are served", got)
	}
	if !ask(now, 3, 1) {
		t.Error("who was served is not served again")
	}
	if a := offered(t, s, now, request(t, pc1, discover, through(addr("10.0.1.200")), generic(82, 1, 1, 1))); !a.IsValid() {
		t.Error("a registered PC at the port gets nothing")
	}
	if got := len(offers(t, s, now, 2000)); got != newcomersPerMinute-newcomersPerPort-10 {
		t.Errorf("%d more newcomers are served in the minute, want up to %d in all", got, newcomersPerMinute)
	}
	if got := count(now.Add(time.Minute), 90, 1); got < newcomersPerPort {
		t.Errorf("a minute later %d of 90 are served", got)
	}
}
