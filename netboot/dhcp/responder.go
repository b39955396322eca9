package dhcp

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"aula/netboot/lease"
)

// A Responder decides what to answer. It changes its Book and does nothing else: no packets, no files, no clock.
type Responder struct {
	net       Network
	book      *lease.Book
	exhausted bool                     // said so, and nothing became free since
	vouched   map[netip.Addr]time.Time // probed and found silent
}

// NewResponder makes a Responder for a network over a book of leases.
func NewResponder(n Network, b *lease.Book) *Responder {
	return &Responder{net: n, book: b, vouched: map[netip.Addr]time.Time{}}
}

// A Decision is what becomes of a Request.
type Decision struct {
	// Reply is what to send to To, nil to stay silent.
	Reply *dhcpv4.DHCPv4
	To    netip.AddrPort
	// Durable says that the Book's changes must be on disk before Reply leaves.
	Durable bool
	// Probe, when valid, is an address that must be probed before it is offered: nothing is sent now, and Probed decides.
	Probe netip.Addr
	// Note says what happened, for people; empty for what is not worth telling.
	Note  string
	Level slog.Level
}

// Decide answers a request at a time of the lease clock.
func (s *Responder) Decide(now time.Time, r Request) Decision {
	if r.Relay.IsValid() && !s.net.Subnet.Contains(r.Relay) {
		return Decision{Note: fmt.Sprintf("not answered: the relay %s stands in another network, and only %s is served", r.Relay, s.net.Subnet), Level: slog.LevelDebug}
	}
	if r.Server.IsValid() && r.Server != s.net.Server {
		return s.anotherServers(r)
	}
	switch r.Kind {
	case Discover:
		return s.discover(now, r)
	case Selecting:
		return s.bind(now, r, r.Wanted)
	case InitReboot:
		return s.initReboot(now, r)
	case Renewing:
		return s.bind(now, r, r.Current)
	case Decline:
		return s.decline(now, r)
	case Release:
		return s.release(now, r)
	case Inform:
		return s.inform(r)
	default:
		return Decision{}
	}
}

// anotherServers leaves alone what is meant for another DHCP server: its offer is not ours to refuse, so never a NAK.
func (s *Responder) anotherServers(r Request) Decision {
	s.book.Withdraw(r.MAC)
	if r.Kind != Selecting {
		return Decision{}
	}
	return Decision{Note: fmt.Sprintf("took an address from another DHCP server, %s: two on one network disturb each other", r.Server), Level: slog.LevelWarn}
}

func (s *Responder) discover(now time.Time, r Request) Decision {
	a, err := s.book.Offer(now, r.MAC, r.Wanted)
	if err != nil {
		return s.silentlyExhausted()
	}
	s.exhausted = false
	if s.mustProbe(now, r.MAC, a) {
		return Decision{Probe: a}
	}
	return s.offer(r, a)
}

func (s *Responder) offer(r Request, a netip.Addr) Decision {
	d := Decision{Reply: s.net.reply(r, dhcpv4.MessageTypeOffer, a), To: destination(r), Level: slog.LevelDebug}
	d.Note = "offered " + a.String()
	if r.Firmware != NoFirmware && !r.Firmware.Served() {
		d.Note = fmt.Sprintf("offered %s but no boot loader: there is none for this PC's firmware, %s", a, r.Firmware)
		d.Level = slog.LevelWarn
	}
	return d
}

// silentlyExhausted tells people once; the PC hears nothing, so that it keeps asking and another server may answer.
func (s *Responder) silentlyExhausted() Decision {
	if s.exhausted {
		return Decision{}
	}
	s.exhausted = true
	return Decision{Note: "gets no address: all are in use; widen the range of addresses to lease, or shorten the lease time", Level: slog.LevelError}
}

// mustProbe says whether something that we do not know of might be at the address. Who has a lease of it now, or had it last, vouches for
// it, and so does a probe not older than a lease.
func (s *Responder) mustProbe(now time.Time, mac lease.MAC, a netip.Addr) bool {
	if l, ok := s.book.Find(mac); ok && l.Address == a {
		return false
	}
	t, ok := s.vouched[a]
	return !ok || now.Sub(t) >= s.net.LeaseTime
}

