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

	"aula/netboot/lease"
)

// A Socket is a UDP port of one NIC.
type Socket struct {
	conn   *ipv4.PacketConn
	nic    int
	source netip.Addr
	port   uint16
	frames *os.File // packet socket, nil without
}

// BootServerPort is the one that boot servers have for themselves (PXE 2.1, 2.2.5).
const BootServerPort = 4011

// receiveBuffer holds what arrives while leases are being written: a classroom that starts at once sends about 300 bytes per PC.
const receiveBuffer = 4 << 20

// Listen opens port 67 on a NIC, from which replies will come from the source address. It shares the port with nobody, so a
// DHCP server that is there already makes it fail with EADDRINUSE. (dhcpv4/server4 sets SO_REUSEPORT, with which two servers
// would each get some of the packets.)
func Listen(ctx context.Context, nic *net.Interface, source netip.Addr) (*Socket, error) {
	return ListenPort(ctx, nic, source, dhcpv4.ServerPort)
}

// ListenPort is Listen for another port, BootServerPort for instance.
func ListenPort(ctx context.Context, nic *net.Interface, source netip.Addr, port uint16) (*Socket, error) {
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		if e := c.Control(func(fd uintptr) {
			err = errors.Join(
				os.NewSyscallError("SO_BINDTODEVICE", unix.BindToDevice(int(fd), nic.Name)),
				os.NewSyscallError("SO_BROADCAST", unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_BROADCAST, 1)),
				os.NewSyscallError("SO_RCVBUF", unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)),
			)
			// Beyond net.core.rmem_max, where that is permitted.
			_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer)
		}); e != nil {
			return e
		}
		return err
	}}
	c, err := lc.ListenPacket(ctx, "udp4", fmt.Sprintf(":%d", port))
	if err != nil {
		return nil, err
	}
	s := &Socket{conn: ipv4.NewPacketConn(c), nic: nic.Index, source: source, port: port}
	if err := s.conn.SetControlMessage(ipv4.FlagDst, true); err != nil {
		return nil, errors.Join(fmt.Errorf("IP_PKTINFO: %w", err), c.Close())
	}
	// Without the privilege for it, replies are broadcast that could have been for one PC alone. The socket receives nothing: its protocol is 0.
	if fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0); err == nil {
		s.frames = os.NewFile(uintptr(fd), "frames")
	}
	return s, nil
}

// Receive implements Conn.
func (s *Socket) Receive(buf []byte) (int, Arrival, error) {
	n, cm, from, err := s.conn.ReadFrom(buf)
	if err != nil {
		return 0, Arrival{}, err
	}
	var a Arrival
	if u, ok := from.(*net.UDPAddr); ok {
		a.From = u.AddrPort()
		a.From = netip.AddrPortFrom(a.From.Addr().Unmap(), a.From.Port())
	}
	if cm != nil {
		to, _ := netip.AddrFromSlice(cm.Dst)
		a.Unicast = to.Unmap() == s.source
	}
	return n, a, nil
}

// Send implements Conn.
func (s *Socket) Send(packet []byte, to netip.AddrPort) error {
	_, err := s.conn.WriteTo(packet, &ipv4.ControlMessage{IfIndex: s.nic, Src: s.source.AsSlice()}, net.UDPAddrFromAddrPort(to))
	return err
}

// SendFrame implements Conn.
func (s *Socket) SendFrame(packet []byte, to netip.AddrPort, mac lease.MAC) error {
	if s.frames != nil && s.sendFrame(datagram(packet, netip.AddrPortFrom(s.source, s.port), to), mac) == nil {
		return nil
	}
	return s.Send(packet, netip.AddrPortFrom(broadcast.Addr(), to.Port()))
}

func (s *Socket) sendFrame(datagram []byte, mac lease.MAC) error {
	to := &unix.SockaddrLinklayer{Protocol: bigEndian(unix.ETH_P_IP), Ifindex: s.nic, Halen: uint8(len(mac))}
	copy(to.Addr[:], mac[:])
	raw, err := s.frames.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	err = raw.Write(func(fd uintptr) bool {
		sent = unix.Sendto(int(fd), datagram, 0, to)
		return !errors.Is(sent, unix.EAGAIN)
	})
	return errors.Join(err, sent)
}

// Close implements Conn.
func (s *Socket) Close() error {
	var err error
	if s.frames != nil {
		if err = s.frames.Close(); errors.Is(err, os.ErrClosed) {
			err = nil
		}
	}
	return errors.Join(s.conn.Close(), err)
}
