package dhcp

import (
	"net"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"aula/netboot/lease"
	"aula/netboot/quirk"
)

var broadcast = netip.AddrPortFrom(netip.AddrFrom4([4]byte{255, 255, 255, 255}), dhcpv4.ClientPort)

// destination is where a reply goes that gives no address (RFC 2131 4.1).
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

// destinationWith is where a reply goes that gives address a, and whether it must go by a frame, because a PC that does not have its address
// yet answers no ARP.
func destinationWith(r Request, a netip.Addr) (to netip.AddrPort, frame bool) {
	if to = destination(r); to != broadcast || r.packet.IsBroadcast() || !a.IsValid() {
		return to, false
	}
	return netip.AddrPortFrom(a, dhcpv4.ClientPort), true
}

// header makes a reply that says nothing yet.
func (n Network) header(r Request, t dhcpv4.MessageType) *dhcpv4.DHCPv4 {
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
	return p
}

// reply makes an OFFER or an ACK with address a for a time, zero for none, and what a PC that boots is told.
func (s *Responder) reply(r Request, subnet Subnet, t dhcpv4.MessageType, a netip.Addr, d time.Duration) (*dhcpv4.DHCPv4, Advice) {
	p := s.net.header(r, t)
	if r.Kind == Renewing || r.Kind == Inform {
		p.ClientIPAddr = r.packet.ClientIPAddr
	}
	if a.IsValid() {
		p.YourIPAddr = a.AsSlice()
		addTimes(p, d)
	}
	subnet.addTo(p)
	if v := r.packet.Options.Get(optionSubnetSelection); v != nil {
		p.UpdateOption(dhcpv4.OptGeneric(optionSubnetSelection, v)) // RFC 3011 2: echoed by who heeds it
	}
	var advice Advice
	if r.Firmware != NoFirmware {
		advice = s.reg.Advise(r)
		s.net.addBoot(p, r, advice)
	}
	fit(p, r.packet)
	return p, advice
}

// everybody is the Register of a server without one.
type everybody struct{}

func (everybody) Known(lease.MAC) bool                 { return true }
func (everybody) Advise(Request) Advice                { return Advice{Action: Load} }
func (everybody) Told(Request, Advice)                 {}
func (everybody) Learn(lease.MAC, quirk.Quirk, string) {}

func addTimes(p *dhcpv4.DHCPv4, lease time.Duration) {
	for option, d := range map[dhcpv4.OptionCode]time.Duration{
		dhcpv4.OptionIPAddressLeaseTime: lease,
		dhcpv4.OptionRenewTimeValue:     lease / 2,     // T1
		dhcpv4.OptionRebindingTimeValue: lease * 7 / 8, // T2
	} {
		p.UpdateOption(dhcpv4.Option{Code: option, Value: dhcpv4.Duration(d)})
	}
}

func (s Subnet) addTo(p *dhcpv4.DHCPv4) {
	p.UpdateOption(dhcpv4.Option{Code: dhcpv4.OptionSubnetMask, Value: dhcpv4.IPMask(net.CIDRMask(s.Prefix.Bits(), 32))})
	p.UpdateOption(dhcpv4.OptBroadcastAddress(lease.LastOf(s.Prefix).AsSlice()))
	if s.Gateway.IsValid() {
		p.UpdateOption(dhcpv4.OptRouter(s.Gateway.AsSlice()))
	}
	var dns dhcpv4.IPs
	for _, a := range s.DNS {
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
		if length(p) <= limit-ipAndUDP {
			return
		}
		p.DeleteOption(code)
	}
	if length(p) > maxMessage-ipAndUDP {
		p.DeleteOption(dhcpv4.OptionRelayAgentInformation) // RFC 3046 2.2: rather left out than too long
	}
}
