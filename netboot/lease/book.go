package lease

import (
	"container/list"
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

	// keptShare is the part of a pool that strangers never get: one in so many addresses.
	keptShare = 4
)

// Reasons for which an address is not given.
var (
	ErrExhausted = errors.New("no free address is left in the pool")
	ErrKept      = errors.New("the addresses that are left are kept for registered PCs")
	ErrOutside   = errors.New("address is not in the pool")
	ErrReserved  = errors.New("address is reserved for another PC")
	ErrTaken     = errors.New("address belongs to another PC")
	ErrOther     = errors.New("another address is this PC's")
	ErrUnknown   = errors.New("nothing is recorded for this PC")
	ErrTooMany   = errors.New("this PC refuses one address after another")
)

// A Book knows who has which address, and applies the rules of RFC 2131 3 and 4.3 to it. It is not safe for concurrent use.
type Book struct {
	pools    []Pool
	fresh    []netip.Addr // of each pool: no address before it is one that nobody ever had
	reserved reservations
	leases   map[netip.Addr]Lease
	owner    map[key]netip.Addr // the address that a client has or last had: leases[owner[k]].key() == k, and not quarantined
	offers   map[netip.Addr]offer
	offered  map[key]netip.Addr // offers[offered[k]].who == k
	held     *list.List         // of the addresses on offer, in the order in which the offers end
	declines map[MAC][]time.Time
	changed  map[netip.Addr]bool
}

type offer struct {
	who      key
	until    time.Time
	stranger bool
	held     *list.Element
}

// NewBook makes a Book over pools that CheckPools found good, with the leases of a Store. Leases outside the pools are kept, in case a pool
// was moved by mistake, but are neither offered nor renewed.
func NewBook(pools []Pool, leases []Lease) *Book {
	b := &Book{
		pools:  pools,
		fresh:  make([]netip.Addr, len(pools)),
		leases: map[netip.Addr]Lease{}, owner: map[key]netip.Addr{},
		offers: map[netip.Addr]offer{}, offered: map[key]netip.Addr{}, held: list.New(),
		declines: map[MAC][]time.Time{}, changed: map[netip.Addr]bool{},
	}
	b.rewind()
	for _, l := range leases {
		b.leases[l.Address] = l
		if l.State == Quarantined {
			continue
		}
		// A Book never leaves a client two addresses, but the file may have been edited: the one that lasts longest counts.
		if other, ok := b.owner[l.key()]; !ok || b.leases[other].Expires.Before(l.Expires) {
			b.owner[l.key()] = l.Address
		}
	}
	return b
}

// rewind looks for fresh addresses from the start again.
func (b *Book) rewind() {
	for i, p := range b.pools {
		b.fresh[i] = p.First
	}
}

// PoolAt returns the pool in whose network an address is.
func (b *Book) PoolAt(a netip.Addr) (Pool, bool) {
	i := slices.IndexFunc(b.pools, func(p Pool) bool { return p.Network.Contains(a) })
	if i < 0 {
		return Pool{}, false
	}
	return b.pools[i], true
}

// Offer chooses the address to offer to a client and holds it for OfferHold. It prefers, in this order, what is reserved for it, what it has
// offered already, what the client has or had, what it asks for (wanted may be zero), an address that nobody ever had, and
// the one that ended longest ago. The error is ErrExhausted, or ErrKept for a stranger.
func (b *Book) Offer(now time.Time, c Client, wanted netip.Addr) (netip.Addr, error) {
	b.endOffers(now)
	a, err := b.choose(now, c, wanted)
	if err != nil {
		return netip.Addr{}, err
	}
	if b.offered[c.key()] != a {
		b.Withdraw(c)
		b.withdrawAt(a)
	}
	o, again := b.offers[a]
	if again {
		b.held.MoveToBack(o.held)
	} else {
		o.held = b.held.PushBack(a)
	}
	o.who, o.until, o.stranger = c.key(), now.Add(OfferHold), c.Stranger
	b.offers[a], b.offered[c.key()] = o, a
	return a, nil
}

// endOffers forgets the offers whose time is over.
func (b *Book) endOffers(now time.Time) {
	for e := b.held.Front(); e != nil; e = b.held.Front() {
		a := e.Value.(netip.Addr)
		if now.Before(b.offers[a].until) {
			return
		}
		b.withdrawAt(a)
	}
}

func (b *Book) choose(now time.Time, c Client, wanted netip.Addr) (netip.Addr, error) {
	if a, ok := b.own(now, c); ok {
		return a, nil
	}
	i := slices.IndexFunc(b.pools, func(p Pool) bool { return p.Network == c.Network })
	if i < 0 {
		return netip.Addr{}, ErrExhausted
	}
	if c.Stranger && b.strangersFull(now, b.pools[i]) {
		return netip.Addr{}, ErrKept
	}
	if _, known := b.leases[wanted]; !known && b.free(now, c, wanted) {
		return wanted, nil
	}
	if a, ok := b.nextFresh(now, c, i); ok {
		return a, nil
	}
	if a, ok := b.oldest(now, c, b.pools[i]); ok {
		return a, nil
	}
	return netip.Addr{}, ErrExhausted
}

