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
	"slices"
	"sync"
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

// A Prober probes on one NIC. Any number of probes may run at once: they share a socket, which is open only while there are any.
type Prober struct {
	nic int // index

	mu    sync.Mutex
	ear   *ear             // nil while nobody probes
	mac   net.HardwareAddr // the NIC's, as it was when the kernel was asked
	asked time.Time
}

// An ear hears ARP for those who probe.
type ear struct {
	socket  *os.File
	waiting map[netip.Addr][]chan lease.MAC
	probes  int
	deaf    chan struct{} // closed when it hears no more
	err     error         // why; to be read after deaf
}

// New makes a Prober. It fails when the process may not open packet sockets (CAP_NET_RAW).
func New(nic *net.Interface) (*Prober, error) {
	p := &Prober{nic: nic.Index}
	s, err := p.open()
	if err != nil {
		return nil, err
	}
	return p, s.Close()
}

// Probe returns the MAC that answers for address a, or zero when nothing does.
func (p *Prober) Probe(ctx context.Context, a netip.Addr) (lease.MAC, error) {
	own, err := p.own()
	if err != nil {
		return lease.MAC{}, fmt.Errorf("arp probe of %s: %w", a, err)
	}
	e, found, err := p.listen(a)
	if err != nil {
		return lease.MAC{}, err
	}
	defer p.leave(e, a, found)
	question := request(own, a)
	for range requests {
		if err := p.broadcast(e.socket, question); err != nil {
			return lease.MAC{}, fmt.Errorf("arp probe of %s: %w", a, err)
		}
		select {
		case mac := <-found:
			return mac, nil
		case <-ctx.Done():
			return lease.MAC{}, nil
		case <-e.deaf:
			return lease.MAC{}, fmt.Errorf("arp reply for %s: %w", a, e.err)
		case <-time.After(spacing):
		}
	}
	return lease.MAC{}, nil
}

// macLasts is for how long the NIC's MAC is taken for what it was: to ask the kernel costs more than all the rest of a probe, and a bridge's changes only
// with its ports.
const macLasts = time.Second

// own is the NIC's MAC.
func (p *Prober) own() (net.HardwareAddr, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.asked.IsZero() || time.Since(p.asked) >= macLasts {
		nic, err := net.InterfaceByIndex(p.nic)
		if err != nil {
			return nil, err
		}
		p.mac, p.asked = nic.HardwareAddr, time.Now()
	}
	return p.mac, nil
}

// listen has the ear wait for address a, on the returned channel.
func (p *Prober) listen(a netip.Addr) (*ear, chan lease.MAC, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ear == nil {
		socket, err := p.open()
		if err != nil {
			return nil, nil, err
		}
		p.ear = &ear{socket: socket, waiting: map[netip.Addr][]chan lease.MAC{}, deaf: make(chan struct{})}
		go p.hear(p.ear)
	}
	found := make(chan lease.MAC, 1)
	p.ear.waiting[a] = append(p.ear.waiting[a], found)
	p.ear.probes++
	return p.ear, found, nil
}

// leave ends a probe, and with the last one the ear.
func (p *Prober) leave(e *ear, a netip.Addr, found chan lease.MAC) {
	p.mu.Lock()
	defer p.mu.Unlock()
	rest := slices.DeleteFunc(e.waiting[a], func(c chan lease.MAC) bool { return c == found })
	if e.waiting[a] = rest; len(rest) == 0 {
		delete(e.waiting, a)
	}
	if e.probes--; e.probes > 0 {
		return
	}
	_ = e.socket.Close() // hear ends by it
	if p.ear == e {
		p.ear = nil
	}
}

// hear tells who speaks for the addresses that are waited for, until the socket is closed.
func (p *Prober) hear(e *ear) {
	defer close(e.deaf)
	buf := make([]byte, 128)
	for {
		n, err := e.socket.Read(buf)
		if err != nil {
			e.err = err
			p.mu.Lock()
			if p.ear == e {
				p.ear = nil // the next probe tries anew
			}
			p.mu.Unlock()
			return
		}
		mac, sender, ok := parse(buf[:n])
		if !ok {
			continue
		}
		p.mu.Lock()
		for _, c := range e.waiting[sender] {
			select {
			case c <- mac:
			default: // it has an answer
			}
		}
		p.mu.Unlock()
	}
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
