package neighbour

import (
	"bytes"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// Ports of DHCP (RFC 2131 4.1), and of PXE boot servers (PXE 2.1, 2.2.5).
const (
	serverPort     = dhcpv4.ServerPort
	clientPort     = dhcpv4.ClientPort
	bootServerPort = 4011
)

// hear takes what somebody said to everybody, or to the address from which Probe asks.
func (l *Lookout) hear(p packet) {
	switch {
	case bytes.Equal(p.from, l.nicMAC()), bytes.Equal(p.from, l.mac), l.isOwn(p.source.Addr()):
		return // a switch that mirrors, or another NIC of this machine
	case p.dhcp.OpCode == dhcpv4.OpcodeBootReply:
		l.hearServer(p)
	case p.dhcp.OpCode == dhcpv4.OpcodeBootRequest && p.to.Port() == serverPort && !valid(p.dhcp.GatewayIPAddr).IsValid():
		// What a relay passes on is said in another network.
		l.hearPC(p)
	}
}

// macLasts is for how long the NIC's MAC is taken for what it was: to ask the kernel costs many times what a packet does, and a bridge's changes only
// with its ports.
const macLasts = time.Second

// nicMAC is the NIC's MAC of late, nil when it is not known.
func (l *Lookout) nicMAC() net.HardwareAddr {
	if now := time.Now(); l.nicAt.IsZero() || now.Sub(l.nicAt) >= macLasts {
		l.nic, _ = l.conn.MAC()
		l.nicAt = now
	}
	return l.nic
}

// hearPC listens to a request. One that takes an offer names the server, and all servers hear it (RFC 2131 3.1).
func (l *Lookout) hearPC(p packet) {
	kind := p.dhcp.MessageType()
	if hello, ok := helloOf(p.dhcp); ok {
		if kind == dhcpv4.MessageTypeDiscover && !l.isOwn(hello.address) && !bytes.Equal(p.dhcp.ClientHWAddr, l.mac) {
			l.hearAula(p, hello)
			l.answer(p)
		}
		return
	}
	server, taken := option(p.dhcp, dhcpv4.OptionServerIdentifier), option(p.dhcp, dhcpv4.OptionRequestedIPAddress)
	if kind != dhcpv4.MessageTypeRequest || !server.IsValid() || l.isOwn(server) {
		return
	}
	l.add(Server{Address: server, Leases: true, Offered: taken}, false)
	l.uses(p.dhcp.ClientHWAddr, taken)
}

// hearServer listens to a reply that is not this Aula's.
func (l *Lookout) hearServer(p packet) {
	s := Server{
		Address: option(p.dhcp, dhcpv4.OptionServerIdentifier), MAC: p.from.String(), Offered: valid(p.dhcp.YourIPAddr),
		File: bootFile(p.dhcp),
	}
	if !s.Address.IsValid() {
		s.Address = p.source.Addr()
	}
	if !s.Address.IsValid() || s.Address.IsUnspecified() || l.isOwn(s.Address) {
		return
	}
	kind, class := p.dhcp.MessageType(), p.dhcp.ClassIdentifier()
	s.Leases = s.Offered.IsValid() || kind == dhcpv4.MessageTypeNak // who does not lease has nothing to refuse
	s.Boots = s.File != "" || strings.HasPrefix(class, "PXEClient") || strings.HasPrefix(class, "HTTPClient")
	if s.Boots {
		s.Next = valid(p.dhcp.ServerIPAddr)
	}
	if kind == dhcpv4.MessageTypeAck {
		l.uses(p.dhcp.ClientHWAddr, s.Offered)
	}
	if hello, ok := helloOf(p.dhcp); ok {
		s.Aula, s.Leases, s.Boots = hello.name, hello.leases, true
	}
	if s.Leases || s.Boots {
		l.add(s, l.answersProbe(p.dhcp))
	}
}

// hearAula takes what another Aula says of itself when it asks.
func (l *Lookout) hearAula(p packet, h hello) {
	s := Server{Address: h.address, Leases: h.leases, Boots: true, Aula: h.name}
	if !bytes.Equal(p.from, p.dhcp.ClientHWAddr) { // it asks once from its NIC, and once from a made-up address
		s.MAC = p.from.String()
	}
	l.add(s, false)
}

func (l *Lookout) isOwn(a netip.Addr) bool {
	return l.cfg.Own != nil && slices.Contains(l.cfg.Own(), a)
}

func (l *Lookout) uses(mac net.HardwareAddr, a netip.Addr) {
	if l.cfg.Uses != nil && a.IsValid() && !bytes.Equal(mac, l.mac) {
		l.cfg.Uses(mac, a)
	}
}

// valid returns ip, or the zero Addr for 0.0.0.0.
func valid(ip net.IP) netip.Addr {
	a, ok := netip.AddrFromSlice(ip)
	if !ok || a.Unmap().IsUnspecified() {
		return netip.Addr{}
	}
	return a.Unmap()
}

func option(p *dhcpv4.DHCPv4, code dhcpv4.OptionCode) netip.Addr {
	v := p.Options.Get(code)
	if len(v) != 4 {
		return netip.Addr{}
	}
	return valid(v)
}

// longestFile bounds what is remembered of a boot file's name.
const longestFile = 128

// bootFile is the file that a reply names, in its header or in option 67, for people: what is not printable is left out.
func bootFile(p *dhcpv4.DHCPv4) string {
	name := p.BootFileName
	if name == "" {
		name = string(p.Options.Get(dhcpv4.OptionBootfileName))
	}
	name = strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, name)
	return name[:min(len(name), longestFile)]
}
