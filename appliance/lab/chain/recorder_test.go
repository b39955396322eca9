package chain

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A packet is one that went over the switch, as far as it was kept.
type packet struct {
	at       time.Time
	from, to string // MACs
	protocol byte   // of IPv4
	source   netip.AddrPort
	target   netip.AddrPort
	syn      bool   // of TCP, without ACK
	payload  []byte // the first bytes
	size     int    // of the payload
}

// A recorder keeps what goes over the classroom's switch to and from the appliance, and what is broadcast.
type recorder struct {
	mu      sync.Mutex
	packets []packet
}

// keptBytes is how much of a packet is kept: a whole DHCP packet, and the first line of an HTTP request.
const keptBytes = 1600

// record listens at an interface until the test ends.
func record(t testing.TB, name string) *recorder {
	t.Helper()
	nic, err := net.InterfaceByName(name)
	if err != nil {
		t.Fatal(err)
	}
	const everything = unix.ETH_P_ALL << 8 // in the network's byte order; a single protocol would leave out what leaves
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, everything)
	if err != nil {
		t.Fatalf("listen at %s: %v", name, err)
	}
	const buffer = 16 << 20
	err = errors.Join(unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: everything, Ifindex: nic.Index}),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, buffer),
		unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1), unix.SetNonblock(fd, true))
	if err != nil {
		t.Fatalf("listen at %s: %v", name, err)
	}
	r := &recorder{}
	file := os.NewFile(uintptr(fd), "packets of "+name) // non-blocking: closing it ends a read
	raw, err := file.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for r.read(raw) {
		}
	}()
	t.Cleanup(func() {
		file.Close()
		<-done
	})
	return r
}

// read keeps one packet. It returns false when the socket is closed.
func (r *recorder) read(raw interface {
	Read(func(uintptr) bool) error
}) bool {
	frame, oob := make([]byte, keptBytes), make([]byte, 64)
	var n, oobn int
	var err error
	closed := raw.Read(func(fd uintptr) bool {
		n, oobn, _, _, err = unix.Recvmsg(int(fd), frame, oob, unix.MSG_TRUNC)
		return err != unix.EAGAIN
	})
	if closed != nil || err != nil {
		return closed == nil && (err == unix.EINTR || err == unix.ENETDOWN)
	}
	p, ok := parsePacket(frame[:min(n, len(frame))], n)
	if !ok {
		return true
	}
	p.at = stamp(oob[:oobn])
	r.mu.Lock()
	defer r.mu.Unlock()
	r.packets = append(r.packets, p)
	return true
}

// stamp is when the kernel saw the packet.
func stamp(oob []byte) time.Time {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil || len(messages) == 0 || len(messages[0].Data) < 16 {
		return time.Now()
	}
	d := messages[0].Data
	return time.Unix(int64(binary.NativeEndian.Uint64(d)), int64(binary.NativeEndian.Uint64(d[8:])))
}

// parsePacket understands UDP and TCP over IPv4 in Ethernet.
func parsePacket(frame []byte, size int) (p packet, ok bool) {
	const ethernet, ipv4, udpHeader = 14, 20, 8
	if len(frame) < ethernet+ipv4+udpHeader || binary.BigEndian.Uint16(frame[12:]) != unix.ETH_P_IP {
		return packet{}, false
	}
	ip := frame[ethernet:]
	header := int(ip[0]&15) * 4
	if len(ip) < header+udpHeader {
		return packet{}, false
	}
	size = min(size-ethernet, int(binary.BigEndian.Uint16(ip[2:]))) // without padding
	p = packet{to: net.HardwareAddr(frame[:6]).String(), from: net.HardwareAddr(frame[6:12]).String(), protocol: ip[9]}
	body := ip[header:min(len(ip), max(size, header+udpHeader))]
	port := func(at int) uint16 { return binary.BigEndian.Uint16(body[at:]) }
	p.source = netip.AddrPortFrom(netip.AddrFrom4([4]byte(ip[12:16])), port(0))
	p.target = netip.AddrPortFrom(netip.AddrFrom4([4]byte(ip[16:20])), port(2))
	skip := udpHeader
	switch {
	case p.protocol == unix.IPPROTO_TCP && len(body) >= 20:
		const syn, ack = 2, 16
		p.syn = body[13]&(syn|ack) == syn
		skip = int(body[12]>>4) * 4
	case p.protocol != unix.IPPROTO_UDP:
		return packet{}, false
	}
	p.payload, p.size = body[min(skip, len(body)):], size-header-skip
	return p, true
}

