package catalog

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"

	bolt "go.etcd.io/bbolt"

	"aula/netboot/quirk"
)

// Reserve says which address DHCP always gives a computer; the zero address: any. No two computers can have the same.
func (c *Catalog) Reserve(id string, a netip.Addr) error {
	if a.IsValid() && (!a.Is4() || !a.IsGlobalUnicast()) {
		return fmt.Errorf("reserved address %s: %w (give an IPv4 address of the classroom's network)", a, ErrInvalid)
	}
	return c.change(func(tx *bolt.Tx) error {
		all, err := list[Computer](tx, computersBucket)
		if err != nil {
			return err
		}
		for _, pc := range all {
			if a.IsValid() && pc.ID != id && pc.Reserved == a {
				return fmt.Errorf("address %s: %w: it is reserved for computer %q (choose another)", a, ErrExists, pc.Name)
			}
		}
		return editComputers(tx, []string{id}, func(pc *Computer) error { pc.Reserved = a; return nil })
	})
}

// maxQuirkMACs bounds for how many MACs quirks are remembered.
const maxQuirkMACs = 4096

// Quirks returns what is remembered of all network cards, by MAC.
func (c *Catalog) Quirks() (map[string]quirk.Set, error) {
	all := map[string]quirk.Set{}
	err := c.db.View(func(tx *bolt.Tx) error {
		return tx.Bucket(quirksBucket).ForEach(func(mac, data []byte) error {
			var s quirk.Set
			err := json.Unmarshal(data, &s)
			all[string(mac)] = s
			return err
		})
	})
	return all, err
}

// QuirksOf returns what is remembered of one network card.
func (c *Catalog) QuirksOf(mac string) (quirk.Set, error) {
	var all quirk.Set
	err := c.db.View(func(tx *bolt.Tx) (err error) {
		all, err = get[quirk.Set](tx, quirksBucket, mac)
		if errors.Is(err, ErrNotFound) {
			err = nil
		}
		return err
	})
	return all, err
}

// SetQuirks remembers the quirks of a network card, in place of those before.
func (c *Catalog) SetQuirks(mac string, all quirk.Set) error {
	mac, err := cleanMAC(mac)
	if err != nil {
		return err
	}
	for _, q := range all {
		if err := quirk.Check(q); err != nil {
			return fmt.Errorf("%w: %w", ErrInvalid, err)
		}
	}
	all = ordered(all)
	return c.change(func(tx *bolt.Tx) error {
		if len(all) == 0 {
			return tx.Bucket(quirksBucket).Delete([]byte(mac))
		}
		if tx.Bucket(quirksBucket).Get([]byte(mac)) == nil && tx.Bucket(quirksBucket).Stats().KeyN >= maxQuirkMACs {
			return fmt.Errorf("quirks of %s: %w: they are remembered for %d network cards (remove some first)", mac, ErrInvalid, maxQuirkMACs)
		}
		return put(tx, quirksBucket, mac, all)
	})
}
