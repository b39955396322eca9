package neighbour

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// A packet is a DHCP message with who sent it.
type packet struct {
	from   net.HardwareAddr // of the frame: the server's, the PC's, or that of a relay or router between
	source netip.AddrPort
	to     netip.AddrPort
	dhcp   *dhcpv4.DHCPv4
}

// Sizes of headers, in bytes.
const (
	ethernetHeader = 14
	vlanTag        = 4
	ipv4Header     = 20 // without options
	udpHeader      = 8
)

const (
	typeIPv4    = 0x0800
	typeVLAN    = 0x8100 // IEEE 802.1Q
	protocolUDP = 17
)

// parse reads an Ethernet frame that carries DHCP. Whoever is on the network may have made it: every length is checked before it is believed.
func parse(frame []byte) (packet, error) {
	if len(frame) < ethernetHeader {
		return packet{}, errors.New("frame shorter than its header")
	}
	p := packet{from: slices.Clone(frame[6:12])}
	kind, rest := binary.BigEndian.Uint16(frame[12:]), frame[ethernetHeader:]
	if kind == typeVLAN {
		if len(rest) < vlanTag {
			return packet{}, errors.New("frame shorter than its VLAN tag")
		}
		if id := binary.BigEndian.Uint16(rest) & 0x0fff; id != 0 { // with 0 the tag has a priority only
			return packet{}, fmt.Errorf("frame of VLAN %d, which is another network", id)
		}
		kind, rest = binary.BigEndian.Uint16(rest[2:]), rest[vlanTag:]
	}
	if kind != typeIPv4 {
		return packet{}, fmt.Errorf("frame of type %04x, not IPv4", kind)
	}
	payload, err := p.datagram(rest)
	if err != nil {
		return packet{}, err
	}
	p.dhcp, err = dhcpv4.FromBytes(payload)
	if errors.Is(err, io.ErrUnexpectedEOF) { // some ROMs forget the end option; dhcpv4 then says so with this error
		p.dhcp, err = dhcpv4.FromBytes(append(slices.Clone(payload), dhcpv4.OptionEnd.Code()))
	}
	if err != nil {
		return packet{}, fmt.Errorf("not a DHCP packet: %w", err)
	}
	return p, nil
}

// datagram reads the headers of IPv4 (RFC 791 3.1) and UDP (RFC 768) and returns what they carry. Checksums are not looked at: within one machine the
// kernel leaves them open.
func (p *packet) datagram(b []byte) ([]byte, error) {
	if len(b) < ipv4Header {
		return nil, errors.New("IPv4 packet shorter than its header")
	}
	header, total := int(b[0]&0x0f)*4, int(binary.BigEndian.Uint16(b[2:]))
	switch {
	case b[0]>>4 != 4:
		return nil, fmt.Errorf("IP version %d", b[0]>>4)
	case header < ipv4Header || total < header+udpHeader || total > len(b):
		return nil, fmt.Errorf("IPv4 header of %d bytes in a packet of %d, of which %d came", header, total, len(b))
	case binary.BigEndian.Uint16(b[6:])&0x3fff != 0: // more fragments, or not the first
		return nil, errors.New("fragment of an IPv4 packet")
	case b[9] != protocolUDP:
		return nil, fmt.Errorf("IP protocol %d, not UDP", b[9])
	}
	source, _ := netip.AddrFromSlice(b[12:16])
	to, _ := netip.AddrFromSlice(b[16:20])
	udp := b[header:total] // behind it Ethernet may have filled up the frame
	p.source = netip.AddrPortFrom(source, binary.BigEndian.Uint16(udp))
	p.to = netip.AddrPortFrom(to, binary.BigEndian.Uint16(udp[2:]))
	length := int(binary.BigEndian.Uint16(udp[4:]))
	if length < udpHeader || length > len(udp) {
		return nil, fmt.Errorf("UDP length %d in %d bytes", length, len(udp))
	}
	return udp[udpHeader:length], nil
}

// frame makes an Ethernet frame of a DHCP message.
func (p packet) frame(to net.HardwareAddr) []byte {
	payload := p.dhcp.ToBytes()
	b := append(slices.Clone(to), p.from...)
	b = binary.BigEndian.AppendUint16(b, typeIPv4)

	ip := make([]byte, ipv4Header, ipv4Header+udpHeader+len(payload))
	ip[0] = 4<<4 | ipv4Header/4
	binary.BigEndian.PutUint16(ip[2:], uint16(ipv4Header+udpHeader+len(payload)))
	ip[8], ip[9] = 64, protocolUDP // time to live
	copy(ip[12:], p.source.Addr().AsSlice())
	copy(ip[16:], p.to.Addr().AsSlice())
	binary.BigEndian.PutUint16(ip[10:], checksum(ip, 0))

	udp := binary.BigEndian.AppendUint16(nil, p.source.Port())
	udp = binary.BigEndian.AppendUint16(udp, p.to.Port())
	udp = binary.BigEndian.AppendUint16(udp, uint16(udpHeader+len(payload)))
	udp = append(udp, 0, 0)
	udp = append(udp, payload...)
	sum := checksum(udp, partial(ip[12:20], protocolUDP+uint32(len(udp)))) // with the pseudo header of RFC 768
	if sum == 0 {
		sum = 0xffff // zero would mean that there is none
	}
	binary.BigEndian.PutUint16(udp[6:], sum)
	return append(append(b, ip...), udp...)
}

// partial adds up 16-bit words (RFC 1071); a last odd byte counts as the high one of a word.
func partial(b []byte, sum uint32) uint32 {
	for ; len(b) > 1; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	return sum
}

func checksum(b []byte, start uint32) uint16 {
	sum := partial(b, start)
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
