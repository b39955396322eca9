// Package advert answers the IPv6 router solicitations of boot ROMs, so that they do not wait for a router that there is not.
//
// iPXE configures IPv6 beside IPv4 and waits for it 4 s to 18 s before it boots. An advertisement (RFC 4861 4.2) with a router lifetime of zero, no prefix and
// no flags ends that wait: it says that this machine is no router, and gives no address. It is sent to PCs alone that are booting over the network
// now, to nobody else, so a network's real routers and its other machines are not disturbed.
//
// It speaks for itself on the wire, by a packet socket, and so works also while the kernel's IPv6 is switched off or still checks its addresses.
package advert

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"golang.org/x/net/bpf"
	"golang.org/x/net/ipv6"
	"golang.org/x/sys/unix"
)

// A Config says whom to answer.
type Config struct {
	NIC *net.Interface
	// Booting tells whether the PC with this MAC is in its boot ROM or boot loader now. It must not block.
	Booting func(mac net.HardwareAddr) bool
	Log     *slog.Logger
}

// allRouters is where solicitations are sent (RFC 4291 2.7.1).
var allRouters = net.ParseIP("ff02::2")

// rest is waited after the NIC failed, which is down perhaps.
const rest = time.Second

// An Advertiser answers on one NIC.
type Advertiser struct {
	cfg    Config
	socket *os.File
	member net.PacketConn // nil when the kernel has no IPv6 here
}

// New opens the socket. It fails when the NIC is no Ethernet, or the process may not (CAP_NET_RAW).
func New(cfg Config) (*Advertiser, error) {
	if len(cfg.NIC.HardwareAddr) != macSize {
		return nil, fmt.Errorf("router advertisements on %s: it has no Ethernet address", cfg.NIC.Name)
	}
	socket, err := open(cfg.NIC.Index)
	if err != nil {
		return nil, fmt.Errorf("router advertisements on %s: %w", cfg.NIC.Name, err)
	}
	a := &Advertiser{cfg: cfg, socket: socket}
	if a.member, err = join(cfg.NIC); err != nil {
		cfg.Log.Debug("switches are not told that router solicitations are to come here", "interface", cfg.NIC.Name, "error", err)
	}
	return a, nil
}

// open makes a packet socket that hears the router solicitations of a NIC. The kernel adds and removes the Ethernet header.
func open(nic int) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	// Bound to its protocol only at the end, the socket never holds other packets.
	err = filter(fd)
	if err == nil {
		group := unix.PacketMreq{Ifindex: int32(nic), Type: unix.PACKET_MR_MULTICAST, Alen: macSize, Address: [8]uint8{0x33, 0x33, 0, 0, 0, 2}} // RFC 2464 7
		err = unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &group)
	}
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: protocolIPv6(), Ifindex: nic})
	}
	if err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), "router advertisements"), nil
}

// filter lets in ICMPv6 of the type router solicitation, directly behind the IPv6 header.
func filter(fd int) error {
	program, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: 6, Size: 1}, // next header
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: protocolICMPv6, SkipTrue: 3},
		bpf.LoadAbsolute{Off: headerSize, Size: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(ipv6.ICMPTypeRouterSolicitation), SkipTrue: 1},
		bpf.RetConstant{Val: largest},
		bpf.RetConstant{Val: 0},
	})
	if err != nil {
		return err
	}
	raw := make([]unix.SockFilter, len(program))
	for i, p := range program {
		raw[i] = unix.SockFilter{Code: p.Op, Jt: p.Jt, Jf: p.Jf, K: p.K}
	}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(raw)), Filter: &raw[0]})
}

func protocolIPv6() uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_IPV6))
}

// join makes the kernel a member of the routers' group, so that a switch that listens to MLD sends solicitations here (RFC 4541 3). Nothing is read from it.
func join(nic *net.Interface) (net.PacketConn, error) {
	conn, err := net.ListenPacket("udp6", "[::1]:0")
	if err != nil {
		return nil, err
	}
	if err := ipv6.NewPacketConn(conn).JoinGroup(nic, &net.UDPAddr{IP: allRouters}); err != nil {
		return nil, errors.Join(err, conn.Close())
	}
	return conn, nil
}

