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
	net     Network
	book    *lease.Book
	reg     Register
	vouched vouched
	looked  vouched // ahead of demand, whatever was found
	guard   guard
	board   board
	recent  recent
	relays  map[netip.Prefix][]netip.Addr // that have spoken for a subnet
	drops   Drops
}

// Drops counts packets that were not answered because something is wrong with them or with the configuration.
type Drops struct {
	Malformed    uint64 // not understood
	UnknownRelay uint64 // from a network that is not configured
	NoSubnet     uint64 // sent to the server alone, from an address of no network that is served
	Exhausted    uint64 // no address was left
	Newcomers    uint64 // beyond the limits of strangers
}

// NewResponder makes a Responder for a network over a book of leases. Without a Register every PC is known and loads.
func NewResponder(n Network, b *lease.Book, reg Register) *Responder {
	if reg == nil {
		reg = everybody{}
	}
	return &Responder{
		net: n, book: b, reg: reg, vouched: vouched{}, looked: vouched{}, recent: recent{}, relays: map[netip.Prefix][]netip.Addr{},
		board: newBoard(),
	}
}

// A Decision is what becomes of a Request.
type Decision struct {
	// Reply is what to send to To, nil to stay silent.
	Reply *dhcpv4.DHCPv4
	To    netip.AddrPort
	// Frame says that the PC does not have the address of To yet: the reply goes to its MAC.
	Frame bool
	// Durable says that the Book's changes must be on disk before Reply leaves.
	Durable bool
	// Probe, when valid, is an address that must be probed before it is offered: nothing is sent now, and Probed decides.
	Probe netip.Addr
	// Note says what happened, for people; empty for what is not worth telling.
	Note  string
	Level slog.Level
	// Key, when not empty, says that the Note is about the network; a later one with the same Key replaces it, and with Gone it is over.
	Key  string
	Gone bool
	// Advice is what a booting PC is told by Reply, and Told that it goes on by it: the Register is told when it has left.
	Advice Advice
	Told   bool
}

// Address is the address that a Decision gives a PC, zero for none.
func (d Decision) Address() netip.Addr {
	if d.Reply == nil {
		return netip.Addr{}
	}
	return address(d.Reply.YourIPAddr)
}

// How long people are told of something that did not happen again.
const (
	rememberExhausted = 10 * time.Minute
	rememberOther     = time.Hour
	rememberRelay     = time.Hour
)

// Decide answers a request at a time of the lease clock.
func (s *Responder) Decide(now time.Time, r Request) Decision {
	if d, ok := s.recent.again(now, r); ok {
		return d
	}
	subnet, d, ok := s.subnetOf(now, r)
	if !ok {
		return d
	}
	if r.Server.IsValid() && r.Server != s.net.Server {
		return s.anotherServers(now, r, subnet)
	}
	d = s.decide(now, r, subnet)
	d = s.recent.remember(now, r, d)
	return d
}

func (s *Responder) decide(now time.Time, r Request, subnet Subnet) Decision {
	switch r.Kind {
	case Discover:
		return s.discover(now, r, subnet)
	case Selecting:
		return s.bind(now, r, subnet, r.Wanted)
	case InitReboot:
		return s.initReboot(now, r, subnet)
	case Renewing:
		return s.bind(now, r, subnet, r.Current)
	case Decline:
		return s.decline(now, r, subnet)
	case Release:
		return s.release(now, r, subnet)
	case Inform:
		return s.inform(r, subnet)
	default:
		return Decision{}
	}
}

// client says who asks. Registered PCs, and those for which an address is reserved, are known by their MAC.
func (s *Responder) client(r Request, subnet Subnet) lease.Client {
	c := lease.Client{MAC: r.MAC, Network: subnet.Prefix, Stranger: !s.reg.Known(r.MAC) && !s.book.HasReservation(r.MAC)}
	if c.Stranger {
		c.ID = lease.IDFrom(r.packet.Options.Get(dhcpv4.OptionClientIdentifier), r.MAC)
	}
	return c
}

