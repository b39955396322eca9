package link

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
)

// A nic is a network interface, as it was when the Conn was opened.
type nic struct {
	name   string
	index  int
	flags  net.Flags
	prefix netip.Prefix // its IPv4 address and network; invalid when it has none
}

// usable says whether a session can use it: without IPv4 there is no address to answer to.
func (n nic) usable() bool { return n.flags&net.FlagUp != 0 && n.prefix.IsValid() }

func (n nic) String() string {
	switch {
	case n.flags&net.FlagUp == 0:
		return n.name + " (down)"
	case !n.prefix.IsValid():
		return n.name + " (no IPv4 address)"
	case n.flags&net.FlagRunning == 0:
		return fmt.Sprintf("%s (%s, no cable)", n.name, n.prefix)
	}
	return fmt.Sprintf("%s (%s)", n.name, n.prefix)
}

// nics lists the interfaces of this machine.
func nics() ([]nic, error) {
	found, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list the network cards: %w", err)
	}
	list := make([]nic, 0, len(found))
	for _, f := range found {
		addresses, err := f.Addrs()
		if err != nil {
			continue // it went away meanwhile
		}
		list = append(list, nic{f.Name, f.Index, f.Flags, firstIPv4(addresses)})
	}
	return list, nil
}

// firstIPv4 prefers addresses that somebody gave to those that a machine without DHCP gives itself (RFC 3927).
func firstIPv4(addresses []net.Addr) netip.Prefix {
	var first netip.Prefix
	for _, a := range addresses {
		p, err := netip.ParsePrefix(a.String())
		if err != nil || !p.Addr().Is4() {
			continue
		}
		if !p.Addr().IsLinkLocalUnicast() {
			return p
		}
		if !first.IsValid() {
			first = p
		}
	}
	return first
}

// named finds an interface that was asked for.
func named(list []nic, name string) (nic, error) {
	for _, n := range list {
		switch {
		case n.name != name:
		case n.flags&net.FlagUp == 0:
			return nic{}, fmt.Errorf("interface %s is down; there are %s", name, names(list))
		case !n.prefix.IsValid():
			return nic{}, fmt.Errorf("interface %s has no IPv4 address; there are %s", name, names(list))
		default:
			return n, nil
		}
	}
	return nic{}, fmt.Errorf("interface %q does not exist; there are %s", name, names(list))
}

// forSending chooses the interface that datagrams to a group leave by. Of several, those without a cable do not count (nor does the empty
// bridge that a container engine leaves behind, for the same reason), and tunnels have nobody to multicast to.
func forSending(list []nic, name string) (nic, error) {
	if name != "" {
		return named(list, name)
	}
	candidates := keep(list, func(n nic) bool {
		return n.usable() && n.flags&net.FlagMulticast != 0 && n.flags&(net.FlagLoopback|net.FlagPointToPoint) == 0
	})
	if len(candidates) > 1 {
		if plugged := keep(candidates, func(n nic) bool { return n.flags&net.FlagRunning != 0 }); len(plugged) > 0 {
			candidates = plugged
		}
	}
	switch len(candidates) {
	case 0:
		return nic{}, errNoNIC
	case 1:
		return candidates[0], nil
	}
	return nic{}, fmt.Errorf("several network cards are up: %s; say which with --interface", names(candidates))
}

// forJoining chooses the interfaces that a group is joined on: lo only when it is named or nothing else is there.
func forJoining(list []nic, name string) ([]nic, error) {
	if name != "" {
		n, err := named(list, name)
		return []nic{n}, err
	}
	found := keep(list, func(n nic) bool {
		return n.usable() && n.flags&net.FlagMulticast != 0 && n.flags&net.FlagLoopback == 0
	})
	if len(found) == 0 {
		found = keep(list, func(n nic) bool { return n.usable() && n.flags&net.FlagLoopback != 0 })
	}
	if len(found) == 0 {
		return nil, errNoNIC
	}
	return found, nil
}

var errNoNIC = errors.New("no network card is up with an IPv4 address: is the cable in?")

func keep(list []nic, good func(nic) bool) []nic {
	var kept []nic
	for _, n := range list {
		if good(n) {
			kept = append(kept, n)
		}
	}
	return kept
}

func names(list []nic) string {
	all := make([]string, len(list))
	for i, n := range list {
		all[i] = n.String()
	}
	return strings.Join(all, ", ")
}
