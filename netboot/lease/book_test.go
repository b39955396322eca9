package lease

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"
)

var (
	t0   = time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	none = netip.Addr{}
)

const hour = time.Hour

func ip(last byte) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, last}) }
func pc(n byte) MAC           { return MAC{0x52, 0x54, 0, 0, 0, n} }

var subnet = netip.MustParsePrefix("10.0.0.0/24")

// client is a registered PC.
func client(mac MAC) Client { return Client{MAC: mac, Network: subnet} }

func record(a netip.Addr, mac MAC, s State, expires time.Time) Lease {
	return Lease{Address: a, MAC: mac, State: s, Expires: expires}
}

// pool has the four addresses 10.0.0.10 to 10.0.0.14 without .12, which is the gateway's.
func pool() []Pool {
	return []Pool{{Network: subnet, First: ip(10), Last: ip(14), Taken: map[netip.Addr]string{ip(12): "the gateway"}}}
}

func between(first, last byte) []Pool {
	return []Pool{{Network: subnet, First: ip(first), Last: ip(last)}}
}

func mustOffer(t *testing.T, b *Book, now time.Time, mac MAC, wanted, want netip.Addr) {
	t.Helper()
	got, err := b.Offer(now, client(mac), wanted)
	if err != nil || got != want {
		t.Fatalf("Offer(%s, wanted %s) = %s, %v, want %s", mac, wanted, got, err, want)
	}
}

func mustBind(t *testing.T, b *Book, now time.Time, mac MAC, a netip.Addr, d time.Duration) {
	t.Helper()
	got, err := b.Bind(now, client(mac), a, d)
	want := Lease{Address: a, MAC: mac, State: Bound, Expires: now.Add(d)}
	if err != nil || got != want {
		t.Fatalf("Bind(%s, %s) = %+v, %v, want %+v", mac, a, got, err, want)
	}
}

func mustRefuse(t *testing.T, b *Book, now time.Time, mac MAC, a netip.Addr, want error) {
	t.Helper()
	if got, err := b.Bind(now, client(mac), a, hour); !errors.Is(err, want) {
		t.Fatalf("Bind(%s, %s) = %+v, %v, want error %q", mac, a, got, err, want)
	}
}

// The preferences of RFC 2131 4.3.1.
func TestOfferPrefers(t *testing.T) {
	t.Run("an address that nobody had, for an unknown PC", func(t *testing.T) {
		mustOffer(t, NewBook(pool(), nil), t0, pc(1), none, ip(10))
	})
	t.Run("the address that the PC asks for, when it is free", func(t *testing.T) {
		mustOffer(t, NewBook(pool(), nil), t0, pc(1), ip(13), ip(13))
	})
	t.Run("another than asked for, when that is the gateway's", func(t *testing.T) {
		mustOffer(t, NewBook(pool(), nil), t0, pc(1), ip(12), ip(10))
	})
	t.Run("another than asked for, when that is outside the pool", func(t *testing.T) {
		mustOffer(t, NewBook(pool(), nil), t0, pc(1), ip(99), ip(10))
	})
	t.Run("another than asked for, when that was another PC's", func(t *testing.T) {
		b := NewBook(pool(), []Lease{record(ip(13), pc(2), Bound, t0.Add(-hour))})
		mustOffer(t, b, t0, pc(1), ip(13), ip(10))
	})
	t.Run("the same again, to a PC that repeats itself", func(t *testing.T) {
		b := NewBook(pool(), nil)
		mustOffer(t, b, t0, pc(1), ip(13), ip(13))
		mustOffer(t, b, t0.Add(4*time.Second), pc(1), none, ip(13))
	})
	t.Run("what the PC has, whatever it asks for", func(t *testing.T) {
		b := NewBook(pool(), []Lease{record(ip(13), pc(1), Bound, t0.Add(hour))})
		mustOffer(t, b, t0, pc(1), ip(10), ip(13))
	})
	t.Run("what the PC had, long after it ended", func(t *testing.T) {
		b := NewBook(pool(), []Lease{record(ip(13), pc(1), Bound, t0.Add(-1000*hour))})
		mustOffer(t, b, t0, pc(1), none, ip(13))
	})
	t.Run("what the PC gave back", func(t *testing.T) {
		b := NewBook(pool(), []Lease{record(ip(13), pc(1), Released, t0.Add(-hour))})
		mustOffer(t, b, t0, pc(1), none, ip(13))
	})
	t.Run("an unused address to one that ended, and then the one that ended first", func(t *testing.T) {
		b := NewBook(pool(), []Lease{
			record(ip(10), pc(10), Bound, t0.Add(-2*hour)),
			record(ip(11), pc(11), Released, t0.Add(-3*hour)),
			record(ip(13), pc(13), Quarantined, t0.Add(-4*hour)),
		})
		for i, want := range []byte{14, 13, 11, 10} {
			mustOffer(t, b, t0, pc(byte(20+i)), none, ip(want))
		}
		if a, err := b.Offer(t0, client(pc(30)), none); !errors.Is(err, ErrExhausted) {
			t.Errorf("Offer from a pool that is all offered = %s, %v, want ErrExhausted", a, err)
		}
	})
}

