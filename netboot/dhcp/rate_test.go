package dhcp

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"aula/netboot/lease"
)

// BenchmarkExchanges has perfdhcp ask for as many complete exchanges as there can be, of 500 PCs of which nothing is known.
func BenchmarkExchanges(b *testing.B) {
	if !inNamespace(b, "-test.run=^$", "-test.bench=^"+b.Name()+"$", "-test.benchtime=1x") {
		return
	}
	address := netip.MustParsePrefix("10.20.0.1/16")
	nic := cable(b, "room", address, lease.MAC{0x52, 0x54, 0, 0, 0, 9})
	on(b, "room", "ip", "addr", "add", "10.20.0.2/16", "dev", "eth0")
	s := serveOn(b, nic, Network{
		Server:    address.Addr(),
		Subnets:   []Subnet{{Prefix: address.Masked(), First: netip.MustParseAddr("10.20.1.1"), Last: netip.MustParseAddr("10.20.8.255")}},
		LeaseTime: time.Hour,
	}, nil)
	for _, rate := range []int{1000, 2000, 4000} {
		fmt.Print(on(b, "room", "sh", "-c", fmt.Sprintf("perfdhcp -4 -l eth0 -r %d -R 500 -p 5 -x i 10.20.0.1; exit 0", rate)))
	}
	fmt.Print(on(b, "room", "sh", "-c", "perfdhcp -4 -l eth0 --scenario avalanche -b mac=00:0c:01:00:00:00 -R 500 10.20.0.1; exit 0"))
	fmt.Printf("%+v, drops %+v\n", s.Pools(), s.Drops())
}
