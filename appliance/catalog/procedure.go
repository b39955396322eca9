package catalog

import (
	"fmt"
	"slices"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"

	"aula/clientos/instruction"
)

// A Procedure is a program of instructions that was saved to be run again.
type Procedure struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"` // unique, without regard to case
	Text    string    `json:"text"` // in the language of clientos/instruction
	Comment string    `json:"comment,omitempty"`
	Changed time.Time `json:"changed"`
}

// Procedures returns all, by name.
func (c *Catalog) Procedures() ([]Procedure, error) {
	return sorted(c, proceduresBucket, func(a, b Procedure) int { return compareNatural(a.Name, b.Name) })
}

// Procedure returns one, or ErrNotFound.
func (c *Catalog) Procedure(id string) (Procedure, error) {
	return one[Procedure](c, proceduresBucket, "procedure", id)
}

// PutProcedure makes a procedure when it has no ID, else changes that one. A text that is no program is refused with ErrInvalid and the
// parser's errors, which say where.
func (c *Catalog) PutProcedure(p Procedure, now time.Time) (Procedure, error) {
	p, err := p.clean()
	if err != nil {
		return Procedure{}, err
	}
	p.Changed = now.UTC()
	err = c.change(func(tx *bolt.Tx) error {
		if p.ID, err = identify(tx, proceduresBucket, "procedure", p.ID); err != nil {
			return err
		}
		all, err := list[Procedure](tx, proceduresBucket)
		if err != nil {
			return err
		}
		for _, other := range all {
			if other.ID != p.ID && fold(other.Name) == fold(p.Name) {
				return fmt.Errorf("procedure %q: %w (choose another name)", other.Name, ErrExists)
			}
		}
		return put(tx, proceduresBucket, p.ID, p)
	})
	if err != nil {
		return Procedure{}, err
	}
	return p, nil
}

// RemoveProcedure removes a procedure that no schedule runs, else ErrInUse.
func (c *Catalog) RemoveProcedure(id string) error {
	return c.change(func(tx *bolt.Tx) error {
		p, err := find[Procedure](tx, proceduresBucket, "procedure", id)
		if err != nil {
			return err
		}
		schedules, err := list[Schedule](tx, schedulesBucket)
		if err != nil {
			return err
		}
		for _, s := range schedules {
			if s.ProcedureID == id {
				return fmt.Errorf("procedure %q: %w by schedule %q (remove that one first, or let it run another procedure)", p.Name, ErrInUse, s.Name)
			}
		}
		return tx.Bucket(proceduresBucket).Delete([]byte(id))
	})
}

// clean returns the procedure as it is kept, or ErrInvalid with the reason.
func (p Procedure) clean() (_ Procedure, err error) {
	if p.Name, err = cleanName("procedure", p.Name); err != nil {
		return p, err
	}
	what := fmt.Sprintf("procedure %q", p.Name)
	// Lines keep their numbers: only their ends are made those of Unix.
	p.Text = strings.ReplaceAll(p.Text, "\r\n", "\n")
	if _, err := instruction.Parse(p.Text); err != nil {
		return p, fmt.Errorf("%s: %w: %w", what, ErrInvalid, err)
	}
	p.Comment, err = cleanText("comment on "+what, p.Comment, maxComments)
	return p, err
}

// sorted returns all of a bucket in the order of compare.
func sorted[T any](c *Catalog, bucket []byte, compare func(a, b T) int) ([]T, error) {
	var all []T
	err := c.db.View(func(tx *bolt.Tx) (err error) {
		all, err = list[T](tx, bucket)
		return err
	})
	slices.SortStableFunc(all, compare)
	return all, err
}

// one reads one of a bucket; what it is is for the message of ErrNotFound.
func one[T any](c *Catalog, bucket []byte, what, id string) (T, error) {
	var v T
	err := c.db.View(func(tx *bolt.Tx) (err error) {
		v, err = find[T](tx, bucket, what, id)
		return err
	})
	return v, err
}

func find[T any](tx *bolt.Tx, bucket []byte, what, id string) (T, error) {
	v, err := get[T](tx, bucket, id)
	if err != nil {
		return v, fmt.Errorf("%s %s: %w", what, id, err)
	}
	return v, nil
}

// identify makes the id of something new, and finds what is to be changed.
func identify(tx *bolt.Tx, bucket []byte, what, id string) (string, error) {
	if id == "" {
		return newID(), nil
	}
	if tx.Bucket(bucket).Get([]byte(id)) == nil {
		return "", fmt.Errorf("%s %s: %w (somebody has removed it; make it anew)", what, id, ErrNotFound)
	}
	return id, nil
}
