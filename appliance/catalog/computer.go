package catalog

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"time"

	bolt "go.etcd.io/bbolt"

	"aula/clientos/protocol"
)

// States of a Computer.
const (
	Pending  = protocol.Pending
	Accepted = protocol.Accepted
)

// A Computer is a PC that was seen at least once.
type Computer struct {
	ID          string             `json:"id"`
	Name        string             `json:"name"`  // empty while Pending
	State       string             `json:"state"` // Pending or Accepted
	ClassroomID string             `json:"classroomID,omitempty"`
	MACs        []string           `json:"macs"` // wired, lower case with colons; the first booted
	Address     string             `json:"address,omitempty"`
	Inventory   protocol.Inventory `json:"inventory"`
	GroupID     string             `json:"groupID,omitempty"`
	Boot        string             `json:"boot,omitempty"`     // what it always boots; empty: what its group or classroom does
	NextBoot    string             `json:"nextBoot,omitempty"` // what it boots once; empty: what it always does
	Reserved    netip.Addr         `json:"reserved,omitzero"`  // address that DHCP always gives it
	FirstSeen   time.Time          `json:"firstSeen"`
	LastSeen    time.Time          `json:"lastSeen"`
}

// Computers returns all: pending first by time of arrival, then accepted by name in natural order (pc-2 before pc-10).
func (c *Catalog) Computers() ([]Computer, error) {
	var all []Computer
	err := c.db.View(func(tx *bolt.Tx) (err error) {
		all, err = list[Computer](tx, computersBucket)
		return err
	})
	slices.SortFunc(all, compareComputers)
	return all, err
}

func compareComputers(a, b Computer) int {
	switch {
	case a.State != b.State && a.State == Pending:
		return -1
	case a.State != b.State:
		return 1
	case a.State == Pending:
		return cmp.Or(a.FirstSeen.Compare(b.FirstSeen), cmp.Compare(a.ID, b.ID))
	default:
		return cmp.Or(compareNatural(a.Name, b.Name), cmp.Compare(a.ID, b.ID))
	}
}

// Computer returns one, or ErrNotFound.
func (c *Catalog) Computer(id string) (Computer, error) {
	var pc Computer
	err := c.db.View(func(tx *bolt.Tx) (err error) {
		pc, err = getComputer(tx, id)
		return err
	})
	return pc, err
}

// ComputerByMAC returns the computer that has the address among its own, of several the one that had it last, or ErrNotFound.
func (c *Catalog) ComputerByMAC(mac string) (Computer, error) {
	mac, err := cleanMAC(mac)
	if err != nil {
		return Computer{}, err
	}
	var pc Computer
	err = c.db.View(func(tx *bolt.Tx) (err error) {
		id := tx.Bucket(macsBucket).Get([]byte(mac))
		if id == nil {
			return fmt.Errorf("computer with address %s: %w", mac, ErrNotFound)
		}
		pc, err = getComputer(tx, string(id))
		return err
	})
	return pc, err
}

// AcceptComputer moves a pending computer into a classroom under a name that is unique there, without regard to case; an
// empty name means the next free pc-NN.
func (c *Catalog) AcceptComputer(id, classroomID, name string) (Computer, error) {
	return c.placeComputer(id, func(tx *bolt.Tx, pc *Computer) (err error) {
		if pc.State == Accepted {
			return fmt.Errorf("computer %q was accepted before: %w (rename or move it instead)", pc.Name, ErrExists)
		}
		if name == "" {
			name = freeName(tx, classroomID)
		}
		pc.State, pc.ClassroomID = Accepted, classroomID
		pc.Name, err = cleanName("computer", name)
		return err
	})
}

// UpdateComputer renames or moves an accepted computer; what is empty stays as it is.
func (c *Catalog) UpdateComputer(id, classroomID, name string) (Computer, error) {
	return c.placeComputer(id, func(tx *bolt.Tx, pc *Computer) (err error) {
		if pc.State != Accepted {
			return fmt.Errorf("computer %s: %w: it is pending (accept it first)", id, ErrInvalid)
		}
		if classroomID != "" && classroomID != pc.ClassroomID {
			pc.ClassroomID, pc.GroupID = classroomID, "" // groups are a classroom's own
		}
		if name != "" {
			pc.Name, err = cleanName("computer", name)
		}
		return err
	})
}

