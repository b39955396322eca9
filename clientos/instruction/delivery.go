package instruction

import (
	"errors"
	"fmt"
	"strings"

	"aula/clientos/protocol"
	"aula/imagestore/multicast"
	"aula/imagestore/torrent"
)

// What may stand behind a protocol.
const (
	direct  = "-DIRECT"
	through = "-CACHE"
)

var protocols = []string{protocol.Unicast, protocol.Multicast, protocol.Torrent}

// habit is what a word means by a protocol without -DIRECT and -CACHE.
type habit struct {
	direct   bool // without a protocol, too
	torrent  bool // direct by TORRENT as well
	noDirect string
}

var (
	// restores is restoreImage of OpenGnsys: straight to the partition. It knows no TORRENT; its command "Restore" takes that through the cache.
	restores = habit{direct: true}
	deploys  = habit{}
	// updates is what comes into the cache and goes no further.
	updates = habit{noDirect: "updateCache puts images into the cache: for straight to the disk write restoreImage"}
)

// names are the protocols that may be written.
func (h habit) names() []string {
	var names []string
	for _, name := range protocols {
		names = append(names, name)
		if h.noDirect == "" {
			names = append(names, name+direct)
		}
		names = append(names, name+through)
	}
	return names
}

// isDirect tells what a protocol without a suffix is.
func (h habit) isDirect(name string) bool { return h.direct && name != protocol.Torrent }

// protocol takes a protocol and its parameters, when there are any.
func (p *parser) protocol(s *Statement, h habit) {
	d := &s.Delivery
	t, ok := p.peek()
	if !ok || isOption(t) {
		if d.From == protocol.Repo {
			d.Protocol, d.Direct = protocol.Unicast, h.isDirect(protocol.Unicast)
		}
		return
	}
	const expected = "UNICAST, MULTICAST or TORRENT"
	name, suffix := splitProtocol(t.text)
	if name == "" || t.quoted {
		p.fail(t, expected+", or an option", didYouMean(t.text, append(h.names(), optionsOf(p.word)...)))
		return
	}
	p.next(expected)
	switch {
	case suffix == direct && h.noDirect != "":
		p.fail(t, expected, h.noDirect)
	case d.From == protocol.Cache && suffix == direct:
		p.fail(t, "no protocol after CACHE", "what is in the cache cannot come past it: leave "+t.text+" out, or write REPO for CACHE")
	case d.From == protocol.Cache && name != protocol.Unicast:
		p.fail(t, "no protocol after CACHE", "what is in the cache need not come: leave "+t.text+" out, or write REPO for CACHE")
	case d.From == protocol.Cache:
		p.noParameters("CACHE")
	default:
		d.Protocol = name
		d.Direct = suffix == direct || suffix == "" && h.isDirect(name)
		d.Parameters = p.parameters(name)
	}
}

// splitProtocol reads a protocol in whatever case; name is empty when it is none.
func splitProtocol(s string) (name, suffix string) {
	s = strings.ToUpper(s)
	for _, suffix := range []string{direct, through, ""} {
		for _, name := range protocols {
			if s == name+suffix {
				return name, suffix
			}
		}
	}
	return "", ""
}

// parameters takes those of a protocol, if there are any, and writes them as everybody else does.
func (p *parser) parameters(name string) string {
	t, ok := p.peek()
	if !ok || isOption(t) {
		return ""
	}
	switch name {
	case protocol.Multicast:
		p.next("")
		session, err := multicast.ParseSession(t.text)
		if err != nil {
			p.fail(t, "a session as PORT:MODE:GROUP:RATE:COMPUTERS:SECONDS", p.hintOf(err))
			return ""
		}
		return session.String()
	case protocol.Torrent:
		p.next("")
		mode, linger, err := torrent.ParseMode(t.text)
		if err != nil {
			p.fail(t, "a mode as peer:60, leecher:60 or seeder:60", err.Error())
			return ""
		}
		return torrent.FormatMode(mode, linger)
	}
	p.noParameters(name)
	return ""
}

// hintOf is what the multicast engine says of a session, without the session itself when it names a field of it.
func (p *parser) hintOf(err error) string {
	if inner := errors.Unwrap(err); inner != nil {
		err = inner
	}
	return err.Error()
}

func (p *parser) noParameters(after string) {
	if t, ok := p.peek(); ok && !isOption(t) {
		names := optionsOf(p.word)
		p.fail(t, "an option, or the end of the instruction", strings.TrimPrefix(didYouMean(t.text, names)+" "+after+" has no parameters", " "))
	}
}

// writeDelivery writes what protocol reads: the protocol so that everybody sees whether the cache is in the way, but for words to which it always is.
func writeDelivery(d protocol.Delivery, h habit) []string {
	if d.From == protocol.Cache {
		return nil
	}
	name := d.Protocol
	if name == "" {
		name = protocol.Unicast
	}
	out := name
	switch {
	case d.Direct && h.noDirect == "":
		out += direct
	case h.direct:
		out += through
	}
	if d.Parameters == "" || name == protocol.Unicast {
		return []string{out}
	}
	return []string{out, quote(d.Parameters, strings.Contains(d.Parameters, "="))}
}

// fallback takes what a PC does without a cache, or without room in it.
func (p *parser) fallback(t token, s *Statement, value string) {
	d := &s.Delivery
	switch {
	case d.From == protocol.Cache:
		p.fail(t, "no fallback after CACHE", "from CACHE a PC takes what is there and nothing else")
	case d.Direct && d.Protocol != protocol.Torrent:
		p.fail(t, "no fallback after "+d.Protocol+direct, "it needs no cache; fallback is for what goes through the cache, and for TORRENT")
	}
	names := []string{protocol.None, protocol.Unicast, protocol.Multicast}
	for _, name := range names {
		if strings.EqualFold(value, name) {
			d.Fallback = name
			return
		}
	}
	p.fail(t.from(len(t.text)-len(value)), "NONE, UNICAST or MULTICAST", didYouMean(value, names))
}

// fallbackOf is what is written of a fallback: nothing where it has no meaning.
func fallbackOf(d protocol.Delivery) []string {
	if d.Fallback == "" || d.From == protocol.Cache || d.Direct && d.Protocol != protocol.Torrent {
		return nil
	}
	return []string{fmt.Sprintf("fallback=%s", d.Fallback)}
}
