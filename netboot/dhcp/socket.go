package dhcp

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"syscall"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// A Socket is the UDP port 67 of one NIC.
type Socket struct {
	conn   *ipv4.PacketConn
	nic    int
	source net.IP
}

// receiveBuffer holds what arrives while leases are being written: a classroom that starts at once sends about 300 bytes per PC.
const receiveBuffer = 1 << 20

// Listen opens port 67 on a NIC, from which replies will come from the source address. It shares the port with nobody, so a
// DHCP server that is there already makes it fail with EADDRINUSE. (dhcpv4/server4 sets SO_REUSEPORT, with which two servers
// would each get some of the packets.)
func Listen(ctx context.Context, nic *net.Interface, source netip.Addr) (*Socket, error) {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		if e := c.Control(func(fd uintptr) {
			err = errors.Join(
				os.NewSyscallError("SO_BINDTODEVICE", unix.BindToDevice(int(fd), nic.Name)),
				os.NewSyscallError("SO_BROADCAST", unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_BROADCAST, 1)),
				os.NewSyscallError("SO_RCVBUF", unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)),
			)
		}); e != nil {
			return e
		}
		return err
	}}
	c, err := lc.ListenPacket(ctx, "udp4", fmt.Sprintf(":%d", dhcpv4.ServerPort))
	if err != nil {
		return nil, err
	}
	return &Socket{conn: ipv4.NewPacketConn(c), nic: nic.Index, source: source.AsSlice()}, nil
}

// Receive implements Conn.
func (s *Socket) Receive(buf []byte) (int, error) {
	n, _, _, err := s.conn.ReadFrom(buf)
	return n, err
}

// Send implements Conn.
func (s *Socket) Send(packet []byte, to netip.AddrPort) error {
	_, err := s.conn.WriteTo(packet, &ipv4.ControlMessage{IfIndex: s.nic, Src: s.source}, net.UDPAddrFromAddrPort(to))
	return err
}

// Close implements Conn.
func (s *Socket) Close() error { return s.conn.Close() }
