package appliance

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// wakePorts are those at which magic packets are looked for, when cards look at ports at all.
var wakePorts = []uint16{9, 7}

// A waker switches PCs on: it sends magic packets (AMD's white paper 20213) on the appliance's network.
type waker struct {
	nic       string
	broadcast netip.Addr
}

func newWaker(nic string, network netip.Prefix) waker {
	return waker{nic: nic, broadcast: broadcastOf(network)}
}

// broadcastOf is the address of every machine of a network of IPv4.
func broadcastOf(network netip.Prefix) netip.Addr {
	a := network.Masked().Addr().As4()
	for bit := network.Bits(); bit < 32; bit++ {
		a[bit/8] |= 1 << (7 - bit%8)
	}
	return netip.AddrFrom4(a)
}

// wake sends each address a packet.
func (w waker) wake(macs []string) error {
	if len(macs) == 0 {
		return errors.New("wake on LAN: the PC has no network card that is known")
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) error {
		var err error
		if controlErr := c.Control(func(fd uintptr) { err = prepareToWake(int(fd), w.nic) }); controlErr != nil {
			return controlErr
		}
		return err
	}}
	conn, err := config.ListenPacket(ctx, "udp4", ":0")
	if err != nil {
		return fmt.Errorf("wake on LAN: %w", err)
	}
	defer conn.Close()
	for _, mac := range macs {
		hw, err := net.ParseMAC(mac)
		if err != nil {
			return fmt.Errorf("wake on LAN: %w", err)
		}
		for _, port := range wakePorts {
			if _, err := conn.WriteTo(magicPacket(hw), net.UDPAddrFromAddrPort(netip.AddrPortFrom(w.broadcast, port))); err != nil {
				return fmt.Errorf("wake on LAN on %s: %w", w.nic, err)
			}
		}
	}
	return nil
}

// prepareToWake lets a socket send to every machine of the network of one NIC.
func prepareToWake(fd int, nic string) error {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_BROADCAST, 1); err != nil {
		return err
	}
	return unix.BindToDevice(fd, nic)
}

// magicPacket is six bytes of ones and sixteen times the address.
func magicPacket(mac net.HardwareAddr) []byte {
	return append(bytes.Repeat([]byte{0xff}, 6), bytes.Repeat(mac, 16)...)
}
