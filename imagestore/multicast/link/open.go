package link

import (
	"errors"
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

const (
	// The kernel books more than twice a packet's bytes for it: 8 MiB hold some 86 ms of 1 Gbit/s.
	receiveBuffer = 8 << 20
	// What may wait in the NIC's queue, half of what the kernel books: 4 ms of 1 Gbit/s. That is more than the NIC sends while the writer
	// wakes up, and less than what the queue takes (1000 packets) or begins to drop for its age (5 ms, of fq_codel).
	sendBuffer = 256 << 10
)

// Listen opens a socket on the port (0 for any), for datagrams to this machine's addresses, broadcasts included. What it writes to a
// multicast group leaves by the interface. A port that is in use is an error that says so (errors.Is EADDRINUSE).
func Listen(port int, opt Options) (*Conn, error) {
	if port < 0 || port > 65535 {
		return nil, fmt.Errorf("UDP port %d is out of range: 0 to 65535", port)
	}
	var chosen nic
	if opt.Interface != "" || !opt.Unbound {
		list, err := nics()
		if err != nil {
			return nil, err
		}
		if chosen, err = forSending(list, opt.Interface); err != nil {
			return nil, err
		}
	}
	c, err := open(opt)
	if err != nil {
		return nil, err
	}
	if err := c.listen(port, chosen); err != nil {
		_ = unix.Close(c.fd)
		return nil, err
	}
	return c, nil
}

func (c *Conn) listen(port int, chosen nic) error {
	if chosen.index != 0 {
		request := unix.IPMreqn{Ifindex: int32(chosen.index), Address: chosen.prefix.Addr().As4()}
		if err := unix.SetsockoptIPMreqn(c.fd, unix.IPPROTO_IP, unix.IP_MULTICAST_IF, &request); err != nil {
			return fmt.Errorf("send multicast by interface %s: %w", chosen.name, err)
		}
	}
	if err := bind(c.fd, port); err != nil {
		return err
	}
	name, err := unix.Getsockname(c.fd)
	if err != nil {
		return os.NewSyscallError("getsockname", err)
	}
	bound, ok := name.(*unix.SockaddrInet4)
	if !ok {
		return fmt.Errorf("getsockname: %T instead of an IPv4 address", name)
	}
	address := netip.IPv4Unspecified()
	if chosen.prefix.IsValid() {
		address = chosen.prefix.Addr()
	}
	c.nic, c.local = chosen, netip.AddrPortFrom(address, uint16(bound.Port))
	return nil
}

// Join opens a socket for the datagrams that come to the group's port: those to the group itself, and broadcasts. Several sockets of
// one machine may join the same group. With the address of no group (a broadcast address, say) it only takes the port.
func Join(group netip.AddrPort, opt Options) (*Conn, error) {
	if !group.Addr().Is4() || group.Port() == 0 {
		return nil, fmt.Errorf("join %s: want an IPv4 address and a port", group)
	}
	list, err := nics()
	if err != nil {
		return nil, err
	}
	members, err := forJoining(list, opt.Interface)
	if err != nil {
		return nil, err
	}
	c, err := open(opt)
	if err != nil {
		return nil, err
	}
	if err := c.join(group, members); err != nil {
		_ = unix.Close(c.fd)
		return nil, err
	}
	return c, nil
}

func (c *Conn) join(group netip.AddrPort, members []nic) error {
	if err := unix.SetsockoptInt(c.fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1); err != nil {
		return fmt.Errorf("share UDP port %d: %w", group.Port(), err)
	}
	if err := bind(c.fd, int(group.Port())); err != nil {
		return err
	}
	c.local, c.joined = group, true
	if len(members) == 1 {
		c.nic = members[0]
	}
	if !group.Addr().IsMulticast() {
		return nil
	}
	for _, m := range members {
		request := unix.IPMreqn{Multiaddr: group.Addr().As4(), Ifindex: int32(m.index)}
		err := unix.SetsockoptIPMreqn(c.fd, unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP, &request)
		switch {
		case errors.Is(err, unix.ENODEV) && len(members) > 1: // gone since it was listed
		case errors.Is(err, unix.ENOBUFS):
			return fmt.Errorf("join %s on %s: this machine is in too many groups or has too many network cards; say one with --interface: %w", group.Addr(), m.name, err)
		case err != nil:
			return fmt.Errorf("join %s on interface %s: %w", group.Addr(), m.name, err)
		}
	}
	return nil
}

// open makes a socket with what Listen and Join have in common.
func open(opt Options) (*Conn, error) {
	ttl := opt.TTL
	if ttl == 0 {
		ttl = 1
	}
	if ttl < 1 || ttl > 255 {
		return nil, fmt.Errorf("TTL %d is out of range: 1 to 255", ttl)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, unix.IPPROTO_UDP)
	if err != nil {
		return nil, fmt.Errorf("open a UDP socket: %w", err)
	}
	for _, o := range []struct {
		what                 string
		level, option, value int
	}{
		{"allow broadcasts", unix.SOL_SOCKET, unix.SO_BROADCAST, 1},
		{"set the TTL", unix.IPPROTO_IP, unix.IP_MULTICAST_TTL, ttl},
		{"let members on this machine hear", unix.IPPROTO_IP, unix.IP_MULTICAST_LOOP, 1},
		// Without it a socket hears each group that any program of the machine has joined (ip(7)).
		{"hear the joined group only", unix.IPPROTO_IP, unix.IP_MULTICAST_ALL, 0},
		// Routers answer nothing to multicast that is too large, so that nobody would find out what size passes.
		{"allow fragments", unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DONT},
	} {
		if err := unix.SetsockoptInt(fd, o.level, o.option, o.value); err != nil {
			_ = unix.Close(fd)
			return nil, fmt.Errorf("UDP socket: %s: %w", o.what, err)
		}
	}
	setBuffer(fd, unix.SO_RCVBUFFORCE, unix.SO_RCVBUF, receiveBuffer)
	setBuffer(fd, unix.SO_SNDBUFFORCE, unix.SO_SNDBUF, sendBuffer)
	c := &Conn{fd: fd}
	if !opt.NoOffload {
		c.segment.Store(canSegment(fd))
		c.coalesce = unix.SetsockoptInt(fd, unix.SOL_UDP, unix.UDP_GRO, 1) == nil // from Linux 5.0
	}
	return c, nil
}

// setBuffer takes what the machine's limit grants when the process has no CAP_NET_ADMIN.
func setBuffer(fd, force, option, size int) {
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, force, size) != nil {
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, option, size)
	}
}

// canSegment says whether the kernel knows UDP_SEGMENT (from Linux 4.18).
func canSegment(fd int) bool {
	_, err := unix.GetsockoptInt(fd, unix.SOL_UDP, unix.UDP_SEGMENT)
	return err == nil
}

func bind(fd, port int) error {
	err := unix.Bind(fd, &unix.SockaddrInet4{Port: port})
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return fmt.Errorf("UDP port %d is in use by another program: %w", port, err)
	case errors.Is(err, unix.EACCES):
		return fmt.Errorf("UDP port %d is for root only: %w", port, err)
	case err != nil:
		return fmt.Errorf("UDP port %d: %w", port, err)
	}
	return nil
}
