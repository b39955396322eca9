package dhcp

import (
	"encoding/binary"
	"net/netip"
)

// Lengths of the headers in front of a DHCP packet.
const (
	ipHeader  = 20
	udpHeader = 8
)

// datagram puts the headers of UDP (RFC 768) and IP (RFC 791) in front of a packet, for a frame that the kernel's own stack would not send, because
// nobody answers its ARP yet.
func datagram(packet []byte, from, to netip.AddrPort) []byte {
	total := ipHeader + udpHeader + len(packet)
	b := make([]byte, ipHeader+udpHeader, total)
	source, target := from.Addr().As4(), to.Addr().As4()

	b[0] = 0x45 // version 4, a header of five words
	b[1] = 0x10 // low delay, as DHCP servers have it
	binary.BigEndian.PutUint16(b[2:], uint16(total))
	binary.BigEndian.PutUint16(b[6:], 0x4000) // not to be fragmented
	b[8] = 64                                 // hops
	b[9] = 17                                 // UDP
	copy(b[12:], source[:])
	copy(b[16:], target[:])
	binary.BigEndian.PutUint16(b[10:], ^sum(0, b[:ipHeader]))

	udp := b[ipHeader:]
	binary.BigEndian.PutUint16(udp[0:], from.Port())
	binary.BigEndian.PutUint16(udp[2:], to.Port())
	binary.BigEndian.PutUint16(udp[4:], uint16(udpHeader+len(packet)))
	pseudo := uint32(17) + uint32(udpHeader+len(packet))
	check := ^sum(uint32(sum(uint32(sum(pseudo, b[12:20])), udp)), packet)
	if check == 0 {
		check = 0xffff // 0 would say that there is none
	}
	binary.BigEndian.PutUint16(udp[6:], check)
	return append(b, packet...)
}

// sum adds up 16-bit words in one's complement (RFC 1071), to what other parts of even length came to.
func sum(total uint32, b []byte) uint16 {
	for ; len(b) > 1; b = b[2:] {
		total += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		total += uint32(b[0]) << 8
	}
	for total > 0xffff {
		total = total>>16 + total&0xffff
	}
	return uint16(total)
}

// bigEndian is a number as it stands in memory in network order.
func bigEndian(n uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, n))
}
