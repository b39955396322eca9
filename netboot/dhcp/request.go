package dhcp

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/iana"

	"aula/netboot/lease"
)

// A Kind is what a client wants, as RFC 2131 4.3 tells its messages apart.
type Kind string

// Kinds of requests.
const (
	Discover   Kind = "discover"    // looks for a server
	Selecting  Kind = "selecting"   // takes an offer, ours or another server's
	InitReboot Kind = "init-reboot" // starts again and wants the address it had
	Renewing   Kind = "renewing"    // uses its address and wants it for longer; rebinding as well
	Decline    Kind = "decline"     // found somebody else at the address
	Release    Kind = "release"     // gives the address back
	Inform     Kind = "inform"      // has an address and asks for the rest
)

// A Request is one client message, decoded and checked.
type Request struct {
	Kind     Kind
	MAC      lease.MAC
	Wanted   netip.Addr // option 50, zero without
	Current  netip.Addr // ciaddr, zero when the client has no address
	Server   netip.Addr // option 54: the server it speaks to, zero without
	Relay    netip.Addr // giaddr: the relay agent it came through, zero without
	Firmware Firmware   // of a boot ROM or boot loader, NoFirmware of anything else
	HTTP     bool       // UEFI HTTP Boot
	IPXE     bool
	// BootServer says that it came to port 4011, which ProxyDHCP has for itself.
	BootServer bool
	Peer       netip.AddrPort // where the packet came from
	Unicast    bool           // it was sent to this server alone
	// Link is the network that a relay agent names (RFC 3527) or, when none does, the client itself (RFC 3011); zero without.
	Link netip.Addr
	// Port is the switch port as the relay agent names it (RFC 3046: circuit and remote id), empty without.
	Port string
	// XID is the same in repetitions of the request.
	XID [4]byte

	packet *dhcpv4.DHCPv4 // what the reply echoes
}

// Decode reads a packet that arrived at the server's port. The error says why a packet deserves no answer.
func Decode(b []byte) (Request, error) {
	p, err := parse(b)
	if err != nil {
		return Request{}, err
	}
	switch {
	case p.OpCode != dhcpv4.OpcodeBootRequest:
		return Request{}, errors.New("a server's reply, not a request")
	case p.HWType != iana.HWTypeEthernet:
		return Request{}, fmt.Errorf("hardware type %d: only Ethernet is served", p.HWType)
	}
	mac, err := lease.MACFrom(p.ClientHWAddr)
	if err != nil {
		return Request{}, err
	}
	r := Request{MAC: mac, packet: p, Current: address(p.ClientIPAddr), Relay: address(p.GatewayIPAddr), XID: p.TransactionID}
	if r.Wanted, err = addressOption(p, dhcpv4.OptionRequestedIPAddress); err != nil {
		return Request{}, err
	}
	if r.Server, err = addressOption(p, dhcpv4.OptionServerIdentifier); err != nil {
		return Request{}, err
	}
	if r.Kind, err = kindOf(p, r); err != nil {
		return Request{}, err
	}
	if err := r.readAgent(); err != nil {
		return Request{}, err
	}
	r.Firmware, r.IPXE, r.HTTP = firmwareOf(p), isIPXE(p), strings.HasPrefix(p.ClassIdentifier(), httpClass)
	return r, nil
}

// Options and sub-options of relay agents.
const (
	optionSubnetSelection = dhcpv4.GenericOptionCode(118) // RFC 3011
	agentCircuit          = 1                             // RFC 3046
	agentRemote           = 2
	agentLink             = 5 // RFC 3527
)

// readAgent reads what tells where the client stands. Only a relay agent is believed to be one.
func (r *Request) readAgent() (err error) {
	if r.Link, err = addressOption(r.packet, optionSubnetSelection); err != nil {
		return err
	}
	if !r.Relay.IsValid() {
		return nil
	}
	var circuit, remote []byte
	for code, v := range suboptions(r.packet.Options.Get(dhcpv4.OptionRelayAgentInformation)) {
		switch code {
		case agentCircuit:
			circuit = v
		case agentRemote:
			remote = v
		case agentLink:
			if len(v) != 4 {
				return fmt.Errorf("link selection of %d bytes: an address has 4", len(v))
			}
			r.Link = address(v)
		}
	}
	if len(circuit)+len(remote) > 0 {
		r.Port = fmt.Sprintf("%x/%x", remote, circuit)
	}
	return nil
}

// kindOf tells the messages apart by RFC 2131 4.3.2: what is a DHCPREQUEST for shows only in its fields.
func kindOf(p *dhcpv4.DHCPv4, r Request) (Kind, error) {
	switch t := p.MessageType(); t {
	case dhcpv4.MessageTypeDiscover:
		return Discover, nil
	case dhcpv4.MessageTypeRequest:
		switch {
		case r.Server.IsValid() && r.Wanted.IsValid():
			return Selecting, nil
		case r.Current.IsValid():
			return Renewing, nil
		case r.Wanted.IsValid():
			return InitReboot, nil
		default:
			return "", errors.New("DHCPREQUEST without an address")
		}
	case dhcpv4.MessageTypeDecline:
		if !r.Wanted.IsValid() {
			return "", errors.New("DHCPDECLINE without an address")
		}
		return Decline, nil
	case dhcpv4.MessageTypeRelease:
		if !r.Current.IsValid() {
			return "", errors.New("DHCPRELEASE without an address")
		}
		return Release, nil
	case dhcpv4.MessageTypeInform:
		if !r.Current.IsValid() {
			return "", errors.New("DHCPINFORM without an address")
		}
		return Inform, nil
	case dhcpv4.MessageTypeNone:
		return "", errors.New("BOOTP without DHCP")
	default:
		return "", fmt.Errorf("message type %s is not a client's", t)
	}
}

// address returns ip, or the zero Addr for 0.0.0.0.
func address(ip []byte) netip.Addr {
	a, ok := netip.AddrFromSlice(ip)
	if !ok || a.Unmap().IsUnspecified() {
		return netip.Addr{}
	}
	return a.Unmap()
}

func addressOption(p *dhcpv4.DHCPv4, code dhcpv4.OptionCode) (netip.Addr, error) {
	v := p.Options.Get(code)
	if v != nil && len(v) != 4 {
		return netip.Addr{}, fmt.Errorf("option %d has %d bytes, an address has 4", code.Code(), len(v))
	}
	return address(v), nil
}