func (s *Responder) leaseTime(c lease.Client) time.Duration {
	if c.Stranger && s.net.StrangerTime > 0 {
		return s.net.StrangerTime
	}
	return s.net.LeaseTime
}

// anotherServers leaves alone what is meant for another DHCP server: its offer is not ours to refuse, so never a NAK.
func (s *Responder) anotherServers(now time.Time, r Request, subnet Subnet) Decision {
	s.book.Withdraw(s.client(r, subnet))
	if r.Kind != Selecting {
		return Decision{}
	}
	d := Decision{
		Note:  fmt.Sprintf("took an address from another DHCP server, %s: two on one network disturb each other", r.Server),
		Level: slog.LevelInfo,
	}
	if s.board.tell(now, otherKey(r.Server), rememberOther) {
		d.Key, d.Level = otherKey(r.Server), slog.LevelWarn
	}
	return d
}

func (s *Responder) discover(now time.Time, r Request, subnet Subnet) Decision {
	c := s.client(r, subnet)
	if c.Stranger && !s.book.Knows(c) && !s.guard.admit(now, r.Port) {
		return s.tooManyNewcomers(now, r)
	}
	a, err := s.book.Offer(now, c, r.Wanted)
	if err != nil {
		return s.silentlyExhausted(now, c, err)
	}
	if s.mustProbe(now, c, a) {
		return Decision{Probe: a}
	}
	s.board.end(exhaustedKey(subnet.Prefix))
	if c.Stranger {
		s.board.end(strangersKey(subnet.Prefix))
	}
	return s.offer(r, subnet, c, a)
}

func (s *Responder) offer(r Request, subnet Subnet, c lease.Client, a netip.Addr) Decision {
	d := Decision{Level: slog.LevelDebug, Note: "offered " + a.String()}
	d.Reply, d.Advice = s.reply(r, subnet, dhcpv4.MessageTypeOffer, a, s.leaseTime(c))
	d.To, d.Frame = destinationWith(r, a)
	if d.Advice.Action == Load && !r.Firmware.Served() {
		d.Note = fmt.Sprintf("offered %s but no boot loader: there is none for this PC's firmware, %s", a, r.Firmware.Title())
		d.Level = slog.LevelWarn
	}
	if reserved, ok := s.book.Reservation(c); ok && reserved.Address != a {
		d.Note = fmt.Sprintf("offered %s for now: %s, which is reserved for it, is used by something else", a, reserved.Address)
		d.Level = slog.LevelWarn
	}
	return d
}

// silentlyExhausted tells people once; the PC hears nothing, so that it keeps asking and another server may answer.
func (s *Responder) silentlyExhausted(now time.Time, c lease.Client, err error) Decision {
	s.drops.Exhausted++
	key := exhaustedKey(c.Network)
	text := fmt.Sprintf("no address is left to lease in %s, and PCs ask for one: widen the range of addresses to lease, or shorten the lease time", c.Network)
	if errors.Is(err, lease.ErrKept) {
		key = strangersKey(c.Network)
		text = fmt.Sprintf("PCs that are not registered have as many addresses of %s as they may; the rest is kept for registered ones: register the PCs, or widen the range of addresses to lease", c.Network)
	}
	if !s.board.tell(now, key, rememberExhausted) {
		return Decision{}
	}
	return Decision{Note: text, Level: slog.LevelError, Key: key}
}

func (s *Responder) tooManyNewcomers(now time.Time, r Request) Decision {
	s.drops.Newcomers++
	if !s.board.tell(now, newcomersKey(r.Port), rememberExhausted) {
		return Decision{}
	}
	where := ""
	if r.Port != "" {
		where = fmt.Sprintf(" at the switch port %s of the relay agent %s", r.Port, r.Relay)
	}
	return Decision{
		Note:  fmt.Sprintf("more PCs than there can be ask for addresses%s: somebody may be taking them all; registered PCs are served, others have to wait", where),
		Level: slog.LevelError, Key: newcomersKey(r.Port),
	}
}

