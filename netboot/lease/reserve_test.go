package lease

import (
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
)

// One that cannot be is named, and takes nothing from the others.
func TestReserveRefusesByName(t *testing.T) {
	at := func(n byte, a netip.Addr, name string) Reservation { return Reservation{pc(n), a, name} }
	good, last := []Reservation{at(1, ip(11), "PC 1")}, at(6, ip(13), "PC 6")
	for name, row := range map[string]struct {
		all  []Reservation
		want string
	}{
		"the same address twice":  {[]Reservation{at(2, ip(50), "PC 2"), at(3, ip(50), "PC 3")}, "10.0.0.50 is reserved twice, for PC 2 and for PC 3"},
		"two addresses of one PC": {[]Reservation{at(1, ip(51), "PC 1")}, "two reserved addresses in one network, 10.0.0.11 and 10.0.0.51"},
		"a network not served":    {[]Reservation{at(4, netip.MustParseAddr("10.9.0.1"), "PC 4")}, "10.9.0.1 cannot be reserved for PC 4: it is in no network that is served, which are 10.0.0.0/24"},
		"no address":              {[]Reservation{at(4, none, "PC 4")}, "in no network"},
		"the gateway's":           {[]Reservation{at(4, ip(12), "PC 4")}, "10.0.0.12 cannot be reserved for PC 4: it is the gateway"},
		"the network's own":       {[]Reservation{at(4, ip(0), "PC 4")}, "belong to the network itself"},
		"the broadcast address":   {[]Reservation{at(4, ip(255), "PC 4")}, "belong to the network itself"},
	} {
		b := NewBook(pool(), nil)
		if err := b.Reserve(slices.Concat(good, row.all, []Reservation{last})); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v, want %q", name, err, row.want)
		}
		for _, g := range []Reservation{good[0], last} {
			if r, ok := b.ReservedAt(g.Address); !ok || r != g {
				t.Errorf("%s: %s is not reserved for %s", name, g.Address, g.Name)
			}
		}
		if b.HasReservation(pc(4)) || b.HasReservation(pc(3)) {
			t.Errorf("%s: the bad one holds", name)
		}
		if err := b.Reserve(good); err != nil || b.HasReservation(last.MAC) {
			t.Errorf("%s: afterwards the good one alone: %v", name, err)
		}
	}
	b := NewBook(pool(), nil)
	err := b.Reserve([]Reservation{at(4, ip(0), "PC 4"), good[0], at(5, none, "PC 5")})
	if err == nil || !strings.Contains(err.Error(), "PC 4") || !strings.Contains(err.Error(), "PC 5") || strings.Contains(err.Error(), "\n") {
		t.Errorf("of two bad ones is said: %v", err)
	}
}

