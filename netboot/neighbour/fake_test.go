package neighbour

import (
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

var (
	ownMAC    = net.HardwareAddr{0x52, 0x54, 0, 0, 0, 0x01}
	ownAddr   = netip.MustParseAddr("10.20.30.1")
	otherMAC  = net.HardwareAddr{0x52, 0x54, 0, 0, 0, 0xfe}
	otherAddr = netip.MustParseAddr("10.20.30.254")
	pcMAC     = net.HardwareAddr{0x52, 0x54, 0, 0, 0, 0x33}
)

// cable is a conn on which the test says what is heard.
type cable struct {
	t      *testing.T
	frames chan []byte
	closed chan struct{}
	once   sync.Once
	// answer is asked for what follows on a frame that was sent.
	answer    func(p packet) []packet
	unplugged error

	mu   sync.Mutex
	sent []packet
	when []time.Time
	also []string // stations of which frames are wanted
}

func newCable(t *testing.T) *cable {
	return &cable{t: t, frames: make(chan []byte, 1000), closed: make(chan struct{})}
}

func (c *cable) Read(buf []byte) (int, error) {
	select {
	case f := <-c.frames:
		return copy(buf, f), nil
	case <-c.closed:
		return 0, os.ErrClosed
	}
}

func (c *cable) Write(frame []byte) (int, error) {
	p, err := parse(frame)
	if err != nil {
		c.t.Errorf("sent a frame that is none: %v", err)
	}
	c.mu.Lock()
	c.sent, c.when = append(c.sent, p), append(c.when, time.Now())
	if p.dhcp.OpCode == dhcpv4.OpcodeBootRequest && len(c.also) == 0 {
		c.t.Error("asked without wanting what is sent to who asks: unicast answers would be lost")
	}
	c.mu.Unlock()
	if c.answer != nil {
		for _, a := range c.answer(p) {
			c.hear(a)
		}
	}
	return len(frame), nil
}

func (c *cable) hear(p packet) { c.frames <- p.frame(everybody) }

func (c *cable) Also(station net.HardwareAddr) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.also = append(c.also, station.String())
	return nil
}

func (c *cable) MAC() (net.HardwareAddr, error) { return ownMAC, nil }

func (c *cable) Linked() error { return c.unplugged }

func (c *cable) Close() error {
	c.once.Do(func() { close(c.closed) })
	return nil
}

// told collects what a Lookout tells.
type told struct {
	mu      sync.Mutex
	servers []Server
	uses    map[string]netip.Addr
}

func (t *told) heard(s Server) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.servers = append(t.servers, s)
}

func (t *told) used(mac net.HardwareAddr, a netip.Addr) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.uses[mac.String()] = a
}

func (t *told) count() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.servers)
}

// on runs a Lookout on a cable, in a bubble of its own time.
func on(t *testing.T, test func(t *testing.T, c *cable, l *Lookout, heard *told)) {
	synctest.Test(t, func(t *testing.T) {
		c, heard := newCable(t), &told{uses: map[string]netip.Addr{}}
		l := newLookout(Config{
			NIC: &net.Interface{Name: "eth1", HardwareAddr: ownMAC}, Own: func() []netip.Addr { return []netip.Addr{ownAddr} },
			Name: "schiller", Leasing: func() bool { return true }, Heard: heard.heard, Uses: heard.used,
		}, c)
		done := make(chan error, 1)
		go func() { done <- l.Run(t.Context()) }()
		t.Cleanup(func() {
			if err := <-done; err != nil {
				t.Errorf("Run: %v", err)
			}
		})
		test(t, c, l, heard)
	})
}

// offer is what a DHCP server answers.
func offer(question *dhcpv4.DHCPv4, server netip.Addr, change ...dhcpv4.Modifier) packet {
	reply, err := dhcpv4.NewReplyFromRequest(question, append([]dhcpv4.Modifier{
		dhcpv4.WithMessageType(dhcpv4.MessageTypeOffer), dhcpv4.WithOption(dhcpv4.OptServerIdentifier(server.AsSlice())),
		dhcpv4.WithYourIP(net.IPv4(10, 20, 30, 77)),
	}, change...)...)
	if err != nil {
		panic(err)
	}
	return packet{from: otherMAC, source: netip.AddrPortFrom(server, serverPort), to: everyClient, dhcp: reply}
}

// request is what a PC says to everybody when it takes a server's offer.
func request(server, taken netip.Addr, change ...dhcpv4.Modifier) packet {
	m, err := dhcpv4.New(append([]dhcpv4.Modifier{
		dhcpv4.WithHwAddr(pcMAC), dhcpv4.WithMessageType(dhcpv4.MessageTypeRequest),
		dhcpv4.WithOption(dhcpv4.OptServerIdentifier(server.AsSlice())), dhcpv4.WithOption(dhcpv4.OptRequestedIPAddress(taken.AsSlice())),
	}, change...)...)
	if err != nil {
		panic(err)
	}
	return packet{from: pcMAC, source: nobody, to: everyServer, dhcp: m}
}

var testNIC = net.Interface{Name: "eth1", HardwareAddr: ownMAC}
