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
// SMBIOS UUID and serial together) or a new pending one. A PC whose UUID and serial are both real and both differ from those
// of the computer that had its MAC is another PC, to which the network card (or the USB adapter) was moved. The number of
// pending computers is bounded by MaxPending; beyond it the pending one that was not seen for longest is dropped.
func (c *Catalog) Observe(mac, address string, inv protocol.Inventory, now time.Time) (Computer, error) {
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
			if err := dropOldestPending(tx); err != nil {
				return err
			}
			seen = Computer{ID: newID(), State: Pending, FirstSeen: now}
		}
		seen.MACs = macs
		if len(inv.NICs) == 0 { // an agent that could not list them must not make the PC forget its own
			seen.MACs = distinct(append(slices.Clone(macs), before.MACs...))
		}
		seen.Address, seen.Inventory, seen.LastSeen = address, inv, now
		if err := takeMACs(tx, seen); err != nil {
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

// findComputer returns the computer that the addresses and the inventory belong to, or a zero one.
func findComputer(tx *bolt.Tx, macs []string, inv protocol.Inventory) (Computer, error) {
	var found Computer
	for _, mac := range macs {
		id := tx.Bucket(macsBucket).Get([]byte(mac))
		if id == nil {
			continue
		}
		pc, err := getComputer(tx, string(id))
		if err != nil {
			return Computer{}, err
		}
		if otherBoard(pc.Inventory, inv) {
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
		if sameBoard(pc.Inventory, inv) {
			return pc, nil
		}
	}
	return Computer{}, nil
}

// takeMACs takes the addresses of pc from the computers that had them. A pending computer that is left with nothing to know
// it by is forgotten.
func takeMACs(tx *bolt.Tx, pc Computer) error {
	for _, mac := range pc.MACs {
		id := string(tx.Bucket(macsBucket).Get([]byte(mac)))
		if id == "" || id == pc.ID {
			continue
		}
		before, err := getComputer(tx, id)
		if err != nil {
			return err
		}
		after := before
		after.MACs = slices.DeleteFunc(slices.Clone(before.MACs), func(m string) bool { return m == mac })
		if len(after.MACs) == 0 && after.State == Pending && !hasBoardIdentity(after.Inventory) {
			err = deleteComputer(tx, before)
		} else {
			err = replaceComputer(tx, before, after)
		}
		if err != nil {
			return err
		}
	}
	return nil
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
