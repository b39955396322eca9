package imagestore

import (
	"context"
	"errors"
	"time"
)

// Verify reads a revision again and compares it with its record. An error wrapping ErrDamaged says that it differs; the
// image is then damaged until it is verified good or replaced. progress, when not nil, is told the file bytes read.
func (r *Repository) Verify(ctx context.Context, name string, revision int, progress func(done, total int64)) error {
	return errors.New("not yet")
}

// VerifiedAt returns when a revision was last read whole and found good: at the latest when it was published.
func (r *Repository) VerifiedAt(name string, revision int) (time.Time, error) {
	img, err := r.Revision(name, revision)
	return img.Created, err
}
