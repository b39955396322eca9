package roster

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"aula/appliance/catalog"
	"aula/clientos/protocol"
)

// An enrolment binds the key that a PC made for one boot to its computer. There is one record for each computer, under its id, so
// that storing the next boot's key and forgetting the last one's is a single write.
type enrolment struct {
	Computer string    `json:"-"`
	Key      string    `json:"key"` // hexadecimal
	MAC      string    `json:"mac"`
	Boot     string    `json:"boot"`
	Time     time.Time `json:"time"`
}

// A denial is why a PC is not let in.
type denial struct {
	code   int
	reason string // shown on the PC's screen
}

func (d *denial) Error() string { return d.reason }

// loadEnrolments reads the enrolments. One that is damaged costs its PC a restart, not the whole classroom its server.
func loadEnrolments(c *catalog.Catalog, log *slog.Logger) (map[protocol.Key]enrolment, error) {
	all := make(map[protocol.Key]enrolment)
	err := c.EachRecord(catalog.Enrolments, func(id string, data []byte) error {
		key, e, err := parseEnrolment(id, data)
		if err != nil {
			log.Error("damaged enrolment left out: restart that PC", "computer", id, "error", err)
			return nil
		}
		all[key] = e
		return nil
	})
	return all, err
}

// parseEnrolment reads the record of one computer.
func parseEnrolment(computer string, data []byte) (protocol.Key, enrolment, error) {
	var e enrolment
	if err := json.Unmarshal(data, &e); err != nil {
		return protocol.Key{}, enrolment{}, fmt.Errorf("enrolment: %w", err)
	}
	raw, err := hex.DecodeString(e.Key)
	if err != nil || len(raw) != len(protocol.Key{}) {
		return protocol.Key{}, enrolment{}, fmt.Errorf("enrolment: bad key %.80q", e.Key)
	}
	e.Computer = computer
	return protocol.Key(raw), e, nil
}

// sweep forgets the enrolments of computers that are no longer in the catalog. It runs at the start and whenever sweepStep
// enrolments have come since, so that strangers cannot fill the catalog.
func (r *Roster) sweep() error {
	computers, err := r.cfg.Catalog.Computers()
	if err != nil {
		return err
	}
	exists := make(map[string]bool, len(computers))
	for _, c := range computers {
		exists[c.ID] = true
	}
	var stale []string
	r.mu.Lock()
	for key, e := range r.enrolled {
		if !exists[e.Computer] {
			stale = append(stale, e.Computer)
			delete(r.enrolled, key)
		}
	}
	r.sweepAt = len(r.enrolled) + sweepStep
	r.mu.Unlock()
	for _, id := range stale {
		if err := r.cfg.Catalog.DeleteRecord(catalog.Enrolments, id); err != nil {
			return err
		}
	}
	return nil
}

const sweepStep = 1024

// known returns the enrolment of a key.
func (r *Roster) known(key protocol.Key) (enrolment, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e, ok := r.enrolled[key]
	return e, ok
}

// admit decides who says h with the given key, and makes that durable: the ticket is burnt and the key bound to the computer when it
// returns. The error is a *denial when the PC is refused, and an *occupant when another one is in its place; the ticket is then
// not burnt. Admissions come one at a time (r.admission is held), so that of two PCs with the same address the second finds the first.
func (r *Roster) admit(h protocol.Hello, key protocol.Key, address netip.Addr) (catalog.Computer, error) {
	e, known := r.known(key)
	var used ticket
	if known {
		if e.MAC != h.MAC || e.Boot != h.Boot {
			return catalog.Computer{}, &denial{protocol.CloseDenied, "This key belongs to another PC or another boot. Restart this PC."}
		}
	} else {
		var err error
		r.mu.Lock()
		used, err = r.tickets.take(h.Ticket, h.MAC, r.cfg.Now())
		r.mu.Unlock()
		if err != nil {
			return catalog.Computer{}, &denial{protocol.CloseDenied, fmt.Sprintf("This PC may not enter: %v. Restart it to get a new ticket.", err)}
		}
	}
	computer, err := r.enrol(h, key, known, e, address)
	r.mu.Lock()
	if err != nil && used.id != "" {
		r.tickets.untake(used)
	}
	full := len(r.enrolled) > r.sweepAt
	r.mu.Unlock()
	if err == nil && full {
		err = r.sweep()
	}
	return computer, err
}

// enrol finds or makes the computer and binds the key to it.
func (r *Roster) enrol(h protocol.Hello, key protocol.Key, known bool, e enrolment, address netip.Addr) (catalog.Computer, error) {
	// Of two PCs with one address the second waits, whatever board it says it has.
	if c, err := r.cfg.Catalog.ComputerByMAC(h.MAC); err == nil {
		if err := r.occupied(c, key); err != nil {
			return catalog.Computer{}, err
		}
	} else if !errors.Is(err, catalog.ErrNotFound) {
		return catalog.Computer{}, fmt.Errorf("computer with address %s: %w", h.MAC, err)
	}
	free := func(c catalog.Computer) error { return r.occupied(c, key) }
	computer, err := r.cfg.Catalog.ObserveIf(h.MAC, address.String(), h.Inventory, r.cfg.Now(), free)
	if err != nil {
		return catalog.Computer{}, fmt.Errorf("record the computer with address %s: %w", h.MAC, err)
	}
	if known && e.Computer == computer.ID {
		return computer, nil
	}
	if known {
		// A key is of one computer: left there, the record could bring the key back to this one at the next start.
		if err := r.cfg.Catalog.DeleteRecord(catalog.Enrolments, e.Computer); err != nil {
			return catalog.Computer{}, fmt.Errorf("forget the former enrolment of %s: %w", h.MAC, err)
		}
	}
	fresh := enrolment{Computer: computer.ID, Key: key.String(), MAC: h.MAC, Boot: h.Boot, Time: r.cfg.Now()}
	data, err := json.Marshal(fresh)
	if err != nil {
		return catalog.Computer{}, fmt.Errorf("enrolment: %w", err)
	}
	if err := r.cfg.Catalog.PutRecord(catalog.Enrolments, computer.ID, data); err != nil {
		return catalog.Computer{}, fmt.Errorf("store the enrolment of %s: %w", h.MAC, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for k, old := range r.enrolled {
		if old.Computer == computer.ID {
			delete(r.enrolled, k)
		}
	}
	r.enrolled[key] = fresh
	return computer, nil
}

// occupied answers a denial when a PC with another key is connected as the computer.
func (r *Roster) occupied(c catalog.Computer, key protocol.Key) error {
	s := r.session(c.ID)
	if s == nil || s.key == key || s.gone() {
		return nil
	}
	return &occupant{s}
}

// An occupant is the session that is in the way of an admission.
type occupant struct{ s *session }

func (o *occupant) Error() string { return "another PC is connected as this computer" }