// of returns the packets to and from a PC that were recorded since a time, in their order. DHCP's are found by the address that they name.
func (r *recorder) of(mac string, since time.Time) []packet {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []packet
	for _, p := range r.packets {
		if p.at.After(since) && (p.from == mac || p.to == mac || p.isDHCP() && p.client() == mac) {
			all = append(all, p)
		}
	}
	return all
}

// DHCP's ports.
const (
	dhcpServer = 67
	dhcpClient = 68
	pxeServer  = 4011
)

func (p packet) isDHCP() bool {
	const cookie = 236 // the fixed part ends, RFC 2131 3
	known := func(port uint16) bool { return port == dhcpServer || port == dhcpClient || port == pxeServer }
	return p.protocol == unix.IPPROTO_UDP && known(p.source.Port()) && known(p.target.Port()) && len(p.payload) > cookie+4
}

// client is chaddr.
func (p packet) client() string { return net.HardwareAddr(p.payload[28:34]).String() }

// option returns one of DHCP's options, nil when it is not there.
func (p packet) option(code byte) []byte {
	for rest := p.payload[240:]; len(rest) > 1 && rest[0] != 255; {
		if rest[0] == 0 {
			rest = rest[1:]
			continue
		}
		end := 2 + int(rest[1])
		if end > len(rest) {
			break
		}
		if rest[0] == code {
			return rest[2:end]
		}
		rest = rest[end:]
	}
	return nil
}

// Kinds of DHCP packets, option 53.
var kinds = []string{"", "DISCOVER", "OFFER", "REQUEST", "DECLINE", "ACK", "NAK", "RELEASE", "INFORM"}

// kind names a DHCP packet.
func (p packet) kind() string {
	if kind := p.option(53); len(kind) == 1 && int(kind[0]) < len(kinds) {
		return kinds[kind[0]]
	}
	return "BOOTP"
}

// dhcpKind is the kind of a DHCP packet, and empty for others.
func (p packet) dhcpKind() string {
	if !p.isDHCP() {
		return ""
	}
	return p.kind()
}

// request is the method and the path of an HTTP request, or the name that TFTP is asked for; empty for other packets.
func (p packet) request() string {
	const tftp, read = 69, 1
	text := string(p.payload)
	switch {
	case p.protocol == unix.IPPROTO_UDP && p.target.Port() == tftp && len(text) > 2 && text[1] == read:
		name, _, _ := strings.Cut(text[2:], "\x00")
		return "RRQ " + name
	case p.protocol == unix.IPPROTO_TCP && (strings.HasPrefix(text, "GET ") || strings.HasPrefix(text, "HEAD ")):
		line, _, _ := strings.Cut(text, " HTTP/")
		return line
	}
	return ""
}

// story tells what a PC asked and was told, for people.
func story(packets []packet, since time.Time) string {
	var b strings.Builder
	for _, p := range packets {
		what := p.request()
		switch {
		case p.isDHCP():
			what = p.kind()
			if file := p.option(67); file != nil {
				what += fmt.Sprintf(" file %q", file)
			}
			if class := p.option(60); class != nil {
				what += fmt.Sprintf(" class %q", class)
			}
		case p.syn:
			what = "connects"
		case what == "":
			continue
		}
		fmt.Fprintf(&b, "%7.2f s  %s > %s  %s\n", p.at.Sub(since).Seconds(), p.source, p.target, what)
	}
	return b.String()
}