// placeComputer changes name and classroom of a computer as edit says.
func (c *Catalog) placeComputer(id string, edit func(tx *bolt.Tx, pc *Computer) error) (Computer, error) {
	var placed Computer
	err := c.change(func(tx *bolt.Tx) error {
		before, err := getComputer(tx, id)
		if err != nil {
			return err
		}
		placed = before
		if err := edit(tx, &placed); err != nil {
			return err
		}
		room, err := getClassroom(tx, placed.ClassroomID)
		if err != nil {
			return err
		}
		holder := tx.Bucket(namesBucket).Get(nameKey(room.ID, placed.Name))
		if holder != nil && string(holder) != id {
			return fmt.Errorf("computer %q: %w in classroom %q (choose another name)", placed.Name, ErrExists, room.Name)
		}
		return replaceComputer(tx, before, placed)
	})
	if err != nil {
		return Computer{}, err
	}
	return placed, nil
}

// freeName returns the first of pc-01, pc-02 ... that the classroom does not have.
func freeName(tx *bolt.Tx, classroomID string) string {
	for n := 1; ; n++ {
		name := fmt.Sprintf("pc-%02d", n)
		if tx.Bucket(namesBucket).Get(nameKey(classroomID, name)) == nil {
			return name
		}
	}
}

// RemoveComputer forgets a computer, and so do schedules. If it boots again it comes as a new one.
func (c *Catalog) RemoveComputer(id string) error {
	return c.change(func(tx *bolt.Tx) error {
		pc, err := getComputer(tx, id)
		if err != nil {
			return err
		}
		if err := forgetInSchedules(tx, id); err != nil {
			return err
		}
		return deleteComputer(tx, pc)
	})
}

func getComputer(tx *bolt.Tx, id string) (Computer, error) {
	pc, err := get[Computer](tx, computersBucket, id)
	if err != nil {
		return Computer{}, fmt.Errorf("computer %s: %w", id, err)
	}
	return pc, nil
}

// maxComputer bounds the JSON of a computer: what a pending PC says of itself is stored before anyone has accepted it.
const maxComputer = 64 << 10

// replaceComputer writes after in the place of before, with its indexes. A zero before makes a new computer.
func replaceComputer(tx *bolt.Tx, before, after Computer) error {
	data, err := json.Marshal(after)
	if err != nil {
		return fmt.Errorf("computer %s: %w", after.ID, err)
	}
	if len(data) > maxComputer {
		return fmt.Errorf("computer %s: %w: its inventory takes %d bytes, more than %d", after.ID, ErrInvalid, len(data), maxComputer)
	}
	if before.ID != "" {
		if err := deleteComputer(tx, before); err != nil {
			return err
		}
	}
	for _, mac := range after.MACs {
		if tx.Bucket(macsBucket).Get([]byte(mac)) != nil {
			continue // the card is in another PC by now
		}
		if err := tx.Bucket(macsBucket).Put([]byte(mac), []byte(after.ID)); err != nil {
			return err
		}
	}
	if after.State == Pending {
		err = tx.Bucket(pendingBucket).Put([]byte(after.ID), []byte(after.LastSeen.UTC().Format(time.RFC3339Nano)))
	} else {
		err = tx.Bucket(namesBucket).Put(nameKey(after.ClassroomID, after.Name), []byte(after.ID))
	}
	if err != nil {
		return err
	}
	return tx.Bucket(computersBucket).Put([]byte(after.ID), data)
}

// deleteComputer removes a computer with its indexes.
func deleteComputer(tx *bolt.Tx, pc Computer) error {
	for _, mac := range pc.MACs {
		if string(tx.Bucket(macsBucket).Get([]byte(mac))) != pc.ID {
			continue // the card is in another PC by now
		}
		if err := tx.Bucket(macsBucket).Delete([]byte(mac)); err != nil {
			return err
		}
	}
	if err := tx.Bucket(pendingBucket).Delete([]byte(pc.ID)); err != nil {
		return err
	}
	if pc.State == Accepted {
		if err := tx.Bucket(namesBucket).Delete(nameKey(pc.ClassroomID, pc.Name)); err != nil {
			return err
		}
	}
	return tx.Bucket(computersBucket).Delete([]byte(pc.ID))
}

// nameKey is the key of a computer's name in namesBucket; names hold no control characters, so that 0 ends the id.
func nameKey(classroomID, name string) []byte { return []byte(classroomID + "\x00" + fold(name)) }
