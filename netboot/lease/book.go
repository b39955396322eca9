package lease

import (
	"errors"
	"maps"
	"net/netip"
	"slices"
	"time"
)

// Limits of the rules.
const (
	// OfferHold is how long an offered address waits for its PC. EDK2 collects offers for 4 s and a PC that lost its
	// reply retries for half a minute.
	OfferHold = 60 * time.Second

	// Grace is how long after its end a lease is left alone before another PC gets the address: the PC counts from when it
	// received the reply, with a clock of its own.
	Grace = time.Minute

	// Quarantine is how long an address at which something else answers is not leased.
	Quarantine = time.Hour

	// DeclineLimit is how many addresses one PC can put in quarantine in one Quarantine: beyond that something is wrong
	// with the PC, and it must not eat the pool.
	DeclineLimit = 4
)

// Reasons for which an address is not given.
var (
	ErrExhausted = errors.New("no free address is left in the pool")
	ErrOutside   = errors.New("address is not in the pool")
	ErrTaken     = errors.New("address belongs to another PC")
	ErrOther     = errors.New("another address is this PC's")
	ErrUnknown   = errors.New("nothing is recorded for this PC")
	ErrTooMany   = errors.New("this PC refuses one address after another")
)

// A Book knows who has which address, and applies the rules of RFC 2131 3 and 4.3 to it. It is not safe for concurrent use.
type Book struct {
	pool     Pool
	leases   map[netip.Addr]Lease
	owner    map[MAC]netip.Addr // the address that a PC has or last had: leases[owner[m]].MAC == m, and not quarantined
	offers   map[netip.Addr]offer
	offered  map[MAC]netip.Addr // offers[offered[m]].mac == m
	declines map[MAC][]time.Time
	changed  map[netip.Addr]bool
}

type offer struct {
	mac   MAC
	until time.Time
}

// NewBook makes a Book over a pool, with the leases of a Store. Leases outside the pool are kept, in case the pool was moved by mistake,
// but are neither offered nor renewed.
func NewBook(pool Pool, leases []Lease) *Book {
	b := &Book{
		pool:   pool,
		leases: map[netip.Addr]Lease{}, owner: map[MAC]netip.Addr{},
		offers: map[netip.Addr]offer{}, offered: map[MAC]netip.Addr{},
		declines: map[MAC][]time.Time{}, changed: map[netip.Addr]bool{},
	}
	for _, l := range leases {
		b.leases[l.Address] = l
		if l.State == Quarantined {
			continue
		}
		// A Book never leaves a PC two addresses, but the file may have been edited: the one that lasts longest counts.
		if other, ok := b.owner[l.MAC]; !ok || b.leases[other].Expires.Before(l.Expires) {
			b.owner[l.MAC] = l.Address
		}
	}
	return b
}

// Offer chooses the address to offer to a PC and holds it for OfferHold. It prefers, in this order, what it has
// offered already, what the PC has or had, what it asks for (wanted may be zero), an address that nobody ever had, and
// the one that ended longest ago. The error is ErrExhausted.
func (b *Book) Offer(now time.Time, mac MAC, wanted netip.Addr) (netip.Addr, error) {
	a, ok := b.choose(now, mac, wanted)
	if !ok {
		return netip.Addr{}, ErrExhausted
	}
	b.Withdraw(mac)
	b.withdrawAt(a)
	b.offers[a] = offer{mac, now.Add(OfferHold)}
	b.offered[mac] = a
	return a, nil
}

func (b *Book) choose(now time.Time, mac MAC, wanted netip.Addr) (netip.Addr, bool) {
	if a, ok := b.offered[mac]; ok && b.free(now, mac, a) {
		return a, true
	}
	if a, ok := b.owner[mac]; ok && b.free(now, mac, a) {
		return a, true
	}
	if _, known := b.leases[wanted]; !known && b.free(now, mac, wanted) {
		return wanted, true
	}
	var oldest netip.Addr
	for a := b.pool.First; a.IsValid() && !b.pool.Last.Less(a); a = a.Next() {
		if !b.free(now, mac, a) {
			continue
		}
		l, known := b.leases[a]
		if !known {
			return a, true
		}
		if !oldest.IsValid() || l.Expires.Before(b.leases[oldest].Expires) {
			oldest = a
		}
	}
	return oldest, oldest.IsValid()
}

// free says whether mac may have address a now.
func (b *Book) free(now time.Time, mac MAC, a netip.Addr) bool {
	if !b.pool.Contains(a) {
		return false
	}
	if o, ok := b.offers[a]; ok && o.mac != mac && now.Before(o.until) {
		return false
	}
	l, ok := b.leases[a]
	switch {
	case !ok:
		return true
	case l.State == Quarantined:
		return !now.Before(l.Expires)
	case l.MAC == mac:
		return true
	default:
		return !now.Before(l.Expires.Add(Grace))
	}
}

