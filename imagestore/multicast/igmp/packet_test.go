package igmp

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net/netip"
	"testing"
	"time"
)

var (
	low     = netip.MustParseAddr("10.0.0.1")
	middle  = netip.MustParseAddr("10.0.0.5")
	high    = netip.MustParseAddr("10.0.0.9")
	nobody  = netip.IPv4Unspecified()
	session = netip.MustParseAddr("239.194.17.36")
)

// datagram wraps IGMP as the kernel does, with TTL 1 and Router Alert.
func datagram(from, to netip.Addr, body []byte) []byte {
	b := make([]byte, 24, 24+len(body))
	b[0], b[8], b[9] = 0x46, 1, 2
	binary.BigEndian.PutUint16(b[2:], uint16(24+len(body)))
	copy(b[12:], from.AsSlice())
	copy(b[16:], to.AsSlice())
	copy(b[20:], routerAlert)
	return append(b, body...)
}

// summed puts the right checksum into a message.
func summed(body ...byte) []byte {
	body[2], body[3] = 0, 0
	binary.BigEndian.PutUint16(body[2:], checksum(body))
	return body
}

func changed(b []byte, at int, to byte) []byte {
	b[at] = to
	return b
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestQueriesAreThoseOfRFC2236(t *testing.T) {
	for _, c := range []struct {
		name     string
		group    netip.Addr
		response time.Duration
		want     string
	}{
		{"general, 10 s", nobody, 10 * time.Second, "1164ee9b00000000"},
		{"of a group, 1 s", session, time.Second, "110aee0eefc21124"},
		{"shorter than a tenth of a second is no IGMPv1", nobody, time.Millisecond, "1101eefe00000000"},
		{"longer than the field holds", nobody, time.Hour, "11ffee0000000000"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := hex.EncodeToString(encode(c.group, c.response)); got != c.want {
				t.Errorf("got %s, want %s", got, c.want)
			}
		})
	}
}

func TestDecodeTellsWhatWasAsked(t *testing.T) {
	for _, c := range []struct {
		name     string
		datagram []byte
		want     message
	}{
		{"IGMPv1 query", datagram(low, allHosts, summed(0x11, 0, 0, 0, 0, 0, 0, 0)),
			message{kind: queryV1, from: low, group: nobody, response: 10 * time.Second}},
		{"IGMPv2 query", datagram(low, allHosts, encode(nobody, 5*time.Second)),
			message{kind: queryV2, from: low, group: nobody, response: 5 * time.Second}},
		{"IGMPv2 query of a group", datagram(low, session, encode(session, time.Second)),
			message{kind: queryV2, from: low, group: session, response: time.Second}},
		{"IGMPv3 query", datagram(low, allHosts, summed(0x11, 100, 0, 0, 0, 0, 0, 0, 2, 125, 0, 0)),
			message{kind: queryV3, from: low, group: nobody, response: 10 * time.Second, robustness: 2, interval: 125 * time.Second}},
		{"IGMPv3 query with large numbers", datagram(low, allHosts, summed(0x11, 0x80, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0)),
			message{kind: queryV3, from: low, group: nobody, response: 12800 * time.Millisecond, robustness: 7, interval: 31744 * time.Second}},
		{"IGMPv3 query with a source", datagram(low, session, summed(0x11, 10, 0, 0, 239, 194, 17, 36, 0, 0, 0, 1, 10, 0, 0, 7)),
			message{kind: queryV3, from: low, group: session, response: time.Second}},
		{"proxy query of a switch", datagram(nobody, allHosts, encode(nobody, time.Second)),
			message{kind: queryV2, from: nobody, group: nobody, response: time.Second}},
		{"leave", datagram(high, allRouters, summed(0x17, 0, 0, 0, 239, 194, 17, 36)),
			message{kind: leave, from: high, group: session}},
		{"padding after the datagram", append(datagram(low, allHosts, encode(nobody, time.Second)), 1, 2, 3),
			message{kind: queryV2, from: low, group: nobody, response: time.Second}},
		{"without Router Alert", unhex(t, "450000200000000001020000"+"0a000001"+"e0000001"+"1164ec1e00000000027d0000"),
			message{kind: queryV3, from: low, group: nobody, response: 10 * time.Second, robustness: 2, interval: 125 * time.Second}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got, err := decode(c.datagram)
			if err != nil || got != c.want {
				t.Errorf("got %+v, %v\nwant %+v", got, err, c.want)
			}
		})
	}
}

