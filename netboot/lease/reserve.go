package lease

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"strings"
)

// A Reservation gives a PC, by one of its MACs, an address that nobody else gets. The address may be outside every pool, but must be in a subnet
// that is served.
type Reservation struct {
	MAC     MAC
	Address netip.Addr
	Name    string // of the PC, for people
}

// reservations are the addresses that are promised.
type reservations struct {
	at map[netip.Addr]Reservation
	of map[MAC][]netip.Addr // at most one in each network
}

// Reserve sets what is reserved, in place of what was. Reservations that cannot be are left out, and the error names each; the others hold, so that one
// mistake takes no other PC's address away. A PC that now has another's reserved address keeps it until its lease ends, and is not given it for longer.
func (b *Book) Reserve(all []Reservation) error {
	r := reservations{at: map[netip.Addr]Reservation{}, of: map[MAC][]netip.Addr{}}
	var refused []string
	for _, n := range all {
		if err := b.check(r, n); err != nil {
			refused = append(refused, err.Error())
			continue
		}
		r.at[n.Address] = n
		r.of[n.MAC] = append(r.of[n.MAC], n.Address)
	}
	b.reserved = r
	for a := range r.at {
		if o, ok := b.offers[a]; ok && o.who.mac != r.at[a].MAC {
			b.withdrawAt(a)
		}
	}
	b.rewind()
	if len(refused) > 0 {
		return errors.New(strings.Join(refused, "; "))
	}
	return nil
}

// check says why one more reservation cannot be.
func (b *Book) check(r reservations, n Reservation) error {
	pool, ok := b.PoolAt(n.Address)
	if !ok {
		return fmt.Errorf("address %s cannot be reserved for %s: it is in no network that is served, which are %s", n.Address, n.Name, b.networks())
	}
	if whose, taken := pool.Taken[n.Address]; taken {
		return fmt.Errorf("address %s cannot be reserved for %s: it is %s", n.Address, n.Name, whose)
	}
	if n.Address == pool.Network.Addr() || n.Address == LastOf(pool.Network) {
		return fmt.Errorf("address %s cannot be reserved for %s: the first and the last address of %s belong to the network itself", n.Address, n.Name, pool.Network)
	}
	if other, ok := r.at[n.Address]; ok {
		return fmt.Errorf("address %s is reserved twice, for %s and for %s, and only the first gets it: give one of them another", n.Address, other.Name, n.Name)
	}
	for _, a := range r.of[n.MAC] {
		if pool.Network.Contains(a) {
			return fmt.Errorf("%s (%s) has two reserved addresses in one network, %s and %s, and gets the first: give it one", n.Name, n.MAC, a, n.Address)
		}
	}
	return nil
}

// Reservation returns the address that is reserved for a PC in the network in which it stands.
func (b *Book) Reservation(c Client) (Reservation, bool) {
	for _, a := range b.reserved.of[c.MAC] {
		if c.Network.Contains(a) {
			return b.reserved.at[a], true
		}
	}
	return Reservation{}, false
}

// ReservedAt returns for whom an address is reserved.
func (b *Book) ReservedAt(a netip.Addr) (Reservation, bool) {
	r, ok := b.reserved.at[a]
	return r, ok
}

// HasReservation says whether any address is reserved for a PC.
func (b *Book) HasReservation(mac MAC) bool { return len(b.reserved.of[mac]) > 0 }

// networks lists, for people, what is served.
func (b *Book) networks() string {
	var text string
	for i, p := range b.pools {
		if i > 0 {
			text += ", "
		}
		text += p.Network.String()
	}
	return text
}

// reservedIn counts what is reserved in a network.
func (b *Book) reservedIn(n netip.Prefix) int {
	count := 0
	for a := range maps.Keys(b.reserved.at) {
		if n.Contains(a) {
			count++
		}
	}
	return count
}

// Take says that an address turned out to be somebody's, and whose, for people: it is not leased from now on.
func (b *Book) Take(a netip.Addr, whose string) {
	if p, ok := b.PoolAt(a); ok && p.Taken != nil {
		p.Take(a, whose)
		b.withdrawAt(a)
	}
}

// Knows says whether a client is no newcomer: something is recorded, reserved or on offer for it.
func (b *Book) Knows(c Client) bool {
	_, offered := b.offered[c.key()]
	_, had := b.owner[c.key()]
	return offered || had || b.HasReservation(c.MAC)
}
