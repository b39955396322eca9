package dhcp

import (
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"aula/netboot/lease"
	"aula/netboot/quirk"
)

// A ProxyResponder decides what ProxyDHCP answers (PXE 2.1, 2.2.3): it says what to boot to PCs that get their address from another server. It keeps in
// memory what each PC was last told, and does no input or output.
//
// A PC asks for everything at once, by a DISCOVER at port 67, and most take what to boot from our offer. Others ask again at port 4011, when they have
// their address. Whoever does not boot from the network hears nothing.
type ProxyResponder struct {
	net Network
	reg Register
	pcs attempts
}

// NewProxyResponder makes one.
func NewProxyResponder(n Network, reg Register) *ProxyResponder {
	return &ProxyResponder{net: n, reg: reg, pcs: attempts{}}
}

// Decide answers a request that came to port 67 or 4011.
func (p *ProxyResponder) Decide(now time.Time, r Request) Decision {
	if r.Firmware == NoFirmware {
		return Decision{}
	}
	switch {
	case r.Kind == Decline, r.Kind == Release:
		return Decision{}
	case r.BootServer:
		return p.bootServer(r)
	case r.Kind == Discover:
		return p.discover(now, r)
	case r.Kind == Inform:
		return p.answer(r, p.reg.Advise(r), dhcpv4.MessageTypeAck, destination(r))
	case r.Kind == Selecting:
		// Firmware takes an address only when it was offered something to boot as well.
		return p.taken(r)
	}
	return Decision{}
}

// discover offers what to boot, without an address.
func (p *ProxyResponder) discover(now time.Time, r Request) Decision {
	a := p.reg.Advise(r)
	switch {
	case a.Action == Ignore:
		return Decision{Note: p.net.outcome(r, a), Level: slog.LevelDebug}
	case a.Quirks.Has(quirk.OneOffer):
		return Decision{Note: "is left to the other DHCP server: its firmware takes only one offer", Level: slog.LevelDebug}
	}
	to := destination(r)
	if r.IPXE || isHTTP(r.packet) {
		return p.answer(r, a, dhcpv4.MessageTypeOffer, to)
	}
	asks := a.Quirks.Has(quirk.AskBootServer)
	attempt, news := p.pcs.offer(now, r, asks)
	d := p.answer(r, a, dhcpv4.MessageTypeOffer, to)
	if asks || attempt.trial {
		d.Reply.DeleteOption(dhcpv4.OptionVendorSpecificInformation)
		d.Told, d.Note, d.Level = false, "is to ask port 4011 what it boots", slog.LevelDebug
	}
	return attempt.tell(d, r, news, p.net)
}

// taken is called when a PC takes the address that another server gives it.
func (p *ProxyResponder) taken(r Request) Decision {
	if !p.pcs.took(r.MAC) {
		return Decision{}
	}
	return Decision{Note: fmt.Sprintf("the PC %s takes offers again", r.MAC), Key: offersKey(r.MAC), Gone: true}
}

// bootServer answers at port 4011, which only ProxyDHCP and boot servers have: what comes there is for us, whichever server it names.
func (p *ProxyResponder) bootServer(r Request) Decision {
	a := p.reg.Advise(r)
	if a.Action == Ignore {
		return Decision{Note: p.net.outcome(r, a), Level: slog.LevelDebug}
	}
	if p.pcs.asked(r.MAC) {
		p.reg.Learn(r.MAC, quirk.AskBootServer, fmt.Sprintf("it took none of %d offers, and took one that left option 43 out", patience))
	}
	kind := dhcpv4.MessageTypeAck
	if r.Kind == Discover {
		kind = dhcpv4.MessageTypeOffer
	}
	d := p.answer(r, a, kind, peerOf(r))
	addBootItem(d.Reply, r)
	return d
}

// answer makes the reply after which the PC goes on.
func (p *ProxyResponder) answer(r Request, a Advice, kind dhcpv4.MessageType, to netip.AddrPort) Decision {
	if a.Action == Ignore {
		return Decision{Note: p.net.outcome(r, a), Level: slog.LevelDebug}
	}
	reply := p.net.header(r, kind)
	reply.ClientIPAddr = r.packet.ClientIPAddr
	reply.ServerIPAddr = p.net.Server.AsSlice() // iPXE takes no offer without it
	p.net.addBoot(reply, r, a)
	fit(reply, r.packet)
	d := Decision{Reply: reply, To: to, Note: p.net.outcome(r, a), Advice: a, Told: true}
	if a.Action == Refuse {
		d.Level = slog.LevelWarn
	}
	return d
}

