package appliance

import (
	"errors"
	"fmt"
	"net"
	"strings"
)

// ChooseInterface returns the NIC to serve: name if given, else the only one that is up with an IPv4 address. Where the choice is not
// plain it is the operator's, because a DHCP server on the wrong wire harms others.
func ChooseInterface(name string) (string, error) {
	all, err := net.Interfaces()
	if err != nil {
		return "", fmt.Errorf("list network interfaces: %w", err)
	}
	var names, usable []string
	for _, nic := range all {
		if nic.Flags&net.FlagLoopback != 0 {
			continue
		}
		names = append(names, nic.Name)
		if nic.Flags&net.FlagUp != 0 && hasIPv4(nic) {
			usable = append(usable, nic.Name)
		}
	}
	if name != "" {
		for _, n := range names {
			if n == name {
				return name, nil
			}
		}
		return "", fmt.Errorf("network interface %s does not exist: this machine has %s", name, list(names))
	}
	switch len(usable) {
	case 0:
		return "", errors.New("no network interface has an IPv4 address: give one a fixed address (ip addr add 192.168.77.1/24 dev IF), then start again with --interface IF; this machine has " + list(names))
	case 1:
		return usable[0], nil
	default:
		return "", fmt.Errorf("this machine has several networks (%s): say which one the classroom is on with --interface", list(usable))
	}
}

func hasIPv4(nic net.Interface) bool {
	addrs, err := nic.Addrs()
	if err != nil {
		return false
	}
	for _, a := range addrs {
		if n, ok := a.(*net.IPNet); ok && n.IP.To4() != nil {
			return true
		}
	}
	return false
}

func list(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}
