package wake

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
	"syscall"

	"golang.org/x/sys/unix"

	"aula/netboot/lease"
)

const (
	macSize = 6
	// etherType is that of magic packets without IP, as ether-wake sends them.
	etherType = 0x0842
)

// ports are those at which magic packets are looked for, when cards look at ports at all: discard and echo.
var ports = []uint16{9, 7}

// everybody is the address of all machines of the own network, whatever that is.
var everybody = netip.AddrFrom4([4]byte{255, 255, 255, 255})

// A wire is where packets are sent. Each packet has sockets of its own, so that a NIC may go and come back.
type wire struct {
	nic     *net.Interface
	network netip.Prefix
}

// check opens the socket that must be had, and closes it.
func (w wire) check() error {
	conn, err := w.udp()
	if err != nil {
		return err
	}
	return conn.Close()
}

// send sends a card a magic packet in each form that is known to wake some card: by UDP, and by itself when the process may (CAP_NET_RAW). It fails when none
// could be sent.
func (w wire) send(mac net.HardwareAddr) error {
	packet := magicPacket(mac)
	bare := w.sendBare(packet)
	if byUDP := w.sendUDP(packet); byUDP != nil && bare != nil {
		return byUDP
	}
	return nil
}

// sendUDP fails when not a single datagram could be sent.
func (w wire) sendUDP(packet []byte) error {
	conn, err := w.udp()
	if err != nil {
		return err
	}
	defer conn.Close()
	var errs []error
	sent := false
	for _, to := range w.broadcasts() {
		for _, port := range ports {
			if _, err := conn.WriteTo(packet, net.UDPAddrFromAddrPort(netip.AddrPortFrom(to, port))); err != nil {
				errs = append(errs, err)
			} else {
				sent = true
			}
		}
	}
	if sent {
		return nil
	}
	return errors.Join(errs...)
}

// udp opens a socket that may send to every machine of the NIC's network.
func (w wire) udp() (net.PacketConn, error) {
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		controlErr := c.Control(func(fd uintptr) {
			if err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_BROADCAST, 1); err == nil {
				err = unix.BindToDevice(int(fd), w.nic.Name)
			}
		})
		return errors.Join(controlErr, err)
	}}
	return config.ListenPacket(context.Background(), "udp4", ":0")
}

// broadcasts are the addresses of every machine: the limited one, and that of the network, which some switches' wake-on-LAN features want.
func (w wire) broadcasts() []netip.Addr {
	if directed := broadcastOf(w.network); directed.IsValid() {
		return []netip.Addr{everybody, directed}
	}
	return []netip.Addr{everybody}
}

// broadcastOf is the address of every machine of a network of IPv4; zero for one that has none (RFC 3021).
func broadcastOf(network netip.Prefix) netip.Addr {
	if !network.Addr().Is4() || network.Bits() > 30 {
		return netip.Addr{}
	}
	return lease.LastOf(network)
}

// sendBare sends the packet in an Ethernet frame of its own type, to every card.
func (w wire) sendBare(packet []byte) (err error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0) // of no protocol: nothing is received
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unix.Close(fd)) }()
	nic, err := net.InterfaceByName(w.nic.Name)
	if err != nil {
		return err
	}
	to := &unix.SockaddrLinklayer{
		Protocol: binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, etherType)), Ifindex: nic.Index,
		Halen: macSize, Addr: [8]byte{255, 255, 255, 255, 255, 255},
	}
	return unix.Sendto(fd, packet, 0, to)
}

// magicPacket is six bytes of ones and sixteen times the address.
func magicPacket(mac net.HardwareAddr) []byte {
	return append(bytes.Repeat([]byte{0xff}, macSize), bytes.Repeat(mac, 16)...)
}