// Run answers until ctx ends, then closes the socket and returns nil.
func (a *Advertiser) Run(ctx context.Context) error {
	defer context.AfterFunc(ctx, func() { _ = a.Close() })()
	buf := make([]byte, largest)
	for {
		n, mac, err := a.read(buf)
		switch {
		case ctx.Err() != nil || errors.Is(err, os.ErrClosed):
			return nil
		case err != nil:
			a.cfg.Log.Debug("router solicitations are not heard for a moment", "interface", a.cfg.NIC.Name, "error", err)
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(rest):
			}
		default:
			a.answer(buf[:n], mac)
		}
	}
}

// read waits for a solicitation and returns its length and whose it is.
func (a *Advertiser) read(buf []byte) (n int, mac net.HardwareAddr, err error) {
	raw, err := a.socket.SyscallConn()
	if err != nil {
		return 0, nil, err
	}
	var from unix.Sockaddr
	var received error
	err = raw.Read(func(fd uintptr) bool {
		n, from, received = unix.Recvfrom(int(fd), buf, 0)
		return !errors.Is(received, unix.EAGAIN) && !errors.Is(received, unix.EINTR)
	})
	if err := errors.Join(err, received); err != nil {
		return 0, nil, err
	}
	if l, ok := from.(*unix.SockaddrLinklayer); ok && l.Halen == macSize && l.Pkttype != unix.PACKET_OUTGOING {
		mac = append(mac, l.Addr[:macSize]...)
	}
	return n, mac, nil
}

// answer sends an advertisement to a PC that boots. One that cannot be sent is no harm: the PC asks again, or waits as it would without.
func (a *Advertiser) answer(packet []byte, mac net.HardwareAddr) {
	from, ok := parse(packet)
	if !ok || len(mac) != macSize || mac[0]&1 != 0 || !a.cfg.Booting(mac) {
		return
	}
	nic, err := net.InterfaceByIndex(a.cfg.NIC.Index) // anew: a bridge's MAC changes with its ports
	if err == nil {
		err = a.send(advertisement(source(nic), from, nic.HardwareAddr), mac)
	}
	log := a.cfg.Log.With("mac", mac.String(), "address", from)
	if err != nil {
		log.Debug("the PC's router solicitation is not answered", "error", err)
		return
	}
	log.Debug("the PC was told that there is no IPv6 router here, so that it does not wait for one")
}

func (a *Advertiser) send(packet []byte, mac net.HardwareAddr) error {
	to := &unix.SockaddrLinklayer{Protocol: protocolIPv6(), Ifindex: a.cfg.NIC.Index, Halen: macSize}
	copy(to.Addr[:], mac)
	raw, err := a.socket.SyscallConn()
	if err != nil {
		return err
	}
	var sent error
	err = raw.Write(func(fd uintptr) bool {
		sent = unix.Sendto(int(fd), packet, 0, to)
		return !errors.Is(sent, unix.EAGAIN)
	})
	return errors.Join(err, sent)
}

// source is the address that advertisements come from: the NIC's own of the link (RFC 4861 4.2). A machine that forwards IPv6 may be a router whose
// own advertisements come from there, and one without IPv6 has none: both use one that is made of the MAC.
func source(nic *net.Interface) netip.Addr {
	if addrs, err := nic.Addrs(); err == nil && !forwards(nic.Name) {
		for _, a := range addrs {
			if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is6() && p.Addr().IsLinkLocalUnicast() {
				return p.Addr()
			}
		}
	}
	return madeUp(nic.HardwareAddr)
}

// forwards tells whether the kernel is an IPv6 router on the NIC.
func forwards(nic string) bool {
	text, err := os.ReadFile("/proc/sys/net/ipv6/conf/" + nic + "/forwarding")
	return err == nil && strings.TrimSpace(string(text)) != "0"
}

// Close closes what New opened, of an Advertiser that is not run. It may be called again.
func (a *Advertiser) Close() error {
	errs := []error{a.socket.Close()}
	if a.member != nil {
		errs = append(errs, a.member.Close())
	}
	for i, err := range errs {
		if errors.Is(err, os.ErrClosed) || errors.Is(err, net.ErrClosed) {
			errs[i] = nil
		}
	}
	return errors.Join(errs...)
}
