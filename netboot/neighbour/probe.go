package neighbour

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/iana"
)

// Timing of a probe. It asks twice, because a packet can get lost; ISC's dhcpd pings an address for 1 s before it offers it.
const (
	askAgain = 1500 * time.Millisecond
	askFor   = 3 * time.Second
)

// A probe is one search that is under way.
type probe struct {
	id      dhcpv4.TransactionID
	answers map[netip.Addr]*Server
}

func (p *probe) add(s Server) {
	known, ok := p.answers[s.Address]
	switch {
	case ok:
		known.merge(s)
	case len(p.answers) < most:
		p.answers[s.Address] = &s
	}
}

// probeMAC makes the address from which one NIC's Aula always asks: locally administered, so that no PC has it.
func probeMAC(nic net.HardwareAddr) net.HardwareAddr {
	sum := sha256.Sum256(append([]byte("aula probe "), nic...))
	return append(net.HardwareAddr{2}, sum[:5]...)
}

// Probe asks now, and returns who answered within the 3 s or so that a slow server takes. One Probe runs at a time. It needs Run, which hears
// the answers. Without a cable it fails, because then it is not known who is there.
func (l *Lookout) Probe(ctx context.Context) ([]Server, error) {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	p := &probe{answers: map[netip.Addr]*Server{}}
	_, _ = rand.Read(p.id[:]) // never fails
	l.mu.Lock()
	l.probe = p
	l.mu.Unlock()
	err := l.ask(ctx, p.id)
	l.mu.Lock()
	l.probe = nil
	l.mu.Unlock()
	if err != nil {
		return nil, err
	}
	l.settle(p.answers)
	now := time.Now()
	for a, s := range p.answers {
		s.Answers, s.First, s.Last = true, now, now
		l.mu.Lock()
		if known, ok := l.servers[a]; ok {
			*s = *known
		}
		l.mu.Unlock()
	}
	return sorted(p.answers), nil
}

// ask sends the question twice and waits for answers. First it comes from the NIC's own address, which every virtual switch lets pass; then from the
// address of the PC that there is not, for switches that drop DHCP in which the two differ, and to learn where unicast answers go.
func (l *Lookout) ask(ctx context.Context, id dhcpv4.TransactionID) error {
	if err := l.conn.Linked(); err != nil {
		return fmt.Errorf("other DHCP servers cannot be looked for: %w", err)
	}
	if !l.also {
		if err := l.conn.Also(l.mac); err != nil {
			return fmt.Errorf("other DHCP servers cannot be looked for: %w", err)
		}
		l.also = true
	}
	own, err := l.conn.MAC()
	if err != nil {
		return fmt.Errorf("other DHCP servers cannot be looked for: %w", err)
	}
	for _, step := range []struct {
		from net.HardwareAddr
		wait time.Duration
	}{{own, askAgain}, {l.mac, askFor - askAgain}} {
		question, err := l.question(id)
		if err != nil {
			return err
		}
		if err := l.send(packet{from: step.from, source: nobody, to: everyServer, dhcp: question}, everybody); err != nil {
			return fmt.Errorf("other DHCP servers cannot be looked for: %w", err)
		}
		select {
		case <-time.After(step.wait):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Addresses of DHCP between those who have none.
var (
	nobody      = netip.AddrPortFrom(netip.IPv4Unspecified(), clientPort)
	everyServer = netip.AddrPortFrom(netip.AddrFrom4([4]byte{255, 255, 255, 255}), serverPort)
	everyClient = netip.AddrPortFrom(netip.AddrFrom4([4]byte{255, 255, 255, 255}), clientPort)
	everybody   = net.HardwareAddr{255, 255, 255, 255, 255, 255}
)

// question is what a PC with BIOS asks that boots from the network (RFC 4578 2), so that ProxyDHCP servers answer too.
func (l *Lookout) question(id dhcpv4.TransactionID) (*dhcpv4.DHCPv4, error) {
	uuid := append(make([]byte, 11), l.mac...) // type 0, then 16 bytes
	q, err := dhcpv4.New(
		dhcpv4.WithTransactionID(id), dhcpv4.WithHwAddr(l.mac), dhcpv4.WithBroadcast(true), dhcpv4.WithMessageType(dhcpv4.MessageTypeDiscover),
		dhcpv4.WithOption(dhcpv4.OptClassIdentifier("PXEClient:Arch:00000:UNDI:002001")), dhcpv4.WithOption(dhcpv4.OptClientArch(iana.INTEL_X86PC)),
		dhcpv4.WithGeneric(dhcpv4.OptionClientNetworkInterfaceIdentifier, []byte{1, 2, 1}), // UNDI 2.1
		dhcpv4.WithGeneric(dhcpv4.OptionClientMachineIdentifier, uuid),
		dhcpv4.WithRequestedOptions(dhcpv4.OptionSubnetMask, dhcpv4.OptionRouter, dhcpv4.OptionVendorSpecificInformation, dhcpv4.OptionClassIdentifier,
			dhcpv4.OptionTFTPServerName, dhcpv4.OptionBootfileName),
		dhcpv4.WithOption(l.hello().option()),
	)
	if err != nil {
		return nil, fmt.Errorf("other DHCP servers cannot be looked for: %w", err)
	}
	return q, nil
}

func (l *Lookout) send(p packet, to net.HardwareAddr) error {
	_, err := l.conn.Write(p.frame(to))
	return err
}

// answersProbe tells whether a reply answers the search that is under way.
func (l *Lookout) answersProbe(reply *dhcpv4.DHCPv4) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.probe != nil && reply.TransactionID == l.probe.id && bytes.Equal(reply.ClientHWAddr, l.mac)
}