// mustProbe says whether something that we do not know of might be at the address. Who has a lease of it now, or had it until less than a lease time ago, vouches
// for it, and so does a recent probe.
func (s *Responder) mustProbe(now time.Time, c lease.Client, a netip.Addr) bool {
	if l, ok := s.book.Find(c); ok && l.Address == a && now.Before(l.Expires.Add(s.leaseTime(c))) {
		return false
	}
	return !s.vouched.fresh(now, a)
}

// A Found is what a probe found at an address.
type Found struct {
	Something bool
	MAC       lease.MAC // of what answered; zero when that cannot be known, behind a relay agent
}

// Probed goes on after the probe of an address for r.
func (s *Responder) Probed(now time.Time, r Request, a netip.Addr, f Found) Decision {
	if !f.Something || f.MAC == r.MAC {
		s.silent(now, a)
		return s.Decide(now, r)
	}
	if s.everywhere(now, a, f) {
		s.silent(now, a)
		d := s.Decide(now, r)
		if told, ok := s.tellEverywhere(now, a, f); ok {
			d.Note, d.Level, d.Key = told.Note, told.Level, told.Key
		}
		return d
	}
	note := s.taken(now, r.MAC, a, f)
	d := s.Decide(now, r)
	d.Note, d.Level, d.Key = note, slog.LevelWarn, conflictKey(a)
	return d
}

// Swept notes what the probe of an address found that is not offered yet.
func (s *Responder) Swept(now time.Time, a netip.Addr, f Found) Decision {
	s.looked[a] = now
	l, ok := s.book.At(a)
	switch over := !now.Before(l.Expires.Add(lease.Grace)); {
	case !ok || !f.Something || over && l.MAC != f.MAC:
	default:
		return Decision{} // it has been leased or found in use meanwhile, or its last holder has not gone
	}
	if !f.Something {
		s.silent(now, a)
		return Decision{}
	}
	if s.everywhere(now, a, f) {
		told, _ := s.tellEverywhere(now, a, f)
		return told
	}
	return Decision{Note: s.taken(now, f.MAC, a, f), Level: slog.LevelWarn, Key: conflictKey(a)}
}

func (s *Responder) silent(now time.Time, a netip.Addr) {
	s.vouched[a] = now
	s.board.end(conflictKey(a))
}

// taken keeps an address at which something is from being leased, and returns what people are told.
func (s *Responder) taken(now time.Time, complainer lease.MAC, a netip.Addr, f Found) string {
	who := "something"
	if f.MAC != (lease.MAC{}) {
		complainer, who = f.MAC, f.MAC.String()
	}
	s.book.Quarantine(now, complainer, a)
	delete(s.vouched, a)
	s.board.tell(now, conflictKey(a), lease.Quarantine+probeLasts)
	whose := ""
	if reserved, ok := s.book.ReservedAt(a); ok {
		whose = ", though it is reserved for " + reserved.Name
	}
	return fmt.Sprintf("%s is not leased%s: %s uses it without a lease; give that device an address outside the range", a, whose, who)
}