func TestHostilePacketsAreIgnored(t *testing.T) {
	query := func() []byte { return datagram(low, allHosts, encode(nobody, time.Second)) }
	for _, c := range []struct {
		name     string
		datagram []byte
		want     error
	}{
		{"nothing", nil, errNotIGMP},
		{"half a header", query()[:10], errNotIGMP},
		{"half a query", query()[:28], errNotIGMP},
		{"header without IGMP", datagram(low, allHosts, nil), errNotIGMP},
		{"IPv6", changed(query(), 0, 0x66), errNotIGMP},
		{"header length below the least", changed(query(), 0, 0x44), errNotIGMP},
		{"header length past the end", changed(query(), 0, 0x4f), errNotIGMP},
		{"total length past the end", changed(query(), 2, 0xff), errNotIGMP},
		{"total length within the header", changed(query(), 3, 10), errNotIGMP},
		{"UDP", changed(query(), 9, 17), errNotIGMP},
		{"TTL of another network", changed(query(), 8, 64), errForwarded},
		{"TTL 0", changed(query(), 8, 0), errForwarded},
		{"from a group", datagram(session, allHosts, encode(nobody, time.Second)), errSource},
		{"from everybody", datagram(netip.MustParseAddr("255.255.255.255"), allHosts, encode(nobody, time.Second)), errSource},
		{"from loopback", datagram(netip.MustParseAddr("127.0.0.1"), allHosts, encode(nobody, time.Second)), errSource},
		{"wrong checksum", changed(query(), 26, 0x55), errChecksum},
		{"changed after the checksum", changed(query(), 25, 200), errChecksum},
		{"longer than IGMPv2, shorter than IGMPv3", datagram(low, allHosts, summed(0x11, 10, 0, 0, 0, 0, 0, 0, 2, 125)), errLength},
		{"general query for one host", datagram(low, middle, encode(nobody, time.Second)), errDestination},
		{"general query for a group", datagram(low, session, encode(nobody, time.Second)), errDestination},
		{"query of no group", datagram(low, allHosts, encode(middle, time.Second)), errGroup},
		{"leave of no group", datagram(low, allRouters, summed(0x17, 0, 0, 0, 0, 0, 0, 0)), errGroup},
		{"report", datagram(high, session, summed(0x16, 0, 0, 0, 239, 194, 17, 36)), errOther},
		{"type that does not exist", datagram(low, allHosts, summed(0xee, 0, 0, 0, 0, 0, 0, 0)), errOther},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got, err := decode(c.datagram); !errors.Is(err, c.want) || got != (message{}) {
				t.Errorf("got %+v, %v, want error %v", got, err, c.want)
			}
		})
	}
}

func TestChecksumOfAnOddNumberOfBytes(t *testing.T) {
	if got, want := checksum([]byte{0x12, 0x34, 0x56}), ^uint16(0x1234+0x5600); got != want {
		t.Errorf("got %04x, want %04x", got, want)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(datagram(low, allHosts, encode(nobody, time.Second)))
	f.Add(datagram(low, allHosts, summed(0x11, 0x80, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0)))
	f.Add(datagram(low, session, summed(0x11, 10, 0, 0, 239, 194, 17, 36, 0, 0, 0, 1, 10, 0, 0, 7)))
	f.Add(datagram(high, allRouters, summed(0x17, 0, 0, 0, 239, 194, 17, 36)))
	f.Add(datagram(low, allHosts, nil))
	now := time.Unix(0, 0)
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decode(b)
		if err != nil {
			return
		}
		if !m.from.Is4() || m.from.IsMulticast() || !m.group.Is4() || m.response < 0 || m.interval < 0 {
			t.Errorf("accepted %x as %+v", b, m)
		}
		if !m.general() && !m.group.IsMulticast() {
			t.Errorf("accepted %x as %+v: it asks for no group", b, m)
		}
		e := newElection(usual, middle, now)
		e.tick(now)
		e.hear(m, now)
		if until := e.next(); until.Before(now) || until.After(now.Add(longestSilence)) {
			t.Errorf("%+v makes the querier wait until %s", m, until)
		}
	})
}
