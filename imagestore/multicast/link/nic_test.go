package link

import (
	"net"
	"net/netip"
	"strings"
	"testing"
)

const up = net.FlagUp | net.FlagMulticast

var (
	lo     = nic{"lo", 1, net.FlagUp | net.FlagLoopback | net.FlagRunning, netip.MustParsePrefix("127.0.0.1/8")}
	eth0   = nic{"eth0", 2, up | net.FlagRunning, netip.MustParsePrefix("10.0.0.1/24")}
	eth1   = nic{"eth1", 3, up | net.FlagRunning, netip.MustParsePrefix("10.0.1.1/24")}
	pulled = nic{"eth2", 4, up, netip.MustParsePrefix("10.0.2.1/24")}
	down   = nic{"eth3", 5, net.FlagMulticast, netip.MustParsePrefix("10.0.3.1/24")}
	bare   = nic{"eth4", 6, up | net.FlagRunning, netip.Prefix{}}
	tunnel = nic{"tun0", 7, up | net.FlagRunning | net.FlagPointToPoint, netip.MustParsePrefix("10.8.0.2/32")}
	wifi   = nic{"wg0", 8, net.FlagUp | net.FlagRunning, netip.MustParsePrefix("10.9.0.2/24")} // no multicast
)

func TestForSending(t *testing.T) {
	for _, c := range []struct {
		what    string
		list    []nic
		name    string
		want    string // the interface, or
		problem string // what the error says
	}{
		{what: "the only one", list: []nic{lo, eth0}, want: "eth0"},
		{what: "the only one that can", list: []nic{lo, down, bare, eth1, tunnel, wifi}, want: "eth1"},
		{what: "the only one with a cable", list: []nic{lo, pulled, eth1}, want: "eth1"},
		{what: "the only one, without a cable", list: []nic{lo, pulled}, want: "eth2"},
		{what: "several", list: []nic{lo, eth0, eth1, pulled}, problem: "several network cards are up: eth0 (10.0.0.1/24), eth1 (10.0.1.1/24); say which with --interface"},
		{what: "none", list: []nic{lo, down, bare}, problem: "is the cable in?"},
		{what: "no list", problem: "is the cable in?"},
		{what: "named", list: []nic{lo, eth0, eth1}, name: "eth1", want: "eth1"},
		{what: "named without cable", list: []nic{lo, eth0, pulled}, name: "eth2", want: "eth2"},
		{what: "named lo", list: []nic{lo, eth0}, name: "lo", want: "lo"},
		{what: "named tunnel", list: []nic{lo, tunnel}, name: "tun0", want: "tun0"},
		{what: "named, down", list: []nic{lo, eth0, down}, name: "eth3", problem: "interface eth3 is down; there are lo (127.0.0.1/8), eth0 (10.0.0.1/24), eth3 (down)"},
		{what: "named, bare", list: []nic{lo, bare}, name: "eth4", problem: "interface eth4 has no IPv4 address; there are lo (127.0.0.1/8), eth4 (no IPv4 address)"},
		{what: "named, not there", list: []nic{lo, pulled}, name: "eth9", problem: `interface "eth9" does not exist; there are lo (127.0.0.1/8), eth2 (10.0.2.1/24, no cable)`},
	} {
		t.Run(c.what, func(t *testing.T) {
			got, err := forSending(c.list, c.name)
			switch {
			case c.problem == "" && err != nil:
				t.Errorf("error %q, want %s", err, c.want)
			case c.problem != "" && (err == nil || !strings.Contains(err.Error(), c.problem)):
				t.Errorf("got %v, error %v, want an error with %q", got, err, c.problem)
			case got.name != c.want:
				t.Errorf("got %s, want %s", got.name, c.want)
			}
		})
	}
}

func TestForJoining(t *testing.T) {
	for _, c := range []struct {
		what string
		list []nic
		name string
		want string // names, or nothing for an error
	}{
		{what: "every one that is up", list: []nic{lo, eth0, eth1, pulled, down, bare, wifi}, want: "eth0 eth1 eth2"},
		{what: "tunnels, for somebody may send there", list: []nic{lo, eth0, tunnel}, want: "eth0 tun0"},
		{what: "lo when nothing else is there", list: []nic{lo, down, bare}, want: "lo"},
		{what: "the named one only", list: []nic{lo, eth0, eth1}, name: "eth1", want: "eth1"},
		{what: "named lo", list: []nic{lo, eth0}, name: "lo", want: "lo"},
		{what: "named, down", list: []nic{lo, eth0, down}, name: "eth3"},
		{what: "none", list: []nic{down, bare}},
	} {
		t.Run(c.what, func(t *testing.T) {
			list, err := forJoining(c.list, c.name)
			if (err != nil) != (c.want == "") {
				t.Fatalf("error %v, want %q", err, c.want)
			}
			if err != nil {
				return
			}
			var got []string
			for _, n := range list {
				got = append(got, n.name)
			}
			if strings.Join(got, " ") != c.want {
				t.Errorf("got %v, want %s", got, c.want)
			}
		})
	}
}

func TestFirstIPv4(t *testing.T) {
	for want, addresses := range map[string][]string{
		"10.0.0.1/24":    {"fe80::1/64", "10.0.0.1/24", "10.0.0.2/24"},
		"10.0.0.3/24":    {"169.254.3.4/16", "10.0.0.3/24"},
		"169.254.3.4/16": {"169.254.3.4/16"},
		"invalid Prefix": {"fe80::1/64"},
	} {
		var list []net.Addr
		for _, a := range addresses {
			ip, network, err := net.ParseCIDR(a)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, &net.IPNet{IP: ip, Mask: network.Mask})
		}
		if got := firstIPv4(list).String(); got != want {
			t.Errorf("first of %v is %s, want %s", addresses, got, want)
		}
	}
}
