package dhcp

import (
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"time"
)

// relaysPerSubnet bounds how many relay agents are believed to speak for a subnet: two routers with an address each, and one that they share. What
// they say of themselves is not proven, and the address of each is not leased.
const relaysPerSubnet = 4

// subnetOf finds where a client stands: in the network that the relay agent names (RFC 3527), or the client (RFC 3011), else in that of the relay
// agent, else, for one that renews its lease past the relay agent, in that of its address, else in that of the NIC.
func (s *Responder) subnetOf(now time.Time, r Request) (Subnet, Decision, bool) {
	switch {
	case r.Link.IsValid():
		subnet, ok := s.net.subnetOf(r.Link)
		if !ok {
			return Subnet{}, s.unknownNetwork(now, r, r.Link), false
		}
		return s.behindRelay(r, subnet)
	case r.Relay.IsValid():
		subnet, ok := s.net.subnetOf(r.Relay)
		if !ok {
			return Subnet{}, s.unknownNetwork(now, r, r.Relay), false
		}
		return s.behindRelay(r, subnet)
	case !r.Current.IsValid():
		return s.net.own(), Decision{}, true
	}
	subnet, ok := s.net.subnetOf(r.Current)
	switch {
	case ok && subnet.Prefix == s.net.own().Prefix:
		return subnet, Decision{}, true
	case ok:
		return s.behindRelay(r, subnet)
	case r.Unicast:
		s.drops.NoSubnet++
		return Subnet{}, Decision{Note: fmt.Sprintf("not answered: its address %s is of no network that is served", r.Current), Level: slog.LevelDebug}, false
	default:
		return s.net.own(), Decision{}, true
	}
}

// unknownNetwork drops what comes from a network of which nothing is configured, and says once what to configure.
func (s *Responder) unknownNetwork(now time.Time, r Request, network netip.Addr) Decision {
	s.drops.UnknownRelay++
	from := r.Relay
	if !from.IsValid() {
		from = r.Peer.Addr()
	}
	if !s.board.tell(now, relayKey(network), rememberRelay) {
		return Decision{}
	}
	return Decision{
		Note: fmt.Sprintf("a relay agent at %s sends requests of a network that is not configured, that of %s: add it to the configuration, as [[dhcp.subnet]] with its network, first and last",
			from, network),
		Level: slog.LevelWarn, Key: relayKey(network),
	}
}

// behindRelay gives the PCs behind a relay agent its address for a gateway, when none is configured.
func (s *Responder) behindRelay(r Request, subnet Subnet) (Subnet, Decision, bool) {
	relays := s.relays[subnet.Prefix]
	if r.Relay.IsValid() && subnet.Prefix.Contains(r.Relay) && !slices.Contains(relays, r.Relay) && len(relays) < relaysPerSubnet {
		relays = append(relays, r.Relay)
		s.relays[subnet.Prefix] = relays
		if _, leased := s.book.At(r.Relay); !leased {
			s.book.Take(r.Relay, "a relay agent's")
		}
		s.board.end(relayKey(r.Relay))
	}
	if subnet.Gateway.IsValid() || subnet.Prefix == s.net.own().Prefix {
		return subnet, Decision{}, true
	}
	if r.Relay.IsValid() && subnet.Prefix.Contains(r.Relay) {
		subnet.Gateway = r.Relay
		return subnet, Decision{}, true
	}
	if len(relays) > 0 {
		subnet.Gateway = relays[0]
		return subnet, Decision{}, true
	}
	if r.Link.IsValid() {
		return subnet, Decision{}, true // who names the network has no address in it
	}
	// After a restart nothing is known of the relay agent yet. Without an answer the PC asks through it (RFC 2131 4.4.5), and keeps its gateway.
	return Subnet{}, Decision{}, false
}