// Bind leases address a to a PC for d from now on, or extends the lease that it has. A PC has one address: with a new one
// it loses the other. Reasons to refuse: ErrOutside, ErrTaken, or ErrOther when another address was offered to it or is bound to it.
func (b *Book) Bind(now time.Time, mac MAC, a netip.Addr, d time.Duration) (Lease, error) {
	switch {
	case !b.pool.Contains(a):
		return Lease{}, ErrOutside
	case !b.free(now, mac, a):
		return Lease{}, ErrTaken
	}
	if own, ok := b.expected(now, mac); ok && own != a {
		return Lease{}, ErrOther
	}
	b.Withdraw(mac)
	b.withdrawAt(a)
	if former, ok := b.owner[mac]; ok && former != a {
		b.forget(former)
	}
	if former, ok := b.leases[a]; ok && former.MAC != mac {
		b.forget(a)
	}
	l := Lease{Address: a, MAC: mac, State: Bound, Expires: now.Add(d)}
	b.leases[a], b.owner[mac] = l, a
	b.changed[a] = true
	return l, nil
}

// expected returns the address that a PC can be thought to ask for: the one offered to it, else the one it has.
func (b *Book) expected(now time.Time, mac MAC) (netip.Addr, bool) {
	if a, ok := b.offered[mac]; ok && now.Before(b.offers[a].until) {
		return a, true
	}
	l, ok := b.Find(mac)
	return l.Address, ok && l.State == Bound && now.Before(l.Expires) && b.pool.Contains(l.Address)
}

// Find returns the record of the address that a PC has or last had.
func (b *Book) Find(mac MAC) (Lease, bool) {
	a, ok := b.owner[mac]
	return b.leases[a], ok
}

// At returns the record of an address.
func (b *Book) At(a netip.Addr) (Lease, bool) {
	l, ok := b.leases[a]
	return l, ok
}

// Withdraw takes back what was offered to a PC, for instance because it chose another server.
func (b *Book) Withdraw(mac MAC) {
	if a, ok := b.offered[mac]; ok {
		delete(b.offers, a)
		delete(b.offered, mac)
	}
}

// withdrawAt takes back the offer of an address, to whomever it was made.
func (b *Book) withdrawAt(a netip.Addr) {
	if o, ok := b.offers[a]; ok {
		b.Withdraw(o.mac)
	}
}

// Release ends a lease at the PC's wish. The address stays its first choice. Reasons to refuse: ErrUnknown, ErrOther.
func (b *Book) Release(now time.Time, mac MAC, a netip.Addr) error {
	l, ok := b.Find(mac)
	switch {
	case !ok:
		return ErrUnknown
	case l.Address != a:
		return ErrOther
	}
	l.State = Released
	if now.Before(l.Expires) {
		l.Expires = now
	}
	b.leases[a] = l
	b.changed[a] = true
	return nil
}

// Decline puts the address that a PC was given in quarantine, because the PC found something else there. Only the
// PC to which it was offered or leased is believed: ErrOther; and not for ever: ErrTooMany.
func (b *Book) Decline(now time.Time, mac MAC, a netip.Addr) error {
	if b.offered[mac] != a && b.owner[mac] != a || !a.IsValid() {
		return ErrOther
	}
	old := func(t time.Time) bool { return now.Sub(t) >= Quarantine }
	maps.DeleteFunc(b.declines, func(_ MAC, at []time.Time) bool { return old(at[len(at)-1]) })
	recent := slices.DeleteFunc(b.declines[mac], old)
	if len(recent) >= DeclineLimit {
		return ErrTooMany
	}
	b.declines[mac] = append(recent, now)
	b.Quarantine(now, mac, a)
	return nil
}

// Quarantine keeps an address from everybody for a while, because something that has no lease answers at it.
func (b *Book) Quarantine(now time.Time, mac MAC, a netip.Addr) {
	b.withdrawAt(a)
	if _, ok := b.leases[a]; ok {
		b.forget(a)
	}
	b.leases[a] = Lease{Address: a, MAC: mac, State: Quarantined, Expires: now.Add(Quarantine)}
	b.changed[a] = true
}

// forget drops the record of an address.
func (b *Book) forget(a netip.Addr) {
	if mac := b.leases[a].MAC; b.owner[mac] == a {
		delete(b.owner, mac)
	}
	delete(b.leases, a)
	b.changed[a] = true
}

// A Change is an address whose record must be written, or removed when Lease is nil.
type Change struct {
	Address netip.Addr
	Lease   *Lease
}

// Changes returns what is not yet saved, in the order of the addresses.
func (b *Book) Changes() []Change {
	var all []Change
	for a := range b.changed {
		c := Change{Address: a}
		if l, ok := b.leases[a]; ok {
			c.Lease = &l
		}
		all = append(all, c)
	}
	slices.SortFunc(all, func(x, y Change) int { return x.Address.Compare(y.Address) })
	return all
}

// Saved says that the last Changes are on disk.
func (b *Book) Saved() { clear(b.changed) }
