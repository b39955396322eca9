package dhcp

import (
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// Places in a packet (RFC 2131, figure 1).
const (
	snameAt   = 44
	fileAt    = 108
	optionsAt = 240 // behind the magic cookie
)

// parse reads a packet as the RFCs have it, forgiving only a missing end: options are concatenated (RFC 3396), and go on in the fields
// file and sname when option 52 says so.
func parse(b []byte) (*dhcpv4.DHCPv4, error) {
	p, err := dhcpv4.FromBytes(b)
	if errors.Is(err, io.ErrUnexpectedEOF) && len(b) >= optionsAt {
		// Some ROMs forget the end option; dhcpv4 then says so with this error.
		p, err = dhcpv4.FromBytes(append(slices.Clip(b), dhcpv4.OptionEnd.Code()))
	}
	if err != nil {
		return nil, fmt.Errorf("not a DHCP packet: %w", err)
	}
	if kind := p.Options.Get(dhcpv4.OptionDHCPMessageType); len(kind) > 1 {
		return nil, fmt.Errorf("option 53 is there %d times: what the client wants is not clear", len(kind))
	}
	if overload := p.Options.Get(dhcpv4.OptionOptionOverload); overload != nil {
		if err := readOverload(p, b, overload); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// readOverload reads the options in the header's fields: those of file first, then those of sname (RFC 2131 4.1, RFC 3396 5).
func readOverload(p *dhcpv4.DHCPv4, b, overload []byte) error {
	if len(overload) != 1 || overload[0] < 1 || overload[0] > 3 {
		return fmt.Errorf("option 52 is %v: it is 1, 2 or 3", overload)
	}
	if overload[0]&1 != 0 {
		p.BootFileName = ""
		if err := readField(p.Options, b[fileAt:optionsAt-4]); err != nil {
			return fmt.Errorf("options in the field file: %w", err)
		}
	}
	if overload[0]&2 != 0 {
		p.ServerHostName = ""
		if err := readField(p.Options, b[snameAt:fileAt]); err != nil {
			return fmt.Errorf("options in the field sname: %w", err)
		}
	}
	if kind := p.Options.Get(dhcpv4.OptionDHCPMessageType); len(kind) > 1 {
		return errors.New("option 53 is in the header's fields again: what the client wants is not clear")
	}
	return nil
}

func readField(to dhcpv4.Options, b []byte) error {
	for len(b) > 0 && b[0] != dhcpv4.OptionEnd.Code() {
		if b[0] == dhcpv4.OptionPad.Code() {
			b = b[1:]
			continue
		}
		if len(b) < 2 || len(b) < 2+int(b[1]) {
			return fmt.Errorf("option %d is longer than the field", b[0])
		}
		end := 2 + int(b[1])
		to[b[0]] = append(slices.Clip(to[b[0]]), b[2:end]...)
		b = b[end:]
	}
	return nil
}

// encode writes a packet. The message type and the server come first, because some clients look for them there, then the others by
// number, so that the mask is before the router (RFC 2132 3.3), and option 82 last. What is shorter than a BOOTP packet is filled up: old
// relay agents drop it.
func encode(p *dhcpv4.DHCPv4) []byte {
	header := *p
	header.Options = nil
	b := header.ToBytes()[:optionsAt]
	first := []uint8{dhcpv4.OptionDHCPMessageType.Code(), dhcpv4.OptionServerIdentifier.Code(), dhcpv4.OptionIPAddressLeaseTime.Code()}
	last := dhcpv4.OptionRelayAgentInformation.Code()
	var codes []uint8
	for code := range p.Options {
		if code != last && !slices.Contains(first, code) {
			codes = append(codes, code)
		}
	}
	slices.Sort(codes)
	for _, code := range slices.Concat(first, codes, []uint8{last}) {
		if v, ok := p.Options[code]; ok {
			b = appendOption(b, code, v)
		}
	}
	b = append(b, dhcpv4.OptionEnd.Code())
	if n := minPacket - len(b); n > 0 {
		b = append(b, make([]byte, n)...)
	}
	return b
}

// length is that of the encoded packet.
func length(p *dhcpv4.DHCPv4) int {
	n := optionsAt + 1 // with the end option
	for _, v := range p.Options {
		n += len(v) + 2*max(1, (len(v)+254)/255)
	}
	return max(n, minPacket)
}

// minPacket is the length of a BOOTP packet (RFC 951 3).
const minPacket = 300

// appendOption writes an option, in several when it is too long for one (RFC 3396).
func appendOption(b []byte, code uint8, v []byte) []byte {
	for {
		n := min(len(v), 255)
		b = append(append(b, code, byte(n)), v[:n]...)
		if v = v[n:]; len(v) == 0 {
			return b
		}
	}
}