// own returns the address to which a client has the best claim, when it can have it.
func (b *Book) own(now time.Time, c Client) (netip.Addr, bool) {
	if r, ok := b.Reservation(c); ok && b.free(now, c, r.Address) {
		return r.Address, true
	}
	if a, ok := b.offered[c.key()]; ok && b.free(now, c, a) {
		return a, true
	}
	if a, ok := b.owner[c.key()]; ok && b.free(now, c, a) {
		return a, true
	}
	return netip.Addr{}, false
}

// strangersFull says whether strangers have as much of a pool as they may.
func (b *Book) strangersFull(now time.Time, p Pool) bool {
	left := p.Size() - p.Size()/keptShare
	for a, l := range b.leases {
		if l.Stranger && l.State == Bound && now.Before(l.Expires) && p.Contains(a) {
			left--
		}
	}
	for a, o := range b.offers {
		if o.stranger && p.Contains(a) && b.leases[a].key() != o.who {
			left--
		}
	}
	return left <= 0
}

// nextFresh returns the first address of pool i that nobody ever had.
func (b *Book) nextFresh(now time.Time, c Client, i int) (netip.Addr, bool) {
	p := b.pools[i]
	for a := b.fresh[i]; a.IsValid() && !p.Last.Less(a); a = a.Next() {
		if _, known := b.leases[a]; !known && b.free(now, c, a) {
			b.fresh[i] = a
			return a, true
		}
	}
	if p.First.IsValid() {
		b.fresh[i] = p.Last.Next()
	}
	return netip.Addr{}, false
}

// refresh notes that an address has no record any more, or is not offered any more.
func (b *Book) refresh(a netip.Addr) {
	for i, p := range b.pools {
		if p.Contains(a) && a.Less(b.fresh[i]) {
			b.fresh[i] = a
		}
	}
}

// oldest returns, of the addresses that somebody had, the free one that ended first.
func (b *Book) oldest(now time.Time, c Client, p Pool) (oldest netip.Addr, ok bool) {
	for a := p.First; a.IsValid() && !p.Last.Less(a); a = a.Next() {
		l, known := b.leases[a]
		if known && b.free(now, c, a) && (!ok || l.Expires.Before(b.leases[oldest].Expires)) {
			oldest, ok = a, true
		}
	}
	return oldest, ok
}

// Next returns up to n addresses of each pool that newcomers will be offered next, in that order.
func (b *Book) Next(now time.Time, n int) []netip.Addr {
	b.endOffers(now)
	var all []netip.Addr
	for i, p := range b.pools {
		nobody := Client{Network: p.Network}
		var fresh, used []netip.Addr
		for a := b.fresh[i]; a.IsValid() && !p.Last.Less(a) && len(fresh) < n; a = a.Next() {
			if _, known := b.leases[a]; !known && b.free(now, nobody, a) {
				fresh = append(fresh, a)
			}
		}
		for a := p.First; a.IsValid() && !p.Last.Less(a) && len(fresh) < n; a = a.Next() {
			if _, known := b.leases[a]; known && b.free(now, nobody, a) {
				used = append(used, a)
			}
		}
		slices.SortStableFunc(used, func(x, y netip.Addr) int { return b.leases[x].Expires.Compare(b.leases[y].Expires) })
		all = append(all, fresh...)
		all = append(all, used[:min(len(used), n-len(fresh))]...)
	}
	return all
}

// allowed says why a client may not have an address at all, whoever has it now.
func (b *Book) allowed(c Client, a netip.Addr) error {
	r, reserved := b.reserved.at[a]
	switch {
	case !c.Network.Contains(a):
		return ErrOutside
	case reserved && r.MAC == c.MAC:
		return nil
	case reserved:
		return ErrReserved
	}
	if p, ok := b.PoolAt(a); !ok || !p.Contains(a) {
		return ErrOutside
	}
	return nil
}

// free says whether a client may have address a now.
func (b *Book) free(now time.Time, c Client, a netip.Addr) bool {
	if !a.IsValid() || b.allowed(c, a) != nil {
		return false
	}
	if o, ok := b.offers[a]; ok && o.who != c.key() && now.Before(o.until) {
		return false
	}
	l, ok := b.leases[a]
	switch {
	case !ok:
		return true
	case l.State == Quarantined:
		return !now.Before(l.Expires)
	case l.MAC == c.MAC: // the same PC, even when it was another client before
		return true
	default:
		return !now.Before(l.Expires.Add(Grace))
	}
}