func TestOfferIsHeldForAMinute(t *testing.T) {
	b := NewBook(between(10, 10), nil)
	mustOffer(t, b, t0, pc(1), none, ip(10))
	almost := t0.Add(OfferHold - time.Nanosecond)
	if a, err := b.Offer(almost, client(pc(2)), none); !errors.Is(err, ErrExhausted) {
		t.Fatalf("Offer of an address that is offered to another = %s, %v", a, err)
	}
	mustOffer(t, b, t0.Add(OfferHold), pc(2), none, ip(10))
	// The first PC comes too late, and must not take the offer away from the second.
	mustRefuse(t, b, t0.Add(OfferHold), pc(1), ip(10), ErrTaken)
	b.Withdraw(client(pc(1)))
	mustBind(t, b, t0.Add(OfferHold), pc(2), ip(10), hour)
}

// Who asks on and on takes no memory, and its offer lasts from when it asked last.
func TestOfferThatIsRepeatedIsHeldOnce(t *testing.T) {
	b := NewBook(between(10, 11), nil)
	mustOffer(t, b, t0, pc(2), none, ip(10))
	for i := range 1000 {
		mustOffer(t, b, t0.Add(time.Duration(i)*time.Millisecond), pc(1), none, ip(11))
		b.Withdraw(client(pc(1)))
		mustOffer(t, b, t0.Add(time.Duration(i)*time.Millisecond), pc(1), none, ip(11))
	}
	if b.held.Len() != 2 || len(b.offers) != 2 {
		t.Errorf("%d offers are held in %d places, want 2 in 2", len(b.offers), b.held.Len())
	}
	mustOffer(t, b, t0.Add(OfferHold), pc(3), none, ip(10))
	mustOffer(t, b, t0.Add(OfferHold+time.Second), pc(4), none, ip(11))
}

func TestBind(t *testing.T) {
	held := []Lease{record(ip(10), pc(1), Bound, t0.Add(hour))}
	t.Run("takes what was offered", func(t *testing.T) {
		b := NewBook(pool(), held)
		mustOffer(t, b, t0, pc(2), none, ip(11))
		mustBind(t, b, t0, pc(2), ip(11), hour)
	})
	t.Run("takes a free address after a restart forgot the offer", func(t *testing.T) {
		mustBind(t, NewBook(pool(), held), t0, pc(2), ip(11), hour)
	})
	t.Run("extends", func(t *testing.T) {
		mustBind(t, NewBook(pool(), held), t0.Add(hour/2), pc(1), ip(10), hour)
	})
	t.Run("extends even a little late", func(t *testing.T) {
		mustBind(t, NewBook(pool(), held), t0.Add(9*hour), pc(1), ip(10), hour)
	})
	t.Run("refuses another PC's", func(t *testing.T) {
		mustRefuse(t, NewBook(pool(), held), t0, pc(2), ip(10), ErrTaken)
	})
	t.Run("refuses another PC's within the grace after its end", func(t *testing.T) {
		b := NewBook(pool(), held)
		mustRefuse(t, b, t0.Add(hour+Grace-1), pc(2), ip(10), ErrTaken)
		mustBind(t, b, t0.Add(hour+Grace), pc(2), ip(10), hour)
		if l, ok := b.Find(client(pc(1))); ok {
			t.Errorf("the former holder still has %+v", l)
		}
	})
	t.Run("refuses what is outside the pool", func(t *testing.T) {
		mustRefuse(t, NewBook(pool(), held), t0, pc(2), ip(99), ErrOutside)
	})
	t.Run("refuses a lease that a smaller pool left outside", func(t *testing.T) {
		b := NewBook(between(11, 14), held)
		mustRefuse(t, b, t0, pc(1), ip(10), ErrOutside)
		mustOffer(t, b, t0, pc(1), none, ip(11))
	})
	t.Run("refuses another address than the PC has", func(t *testing.T) {
		mustRefuse(t, NewBook(pool(), held), t0, pc(1), ip(11), ErrOther)
	})
	t.Run("refuses another address than was offered", func(t *testing.T) {
		b := NewBook(pool(), nil)
		mustOffer(t, b, t0, pc(1), none, ip(10))
		mustRefuse(t, b, t0, pc(1), ip(11), ErrOther)
	})
	t.Run("leaves a PC one address", func(t *testing.T) {
		b := NewBook(pool(), held)
		mustBind(t, b, t0.Add(2*hour), pc(1), ip(11), hour)
		if l, ok := b.At(ip(10)); ok {
			t.Errorf("the PC's former address still has the record %+v", l)
		}
		want := "[{10.0.0.10 <nil>} {10.0.0.11 bound}]"
		if got := describe(b.Changes()); got != want {
			t.Errorf("Changes = %s, want %s", got, want)
		}
	})
}

