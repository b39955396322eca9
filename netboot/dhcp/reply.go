package dhcp

import (
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"aula/netboot/lease"
)

// A Network is what all replies on a NIC have in common.
type Network struct {
	Server    netip.Addr   // the appliance's own address: server identifier, TFTP and HTTP server
	Subnet    netip.Prefix // of the NIC
	Gateway   netip.Addr   // none when zero
	DNS       []netip.Addr
	LeaseTime time.Duration

	Files Files
	// HTTP is the appliance in URLs: HOST, or HOST:PORT.
	HTTP string
	// Script returns the URL of what iPXE shall run, of at most 127 characters: the header's field has no room for more.
	Script func(lease.MAC, Firmware) string
}

var broadcast = netip.AddrPortFrom(netip.AddrFrom4([4]byte{255, 255, 255, 255}), dhcpv4.ClientPort)

// destination is where a reply goes (RFC 2131 4.1), but that a PC without an address always gets a broadcast: a unicast would need a raw
// frame, and every client takes a broadcast.
func destination(r Request) netip.AddrPort {
	switch {
	case r.Relay.IsValid():
		return netip.AddrPortFrom(r.Relay, dhcpv4.ServerPort)
	case r.Current.IsValid():
		return netip.AddrPortFrom(r.Current, dhcpv4.ClientPort)
	default:
		return broadcast
	}
}

// reply makes an OFFER, an ACK or a NAK with address a, zero for none.
func (n Network) reply(r Request, t dhcpv4.MessageType, a netip.Addr) *dhcpv4.DHCPv4 {
	p := &dhcpv4.DHCPv4{
		OpCode:        dhcpv4.OpcodeBootReply,
		HWType:        r.packet.HWType,
		TransactionID: r.packet.TransactionID,
		Flags:         r.packet.Flags,
		ClientHWAddr:  r.packet.ClientHWAddr,
		GatewayIPAddr: r.packet.GatewayIPAddr,
		Options:       dhcpv4.Options{},
	}
	p.UpdateOption(dhcpv4.OptMessageType(t))
	p.UpdateOption(dhcpv4.OptServerIdentifier(n.Server.AsSlice()))
	if id := r.packet.Options.Get(dhcpv4.OptionClientIdentifier); id != nil {
		p.UpdateOption(dhcpv4.OptGeneric(dhcpv4.OptionClientIdentifier, id)) // RFC 6842
	}
	if agent := r.packet.Options.Get(dhcpv4.OptionRelayAgentInformation); agent != nil {
		p.UpdateOption(dhcpv4.OptGeneric(dhcpv4.OptionRelayAgentInformation, agent)) // RFC 3046 2.2: untouched, and last
	}
	if t == dhcpv4.MessageTypeNak {
		return p
	}
	if r.Kind == Renewing || r.Kind == Inform {
		p.ClientIPAddr = r.packet.ClientIPAddr
	}
	if a.IsValid() {
		p.YourIPAddr = a.AsSlice()
		n.addLease(p)
	}
	n.addSubnet(p)
	if r.Firmware != NoFirmware {
		n.addBoot(p, r, Advice{Action: Load})
	}
	fit(p, r.packet)
	return p
}

func (n Network) addLease(p *dhcpv4.DHCPv4) {
	for option, d := range map[dhcpv4.OptionCode]time.Duration{
		dhcpv4.OptionIPAddressLeaseTime: n.LeaseTime,
		dhcpv4.OptionRenewTimeValue:     n.LeaseTime / 2,     // T1
		dhcpv4.OptionRebindingTimeValue: n.LeaseTime * 7 / 8, // T2
	} {
		p.UpdateOption(dhcpv4.Option{Code: option, Value: dhcpv4.Duration(d)})
	}
}

func (n Network) addSubnet(p *dhcpv4.DHCPv4) {
	mask := dhcpv4.IPMask(maskOf(n.Subnet))
	p.UpdateOption(dhcpv4.Option{Code: dhcpv4.OptionSubnetMask, Value: mask})
	p.UpdateOption(dhcpv4.OptBroadcastAddress(lastOf(n.Subnet).AsSlice()))
	if n.Gateway.IsValid() {
		p.UpdateOption(dhcpv4.OptRouter(n.Gateway.AsSlice()))
	}
	var dns dhcpv4.IPs
	for _, a := range n.DNS {
		dns = append(dns, a.AsSlice())
	}
	if len(dns) > 0 {
		p.UpdateOption(dhcpv4.Option{Code: dhcpv4.OptionDomainNameServer, Value: dns})
	}
}

// Sizes of a DHCP message: what any client takes (RFC 2131 2), what is on top of it in its packet, and what PXE ROMs have buffers for.
const (
	minMessage = 576
	ipAndUDP   = 28
	maxMessage = 1472
)

// fit drops what a client can do without, when its reply would be longer than it takes. (Only an enormous client identifier makes it so.)
func fit(p, request *dhcpv4.DHCPv4) {
	limit := minMessage
	if said, err := request.MaxMessageSize(); err == nil {
		limit = min(max(int(said), minMessage), maxMessage)
	}
	for _, code := range []dhcpv4.OptionCode{
		dhcpv4.OptionBroadcastAddress, dhcpv4.OptionTFTPServerName, dhcpv4.OptionBootfileName, dhcpv4.OptionDomainNameServer,
		dhcpv4.OptionClientIdentifier,
	} {
		if len(p.ToBytes()) <= limit-ipAndUDP {
			return
		}
		p.DeleteOption(code)
	}
}

func maskOf(p netip.Prefix) []byte {
	var m [4]byte
	for i := range p.Bits() {
		m[i/8] |= 0x80 >> (i % 8)
	}
	return m[:]
}

// lastOf returns the broadcast address of a subnet.
func lastOf(p netip.Prefix) netip.Addr {
	a, m := p.Masked().Addr().As4(), maskOf(p)
	for i := range a {
		a[i] |= ^m[i]
	}
	return netip.AddrFrom4(a)
}
