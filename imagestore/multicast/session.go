package multicast

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"
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
	Port      int // UDP, even, from 9000 to 65534; receivers answer to the next odd one
	Mode      Mode
	Group     netip.Addr    // IPv4 multicast, from 224.0.1.0 on; of no meaning in Broadcast
	Rate      int64         // bit/s on the wire, at most; 0 for no limit
	Computers int           // how many to wait for, to 10000; 0: those who come within Wait
	Wait      time.Duration // the longest wait for them, to a day, from the first that came: then it starts with those; 0: as long as it takes
}

// ParseSession reads a session as OpenGnsys writes it, PORT:MODE:GROUP:RATE:COMPUTERS:SECONDS. Modes may also be in upper case, or "full" and
// "half". Errors name the field, what it was, and what it may be.
func ParseSession(s string) (Session, error) {
	fields := strings.Split(strings.TrimSpace(s), ":")
	if len(fields) != 6 {
		return Session{}, fmt.Errorf("session %q has %d fields between colons, and PORT:MODE:GROUP:RATE:COMPUTERS:SECONDS are needed, "+
			"such as 9000:full-duplex:239.194.17.36:90M:20:60", s, len(fields))
	}
	session, err := parseFields(fields)
	if err == nil {
		err = session.Validate()
	}
	if err != nil {
		return Session{}, fmt.Errorf("session %q: %w", s, err)
	}
	return session, nil
}

// parseFields reads what has the form of a session; Validate knows the ranges.
func parseFields(f []string) (s Session, err error) {
	port, err := portField.number(f[0])
	if err != nil {
		return s, err
	}
	group, err := netip.ParseAddr(f[2])
	if err != nil {
		return s, groupField.refuse(f[2])
	}
	megabits, isRate := strings.CutSuffix(f[3], "M")
	rate, err := rateField.number(megabits)
	if err != nil || !isRate {
		return s, rateField.refuse(f[3])
	}
	computers, err := computersField.number(f[4])
	if err != nil {
		return s, err
	}
	seconds, err := waitField.number(f[5])
	return Session{int(port), modeOf(f[1]), group, rate * megabit, int(computers), time.Duration(seconds) * time.Second}, err
}

// modeOf reads a mode as consoles and scripts of OpenGnsys write it.
func modeOf(s string) Mode {
	switch m := strings.ToLower(s); m {
	case "full", "half": // its repository's script
		return Mode(m + "-duplex")
	case string(FullDuplex), string(HalfDuplex), string(Broadcast): // its console, in lower or upper case
		return Mode(m)
	}
	return Mode(s)
}

const (
	megabit      = 1_000_000
	maxRate      = 100_000 * megabit
	maxComputers = 10_000
	maxWait      = 24 * time.Hour
)

// Validate tells what is wrong with a session, as ParseSession does.
func (s Session) Validate() error {
	switch {
	case s.Port < 9000 || s.Port > 65534 || s.Port%2 != 0:
		return portField.refuse(strconv.Itoa(s.Port))
	case s.Mode != FullDuplex && s.Mode != HalfDuplex && s.Mode != Broadcast:
		return modeField.refuse(string(s.Mode))
	case s.Mode != Broadcast && !isGroup(s.Group):
		return groupField.refuse(s.Group.String())
	case s.Rate < 0 || s.Rate > maxRate:
		return rateField.refuse(s.rate())
	case s.Computers < 0 || s.Computers > maxComputers:
		return computersField.refuse(strconv.Itoa(s.Computers))
	case s.Wait < 0 || s.Wait > maxWait:
		return waitField.refuse(s.wait())
	}
	return nil
}

// isGroup tells whether data may be sent to an address. 224.0.0.x may not be used: it is for the protocols of the network itself
// (RFC 5771, section 4), no router forwards it, and switches send it to every port, whoever joined (RFC 4541, section 2.1.2).
func isGroup(a netip.Addr) bool {
	return a.Is4() && a.IsMulticast() && !a.IsLinkLocalMulticast()
}

// String writes the session as OpenGnsys does. A rate that is no whole number of Mbit/s, and a wait that is none of seconds, are rounded up,
// so that a limit never becomes none.
func (s Session) String() string {
	group := s.Group
	if !group.IsValid() {
		group = netip.IPv4Unspecified()
	}
	return fmt.Sprintf("%d:%s:%s:%s:%d:%s", s.Port, s.Mode, group, s.rate(), s.Computers, s.wait())
}