// Probed goes on after the probe of an address for r, which found a NIC there (zero for none).
func (s *Responder) Probed(now time.Time, r Request, a netip.Addr, found lease.MAC) Decision {
	if found == (lease.MAC{}) || found == r.MAC {
		s.vouched[a] = now
		return s.discover(now, r)
	}
	s.book.Quarantine(now, r.MAC, a)
	d := s.discover(now, r)
	d.Note = fmt.Sprintf("was not offered %s: %s uses it without a lease; give that device an address outside the range", a, found)
	d.Level = slog.LevelWarn
	return d
}

// bind answers a PC that takes our offer or wants to keep the address that it uses. A NAK makes it start anew, which is
// right whenever it cannot have the address: this server is the only one that leases on this network.
//
// A PC that uses an address of which nothing is recorded gets it if it is free: so a lost lease database heals as PCs renew.
func (s *Responder) bind(now time.Time, r Request, a netip.Addr) Decision {
	before, known := s.book.Find(r.MAC)
	if _, err := s.book.Bind(now, r.MAC, a, s.net.LeaseTime); err != nil {
		return s.nak(r, fmt.Errorf("%s: %w", a, err))
	}
	d := Decision{Reply: s.net.reply(r, dhcpv4.MessageTypeAck, a), To: destination(r), Durable: true}
	switch file := s.net.bootFile(r); {
	case file != "":
		d.Note = fmt.Sprintf("has %s; boots %s", a, file)
	case known && before.Address == a && r.Kind == Renewing:
		d.Note, d.Level = "renewed "+a.String(), slog.LevelDebug
	default:
		d.Note = "has " + a.String()
	}
	return d
}

// initReboot stays silent about PCs of which nothing is known, as RFC 2131 4.3.2 demands, unless the address cannot be right
// on this network: then only a NAK makes the PC look for another.
func (s *Responder) initReboot(now time.Time, r Request) Decision {
	if !s.net.Subnet.Contains(r.Wanted) {
		return s.nak(r, fmt.Errorf("%s: not of this network", r.Wanted))
	}
	if _, ok := s.book.Find(r.MAC); !ok {
		return Decision{}
	}
	return s.bind(now, r, r.Wanted)
}

func (s *Responder) nak(r Request, why error) Decision {
	p := s.net.reply(r, dhcpv4.MessageTypeNak, netip.Addr{})
	p.UpdateOption(dhcpv4.OptMessage(why.Error()))
	to := broadcast // a PC that is refused must not rely on its address any more
	if r.Relay.IsValid() {
		p.SetBroadcast() // for the relay to do the same
		to = destination(r)
	}
	return Decision{Reply: p, To: to, Note: "refused " + why.Error(), Level: slog.LevelInfo}
}

func (s *Responder) decline(now time.Time, r Request) Decision {
	switch err := s.book.Decline(now, r.MAC, r.Wanted); {
	case errors.Is(err, lease.ErrTooMany):
		return Decision{Note: fmt.Sprintf("refuses %s as it refused others before: look whether its network card answers for every address; ignored", r.Wanted), Level: slog.LevelWarn}
	case err != nil:
		return Decision{}
	}
	delete(s.vouched, r.Wanted)
	return Decision{Durable: true, Note: fmt.Sprintf("refused %s: something else uses it; give that device an address outside the range", r.Wanted), Level: slog.LevelWarn}
}

func (s *Responder) release(now time.Time, r Request) Decision {
	if err := s.book.Release(now, r.MAC, r.Current); err != nil {
		return Decision{}
	}
	return Decision{Durable: true, Note: "gave back " + r.Current.String(), Level: slog.LevelDebug}
}

// inform answers a PC with a fixed address. It is told nothing of an address or a lease (RFC 2131 4.3.5).
func (s *Responder) inform(r Request) Decision {
	if !s.net.Subnet.Contains(r.Current) {
		return Decision{}
	}
	return Decision{Reply: s.net.reply(r, dhcpv4.MessageTypeAck, netip.Addr{}), To: destination(r)}
}