// addBootItem echoes the boot server that was asked for (PXE 2.1, table 2-1, PXE_BOOT_ITEM); without it an answer is dropped.
func addBootItem(p *dhcpv4.DHCPv4, r Request) {
	for code, value := range suboptions(r.packet.Options.Get(dhcpv4.OptionVendorSpecificInformation)) {
		if code != pxeBootItem || len(value) != 4 {
			continue
		}
		said := p.Options.Get(dhcpv4.OptionVendorSpecificInformation)
		if len(said) > 0 {
			said = said[:len(said)-1] // the end
		}
		item := append([]byte{pxeBootItem, 4}, value...)
		both := append(append(append([]byte(nil), said...), item...), pxeEnd)
		p.UpdateOption(dhcpv4.OptGeneric(dhcpv4.OptionVendorSpecificInformation, both))
		return
	}
}

// peerOf is where an answer from port 4011 goes: back to where the question came from, which is port 4011 of some and 68 of others.
func peerOf(r Request) netip.AddrPort {
	switch {
	case r.Relay.IsValid():
		return destination(r)
	case r.Peer.IsValid() && !r.Peer.Addr().IsUnspecified() && r.Peer.Port() != 0:
		return netip.AddrPortFrom(r.Peer.Addr().Unmap(), r.Peer.Port())
	default:
		return destination(r)
	}
}

// attempts is what is remembered of PCs that look for something to boot, so that one whose firmware does not take our offers is noticed. iPXE and UEFI HTTP
// Boot are not among them: they take them.
type attempts map[lease.MAC]*attempt

type attempt struct {
	last   time.Time           // offer that was made
	times  [patience]time.Time // of the last offers, in turn
	offers int                 // that were made since one was taken
	trial  bool                // offers leave option 43 out, to see whether that helps
	said   bool                // people were told that nothing does
}

const (
	// patience is how many offers a PC gets, within patienceTime, before they are made otherwise; and then how many before people are told. UEFI
	// sends a DISCOVER at 0, 4, 12 and 28 s.
	patience     = 3
	patienceTime = time.Minute
	// attemptTime is how long after its last DISCOVER a PC is forgotten.
	attemptTime = 10 * time.Minute
	maxAttempts = 4096
)

// News of an attempt.
type news string

const (
	nothingNew   news = ""
	trialBegins  news = "a trial begins"
	nothingHelps news = "nothing helps"
)

// offer counts an offer that is going to be made, and says how; asks tells that the PC is known to ask port 4011.
func (s attempts) offer(now time.Time, r Request, asks bool) (*attempt, news) {
	a := s[r.MAC]
	if a == nil || now.Sub(a.last) > attemptTime {
		s.makeRoom()
		a = &attempt{}
		s[r.MAC] = a
	}
	turn := a.offers % patience
	inVain := a.offers >= patience && now.Sub(a.times[turn]) <= patienceTime
	a.last, a.times[turn] = now, now
	a.offers++
	switch {
	case a.offers > 2*patience && !a.said:
		a.said = true
		return a, nothingHelps
	case inVain && !a.trial && !asks && r.Firmware != BIOS:
		a.trial = true
		return a, trialBegins
	}
	return a, nothingNew
}

// took says that a PC took an offer. It returns whether people had been told that it does not.
func (s attempts) took(mac lease.MAC) (said bool) {
	a := s[mac]
	if a == nil {
		return false
	}
	said = a.said
	a.offers, a.said = 0, false
	return said
}

// asked says that a PC asked port 4011. It tells whether that came of a trial.
func (s attempts) asked(mac lease.MAC) (helped bool) {
	a := s[mac]
	delete(s, mac)
	return a != nil && a.trial
}

// makeRoom bounds the memory: of some, the one goes that has not been heard of for longest.
func (s attempts) makeRoom() {
	if len(s) < maxAttempts {
		return
	}
	const some = 8
	var oldest lease.MAC
	seen := 0
	for mac, a := range s {
		if seen == 0 || a.last.Before(s[oldest].last) {
			oldest = mac
		}
		if seen++; seen == some {
			break
		}
	}
	delete(s, oldest)
}

// tell adds to a decision what is new of the attempt; what is said again and again is not for people.
func (a *attempt) tell(d Decision, r Request, n news, net Network) Decision {
	switch {
	case n == trialBegins:
		d.Note = fmt.Sprintf("took none of %d offers: they leave option 43 out from now on, as with the quirk %s", patience, quirk.AskBootServer)
		d.Level = slog.LevelInfo
	case n == nothingHelps:
		d.Note = fmt.Sprintf("the PC %s takes no offer: no DHCP server gives it an address, or its firmware never takes two offers together. "+
			"Look whether it gets an address. If it does, set next-server %s and the boot file %q in the other DHCP server and give the PC the quirk %s, or let Aula lease the addresses",
			r.MAC, net.Server, net.loader(r.Firmware, nil), quirk.OneOffer)
		d.Level, d.Key = slog.LevelWarn, offersKey(r.MAC)
	case a.offers > 1:
		d.Level = slog.LevelDebug
	}
	return d
}

func offersKey(mac lease.MAC) string { return "dhcp-offers-" + mac.String() }
