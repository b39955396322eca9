package netboot

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"aula/netboot/dhcp"
	"aula/netboot/lease"
	"aula/netboot/neighbour"
	"aula/netboot/script"
)

// A plan is a Config with its defaults filled in and checked against the machine.
type plan struct {
	Config
	nic     *net.Interface
	address netip.Prefix
	pool    lease.Pool
}

const (
	defaultLeaseTime    = time.Hour
	defaultStrangerTime = 10 * time.Minute
	minLeaseTime        = 2 * time.Minute
	defaultHTTPPort     = 80
	smallestSubnet      = 29 // bits: six addresses, of which one is the appliance's
)

func (c Config) plan() (*plan, error) {
	p := &plan{Config: c}
	if p.LeaseTime == 0 {
		p.LeaseTime = defaultLeaseTime
	}
	if p.StrangerTime == 0 {
		p.StrangerTime = min(defaultStrangerTime, p.LeaseTime)
	}
	if p.HTTPPort == 0 {
		p.HTTPPort = defaultHTTPPort
	}
	if p.Mode == "" {
		p.Mode = ModeAuto
	}
	if p.Name == "" {
		host, _ := os.Hostname() // which may have none
		p.Name = neighbour.Name(host)
	}
	if p.Log == nil {
		p.Log = slog.New(slog.DiscardHandler)
	}
	for _, step := range []func() error{p.check, p.findNIC, p.findAddress, p.findPool, p.checkSubnets} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// check looks at what needs no look at the machine.
func (p *plan) check() error {
	switch {
	case p.Files == nil || p.Decider == nil:
		return errors.New("netboot: Files and Decider are required")
	case p.Interface == "":
		return fmt.Errorf("no network interface is named: this machine has %s", interfaces())
	case p.Leases == "":
		return errors.New("no file is named for the leases")
	case p.LeaseTime < minLeaseTime:
		return fmt.Errorf("lease time %s is too short: PCs would do nothing but renew; give at least %s", p.LeaseTime, minLeaseTime)
	case p.StrangerTime < minLeaseTime:
		return fmt.Errorf("lease time %s of unknown PCs is too short: they would do nothing but renew; give at least %s", p.StrangerTime, minLeaseTime)
	case p.Name != neighbour.Name(p.Name):
		return fmt.Errorf("the name %q cannot be told to other Aulas: give one of 1 to 64 letters, digits and hyphens", p.Name)
	case p.HTTPPort < 1 || p.HTTPPort > 65535 || p.AgentPort < 1 || p.AgentPort > 65535:
		return fmt.Errorf("HTTP port %d, agents' port %d: a port is from 1 to 65535", p.HTTPPort, p.AgentPort)
	case !script.Plain(p.Extra):
		return fmt.Errorf("kernel parameters %q: boot loaders would misread a character in them; only letters, digits, spaces and ,._:=/@+%%- are safe", p.Extra)
	case p.PoolFirst.IsValid() != p.PoolLast.IsValid():
		return errors.New("the range of addresses to lease has only one end: give both, or neither for the upper half of the subnet")
	}
	return p.Mode.Check()
}

func (p *plan) findNIC() error {
	nic, err := net.InterfaceByName(p.Interface)
	switch {
	case err != nil:
		return fmt.Errorf("interface %s does not exist: this machine has %s", p.Interface, interfaces())
	case len(nic.HardwareAddr) != 6:
		return fmt.Errorf("interface %s is not Ethernet, so no PC can boot from it: this machine has %s", p.Interface, interfaces())
	case nic.Flags&net.FlagUp == 0:
		return fmt.Errorf("interface %s is down: switch it on with: ip link set %s up", p.Interface, p.Interface)
	}
	p.nic = nic
	return nil
}

// interfaces lists, for people, the NICs that could be meant.
func interfaces() string {
	all, err := net.Interfaces()
	if err != nil {
		return "none that can be listed (" + err.Error() + ")"
	}
	var names []string
	for _, nic := range all {
		if nic.Flags&net.FlagLoopback == 0 {
			names = append(names, nic.Name)
		}
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// AddressOf returns the address, with its subnet, that a Server on the NIC takes when its Config names none.
func AddressOf(nic string) (netip.Prefix, error) {
	p := plan{Config: Config{Interface: nic}}
	if err := p.findNIC(); err != nil {
		return netip.Prefix{}, err
	}
	if err := p.findAddress(); err != nil {
		return netip.Prefix{}, err
	}
	return p.address, nil
}

// findAddress takes the first address of the NIC, or makes sure that the configured one is there.
func (p *plan) findAddress() error {
	addrs, err := p.nic.Addrs()
	if err != nil {
		return fmt.Errorf("interface %s: its addresses cannot be read: %w", p.Interface, err)
	}
	var all []string
	for _, a := range addrs {
		prefix, err := netip.ParsePrefix(a.String())
		if err != nil || !prefix.Addr().Is4() {
			continue
		}
		all = append(all, prefix.String())
		if p.Address == prefix || !p.Address.IsValid() && !p.address.IsValid() && !prefix.Addr().IsLinkLocalUnicast() {
			p.address = prefix
		}
	}
	switch {
	case p.Address.IsValid() && !p.address.IsValid():
		return fmt.Errorf("interface %s does not have the address %s (it has: %s): give it with: ip addr add %s dev %s",
			p.Interface, p.Address, strings.Join(all, ", "), p.Address, p.Interface)
	case !p.address.IsValid():
		return fmt.Errorf("interface %s has no IPv4 address: give it a fixed one, for instance with: ip addr add 192.168.77.1/24 dev %s", p.Interface, p.Interface)
	case p.address.Bits() > smallestSubnet:
		return fmt.Errorf("interface %s has the address %s, in whose subnet there is no room for PCs: give it one with a mask of /%d or shorter",
			p.Interface, p.address, smallestSubnet)
	}
	return nil
}

func (p *plan) findPool() error {
	subnet := p.address.Masked()
	last := lease.LastOf(subnet)
	p.pool = lease.Pool{Network: subnet, First: p.PoolFirst, Last: p.PoolLast}
	if !p.PoolFirst.IsValid() {
		upper := netip.PrefixFrom(last, subnet.Bits()+1).Masked()
		p.pool.First, p.pool.Last = upper.Addr(), last.Prev()
	}
	switch {
	case !subnet.Contains(p.pool.First) || !subnet.Contains(p.pool.Last) || p.pool.First == subnet.Addr() || p.pool.Last == last:
		return fmt.Errorf("the range of addresses to lease, %s to %s, is not inside the subnet of interface %s, %s to %s",
			p.pool.First, p.pool.Last, p.Interface, subnet.Addr().Next(), last.Prev())
	case p.pool.Last.Less(p.pool.First):
		return fmt.Errorf("the range of addresses to lease ends (%s) before it begins (%s)", p.pool.Last, p.pool.First)
	case p.Gateway.IsValid() && !subnet.Contains(p.Gateway):
		return fmt.Errorf("the gateway %s is not in the subnet %s of interface %s, so PCs cannot reach it", p.Gateway, subnet, p.Interface)
	}
	return nil
}

// checkSubnets looks at the networks behind relay agents, and whether they go with the NIC's own.
func (p *plan) checkSubnets() error {
	for _, s := range p.Subnets {
		if s.Network.IsValid() && s.Network.Addr().Is4() && s.Network.Bits() > smallestSubnet {
			return fmt.Errorf("in the network %s behind a relay agent there is no room for PCs: its mask must be /%d or shorter", s.Network, smallestSubnet)
		}
	}
	return p.network().Check()
}

// host is the appliance in URLs.
func (p *plan) host() string {
	if p.HTTPPort == defaultHTTPPort {
		return p.address.Addr().String()
	}
	return netip.AddrPortFrom(p.address.Addr(), uint16(p.HTTPPort)).String()
}

// newDHCP puts the DHCP server together.
func newDHCP(p *plan, store *lease.Store, ports *ports, g *register, role dhcp.Role, w *watch) (*dhcp.Server, error) {
	return dhcp.New(dhcp.Config{
		Network: p.network(), Role: role, Register: g, Store: store, Conn: &listener{ports.dhcp, w}, Boot: &listener{ports.boot, w},
		Prober: ports.prober, Pinger: ports.pinger, Observe: w.decided, Log: p.Log,
	})
}

// network is what DHCP serves.
func (p *plan) network() dhcp.Network {
	return dhcp.Network{
		Server: p.address.Addr(), Subnets: p.subnets(), LeaseTime: p.LeaseTime, StrangerTime: p.StrangerTime,
		Files: bootFiles, HTTP: p.host(),
		Script: func(mac lease.MAC, f dhcp.Firmware) string { return ipxeURL(p.host(), mac, f) },
	}
}

// subnets are the networks in which addresses are leased: that of the NIC, and those behind relay agents.
func (p *plan) subnets() []dhcp.Subnet {
	all := []dhcp.Subnet{{Prefix: p.address.Masked(), First: p.pool.First, Last: p.pool.Last, Gateway: p.Gateway, DNS: p.DNS}}
	for _, s := range p.Subnets {
		all = append(all, dhcp.Subnet{Prefix: s.Network, First: s.First, Last: s.Last, Gateway: s.Gateway, DNS: s.DNS})
	}
	return all
}

// ipxeURL is where iPXE finds its script. What stands in braces iPXE itself replaces.
func ipxeURL(host string, mac lease.MAC, f dhcp.Firmware) string {
	return fmt.Sprintf("http://%s/boot/%s/script.ipxe?firmware=%s&uuid=${uuid}&serial=${serial:uristring}", host, mac, f)
}

// target is what a PC that is to load was planned to boot, empty when that is not known or when its loader has yet to be told. It is called where the register's
// other methods are.
func (g *register) target(mac lease.MAC) string {
	if k := g.plans[mac]; k != nil && k.plan.Target != BootDisk {
		return k.plan.Target
	}
	return ""
}
