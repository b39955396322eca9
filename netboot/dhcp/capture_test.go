package dhcp

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"aula/netboot/lease"
)

// A capture is what a real client sent, as text: testdata/captures/README.md describes it.
type capture struct {
	about   []string // lines for people
	network netip.Prefix
	role    Role
	packets []captured
}

// captured is one packet of a client.
type captured struct {
	port int
	from netip.AddrPort
	data []byte
}

// parseCapture reads what was captured, and passes over the golden parts.
func parseCapture(text []byte) (c capture, err error) {
	c.role = Full
	var packet *captured
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		line := lines.Text()
		word, rest, _ := strings.Cut(line, " ")
		switch {
		case strings.HasPrefix(line, "# "):
			c.about = append(c.about, line[2:])
		case word == "server":
			c.network, err = netip.ParsePrefix(rest)
		case word == "role":
			c.role = Role(rest)
		case word == "packet":
			c.packets = append(c.packets, captured{})
			packet = &c.packets[len(c.packets)-1]
			port, from, _ := strings.Cut(rest, " from ")
			if packet.port, err = strconv.Atoi(port); err == nil {
				packet.from, err = netip.ParseAddrPort(from)
			}
		case strings.HasPrefix(word, "decoded"), strings.HasPrefix(word, "answer"):
			packet = nil
		case packet != nil && strings.HasPrefix(line, "  "):
			_, digits, _ := strings.Cut(strings.TrimSpace(line), "  ")
			var b []byte
			b, err = hex.DecodeString(strings.ReplaceAll(digits, " ", ""))
			packet.data = append(packet.data, b...)
		}
		if err != nil {
			return c, fmt.Errorf("line %d: %w", n, err)
		}
	}
	if !c.network.IsValid() {
		return c, fmt.Errorf("there is no line %q", "server ADDRESS/BITS")
	}
	return c, lines.Err()
}

// text writes a capture with its golden parts: what each packet is decoded to, and what it is answered by a server that has just begun, with nobody
// else on its network.
func (c capture) text() string {
	var b strings.Builder
	for _, line := range c.about {
		fmt.Fprintf(&b, "# %s\n", line)
	}
	fmt.Fprintf(&b, "server %s\nrole %s\n", c.network, c.role)
	decide := c.server()
	for i, p := range c.packets {
		fmt.Fprintf(&b, "\npacket %d from %s\n", p.port, p.from)
		for at := 0; at < len(p.data); at += 16 {
			fmt.Fprintf(&b, "  %04x  % x\n", at, p.data[at:min(at+16, len(p.data))])
		}
		r, err := Decode(p.data)
		if err != nil {
			fmt.Fprintf(&b, "decoded: %v\n", err)
			continue
		}
		r.BootServer, r.Peer = p.port == BootServerPort, p.from
		fmt.Fprintf(&b, "decoded %s of %s%s\n%s", r.Kind, r.MAC, traits(r), describe(r.packet))
		d := decide(now.Add(time.Duration(i)*time.Second), r)
		if d.Reply == nil {
			b.WriteString("answer none\n")
			continue
		}
		reply, err := dhcpv4.FromBytes(encode(d.Reply))
		if err != nil {
			fmt.Fprintf(&b, "answer: %v\n", err)
			continue
		}
		fmt.Fprintf(&b, "answer %s, %s\n%s", reply.MessageType(), sentTo(d), describe(reply))
	}
	return b.String()
}

// traits are what was understood of a request.
func traits(r Request) string {
	var b strings.Builder
	for _, t := range []struct {
		name  string
		value netip.Addr
	}{{"wants", r.Wanted}, {"uses", r.Current}, {"speaks to", r.Server}, {"through", r.Relay}} {
		if t.value.IsValid() {
			fmt.Fprintf(&b, ", %s %s", t.name, t.value)
		}
	}
	if r.Firmware != NoFirmware {
		fmt.Fprintf(&b, ", boots by %s", r.Firmware.Title())
	}
	if r.HTTP {
		b.WriteString(", HTTP Boot")
	}
	if r.IPXE {
		b.WriteString(", iPXE")
	}
	return b.String()
}

// server returns the decisions of a server with the capture's address and the second half of its network to lease.
func (c capture) server() func(time.Time, Request) Decision {
	n := testNetwork()
	n.Server, n.HTTP = c.network.Addr(), c.network.Addr().String()
	last := lease.LastOf(c.network)
	n.Subnets = []Subnet{{Prefix: c.network.Masked(), First: netip.PrefixFrom(last, c.network.Bits()+1).Masked().Addr(), Last: last.Prev()}}
	n.Script = func(m lease.MAC, f Firmware) string {
		return fmt.Sprintf("http://%s/boot/%s/script.ipxe?firmware=%s", n.HTTP, m, f)
	}
	s := NewResponder(n, lease.NewBook(n.pools(), nil), nil)
	proxy := NewProxyResponder(n, everybody{})
	return func(at time.Time, r Request) Decision {
		if c.role == Proxy || r.BootServer {
			return proxy.Decide(at, r)
		}
		d := s.Decide(at, r)
		for d.Probe.IsValid() {
			d = s.Probed(at, r, d.Probe, Found{})
		}
		return d
	}
}

// describe writes a packet for people, field by field, leaving out what is zero.
func describe(p *dhcpv4.DHCPv4) string {
	var b strings.Builder
	fmt.Fprintf(&b, "  xid %x, hops %d, secs %d, flags %04x\n", p.TransactionID[:], p.HopCount, p.NumSeconds, p.Flags)
	for _, a := range []struct {
		name string
		ip   []byte
	}{{"ciaddr", p.ClientIPAddr}, {"yiaddr", p.YourIPAddr}, {"siaddr", p.ServerIPAddr}, {"giaddr", p.GatewayIPAddr}} {
		if ip := address(a.ip); ip.IsValid() {
			fmt.Fprintf(&b, "  %s %s\n", a.name, ip)
		}
	}
	if p.ServerHostName != "" {
		fmt.Fprintf(&b, "  sname %q\n", p.ServerHostName)
	}
	if p.BootFileName != "" {
		fmt.Fprintf(&b, "  file %q\n", p.BootFileName)
	}
	var codes []int
	for code := range p.Options {
		codes = append(codes, int(code))
	}
	slices.Sort(codes)
	for _, code := range codes {
		v := p.Options[uint8(code)]
		fmt.Fprintf(&b, "  option %d: % x", code, v)
		printable := bytes.TrimRight(v, "\x00")
		if len(printable) > 2 && !bytes.ContainsFunc(printable, func(r rune) bool { return r < ' ' || r > '~' }) {
			fmt.Fprintf(&b, " %q", v)
		}
		b.WriteString("\n")
	}
	return b.String()
}
