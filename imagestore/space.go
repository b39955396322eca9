package imagestore

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Free returns the bytes that captures may still fill: what is free on the volume less the reserve.
func (r *Repository) Free() (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(r.dir, &s); err != nil {
		return 0, fmt.Errorf("free space of repository %s: %w", r.dir, err)
	}
	return max(0, int64(s.Bavail)*s.Bsize-r.Options().Reserve), nil
}

// noSpace says how full the repository is and what helps.
func (r *Repository) noSpace() error {
	free, _ := r.Free()
	advice := "remove images that are no longer needed"
	if trash := r.trashBytes(); trash > 0 {
		advice = fmt.Sprintf("empty the trash (%s), %s", gib(trash), advice)
	}
	return fmt.Errorf("%w: %s left for images in %s, and %s kept in reserve: %s, or put the repository on a larger disk",
		ErrNoSpace, gib(free), r.dir, gib(r.Options().Reserve), advice)
}

// explain turns the system's words for a full disk into noSpace.
func (r *Repository) explain(err error) error {
	if isNoSpace(err) && !errors.Is(err, ErrNoSpace) {
		return fmt.Errorf("%w (%w)", r.noSpace(), err)
	}
	return err
}

func isNoSpace(err error) bool {
	return errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EDQUOT)
}

// gib writes a size for people.
func gib(n int64) string { return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30)) }
