package netboot

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"strconv"
	"syscall"

	"aula/netboot/arp"
	"aula/netboot/dhcp"
	"aula/netboot/neighbour"
	"aula/netboot/ping"
)

// ports are the sockets of all services, opened before any of them starts.
type ports struct {
	dhcp   *dhcp.Socket
	boot   *dhcp.Socket // port 4011, of boot servers
	prober dhcp.Prober  // nil when not permitted
	pinger dhcp.Pinger  // nil when not permitted, or when nothing is behind relay agents
	tftp   *net.UDPConn
	http   net.Listener
}

// listen opens all ports, or none.
func (p *plan) listen() (*ports, error) {
	open := &ports{}
	if err := p.open(open); err != nil {
		return nil, errors.Join(err, open.Close())
	}
	return open, nil
}

func (p *plan) open(s *ports) (err error) {
	ctx, address := context.Background(), p.address.Addr()
	if s.dhcp, err = dhcp.Listen(ctx, p.nic, address); err != nil {
		return p.explain(err, 67, "udp", "another DHCP server (dnsmasq, isc-dhcp-server, kea, another aula...) runs on this machine; stop it first (ss -lunp shows which it is)")
	}
	if s.boot, err = dhcp.ListenPort(ctx, p.nic, address, dhcp.BootServerPort); err != nil {
		return p.explain(err, dhcp.BootServerPort, "udp", "another PXE boot server (dnsmasq, pixiecore, another aula...) runs on this machine; stop it first (ss -lunp shows which it is)")
	}
	if prober, err := arp.New(p.nic); err != nil {
		p.Log.Warn("addresses are leased without a look whether something uses them already", "error", err)
	} else {
		s.prober = prober
	}
	if len(p.Subnets) > 0 {
		if pinger, err := ping.New(address); err != nil {
			p.Log.Warn("addresses behind relay agents are leased without a look whether something uses them already", "error", err)
		} else {
			s.pinger = pinger
		}
	}
	if s.tftp, err = net.ListenUDP("udp4", &net.UDPAddr{IP: address.AsSlice(), Port: 69}); err != nil {
		return p.explain(err, 69, "udp", "another TFTP server (tftpd-hpa, atftpd, dnsmasq...) runs on this machine; stop it first (ss -lunp shows which it is)")
	}
	at := net.JoinHostPort(address.String(), strconv.Itoa(p.HTTPPort))
	if s.http, err = (&net.ListenConfig{}).Listen(ctx, "tcp4", at); err != nil {
		return p.explain(err, p.HTTPPort, "tcp", "another web server (apache2, nginx...) runs on this machine; stop it, or choose another port for booting (ss -ltnp shows which it is)")
	}
	return nil
}

// explain says in one line what keeps a port from being opened and what to do.
func (p *plan) explain(err error, port int, protocol, inUse string) error {
	what := fmt.Sprintf("port %d/%s on %s", port, protocol, p.Interface)
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("%s is already in use: %s", what, inUse)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s cannot be opened: permission denied; run as root (sudo aula serve), or give the program the capabilities cap_net_bind_service and cap_net_raw", what)
	default:
		return fmt.Errorf("%s cannot be opened: %w", what, err)
	}
}

// Close closes what is open. It may be called again.
func (s *ports) Close() error {
	var errs []error
	if s.dhcp != nil {
		errs = append(errs, s.dhcp.Close())
	}
	if s.boot != nil {
		errs = append(errs, s.boot.Close())
	}
	if s.tftp != nil {
		errs = append(errs, s.tftp.Close())
	}
	if s.http != nil {
		errs = append(errs, s.http.Close())
	}
	for i, err := range errs {
		if errors.Is(err, net.ErrClosed) {
			errs[i] = nil
		}
	}
	return errors.Join(errs...)
}

// A listener is a port of the DHCP server through which the watch hears who uses which address.
type listener struct {
	*dhcp.Socket
	watch *watch
}

// Receive implements dhcp.Conn. Other Aulas that look for DHCP servers are left to the neighbour.Lookout: nothing is offered to a PC that there is not.
func (l *listener) Receive(buf []byte) (int, dhcp.Arrival, error) {
	for {
		n, from, err := l.Socket.Receive(buf)
		if err != nil {
			return n, from, err
		}
		if neighbour.IsProbe(buf[:n]) {
			continue
		}
		l.watch.overhear(buf[:n])
		return n, from, nil
	}
}
