package catalog

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	bolt "go.etcd.io/bbolt"
)

// A Holiday is a day, or days, on which schedules do not run.
type Holiday struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	First string `json:"first"` // day, as 2026-12-24
	Last  string `json:"last"`  // day, included
}

// Bounds of the holidays: how many there are, and how long one is.
const (
	maxHolidays    = 1000
	maxHolidayDays = 366
)

// Holidays returns all, by first day.
func (c *Catalog) Holidays() ([]Holiday, error) {
	return sorted(c, holidaysBucket, func(a, b Holiday) int {
		return cmp.Or(strings.Compare(a.First, b.First), compareNatural(a.Name, b.Name))
	})
}

// AddHoliday makes one. An empty Last is the First. Two may share days and names: Christmas comes every year.
func (c *Catalog) AddHoliday(h Holiday) (Holiday, error) {
	h, err := h.clean()
	if err != nil {
		return Holiday{}, err
	}
	h.ID = newID()
	err = c.change(func(tx *bolt.Tx) error {
		all, err := list[Holiday](tx, holidaysBucket)
		if err != nil {
			return err
		}
		if len(all) >= maxHolidays {
			return fmt.Errorf("holiday %q: %w: there are %d (remove those that are over)", h.Name, ErrInvalid, len(all))
		}
		return put(tx, holidaysBucket, h.ID, h)
	})
	if err != nil {
		return Holiday{}, err
	}
	return h, nil
}

// RemoveHoliday removes one, or answers ErrNotFound.
func (c *Catalog) RemoveHoliday(id string) error {
	return c.change(func(tx *bolt.Tx) error {
		if _, err := find[Holiday](tx, holidaysBucket, "holiday", id); err != nil {
			return err
		}
		return tx.Bucket(holidaysBucket).Delete([]byte(id))
	})
}

// clean returns the holiday as it is kept, or ErrInvalid with the reason.
func (h Holiday) clean() (_ Holiday, err error) {
	if h.Name, err = cleanName("holiday", h.Name); err != nil {
		return h, err
	}
	h.First = strings.TrimSpace(h.First)
	h.Last = cmp.Or(strings.TrimSpace(h.Last), h.First)
	first, err := dayOf(h, h.First)
	if err != nil {
		return h, err
	}
	last, err := dayOf(h, h.Last)
	switch {
	case err != nil:
		return h, err
	case last.Before(first):
		return h, fmt.Errorf("holiday %q: %w: its last day, %s, is before its first, %s (exchange them)", h.Name, ErrInvalid, h.Last, h.First)
	case last.Sub(first) >= maxHolidayDays*24*time.Hour:
		return h, fmt.Errorf("holiday %q: %w: it is longer than %d days (look at the years)", h.Name, ErrInvalid, maxHolidayDays)
	}
	return h, nil
}

func dayOf(h Holiday, day string) (time.Time, error) {
	t, err := time.Parse(time.DateOnly, day)
	if err != nil {
		return t, fmt.Errorf("holiday %q: %w: %.40q is no day (write one such as 2026-12-24)", h.Name, ErrInvalid, day)
	}
	return t, nil
}
