package lease

import (
	"maps"
	"net/netip"
	"slices"
	"time"
)

// Decline puts the address that a client was given in quarantine, because the client found something else there. Only the
// client to which it was offered or leased is believed: ErrOther; and not for ever: ErrTooMany.
func (b *Book) Decline(now time.Time, c Client, a netip.Addr) error {
	if b.offered[c.key()] != a && !b.mine(c, a) || !a.IsValid() {
		return ErrOther
	}
	old := func(t time.Time) bool { return now.Sub(t) >= Quarantine }
	maps.DeleteFunc(b.declines, func(_ MAC, at []time.Time) bool { return old(at[len(at)-1]) })
	recent := slices.DeleteFunc(b.declines[c.MAC], old)
	if len(recent) >= DeclineLimit {
		return ErrTooMany
	}
	b.declines[c.MAC] = append(recent, now)
	b.Quarantine(now, c.MAC, a)
	return nil
}

// Quarantine keeps an address from everybody for a while, because something that has no lease answers at it. The MAC is what was found, or who complained.
func (b *Book) Quarantine(now time.Time, mac MAC, a netip.Addr) {
	b.withdrawAt(a)
	if _, ok := b.leases[a]; ok {
		b.forget(a)
	}
	b.leases[a] = Lease{Address: a, MAC: mac, State: Quarantined, Expires: now.Add(Quarantine)}
	b.changed[a] = true
}

// QuarantinedFor counts the addresses in quarantine at which a device was found, or of which it complained.
func (b *Book) QuarantinedFor(now time.Time, mac MAC) int {
	count := 0
	for _, l := range b.leases {
		if l.State == Quarantined && l.MAC == mac && now.Before(l.Expires) {
			count++
		}
	}
	return count
}

// QuarantinedIn counts the addresses of a network that are in quarantine.
func (b *Book) QuarantinedIn(now time.Time, n netip.Prefix) int {
	count := 0
	for a, l := range b.leases {
		if l.State == Quarantined && n.Contains(a) && now.Before(l.Expires) {
			count++
		}
	}
	return count
}
