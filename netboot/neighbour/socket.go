package neighbour

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// A conn sends and receives Ethernet frames of DHCP on one NIC.
type conn interface {
	Read(buf []byte) (int, error)
	Write(frame []byte) (int, error)
	// Also says that frames to one more station are wanted, from now on: what a server sends to the address from which Probe asks.
	Also(station net.HardwareAddr) error
	// MAC is the NIC's.
	MAC() (net.HardwareAddr, error)
	// Linked returns an error when what is sent reaches nobody: there is no cable, or the NIC is down.
	Linked() error
	// Close makes Read return an error.
	Close() error
}

// A socket is a packet socket, which sees what the NIC receives, before and beside the kernel's own UDP.
type socket struct {
	*os.File
	nic int // index
}

// receiveBuffer holds what a classroom that starts at once says to everybody while the Lookout is busy.
const receiveBuffer = 256 << 10

func listen(nic *net.Interface, asker net.HardwareAddr) (*socket, error) {
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("packet socket, which needs the capability CAP_NET_RAW: %w", err)
	}
	if err := prepare(fd, nic.Index, asker); err != nil {
		return nil, errors.Join(fmt.Errorf("packet socket on %s: %w", nic.Name, err), unix.Close(fd))
	}
	return &socket{os.NewFile(uintptr(fd), "dhcp frames"), nic.Index}, nil
}

// prepare binds the socket last, so that it never holds a frame that its filter would not let pass. Bound to IPv4, and not to all protocols, it does not
// see what this machine sends.
func prepare(fd, nic int, asker net.HardwareAddr) error {
	filter, err := bpf.Assemble(slices.Concat(strangers(asker), dhcp))
	if err != nil {
		return err
	}
	raw := make([]unix.SockFilter, len(filter))
	for i, f := range filter {
		raw[i] = unix.SockFilter{Code: f.Op, Jt: f.Jt, Jf: f.Jf, K: f.K}
	}
	return errors.Join(
		os.NewSyscallError("SO_ATTACH_FILTER", unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER,
			&unix.SockFprog{Len: uint16(len(raw)), Filter: &raw[0]})),
		os.NewSyscallError("SO_RCVBUF", unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, receiveBuffer)),
		os.NewSyscallError("bind", unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: networkOrder(unix.ETH_P_IP), Ifindex: nic})),
	)
}

func networkOrder(n uint16) uint16 {
	return binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, n))
}

// strangers drops what the kernel counts as meant for another station, but for what is sent to the address from which Probe asks. That is, besides what a
// promiscuous NIC lets in, everything of another VLAN, which is another network: by then the kernel has taken the tags away.
func strangers(asker net.HardwareAddr) []bpf.Instruction {
	rest := uint8(len(dhcp))
	return []bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtType},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.PACKET_OTHERHOST, SkipTrue: 4},
		bpf.LoadAbsolute{Off: 0, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: binary.BigEndian.Uint32(asker), SkipTrue: rest},
		bpf.LoadAbsolute{Off: 4, Size: 2},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: uint32(binary.BigEndian.Uint16(asker[4:])), SkipTrue: rest - 2},
	}
}

// dhcp lets frames pass to the UDP ports of DHCP servers and clients and of PXE boot servers. Its last but one instruction drops.
var dhcp = []bpf.Instruction{
	bpf.LoadAbsolute{Off: 12, Size: 2},
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: typeIPv4, SkipTrue: 9},
	bpf.LoadAbsolute{Off: 23, Size: 1},
	bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: protocolUDP, SkipTrue: 7},
	bpf.LoadAbsolute{Off: 20, Size: 2},
	bpf.JumpIf{Cond: bpf.JumpBitsSet, Val: 0x1fff, SkipTrue: 5}, // not the first fragment: it has no ports
	bpf.LoadMemShift{Off: ethernetHeader},
	bpf.LoadIndirect{Off: ethernetHeader + 2, Size: 2},
	bpf.JumpIf{Cond: bpf.JumpEqual, Val: clientPort, SkipTrue: 3},
	bpf.JumpIf{Cond: bpf.JumpEqual, Val: serverPort, SkipTrue: 2},
	bpf.JumpIf{Cond: bpf.JumpEqual, Val: bootServerPort, SkipTrue: 1},
	bpf.RetConstant{Val: 0},
	bpf.RetConstant{Val: frameSize},
}

// Also implements conn. Most NICs have room for a second address in their filter; of others the kernel makes a promiscuous one, which it logs, so it is not
// switched on and off. The kernel forgets this socket's wish when it is closed (packet(7), PACKET_ADD_MEMBERSHIP).
func (s *socket) Also(station net.HardwareAddr) error {
	raw, err := s.SyscallConn()
	if err != nil {
		return err
	}
	one := &unix.PacketMreq{Ifindex: int32(s.nic), Type: unix.PACKET_MR_UNICAST, Alen: uint16(len(station))}
	copy(one.Address[:], station)
	var set error
	err = raw.Control(func(fd uintptr) {
		if set = unix.SetsockoptPacketMreq(int(fd), unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, one); set != nil {
			all := &unix.PacketMreq{Ifindex: int32(s.nic), Type: unix.PACKET_MR_PROMISC}
			set = unix.SetsockoptPacketMreq(int(fd), unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, all)
		}
	})
	return errors.Join(err, os.NewSyscallError("PACKET_ADD_MEMBERSHIP", set))
}

// MAC implements conn. It looks anew each time: a bridge's changes with its ports.
func (s *socket) MAC() (net.HardwareAddr, error) {
	nic, err := net.InterfaceByIndex(s.nic)
	if err != nil {
		return nil, err
	}
	return nic.HardwareAddr, nil
}

// Linked implements conn.
func (s *socket) Linked() error {
	nic, err := net.InterfaceByIndex(s.nic)
	switch {
	case err != nil:
		return err
	case nic.Flags&net.FlagUp == 0:
		return fmt.Errorf("interface %s is down", nic.Name)
	case nic.Flags&net.FlagRunning == 0:
		return fmt.Errorf("no cable in %s", nic.Name)
	}
	return nil
}