func TestReservedAddress(t *testing.T) {
	reserve := func(t *testing.T, b *Book, all ...Reservation) {
		t.Helper()
		if err := b.Reserve(all); err != nil {
			t.Fatal(err)
		}
	}
	t.Run("is the PC's, inside the pool or outside", func(t *testing.T) {
		b := NewBook(pool(), nil)
		reserve(t, b, Reservation{pc(1), ip(11), "PC 1"}, Reservation{pc(2), ip(99), "PC 2"})
		mustOffer(t, b, t0, pc(1), ip(10), ip(11))
		mustOffer(t, b, t0, pc(2), none, ip(99))
		mustBind(t, b, t0, pc(2), ip(99), hour)
	})
	t.Run("is nobody else's", func(t *testing.T) {
		b := NewBook(pool(), nil)
		reserve(t, b, Reservation{pc(1), ip(10), "PC 1"})
		mustOffer(t, b, t0, pc(2), ip(10), ip(11))
		mustRefuse(t, b, t0, pc(3), ip(10), ErrReserved)
	})
	t.Run("is not taken from who has it, but not renewed either", func(t *testing.T) {
		b := NewBook(pool(), []Lease{record(ip(10), pc(2), Bound, t0.Add(hour))})
		reserve(t, b, Reservation{pc(1), ip(10), "PC 1"})
		mustOffer(t, b, t0, pc(1), none, ip(11)) // for now
		mustBind(t, b, t0, pc(1), ip(11), 2*hour)
		mustRefuse(t, b, t0.Add(hour/2), pc(2), ip(10), ErrReserved)
		mustOffer(t, b, t0.Add(hour+Grace), pc(1), none, ip(10))
		mustBind(t, b, t0.Add(hour+Grace), pc(1), ip(10), hour)
	})
	t.Run("takes back an offer to another", func(t *testing.T) {
		b := NewBook(pool(), nil)
		mustOffer(t, b, t0, pc(2), none, ip(10))
		reserve(t, b, Reservation{pc(1), ip(10), "PC 1"})
		mustOffer(t, b, t0, pc(1), none, ip(10))
		mustRefuse(t, b, t0, pc(2), ip(10), ErrReserved)
	})
	t.Run("is free for all again when the reservation ends", func(t *testing.T) {
		b := NewBook(pool(), nil)
		reserve(t, b, Reservation{pc(1), ip(10), "PC 1"})
		mustOffer(t, b, t0, pc(2), none, ip(11))
		reserve(t, b)
		mustOffer(t, b, t0, pc(3), none, ip(10))
	})
	t.Run("holds only in its network", func(t *testing.T) {
		other := netip.MustParsePrefix("10.1.0.0/24")
		b := NewBook(append(pool(), Pool{Network: other, First: netip.MustParseAddr("10.1.0.10"), Last: netip.MustParseAddr("10.1.0.20")}), nil)
		reserve(t, b, Reservation{pc(1), ip(11), "PC 1"})
		if a, err := b.Offer(t0, Client{MAC: pc(1), Network: other}, none); err != nil || a.String() != "10.1.0.10" {
			t.Errorf("elsewhere the PC is offered %s, %v", a, err)
		}
	})
}

func TestStrangersLeaveAShare(t *testing.T) {
	b := NewBook(between(10, 17), nil)
	stranger := func(n byte) Client { return Client{MAC: pc(n), Network: subnet, Stranger: true} }
	for n := range byte(6) {
		if _, err := b.Offer(t0, stranger(n+1), none); err != nil {
			t.Fatalf("stranger %d: %v", n+1, err)
		}
	}
	if a, err := b.Offer(t0, stranger(7), none); !errors.Is(err, ErrKept) {
		t.Errorf("the seventh of eight addresses: %s, %v, want ErrKept", a, err)
	}
	if _, err := b.Bind(t0, stranger(7), ip(17), hour); !errors.Is(err, ErrKept) {
		t.Errorf("without an offer: %v, want ErrKept", err)
	}
	mustOffer(t, b, t0, pc(8), none, ip(16))
	if _, err := b.Bind(t0, stranger(1), ip(10), hour); err != nil {
		t.Errorf("a stranger cannot take what it was offered: %v", err)
	}
	// Accepted, it counts no more.
	mustBind(t, b, t0, pc(1), ip(10), hour)
	if _, err := b.Offer(t0, stranger(7), none); err != nil {
		t.Errorf("when one was accepted: %v", err)
	}
}

func TestIDFrom(t *testing.T) {
	mac := pc(1)
	for _, row := range []struct {
		option []byte
		want   string
	}{{nil, ""}, {append([]byte{1}, mac[:]...), ""}, {[]byte{0, 0xab}, "00ab"}, {append([]byte{6}, mac[:]...), "06525400000001"}} {
		if got := IDFrom(row.option, mac); got != row.want {
			t.Errorf("IDFrom(%x) = %q, want %q", row.option, got, row.want)
		}
	}
}

func TestNextAreThoseThatAreOfferedNext(t *testing.T) {
	b := NewBook(pool(), []Lease{record(ip(11), pc(5), Bound, t0.Add(-hour)), record(ip(13), pc(6), Bound, t0.Add(-2*hour)), record(ip(10), pc(7), Bound, t0.Add(hour))})
	want := []netip.Addr{ip(14), ip(13), ip(11)}
	next := b.Next(t0, 10)
	if len(next) != len(want) {
		t.Fatalf("Next = %v, want %v", next, want)
	}
	for i, a := range want {
		if next[i] != a {
			t.Errorf("Next = %v, want %v", next, want)
		}
		mustOffer(t, b, t0, pc(byte(20+i)), none, a)
	}
}
