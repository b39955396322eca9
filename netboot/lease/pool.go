package lease

import (
	"fmt"
	"net/netip"
)

// A Pool is a network that is served, and the range of its addresses to lease.
type Pool struct {
	Network     netip.Prefix
	First, Last netip.Addr            // both zero: only what is reserved is leased
	Taken       map[netip.Addr]string // somebody's, and whose for people: "the gateway"
}

// Contains says whether the address may be leased to anybody.
func (p Pool) Contains(a netip.Addr) bool {
	if !p.First.IsValid() || !a.Is4() || a.Less(p.First) || p.Last.Less(a) {
		return false
	}
	_, taken := p.Taken[a]
	return !taken
}

// Size is the number of addresses that may be leased.
func (p Pool) Size() int {
	if !p.First.IsValid() {
		return 0
	}
	n := int(number(p.Last)) - int(number(p.First)) + 1
	for a := range p.Taken {
		if !a.Less(p.First) && !p.Last.Less(a) {
			n--
		}
	}
	return n
}

func number(a netip.Addr) uint32 {
	b := a.As4()
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}

// Check returns an error for people when the pool is not a range of addresses within its network.
func (p Pool) Check() error {
	n := p.Network
	switch {
	case !n.IsValid() || !n.Addr().Is4() || n != n.Masked():
		return fmt.Errorf("%s is not an IPv4 network: give its first address and the length of its mask, as in 192.168.5.0/24", n)
	case p.First.IsValid() != p.Last.IsValid():
		return fmt.Errorf("the range of addresses to lease in %s has only one end: give both, or neither to lease only what is reserved", n)
	case !p.First.IsValid():
		return nil
	case !n.Contains(p.First) || !n.Contains(p.Last) || p.First == n.Addr() || p.Last == LastOf(n):
		return fmt.Errorf("the range of addresses to lease, %s to %s, is not inside its network, %s to %s", p.First, p.Last, n.Addr().Next(), LastOf(n).Prev())
	case p.Last.Less(p.First):
		return fmt.Errorf("the range of addresses to lease in %s ends (%s) before it begins (%s)", n, p.Last, p.First)
	case p.Size() < 1:
		return fmt.Errorf("the range of addresses to lease in %s, %s to %s, has no address but those of servers", n, p.First, p.Last)
	}
	return nil
}

// CheckPools checks each pool, and that no two share an address.
func CheckPools(all []Pool) error {
	for i, p := range all {
		if err := p.Check(); err != nil {
			return err
		}
		for _, q := range all[:i] {
			if p.Network.Overlaps(q.Network) {
				return fmt.Errorf("the networks %s and %s overlap, so that an address could be leased twice: give each relay agent's network once", q.Network, p.Network)
			}
		}
	}
	return nil
}

// LastOf returns the last address of an IPv4 network, to which its broadcasts go.
func LastOf(n netip.Prefix) netip.Addr {
	a := n.Masked().Addr().As4()
	for bit := n.Bits(); bit < 32; bit++ {
		a[bit/8] |= 0x80 >> (bit % 8)
	}
	return netip.AddrFrom4(a)
}

// A PoolStatus tells how full a pool is.
type PoolStatus struct {
	Pool
	Size        int // addresses that may be leased
	Leased      int
	Offered     int
	Quarantined int // something answers at them without a lease
	Reserved    int // for one PC each, within the range or not
}

// Take notes that an address of the network is somebody's; others are passed over.
func (p Pool) Take(a netip.Addr, whose string) {
	if p.Network.Contains(a) {
		p.Taken[a] = whose
	}
}
