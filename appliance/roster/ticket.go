package roster

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"time"
)

// Bounds of the tickets. They live in memory only: after a restart of the server none is valid, so none can be used twice, and a PC
// that was just booting with one boots once more.
const (
	ticketLife    = 10 * time.Minute
	maxTickets    = 4096
	ticketsPerMAC = 4 // a loader may ask again; older ones are void
)

// Reasons why a ticket is refused, for people.
var (
	errNoTicket      = errors.New("no ticket and an unknown key")
	errTicketUnknown = errors.New("ticket unknown or already used")
	errTicketExpired = errors.New("ticket older than 10 minutes")
	errTicketOther   = errors.New("ticket was given to another PC")
)

type ticket struct {
	id      string
	mac     string
	expires time.Time
}

// valid tells whether the ticket is young enough. One that expires later than any given out now was made before the clock was set back.
func (k ticket) valid(now time.Time) bool {
	return now.Before(k.expires) && !k.expires.After(now.Add(ticketLife))
}

// tickets are those given out and not used, oldest first. The zero value is ready.
type tickets struct {
	list []ticket
}

// issue makes a ticket of 128 random bits for mac.
func (t *tickets) issue(mac string, now time.Time) string {
	var id [16]byte
	rand.Read(id[:]) // never fails; the program ends if the kernel has no randomness
	t.prune(mac, now)
	fresh := ticket{id: hex.EncodeToString(id[:]), mac: mac, expires: now.Add(ticketLife)}
	t.list = append(t.list, fresh)
	return fresh.id
}

// prune makes room for one more ticket for mac.
func (t *tickets) prune(mac string, now time.Time) {
	kept := t.list[:0]
	for _, k := range t.list {
		if k.valid(now) {
			kept = append(kept, k)
		}
	}
	same := 0
	for i := len(kept) - 1; i >= 0; i-- {
		if kept[i].mac != mac {
			continue
		}
		if same++; same >= ticketsPerMAC {
			kept = append(kept[:i], kept[i+1:]...)
		}
	}
	if over := len(kept) - maxTickets + 1; over > 0 {
		kept = append(kept[:0], kept[over:]...)
	}
	clear(t.list[len(kept):])
	t.list = kept
}

// take removes a ticket and says whether it opened the door to mac. One that another PC shows stays valid for its owner.
func (t *tickets) take(id, mac string, now time.Time) (ticket, error) {
	if id == "" {
		return ticket{}, errNoTicket
	}
	for i, k := range t.list {
		if k.id != id {
			continue
		}
		if k.mac != mac {
			return ticket{}, errTicketOther
		}
		t.list = append(t.list[:i], t.list[i+1:]...)
		if !k.valid(now) {
			return ticket{}, errTicketExpired
		}
		return k, nil
	}
	return ticket{}, errTicketUnknown
}

// untake gives a ticket back that was taken in vain, because the enrolment could not be stored.
func (t *tickets) untake(k ticket) { t.list = append(t.list, k) }
