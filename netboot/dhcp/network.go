package dhcp

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"aula/netboot/lease"
)

// A Network is what all replies of a server have in common.
type Network struct {
	Server netip.Addr // the appliance's own address: server identifier, TFTP and HTTP server
	// Subnets are what is served: that of the NIC first, then those behind relay agents.
	Subnets      []Subnet
	LeaseTime    time.Duration
	StrangerTime time.Duration // lease time of PCs that the Register does not know; LeaseTime when zero

	Files Files
	// HTTP is the appliance in URLs: HOST, or HOST:PORT.
	HTTP string
	// Script returns the URL of what iPXE shall run, of at most 127 characters: the header's field has no room for more.
	Script func(lease.MAC, Firmware) string
}

// A Subnet is a network in which addresses are leased.
type Subnet struct {
	Prefix netip.Prefix
	// First and Last are the ends of the range of addresses to lease; both zero when only reserved addresses are leased.
	First, Last netip.Addr
	Gateway     netip.Addr // of its PCs. When zero there is none; behind a relay agent it is then the relay agent's own address.
	DNS         []netip.Addr
}

// Check returns an error for people when the subnets cannot be served.
func (n Network) Check() error {
	if len(n.Subnets) == 0 || !n.Subnets[0].Prefix.Contains(n.Server) {
		return fmt.Errorf("dhcp: the first network that is served must be the one of the server's own address %s", n.Server)
	}
	for _, s := range n.Subnets {
		if s.Gateway.IsValid() && !s.Prefix.Contains(s.Gateway) {
			return fmt.Errorf("the gateway %s is not in the network %s, so PCs there cannot reach it", s.Gateway, s.Prefix)
		}
	}
	return lease.CheckPools(n.pools())
}

// pools are the addresses to lease.
func (n Network) pools() []lease.Pool {
	var all []lease.Pool
	for _, s := range n.Subnets {
		p := lease.Pool{Network: s.Prefix, First: s.First, Last: s.Last, Taken: map[netip.Addr]string{}}
		for _, a := range s.DNS {
			p.Take(a, "a DNS server's")
		}
		p.Take(s.Gateway, "the gateway's")
		p.Take(n.Server, "this appliance's own")
		all = append(all, p)
	}
	return all
}

// subnetOf returns the served subnet in which an address is.
func (n Network) subnetOf(a netip.Addr) (Subnet, bool) {
	i := slices.IndexFunc(n.Subnets, func(s Subnet) bool { return a.IsValid() && s.Prefix.Contains(a) })
	if i < 0 {
		return Subnet{}, false
	}
	return n.Subnets[i], true
}

// own is the subnet of the NIC; what is not in it is behind relay agents.
func (n Network) own() Subnet { return n.Subnets[0] }
