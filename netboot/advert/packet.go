package advert

import (
	"encoding/binary"
	"net"
	"net/netip"

	"golang.org/x/net/ipv6"
)

// Sizes, in bytes, and numbers of the protocols.
const (
	macSize        = 6
	headerSize     = 40 // of IPv6 (RFC 8200 3)
	solicitedSize  = 8  // of a router solicitation without options (RFC 4861 4.1)
	protocolICMPv6 = 58
	largest        = 1500

	// onLink is the hop limit of a packet that no router has forwarded (RFC 4861 6.1.1).
	onLink = 255

	optionSourceMAC = 1 // RFC 4861 4.6.1
)

// allNodes is where an advertisement goes to for a PC that has no address yet (RFC 4861 6.2.6).
var allNodes = netip.MustParseAddr("ff02::1")

// parse reads a router solicitation, from the IPv6 header on, with all checks of RFC 4861 6.1.1. It returns whose address it came from, which is :: for a
// PC that has none yet.
func parse(p []byte) (from netip.Addr, ok bool) {
	if len(p) < headerSize+solicitedSize || p[0]>>4 != 6 || p[6] != protocolICMPv6 || p[7] != onLink {
		return from, false
	}
	length := int(binary.BigEndian.Uint16(p[4:]))
	if length < solicitedSize || length > len(p)-headerSize {
		return from, false
	}
	body := p[headerSize : headerSize+length] // Ethernet may have padded the packet
	from = netip.AddrFrom16([16]byte(p[8:24]))
	to := netip.AddrFrom16([16]byte(p[24:40]))
	if body[0] != byte(ipv6.ICMPTypeRouterSolicitation) || body[1] != 0 || checksum(from, to, body) != 0 {
		return from, false
	}
	if !from.IsUnspecified() && !from.IsLinkLocalUnicast() {
		return from, false // no boot ROM has another address when it asks for a router
	}
	for options := body[solicitedSize:]; len(options) > 0; {
		if len(options) < 8 || options[1] == 0 || int(options[1])*8 > len(options) {
			return from, false
		}
		if options[0] == optionSourceMAC && from.IsUnspecified() {
			return from, false
		}
		options = options[int(options[1])*8:]
	}
	return from, true
}

// advertisement makes a router advertisement (RFC 4861 4.2), from the IPv6 header on, that offers nothing: its sender is no router, no prefix is on the link, no server
// gives addresses, and every other value is left as it is.
func advertisement(from, to netip.Addr, own net.HardwareAddr) []byte {
	if to.IsUnspecified() {
		to = allNodes
	}
	body := []byte{
		byte(ipv6.ICMPTypeRouterAdvertisement), 0, 0, 0,
		0,    // hop limit of the PC's own packets: unspecified
		0,    // no flags: no DHCPv6
		0, 0, // router lifetime
		0, 0, 0, 0, // reachable time: unspecified
		0, 0, 0, 0, // retransmission timer: unspecified
		optionSourceMAC, 1,
	}
	body = append(body, own[:macSize]...)
	binary.BigEndian.PutUint16(body[2:], checksum(from, to, body))

	p := []byte{6 << 4, 0, 0, 0, 0, byte(len(body)), protocolICMPv6, onLink}
	p = append(p, from.AsSlice()...)
	p = append(p, to.AsSlice()...)
	return append(p, body...)
}

// checksum is that of ICMPv6 with its pseudo-header (RFC 4443 2.3, RFC 8200 8.1). Over a message that holds its checksum it is 0.
func checksum(from, to netip.Addr, body []byte) uint16 {
	sum := uint32(len(body)) + protocolICMPv6
	add := func(b []byte) {
		for ; len(b) > 1; b = b[2:] {
			sum += uint32(b[0])<<8 | uint32(b[1])
		}
		if len(b) == 1 {
			sum += uint32(b[0]) << 8
		}
	}
	f, t := from.As16(), to.As16()
	add(f[:])
	add(t[:])
	add(body)
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}

// madeUp is an address of the link made of a MAC (RFC 4291 appendix A), but with the bit the other way round that tells the address from that which a kernel
// would make for itself.
func madeUp(mac net.HardwareAddr) netip.Addr {
	return netip.AddrFrom16([16]byte{0xfe, 0x80, 8: mac[0], mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]})
}
