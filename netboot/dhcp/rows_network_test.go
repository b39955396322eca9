package dhcp

import (
	"context"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
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
