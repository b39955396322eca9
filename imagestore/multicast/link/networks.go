package link

import "net/netip"

// Networks returns the IPv4 networks, each with this machine's address in it, of the interfaces that Join of the same name joins a
// group on.
func Networks(name string) ([]netip.Prefix, error) {
	list, err := nics()
	if err != nil {
		return nil, err
	}
	members, err := forJoining(list, name)
	if err != nil {
		return nil, err
	}
	networks := make([]netip.Prefix, len(members))
	for i, m := range members {
		networks[i] = m.prefix
	}
	return networks, nil
}
