package dhcp

import (
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"aula/netboot/lease"
)

// pooled is a responder of a network with a pool of 100 addresses, of which none was probed.
func pooled() *Responder {
	n := testNetwork()
	n.Subnets[0].First, n.Subnets[0].Last = ip(100), ip(199)
	return NewResponder(n, lease.NewBook(n.pools(), nil), nil)
}

// A device that answers every ARP takes a few addresses, and is named once.
func TestDeviceThatAnswersEverywhereStarvesNobody(t *testing.T) {
	s := pooled()
	router := lease.MAC{2, 9}
	told := 0
	for _, a := range s.book.Next(now, 64) {
		if d := s.Swept(now, a, Found{true, router}); d.Level == slog.LevelError {
			told++
			if !strings.Contains(d.Note, router.String()) || !strings.Contains(d.Note, "proxy ARP") {
				t.Errorf("people are told %q", d.Note)
			}
		}
	}
	if n := s.book.QuarantinedFor(now, router); n != mostOfOne || told != 1 {
		t.Errorf("%d addresses are kept from being leased, and it was told %d times, want %d and once", n, told, mostOfOne)
	}
	r := request(t, pc1, discover)
	d := s.Decide(now, r)
	for range 10 {
		if !d.Probe.IsValid() {
			break
		}
		d = s.Probed(now, r, d.Probe, Found{true, router})
	}
	if kindOfReply(d) != offer {
		t.Errorf("a PC gets no offer: %+v", d)
	}
	if d := s.Swept(now, ip(150), Found{true, lease.MAC{2, 10}}); d.Key != "dhcp/conflict/10.0.0.150" {
		t.Errorf("another device is not named: %+v", d)
	}
}

func TestPoolBehindARelayIsNotEmptiedByAFirewallThatAnswersEveryPing(t *testing.T) {
	s := pooled()
	for _, a := range s.book.Next(now, 100) {
		s.Swept(now, a, Found{Something: true})
	}
	if n := s.book.QuarantinedIn(now, s.net.own().Prefix); n != 100/mostOfNetwork {
		t.Errorf("%d of 100 addresses are kept from being leased, want %d", n, 100/mostOfNetwork)
	}
}

// A lease that ended long ago says nothing of who is at the address now.
func TestFormerHolderVouchesForALeaseTime(t *testing.T) {
	for _, row := range []struct {
		after  time.Duration
		probed bool
	}{{0, false}, {2*time.Hour - time.Second, false}, {2 * time.Hour, true}, {24 * 60 * time.Hour, true}} {
		s := NewResponder(testNetwork(), lease.NewBook(testNetwork().pools(), []lease.Lease{bound(12, pc1)}), nil)
		if d := s.Decide(now.Add(row.after), request(t, pc1, discover)); (d.Probe == ip(12)) != row.probed || (d.Reply == nil) != row.probed {
			t.Errorf("%s later: %+v, want a probe: %v", row.after, d, row.probed)
		}
	}
}

// Whoever makes up relay agents and servers keeps no alarm from being told.
func TestMadeUpNoticesMuteNoOthers(t *testing.T) {
	s := newResponder(bound(10, lease.MAC{2, 2}), bound(11, lease.MAC{2, 3}), bound(12, lease.MAC{2, 4}))
	told := map[string]int{}
	count := func(d Decision) {
		if d.Key != "" {
			told[noticeKind(d.Key)]++
		}
	}
	for i := range 1000 {
		made := netip.AddrFrom4([4]byte{172, 16, byte(i >> 8), byte(i)})
		count(s.Decide(now, request(t, pc1, discover, through(made))))
		count(s.Decide(now, request(t, lease.MAC{2, 7, 0, 0, byte(i >> 8), byte(i)}, ask, to(made), wants(ip(50)))))
	}
	count(s.Decide(now, request(t, pc1, discover)))
	if told[ofRelay] != atOnce[ofRelay] || told[ofOther] != atOnce[ofOther] || told[ofExhausted] != 1 {
		t.Errorf("told %v, want %v and the empty pool", told, atOnce)
	}
	s.board.take(now.Add(2 * time.Hour))
	if !s.board.tell(now, fmt.Sprint(ofRelay, "192.168.7.1"), time.Hour) {
		t.Error("when all is over, nothing is told any more")
	}
}