func describe(changes []Change) string {
	var all []string
	for _, c := range changes {
		state := "<nil>"
		if c.Lease != nil {
			state = string(c.Lease.State)
		}
		all = append(all, fmt.Sprintf("{%s %s}", c.Address, state))
	}
	return fmt.Sprint(all)
}

func TestRelease(t *testing.T) {
	b := NewBook(between(10, 10), []Lease{record(ip(10), pc(1), Bound, t0.Add(hour))})
	if err := b.Release(t0, client(pc(2)), ip(10)); !errors.Is(err, ErrUnknown) {
		t.Errorf("Release by a stranger: %v, want ErrUnknown", err)
	}
	if err := b.Release(t0, client(pc(1)), ip(11)); !errors.Is(err, ErrOther) {
		t.Errorf("Release of an address that the PC does not have: %v, want ErrOther", err)
	}
	if got := b.Changes(); got != nil {
		t.Errorf("refused releases changed %s", describe(got))
	}
	if err := b.Release(t0, client(pc(1)), ip(10)); err != nil {
		t.Errorf("Release: %v", err)
	}
	mustOffer(t, b, t0.Add(Grace), pc(2), none, ip(10))
}

func TestDecline(t *testing.T) {
	t.Run("keeps the address from everybody for an hour", func(t *testing.T) {
		b := NewBook(between(10, 10), []Lease{record(ip(10), pc(1), Bound, t0.Add(hour))})
		if err := b.Decline(t0, client(pc(1)), ip(10)); err != nil {
			t.Fatal(err)
		}
		for _, mac := range []MAC{pc(1), pc(2)} {
			if a, err := b.Offer(t0.Add(Quarantine-1), client(mac), ip(10)); !errors.Is(err, ErrExhausted) {
				t.Errorf("Offer to %s = %s, %v, want ErrExhausted", mac, a, err)
			}
			mustRefuse(t, b, t0.Add(Quarantine-1), mac, ip(10), ErrTaken)
		}
		mustOffer(t, b, t0.Add(Quarantine), pc(2), none, ip(10))
	})
	t.Run("is believed only of one's own address", func(t *testing.T) {
		b := NewBook(pool(), []Lease{record(ip(10), pc(1), Bound, t0.Add(hour))})
		if err := b.Decline(t0, client(pc(2)), ip(10)); !errors.Is(err, ErrOther) {
			t.Errorf("Decline of another PC's address: %v, want ErrOther", err)
		}
		if err := b.Decline(t0, client(pc(2)), none); !errors.Is(err, ErrOther) {
			t.Errorf("Decline of no address: %v, want ErrOther", err)
		}
		mustBind(t, b, t0, pc(1), ip(10), hour)
	})
	t.Run("does not eat the pool", func(t *testing.T) {
		b := NewBook(between(10, 99), nil)
		for i := range DeclineLimit {
			a, _ := b.Offer(t0, client(pc(1)), none)
			if err := b.Decline(t0, client(pc(1)), a); err != nil {
				t.Fatalf("decline %d: %v", i+1, err)
			}
		}
		a, _ := b.Offer(t0, client(pc(1)), none)
		if err := b.Decline(t0, client(pc(1)), a); !errors.Is(err, ErrTooMany) {
			t.Errorf("decline %d: %v, want ErrTooMany", DeclineLimit+1, err)
		}
		if err := b.Decline(t0.Add(Quarantine), client(pc(1)), a); err != nil {
			t.Errorf("decline an hour later: %v", err)
		}
	})
}

func TestNewBookOfAnEditedFileLeavesAPCTheLeaseThatLastsLongest(t *testing.T) {
	b := NewBook(pool(), []Lease{record(ip(10), pc(1), Bound, t0.Add(2*hour)), record(ip(11), pc(1), Bound, t0.Add(hour))})
	mustOffer(t, b, t0, pc(1), none, ip(10))
}

func TestMAC(t *testing.T) {
	for _, good := range []string{"52:54:00:12:34:56", "52-54-00-12-34-56", "5254.0012.3456", "52:54:00:AB:CD:EF"} {
		if _, err := ParseMAC(good); err != nil {
			t.Errorf("ParseMAC(%q): %v", good, err)
		}
	}
	for _, bad := range []string{"", "52:54:00:12:34", "00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff", "01:00:5e:00:00:01", "52:54:00:12:34:56:78:9a", "../../etc"} {
		if m, err := ParseMAC(bad); err == nil {
			t.Errorf("ParseMAC(%q) = %s, want an error", bad, m)
		}
	}
}
