package catalog

import (
	"fmt"

	bolt "go.etcd.io/bbolt"

	"aula/clientos/disk"
)

// A SchemeTemplate is a saved way to partition a disk.
type SchemeTemplate struct {
	ID     string      `json:"id"`
	Name   string      `json:"name"` // unique, without regard to case
	Scheme disk.Scheme `json:"scheme"`
}

// SchemeTemplates returns all, by name.
func (c *Catalog) SchemeTemplates() ([]SchemeTemplate, error) {
	return sorted(c, schemesBucket, func(a, b SchemeTemplate) int { return compareNatural(a.Name, b.Name) })
}

// SchemeTemplate returns one, or ErrNotFound.
func (c *Catalog) SchemeTemplate(id string) (SchemeTemplate, error) {
	return one[SchemeTemplate](c, schemesBucket, "scheme", id)
}

// PutSchemeTemplate makes a template when it has no ID, else changes that one. A scheme that no disk can have is refused.
func (c *Catalog) PutSchemeTemplate(t SchemeTemplate) (SchemeTemplate, error) {
	name, err := cleanName("scheme", t.Name)
	if err != nil {
		return SchemeTemplate{}, err
	}
	t.Name = name
	if err := t.Scheme.Check(); err != nil {
		return SchemeTemplate{}, fmt.Errorf("scheme %q: %w: %w", t.Name, ErrInvalid, err)
	}
	err = c.change(func(tx *bolt.Tx) error {
		if t.ID, err = identify(tx, schemesBucket, "scheme", t.ID); err != nil {
			return err
		}
		all, err := list[SchemeTemplate](tx, schemesBucket)
		if err != nil {
			return err
		}
		for _, other := range all {
			if other.ID != t.ID && fold(other.Name) == fold(t.Name) {
				return fmt.Errorf("scheme %q: %w (choose another name)", other.Name, ErrExists)
			}
		}
		return put(tx, schemesBucket, t.ID, t)
	})
	if err != nil {
		return SchemeTemplate{}, err
	}
	return t, nil
}

// RemoveSchemeTemplate removes one, or answers ErrNotFound.
func (c *Catalog) RemoveSchemeTemplate(id string) error {
	return c.change(func(tx *bolt.Tx) error {
		if _, err := find[SchemeTemplate](tx, schemesBucket, "scheme", id); err != nil {
			return err
		}
		return tx.Bucket(schemesBucket).Delete([]byte(id))
	})
}
