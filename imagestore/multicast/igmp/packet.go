package igmp

import (
	"encoding/binary"
	"errors"
	"math"
	"net/netip"
	"time"
)

// Groups that IGMP itself uses (RFC 2236 section 9).
var (
	allHosts   = netip.AddrFrom4([4]byte{224, 0, 0, 1}) // general queries
	allRouters = netip.AddrFrom4([4]byte{224, 0, 0, 2}) // leave messages
)

// A kind tells messages apart. IGMPv3 kept the type of a query and made it longer (RFC 3376 section 7.1).
type kind string

const (
	queryV1 kind = "IGMPv1 query"
	queryV2 kind = "IGMPv2 query"
	queryV3 kind = "IGMPv3 query"
	leave   kind = "leave"
)

// Types on the wire (RFC 2236 section 2.1).
const (
	typeQuery = 0x11
	typeLeave = 0x17
)

// A message is what a querier must know of one that it heard.
type message struct {
	kind     kind
	from     netip.Addr
	group    netip.Addr    // that is asked for or left; 0.0.0.0 in a general query
	response time.Duration // of a query: within which hosts answer

	// What an IGMPv3 query tells of its sender; zero where it does not.
	robustness int
	interval   time.Duration
}

func (m message) query() bool { return m.kind != leave }

func (m message) general() bool { return m.query() && m.group.IsUnspecified() }

// Why a datagram is ignored.
var (
	errNotIGMP     = errors.New("not a whole IPv4 datagram with IGMP")
	errForwarded   = errors.New("its TTL is not 1, so it was not made for this network")
	errSource      = errors.New("its source is the address of no host")
	errChecksum    = errors.New("wrong checksum")
	errLength      = errors.New("its length is that of no query")
	errGroup       = errors.New("its group is no multicast address")
	errDestination = errors.New("a general query that is not for all hosts")
	errOther       = errors.New("neither a query nor a leave message")
)

// Lengths of IPv4's header without options, of an IGMPv1 or IGMPv2 message, and of the shortest IGMPv3 query.
const (
	headerLength  = 20
	messageLength = 8
	queryV3Length = 12
)

// decode reads an IPv4 datagram as a raw socket hands it over, with its header. Router Alert is not asked for: the queriers of some
// switches leave it out.
func decode(datagram []byte) (message, error) {
	if len(datagram) < headerLength || datagram[0]>>4 != 4 || datagram[9] != protocol {
		return message{}, errNotIGMP
	}
	start, end := int(datagram[0]&15)*4, int(binary.BigEndian.Uint16(datagram[2:]))
	if start < headerLength || end > len(datagram) || end < start+messageLength {
		return message{}, errNotIGMP
	}
	m := message{from: address(datagram[12:])}
	destination, body := address(datagram[16:]), datagram[start:end]
	switch {
	case datagram[8] != 1:
		return message{}, errForwarded
	case m.from.IsMulticast() || m.from.IsLoopback() || m.from == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return message{}, errSource
	case checksum(body) != 0:
		return message{}, errChecksum
	}
	m.group = address(body[4:])
	var err error
	switch body[0] {
	case typeQuery:
		err = m.decodeQuery(body)
	case typeLeave:
		m.kind = leave
	default:
		err = errOther
	}
	switch {
	case err != nil:
		return message{}, err
	case m.general() && destination != allHosts:
		return message{}, errDestination
	case !m.general() && !m.group.IsMulticast():
		return message{}, errGroup
	}
	return m, nil
}

func (m *message) decodeQuery(body []byte) error {
	switch code := body[1]; {
	case len(body) == messageLength && code == 0:
		m.kind = queryV1
		m.response = 10 * time.Second // RFC 2236 section 4
	case len(body) == messageLength:
		m.kind = queryV2
		m.response = tenths(int(code))
	case len(body) >= queryV3Length:
		m.kind = queryV3
		m.response = tenths(float8(code))
		m.robustness = int(body[8] & 7)
		m.interval = time.Duration(float8(body[9])) * time.Second
	default:
		return errLength
	}
	return nil
}

// float8 reads the small floating-point numbers of RFC 3376 sections 4.1.1 and 4.1.7: below 128 the value itself, then an exponent of
// three bits and a mantissa of four.
func float8(code byte) int {
	if code < 128 {
		return int(code)
	}
	return (int(code&15) | 16) << (code>>4&7 + 3)
}

func tenths(n int) time.Duration { return time.Duration(n) * (time.Second / 10) }

// encode makes an IGMPv2 query for a group, or a general one for 0.0.0.0. The response is told in tenths of a second, from 1 (0 would
// make it a query of IGMPv1) to 255.
func encode(group netip.Addr, response time.Duration) []byte {
	b := make([]byte, messageLength)
	b[0] = typeQuery
	b[1] = byte(min(max(response/tenths(1), 1), math.MaxUint8))
	copy(b[4:], group.AsSlice())
	binary.BigEndian.PutUint16(b[2:], checksum(b))
	return b
}

// checksum is that of RFC 1071; over a message with a right one in it, it is 0.
func checksum(b []byte) uint16 {
	var sum uint32 // of at most 65535/2 words, each below 2^16: no overflow
	for ; len(b) > 1; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	if len(b) == 1 {
		sum += uint32(b[0]) << 8
	}
	sum = sum>>16 + sum&math.MaxUint16
	sum += sum >> 16
	return ^uint16(sum)
}

func address(b []byte) netip.Addr { return netip.AddrFrom4([4]byte(b[:4])) }