func (s Session) rate() string {
	whole := s.Rate / megabit
	if s.Rate%megabit > 0 {
		whole++
	}
	return strconv.FormatInt(whole, 10) + "M"
}

func (s Session) wait() string {
	whole := int64(s.Wait / time.Second)
	if s.Wait%time.Second > 0 {
		whole++
	}
	return strconv.FormatInt(whole, 10)
}

// A Join is what a receiver is told of a session.
type Join struct {
	Port           int
	Group          netip.Addr    // invalid when it was not told: that of the receiver's network is meant (GroupOf)
	Server         netip.Addr    // the sender's; invalid when it was not told
	StartTimeout   time.Duration // 0 for none
	ReceiveTimeout time.Duration // 0 for none
}

// ParseJoin reads what OpenGnsys tells receivers, PORT[:SERVERIP[:START_TIMEOUT[:RECEIVE_TIMEOUT]]] with seconds and 0 for none, or the
// whole session as it tells the sender. They are told apart by their form: the first has at most four fields, the other six.
func ParseJoin(s string) (Join, error) {
	fields := strings.Split(strings.TrimSpace(s), ":")
	if len(fields) > 4 {
		session, err := ParseSession(s)
		if err != nil {
			return Join{}, err
		}
		j := Join{Port: session.Port}
		if session.Mode != Broadcast {
			j.Group = session.Group
		}
		return j, nil
	}
	j, err := parseJoinFields(append(fields, "0", "0", "0"))
	if err != nil {
		return Join{}, fmt.Errorf("session %q: %w", s, err)
	}
	return j, nil
}

func parseJoinFields(f []string) (Join, error) {
	port, err := portField.number(f[0])
	if err != nil {
		return Join{}, err
	}
	if port < 9000 || port > 65534 || port%2 != 0 {
		return Join{}, portField.refuse(f[0])
	}
	var server netip.Addr
	if f[1] != "0" {
		if server, err = netip.ParseAddr(f[1]); err != nil || !server.Is4() || server.IsMulticast() || server.IsUnspecified() {
			return Join{}, serverField.refuse(f[1])
		}
	}
	start, err := startField.seconds(f[2])
	if err != nil {
		return Join{}, err
	}
	receive, err := receiveField.seconds(f[3])
	return Join{Port: int(port), Server: server, StartTimeout: start, ReceiveTimeout: receive}, err
}

// GroupOf returns the group address of a classroom from its network: 172.17.36.0 -> 239.194.17.36. It is not valid when the network
// is not one of IPv4.
func GroupOf(network netip.Prefix) netip.Addr {
	if !network.IsValid() || !network.Addr().Is4() {
		return netip.Addr{}
	}
	n := network.Masked().Addr().As4()
	return netip.AddrFrom4([4]byte{239, 194, n[1], n[2]})
}

// A field of a session, as errors speak of it.
type field struct{ name, need, example string }

var (
	portField  = field{"port", "an even number from 9000 to 65534", "9000"}
	modeField  = field{"mode", "full-duplex, half-duplex or broadcast", "full-duplex"}
	groupField = field{"group", "an IPv4 multicast address from 224.0.1.0 to 239.255.255.255 " +
		"(224.0.0.x is for the network's own protocols, and switches send it to every port)", "239.194.17.36"}
	rateField      = field{"rate", "a whole number of Mbit/s from 0 (no limit) to 100000 with an M behind it", "90M"}
	computersField = field{"computers", "a number from 0 to 10000", "20"}
	waitField      = field{"wait", "a number of seconds from 0 to 86400", "60"}
	serverField    = field{"server", "the sender's IPv4 address, or 0 when it is not known", "172.17.36.1"}
	startField     = field{"start timeout", "a number of seconds from 0 (none) to 86400", "300"}
	receiveField   = field{"receive timeout", "a number of seconds from 0 (none) to 86400", "60"}
)

// number reads decimal digits. It answers no more than fits 32 bits.
func (f field) number(s string) (int64, error) {
	n, err := strconv.ParseUint(s, 10, 31)
	if err != nil {
		return 0, f.refuse(s)
	}
	return int64(n), nil
}

func (f field) seconds(s string) (time.Duration, error) {
	n, err := f.number(s)
	if d := time.Duration(n) * time.Second; err == nil && d <= maxWait {
		return d, nil
	}
	return 0, f.refuse(s)
}

func (f field) refuse(value string) error {
	return fmt.Errorf("%s %q: it must be %s, such as %s", f.name, value, f.need, f.example)
}