// bind answers a PC that takes our offer or wants to keep the address that it uses. A NAK makes it start anew, which is
// right whenever it cannot have the address: this server is the only one that leases on this network.
//
// A PC that uses an address of which nothing is recorded gets it if it is free: so a lost lease database heals as PCs renew.
func (s *Responder) bind(now time.Time, r Request, subnet Subnet, a netip.Addr) Decision {
	c := s.client(r, subnet)
	before, known := s.book.Find(c)
	if c.Stranger && !s.book.Expects(now, c, a) && !s.guard.admit(now, r.Port) {
		return s.tooManyNewcomers(now, r)
	}
	if _, err := s.book.Bind(now, c, a, s.leaseTime(c)); err != nil {
		return s.nak(r, fmt.Errorf("%s: %w", a, err))
	}
	d := Decision{Durable: true}
	d.Reply, d.Advice = s.reply(r, subnet, dhcpv4.MessageTypeAck, a, s.leaseTime(c))
	d.To, d.Frame = destinationWith(r, a)
	d.Told = r.Firmware != NoFirmware
	switch {
	case d.Told && d.Advice.Action == Load && !r.Firmware.Served():
		d.Note, d.Level = fmt.Sprintf("has %s but no boot loader: there is none for this PC's firmware, %s", a, r.Firmware.Title()), slog.LevelWarn
	case d.Told:
		d.Note = fmt.Sprintf("has %s; %s", a, s.net.outcome(r, d.Advice))
		if d.Advice.Action == Refuse {
			d.Level = slog.LevelWarn
		}
	case known && before.Address == a && r.Kind == Renewing:
		d.Note, d.Level = "renewed "+a.String(), slog.LevelDebug
	default:
		d.Note = "has " + a.String()
	}
	return d
}

// initReboot stays silent about PCs of which nothing is known, as RFC 2131 4.3.2 demands, unless the address cannot be right
// on this network: then only a NAK makes the PC look for another.
func (s *Responder) initReboot(now time.Time, r Request, subnet Subnet) Decision {
	if !subnet.Prefix.Contains(r.Wanted) {
		return s.nak(r, fmt.Errorf("%s: not of this network", r.Wanted))
	}
	c := s.client(r, subnet)
	if _, ok := s.book.Find(c); !ok && !s.book.Expects(now, c, r.Wanted) {
		return Decision{}
	}
	return s.bind(now, r, subnet, r.Wanted)
}

func (s *Responder) nak(r Request, why error) Decision {
	p := s.net.header(r, dhcpv4.MessageTypeNak)
	p.UpdateOption(dhcpv4.OptMessage(why.Error()))
	to := broadcast // a PC that is refused must not rely on its address any more
	if r.Relay.IsValid() {
		p.SetBroadcast() // for the relay to do the same
		to = netip.AddrPortFrom(r.Relay, dhcpv4.ServerPort)
	}
	return Decision{Reply: p, To: to, Note: "refused " + why.Error(), Level: slog.LevelInfo}
}

func (s *Responder) decline(now time.Time, r Request, subnet Subnet) Decision {
	switch err := s.book.Decline(now, s.client(r, subnet), r.Wanted); {
	case errors.Is(err, lease.ErrTooMany):
		return Decision{Note: fmt.Sprintf("refuses %s as it refused others before: look whether its network card answers for every address; ignored", r.Wanted), Level: slog.LevelWarn}
	case err != nil:
		return Decision{}
	}
	delete(s.vouched, r.Wanted)
	s.board.tell(now, conflictKey(r.Wanted), lease.Quarantine+probeLasts)
	return Decision{
		Durable: true, Level: slog.LevelWarn, Key: conflictKey(r.Wanted),
		Note: fmt.Sprintf("%s is not leased: %s refused it, because something else uses it; give that device an address outside the range", r.Wanted, r.MAC),
	}
}

func (s *Responder) release(now time.Time, r Request, subnet Subnet) Decision {
	if err := s.book.Release(now, s.client(r, subnet), r.Current); err != nil {
		return Decision{}
	}
	return Decision{Durable: true, Note: "gave back " + r.Current.String(), Level: slog.LevelDebug}
}

// inform answers a PC with a fixed address. It is told nothing of an address or a lease (RFC 2131 4.3.5).
func (s *Responder) inform(r Request, subnet Subnet) Decision {
	if !subnet.Prefix.Contains(r.Current) {
		return Decision{}
	}
	d := Decision{}
	d.Reply, d.Advice = s.reply(r, subnet, dhcpv4.MessageTypeAck, netip.Addr{}, 0)
	d.To = destination(r)
	return d
}
