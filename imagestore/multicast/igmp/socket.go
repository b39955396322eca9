package igmp

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// protocol is IGMP's number in the IPv4 header.
const protocol = unix.IPPROTO_IGMP

// routerAlert is the IPv4 option of RFC 2113: routers and switches look into a datagram that carries it.
const routerAlert = "\x94\x04\x00\x00"

// networkControl is the precedence with which IGMP is sent (RFC 3376 section 4).
const networkControl = 0xc0

var errNotAllowed = errors.New("the IGMP querier needs the right CAP_NET_RAW (run as root)")

// A socket is a wire of the Linux kernel.
type socket struct {
	conn    *net.IPConn
	nic     string
	index   int
	address netip.Addr
}

// openSocket opens a raw socket that is bound to the NIC and speaks from its first IPv4 address. It fails with errNotAllowed when the
// process lacks the right.
func openSocket(ctx context.Context, nic string) (wire, error) {
	index, address, err := find(nic)
	if err != nil {
		return nil, err
	}
	lc := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		if e := c.Control(func(fd uintptr) { err = configure(int(fd), nic, index, address) }); e != nil {
			return e
		}
		return err
	}}
	conn, err := lc.ListenPacket(ctx, fmt.Sprintf("ip4:%d", protocol), "")
	if errors.Is(err, fs.ErrPermission) {
		return nil, errNotAllowed
	}
	if err != nil {
		return nil, fmt.Errorf("IGMP on %s: %w", nic, err)
	}
	return &socket{conn.(*net.IPConn), nic, index, address}, nil
}

// configure binds the socket to the NIC. Its queries are looped back, so that this machine answers for the groups that it has joined.
func configure(fd int, nic string, index int, address netip.Addr) error {
	set := func(option, value int) error { return unix.SetsockoptInt(fd, unix.IPPROTO_IP, option, value) }
	join := func(group netip.Addr) error {
		return unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_ADD_MEMBERSHIP, &unix.IPMreqn{Multiaddr: group.As4(), Ifindex: int32(index)})
	}
	speak := unix.IPMreqn{Address: address.As4(), Ifindex: int32(index)}
	return errors.Join(
		os.NewSyscallError("SO_BINDTODEVICE", unix.BindToDevice(fd, nic)),
		os.NewSyscallError("IP_MULTICAST_IF", unix.SetsockoptIPMreqn(fd, unix.IPPROTO_IP, unix.IP_MULTICAST_IF, &speak)),
		os.NewSyscallError("IP_MULTICAST_TTL", set(unix.IP_MULTICAST_TTL, 1)),
		os.NewSyscallError("IP_OPTIONS", unix.SetsockoptString(fd, unix.IPPROTO_IP, unix.IP_OPTIONS, routerAlert)),
		os.NewSyscallError("IP_TOS", set(unix.IP_TOS, networkControl)),
		// Only the groups joined here, not those of every program on this machine.
		os.NewSyscallError("IP_MULTICAST_ALL", set(unix.IP_MULTICAST_ALL, 0)),
		os.NewSyscallError("IP_ADD_MEMBERSHIP", join(allHosts)),
		os.NewSyscallError("IP_ADD_MEMBERSHIP", join(allRouters)),
	)
}

// find returns a NIC's index and the IPv4 address from which to ask.
func find(name string) (int, netip.Addr, error) {
	nic, err := net.InterfaceByName(name)
	if err != nil {
		return 0, netip.Addr{}, fmt.Errorf("interface %s: %w", name, err)
	}
	if nic.Flags&net.FlagUp == 0 {
		return 0, netip.Addr{}, fmt.Errorf("interface %s is down", name)
	}
	if nic.Flags&net.FlagRunning == 0 {
		return 0, netip.Addr{}, fmt.Errorf("interface %s has no link: its cable or the switch is off", name)
	}
	all, err := nic.Addrs()
	if err != nil {
		return 0, netip.Addr{}, fmt.Errorf("addresses of interface %s: %w", name, err)
	}
	for _, a := range all {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() {
			return nic.Index, p.Addr(), nil
		}
	}
	return 0, netip.Addr{}, fmt.Errorf("interface %s has no IPv4 address", name)
}

// Address implements wire.
func (s *socket) Address() netip.Addr { return s.address }

// Receive implements wire.
func (s *socket) Receive(buf []byte) (int, error) {
	n, _, _, _, err := s.conn.ReadMsgIP(buf, nil) // unlike Read, it leaves the IPv4 header on
	return n, err
}

// Send implements wire.
func (s *socket) Send(a ask) error {
	to := a.group
	if to.IsUnspecified() {
		to = allHosts
	}
	if _, err := s.conn.WriteToIP(encode(a.group, a.response), &net.IPAddr{IP: to.AsSlice()}); err != nil {
		return fmt.Errorf("IGMP query: %w", err)
	}
	return nil
}

// Check implements wire.
func (s *socket) Check() error {
	index, address, err := find(s.nic)
	if err != nil {
		return err
	}
	if index != s.index || address != s.address {
		return fmt.Errorf("interface %s was made anew or has another address: now %s, before %s", s.nic, address, s.address)
	}
	return nil
}

// Close implements wire.
func (s *socket) Close() error { return s.conn.Close() }
