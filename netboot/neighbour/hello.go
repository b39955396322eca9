package neighbour

import (
	"bytes"
	"cmp"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// helloOption is the site-specific option (RFC 2132 2: 224 to 254 are free for that) in which Aulas tell each other who they are, as text:
//
//	aula full 10.20.30.1 schiller
//	aula proxy 10.20.30.1 schiller
const helloOption = dhcpv4.GenericOptionCode(224)

// A hello is what an Aula tells of itself to others.
type hello struct {
	name    string
	address netip.Addr
	leases  bool
}

const (
	helloWord   = "aula"
	longestName = 64
)

func (h hello) option() dhcpv4.Option {
	role := "proxy"
	if h.leases {
		role = "full"
	}
	return dhcpv4.OptGeneric(helloOption, []byte(strings.Join([]string{helloWord, role, h.address.String(), h.name}, " ")))
}

// helloOf reads what an Aula tells of itself.
func helloOf(p *dhcpv4.DHCPv4) (hello, bool) {
	fields := strings.Split(string(p.Options.Get(helloOption)), " ")
	if len(fields) != 4 || fields[0] != helloWord || fields[1] != "full" && fields[1] != "proxy" || !plainName(fields[3]) {
		return hello{}, false
	}
	a, err := netip.ParseAddr(fields[2])
	if err != nil || !a.Is4() || a.IsUnspecified() {
		return hello{}, false
	}
	return hello{name: fields[3], address: a, leases: fields[1] == "full"}, true
}

// IsProbe tells whether a DHCP message is another Aula's search for servers, which needs no answer but the Lookout's.
func IsProbe(message []byte) bool {
	if !bytes.Contains(message, []byte(helloWord+" ")) {
		return false
	}
	p, err := dhcpv4.FromBytes(message)
	if err != nil || p.MessageType() != dhcpv4.MessageTypeDiscover {
		return false
	}
	_, ok := helloOf(p)
	return ok
}

// Name makes of a host's name one that can be told to other Aulas.
func Name(host string) string {
	host, _, _ = strings.Cut(host, ".")
	name := strings.Map(func(r rune) rune {
		if plainName(string(r)) {
			return r
		}
		return -1
	}, host)
	return cmp.Or(name[:min(len(name), longestName)], "unnamed")
}

func plainName(s string) bool {
	for _, r := range s {
		if (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '.' && r != '-' {
			return false
		}
	}
	return s != "" && len(s) <= longestName
}

func (l *Lookout) hello() hello {
	h := hello{name: l.cfg.Name, address: netip.IPv4Unspecified()}
	if l.cfg.Own != nil {
		if own := l.cfg.Own(); len(own) > 0 {
			h.address = own[0]
		}
	}
	h.leases = l.cfg.Leasing != nil && l.cfg.Leasing()
	return h
}

// answersPerSecond bounds what somebody can make this Aula send.
const answersPerSecond = 10

// slots count answers.
type slots struct {
	mu    sync.Mutex
	began time.Time
	taken int
}

func (s *slots) take(now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now.Sub(s.began) >= time.Second {
		s.began, s.taken = now, 0
	}
	s.taken++
	return s.taken <= answersPerSecond
}

// answer tells another Aula that asks who is here: an offer without an address, which no PC would take.
func (l *Lookout) answer(p packet) {
	h := l.hello()
	if h.address.IsUnspecified() || !l.slots.take(time.Now()) {
		return
	}
	own, err := l.conn.MAC()
	if err != nil {
		return
	}
	reply, err := dhcpv4.NewReplyFromRequest(p.dhcp, dhcpv4.WithMessageType(dhcpv4.MessageTypeOffer),
		dhcpv4.WithOption(dhcpv4.OptServerIdentifier(h.address.AsSlice())), dhcpv4.WithOption(h.option()))
	if err == nil {
		err = l.send(packet{from: own, source: netip.AddrPortFrom(h.address, serverPort), to: everyClient, dhcp: reply}, everybody)
	}
	if err != nil {
		l.cfg.Log.Debug("another Aula that asked got no answer", "error", err)
	}
}
