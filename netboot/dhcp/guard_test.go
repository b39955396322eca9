package dhcp

import (
	"net/netip"
	"testing"
	"time"

	"aula/netboot/lease"
)

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
	if got := len(offers(t, s, now, 2500)); got != newcomersPerMinute-newcomersPerPort-10 {
		t.Errorf("%d more newcomers are served in the minute, want up to %d in all", got, newcomersPerMinute)
	}
	if got := count(now.Add(time.Minute), 90, 1); got < newcomersPerPort {
		t.Errorf("a minute later %d of 90 are served", got)
	}
}
