// Package arp finds out whether something on the link uses an IPv4 address, by the probe of RFC 5227 2.1.1: a request that claims
// no address of its own, so that it disturbs nobody.
//
// It sees only one link, and only devices that answer now: what is switched off is not found.
package arp

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"aula/netboot/lease"
)

// Timing of a probe: an answer is waited for 300 ms in all. On a wire it takes under a millisecond; with more the ROMs would repeat
// their DISCOVER before the offer.
const (
	requests = 3
	spacing  = 100 * time.Millisecond
)

// A Prober probes on one NIC. Each probe has a socket of its own, so probes need not know of each other.
type Prober struct{ nic int } // index

// New makes a Prober. It fails when the process may not open packet sockets (CAP_NET_RAW).
func New(nic *net.Interface) (*Prober, error) {
	p := &Prober{nic.Index}
	s, err := p.open()
	if err != nil {
		return nil, err
	}
	return p, s.Close()
}

// Probe returns the MAC that answers for address a, or zero when nothing does.
func (p *Prober) Probe(ctx context.Context, a netip.Addr) (lease.MAC, error) {
	nic, err := net.InterfaceByIndex(p.nic) // anew: a bridge's MAC changes with its ports
	if err != nil {
		return lease.MAC{}, fmt.Errorf("arp probe of %s: %w", a, err)
	}
	s, err := p.open()
	if err != nil {
		return lease.MAC{}, err
	}
	defer s.Close()
	question := request(nic.HardwareAddr, a)
	for range requests {
		if err := p.broadcast(s, question); err != nil {
			return lease.MAC{}, fmt.Errorf("arp probe of %s: %w", a, err)
		}
		found, err := await(s, a, time.Now().Add(spacing))
		if err != nil || found != (lease.MAC{}) || ctx.Err() != nil {
			return found, err
		}
	}
	return lease.MAC{}, nil
}

// open makes a packet socket for the ARP of the NIC. The kernel adds and removes the Ethernet header.
func (p *Prober) open() (*os.File, error) {
	protocol := binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ARP))
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("arp socket: %w", err)
	}
	// Bound to its protocol only now, the socket never holds packets of another NIC.
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: protocol, Ifindex: p.nic}); err != nil {
		return nil, errors.Join(fmt.Errorf("arp socket: %w", err), unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), "arp"), nil
}

func (p *Prober) broadcast(s *os.File, packet []byte) error {
	to := &unix.SockaddrLinklayer{
		Protocol: binary.NativeEndian.Uint16(binary.BigEndian.AppendUint16(nil, unix.ETH_P_ARP)),
		Ifindex:  p.nic, Halen: 6, Addr: [8]byte{255, 255, 255, 255, 255, 255},
	}
	raw, err := s.SyscallConn()
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

// await reads until something speaks for address a or the deadline passes.
func await(s *os.File, a netip.Addr, deadline time.Time) (lease.MAC, error) {
	if err := s.SetReadDeadline(deadline); err != nil {
		return lease.MAC{}, err
	}
	buf := make([]byte, 128)
	for {
		n, err := s.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return lease.MAC{}, nil
		}
		if err != nil {
			return lease.MAC{}, fmt.Errorf("arp reply for %s: %w", a, err)
		}
		if mac, sender, ok := parse(buf[:n]); ok && sender == a {
			return mac, nil
		}
	}
}

// Fixed part of an ARP packet for IPv4 over Ethernet (RFC 826): hardware type 1, protocol 0x0800, address lengths 6 and 4.
var ethernetIPv4 = []byte{0, 1, 8, 0, 6, 4}

const packetSize = 28

// request makes a probe: who has a? From own, which has no address yet.
func request(own net.HardwareAddr, a netip.Addr) []byte {
	p := append(bytes.Clone(ethernetIPv4), 0, 1) // operation 1: request
	p = append(p, own...)
	p = append(p, 0, 0, 0, 0)       // sender's address: none, RFC 5227 1.1
	p = append(p, 0, 0, 0, 0, 0, 0) // target's MAC: unknown
	return append(p, a.AsSlice()...)
}

// parse returns who sent an ARP packet. Requests count as well as replies: whoever asks from an address uses it.
func parse(p []byte) (lease.MAC, netip.Addr, bool) {
	if len(p) < packetSize || !bytes.HasPrefix(p, ethernetIPv4) {
		return lease.MAC{}, netip.Addr{}, false
	}
	mac, err := lease.MACFrom(p[8:14])
	if err != nil {
		return lease.MAC{}, netip.Addr{}, false
	}
	a, _ := netip.AddrFromSlice(p[14:18])
	return mac, a, !a.IsUnspecified()
}