// Bind leases address a to a client for d from now on, or extends the lease that it has. A client has one address: with a new one
// it loses the other. Reasons to refuse: ErrOutside, ErrReserved, ErrTaken, ErrOther when another address was offered to it or is bound to it,
// and ErrKept when a stranger was not offered the address and there are enough strangers.
func (b *Book) Bind(now time.Time, c Client, a netip.Addr, d time.Duration) (Lease, error) {
	if err := b.allowed(c, a); err != nil {
		return Lease{}, err
	}
	if !b.free(now, c, a) {
		return Lease{}, ErrTaken
	}
	if own, ok := b.expected(now, c); ok && own != a {
		return Lease{}, ErrOther
	}
	if c.Stranger && !b.Expects(now, c, a) {
		if p, _ := b.PoolAt(a); b.strangersFull(now, p) {
			return Lease{}, ErrKept
		}
	}
	b.Withdraw(c)
	b.withdrawAt(a)
	if former, ok := b.owner[c.key()]; ok && former != a {
		b.forget(former)
	}
	if former, ok := b.leases[a]; ok && former.key() != c.key() {
		b.forget(a)
	}
	l := Lease{Address: a, MAC: c.MAC, State: Bound, Expires: now.Add(d), ID: c.ID, Stranger: c.Stranger}
	b.leases[a], b.owner[c.key()] = l, a
	b.changed[a] = true
	return l, nil
}

// Expects says whether a client can be thought to ask for an address: because that was offered to it, or is or was its own.
func (b *Book) Expects(now time.Time, c Client, a netip.Addr) bool {
	own, ok := b.expected(now, c)
	return ok && own == a || b.mine(c, a)
}

// mine says whether an address is or was the PC's, even when it was another client then.
func (b *Book) mine(c Client, a netip.Addr) bool {
	l, ok := b.leases[a]
	return ok && l.MAC == c.MAC && l.State != Quarantined
}

// expected returns the address that a client must ask for when it asks: the one offered to it, else the one it has.
func (b *Book) expected(now time.Time, c Client) (netip.Addr, bool) {
	if a, ok := b.offered[c.key()]; ok && now.Before(b.offers[a].until) && c.Network.Contains(a) {
		return a, true
	}
	l, ok := b.Find(c)
	return l.Address, ok && l.State == Bound && now.Before(l.Expires) && b.allowed(c, l.Address) == nil
}

// Find returns the record of the address that a client has or last had.
func (b *Book) Find(c Client) (Lease, bool) {
	a, ok := b.owner[c.key()]
	return b.leases[a], ok
}

// At returns the record of an address.
func (b *Book) At(a netip.Addr) (Lease, bool) {
	l, ok := b.leases[a]
	return l, ok
}

// Withdraw takes back what was offered to a client, for instance because it chose another server.
func (b *Book) Withdraw(c Client) { b.withdraw(c.key()) }

func (b *Book) withdraw(who key) {
	if a, ok := b.offered[who]; ok {
		b.held.Remove(b.offers[a].held)
		delete(b.offers, a)
		delete(b.offered, who)
		b.refresh(a)
	}
}

// withdrawAt takes back the offer of an address, to whomever it was made.
func (b *Book) withdrawAt(a netip.Addr) {
	if o, ok := b.offers[a]; ok {
		b.withdraw(o.who)
	}
}

// Release ends a lease at the client's wish. The address stays its first choice. Reasons to refuse: ErrUnknown, ErrOther.
func (b *Book) Release(now time.Time, c Client, a netip.Addr) error {
	l := b.leases[a]
	switch _, known := b.Find(c); {
	case b.mine(c, a):
	case known:
		return ErrOther
	default:
		return ErrUnknown
	}
	l.State = Released
	if now.Before(l.Expires) {
		l.Expires = now
	}
	b.leases[a] = l
	b.changed[a] = true
	return nil
}

// forget drops the record of an address.
func (b *Book) forget(a netip.Addr) {
	if who := b.leases[a].key(); b.owner[who] == a {
		delete(b.owner, who)
	}
	delete(b.leases, a)
	b.refresh(a)
	b.changed[a] = true
}

// Leases are all records, by address.
func (b *Book) Leases() []Lease {
	return slices.SortedFunc(maps.Values(b.leases), func(x, y Lease) int { return x.Address.Compare(y.Address) })
}

// Pools tells how full the pools are, in their order.
func (b *Book) Pools(now time.Time) []PoolStatus {
	var all []PoolStatus
	for _, p := range b.pools {
		s := PoolStatus{Pool: p, Size: p.Size(), Reserved: b.reservedIn(p.Network)}
		for a, l := range b.leases {
			switch {
			case !p.Network.Contains(a) || !now.Before(l.Expires):
			case l.State == Bound:
				s.Leased++
			case l.State == Quarantined:
				s.Quarantined++
			}
		}
		for a, o := range b.offers {
			if p.Network.Contains(a) && now.Before(o.until) {
				s.Offered++
			}
		}
		all = append(all, s)
	}
	return all
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

// Saved says that what Changes returned is on disk, or is being written.
func (b *Book) Saved() { clear(b.changed) }

// Unsaved says that changes could not be written after all: they are among the next Changes.
func (b *Book) Unsaved(changes []Change) {
	for _, c := range changes {
		b.changed[c.Address] = true
	}
}
