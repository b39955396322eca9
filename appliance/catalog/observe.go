package catalog

import (
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"

	"aula/clientos/protocol"
)

// MaxPending bounds the computers that wait to be accepted.
const MaxPending = 1000

// Observe records what an agent said of its PC and returns the computer: the known one (matched by MACs, then by
// SMBIOS UUID and serial together) or a new pending one. mac is the address that booted; the rest is what anybody may claim,
// so an accepted computer is matched only if mac is among its own: a PC in which the network card was changed waits for
// the operator. A PC whose UUID and serial are both real and both differ from those of the computer that had its MAC is
// another PC, to which the network card (or the USB adapter) was moved. The number of pending computers is bounded by
// MaxPending; beyond it the pending one that was not seen for longest is dropped.
func (c *Catalog) Observe(mac, address string, inv protocol.Inventory, now time.Time) (Computer, error) {
	return c.ObserveIf(mac, address, inv, now, func(Computer) error { return nil })
}

// ObserveIf is Observe that asks first: allow gets the computer that was found, as it is in the catalog, or the new pending
// one. If allow returns an error nothing is changed and ObserveIf returns that error. It may be called more than
// once, in a transaction: it must not call the catalog.
func (c *Catalog) ObserveIf(mac, address string, inv protocol.Inventory, now time.Time, allow func(Computer) error) (Computer, error) {
	macs, err := macsOf(mac, inv)
	if err != nil {
		return Computer{}, err
	}
	var seen Computer
	err = c.changeTogether(func(tx *bolt.Tx) error {
		before, err := findComputer(tx, macs, inv)
		if err != nil {
			return err
		}
		seen = before
		if before.ID == "" {
			seen = Computer{ID: newID(), State: Pending, FirstSeen: now}
		}
		if err := allow(seen); err != nil {
			return err
		}
		if before.ID == "" {
			if err := dropOldestPending(tx); err != nil {
				return err
			}
		}
		seen.MACs = slices.Clone(macs)
		if len(inv.NICs) == 0 { // an agent that could not list them must not make the PC forget its own
			seen.MACs = distinct(append(seen.MACs, before.MACs...))
		}
		seen.Address, seen.Inventory, seen.LastSeen = address, inv, now
		if seen.MACs, err = takeMACs(tx, seen); err != nil {
			return err
		}
		return replaceComputer(tx, before, seen)
	})
	if err != nil {
		return Computer{}, err
	}
	return seen, nil
}

// macsOf returns the addresses of a PC, the one that booted first.
func macsOf(booted string, inv protocol.Inventory) ([]string, error) {
	mac, err := cleanMAC(booted)
	if err != nil {
		return nil, err
	}
	macs := []string{mac}
	for _, nic := range inv.NICs {
		if mac, err := cleanMAC(nic.MAC); err == nil {
			macs = append(macs, mac)
		}
	}
	return distinct(macs), nil
}

// cleanMAC returns a MAC in lower case with colons. All-zero and group addresses belong to no card.
func cleanMAC(mac string) (string, error) {
	hw, err := net.ParseMAC(strings.TrimSpace(mac))
	if err != nil || len(hw) != 6 || hw[0]&1 != 0 || hw.String() == "00:00:00:00:00:00" {
		return "", fmt.Errorf("network address %q: %w (give a MAC such as 52:54:00:12:34:56)", mac, ErrInvalid)
	}
	return hw.String(), nil
}

// distinct drops what was there before, in place, keeping the order.
func distinct(all []string) []string {
	kept := all[:0]
	for _, s := range all {
		if !slices.Contains(kept, s) {
			kept = append(kept, s)
		}
	}
	return kept
}

// findComputer returns the computer that the addresses, the one that booted first, and the inventory belong to, or a zero one.
func findComputer(tx *bolt.Tx, macs []string, inv protocol.Inventory) (Computer, error) {
	var found Computer
	for _, mac := range macs {
		pc, err := holderOf(tx, mac)
		if err != nil {
			return Computer{}, err
		}
		if pc.ID == "" || otherBoard(pc.Inventory, inv) || !mayBe(pc, macs[0]) {
			continue
		}
		// The address that booted decides, but a place in a classroom is worth more than a pending entry.
		if found.ID == "" || found.State == Pending && pc.State == Accepted {
			found = pc
		}
	}
	if found.ID != "" || !hasBoardIdentity(inv) {
		return found, nil
	}
	all, err := list[Computer](tx, computersBucket)
	if err != nil {
		return Computer{}, err
	}
	slices.SortFunc(all, compareComputers)
	for _, pc := range slices.Backward(all) { // accepted before pending
		if sameBoard(pc.Inventory, inv) && mayBe(pc, macs[0]) {
			return pc, nil
		}
	}
	return Computer{}, nil
}

// mayBe tells whether a PC that booted with the address may be taken for pc. Everything else that a PC says of itself can be
// copied from the label of an accepted one.
func mayBe(pc Computer, booted string) bool {
	return pc.State != Accepted || slices.Contains(pc.MACs, booted)
}

// takeMACs takes the addresses of pc, the one that booted first, from the computers that had them, and returns those it has
// now: one that is only listed is not taken from an accepted computer.
func takeMACs(tx *bolt.Tx, pc Computer) ([]string, error) {
	taken := make([]string, 0, len(pc.MACs))
	for i, mac := range pc.MACs {
		holder, err := holderOf(tx, mac)
		if err != nil {
			return nil, err
		}
		if holder.ID != "" && holder.ID != pc.ID {
			if i > 0 && holder.State == Accepted {
				continue
			}
			if err := loseMAC(tx, holder, mac, pc.Inventory); err != nil {
				return nil, err
			}
		}
		taken = append(taken, mac)
	}
	return taken, nil
}

// holderOf returns the computer that an address finds, or a zero one.
func holderOf(tx *bolt.Tx, mac string) (Computer, error) {
	id := tx.Bucket(macsBucket).Get([]byte(mac))
	if id == nil {
		return Computer{}, nil
	}
	return getComputer(tx, string(id))
}

// loseMAC makes an address find its holder no more. One that went to another board beyond doubt may be of an adapter that goes
// round the classroom, so the holder keeps it among its own and is known by it when it comes back. A pending computer that
// is left with nothing to know it by is forgotten.
func loseMAC(tx *bolt.Tx, holder Computer, mac string, to protocol.Inventory) error {
	if otherBoard(holder.Inventory, to) {
		return tx.Bucket(macsBucket).Delete([]byte(mac))
	}
	after := holder
	after.MACs = slices.DeleteFunc(slices.Clone(holder.MACs), func(m string) bool { return m == mac })
	if len(after.MACs) == 0 && after.State == Pending && !hasBoardIdentity(after.Inventory) {
		return deleteComputer(tx, holder)
	}
	return replaceComputer(tx, holder, after)
}

// dropOldestPending makes room for one more pending computer.
func dropOldestPending(tx *bolt.Tx) error {
	pending, oldest, seen := 0, "", time.Time{}
	err := tx.Bucket(pendingBucket).ForEach(func(id, at []byte) error {
		t, err := time.Parse(time.RFC3339Nano, string(at))
		if err != nil {
			return fmt.Errorf("catalog entry %s/%s cannot be read: %w", pendingBucket, id, err)
		}
		if pending == 0 || t.Before(seen) {
			oldest, seen = string(id), t
		}
		pending++
		return nil
	})
	if err != nil || pending < MaxPending {
		return err
	}
	pc, err := getComputer(tx, oldest)
	if err != nil {
		return err
	}
	return deleteComputer(tx, pc)
}
