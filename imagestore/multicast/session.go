package multicast

import (
	"errors"
	"net/netip"
	"time"
)

// A Mode is how receivers answer.
type Mode string

// The modes, as OpenGnsys names them.
const (
	FullDuplex Mode = "full-duplex" // while the sender sends
	HalfDuplex Mode = "half-duplex" // only when the sender asks, for hubs and bad switches
	Broadcast  Mode = "broadcast"   // as full-duplex, sent to every machine of the network instead of the group
)

// A Session is what sender and receivers agree upon: `9000:full-duplex:239.194.17.36:90M:20:60`.
type Session struct {
	Port      int // UDP, even, from 9000; receivers answer to the next odd one
	Mode      Mode
	Group     netip.Addr    // IPv4 multicast
	Rate      int64         // bit/s on the wire, at most; 0 for no limit
	Computers int           // how many to wait for; 0 for the first
	Wait      time.Duration // the longest wait for them, from the first that came: then it starts with those
}

// ParseSession reads a session as OpenGnsys writes it.
func ParseSession(s string) (Session, error) { return Session{}, errors.New("not written") }

// String writes the session as OpenGnsys does.
func (s Session) String() string { return "" }

// GroupOf returns the group address of a classroom from its network: 172.17.36.0 -> 239.194.17.36.
func GroupOf(network netip.Prefix) netip.Addr { return netip.Addr{} }
