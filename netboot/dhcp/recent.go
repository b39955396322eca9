package dhcp

import (
	"net/netip"
	"time"

	"aula/netboot/lease"
)

// recent holds the last request of each PC, so that one that arrives again, because the PC did not hear the answer or because a network loops,
// gets the same answer and changes nothing.
type recent map[lease.MAC]remembered

type remembered struct {
	request identity
	at      time.Time
	decided Decision
}

// identity is what is the same in repetitions.
type identity struct {
	kind            Kind
	xid             [4]byte
	wanted, current netip.Addr
	relay           netip.Addr
	firmware        Firmware
}

func (r Request) identity() identity {
	return identity{r.Kind, r.XID, r.Wanted, r.Current, r.Relay, r.Firmware}
}

const (
	// repetitions come within this time; later the PC has begun anew and happens to have chosen the same number.
	repetitions = 10 * time.Second
	// recentMost bounds what is remembered.
	recentMost = 8192
)

// again returns what was answered when a request has been answered before. The answer is broadcast then: it may be that the PC hears nothing else.
func (m recent) again(now time.Time, r Request) (Decision, bool) {
	before, ok := m[r.MAC]
	if !ok || before.request != r.identity() || now.Sub(before.at) >= repetitions || before.decided.Reply == nil || r.Kind == Discover {
		return Decision{}, false
	}
	d := before.decided
	d.Note, d.Key, d.Told = "", "", false
	return d.broadcast(), true
}

// remember keeps a decision, and returns it as it is to be carried out.
func (m recent) remember(now time.Time, r Request, d Decision) Decision {
	before, ok := m[r.MAC]
	if ok && r.Kind == Discover && before.request == r.identity() && now.Sub(before.at) < repetitions && before.decided.Reply != nil {
		d = d.broadcast() // it did not hear the first
	}
	if len(m) >= recentMost {
		for mac, x := range m {
			if now.Sub(x.at) >= repetitions {
				delete(m, mac)
			}
		}
		if len(m) >= recentMost {
			clear(m)
		}
	}
	m[r.MAC] = remembered{r.identity(), now, d}
	return d
}

func (d Decision) broadcast() Decision {
	if d.Frame {
		d.Frame, d.To = false, broadcast
	}
	return d
}
