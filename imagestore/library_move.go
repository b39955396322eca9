package imagestore

import (
	"context"
	"errors"
	"fmt"
	"strings"
)

// Move moves an image to another repository: its revisions, except old ones beyond those that the target keeps (Options.Keep), which
// go. All are copied and checked first; then they appear in the target, the oldest first, within an instant, and then the image
// is removed here in one step, not to the trash. After an error it is here with all its revisions, and what was published there has been
// removed.
//
// An image that is in use is not moved, nor one to a repository that has another of its name. A process that is killed leaves the image
// here, whole, and perhaps the first or all of its revisions there as well. To move it again ends that: revisions that are there
// already, from the oldest on, are read and checked instead of copied.
func (l *Library) Move(ctx context.Context, from, name, to string, progress func(done, total int64)) (Image, error) {
	source, target, err := l.ends(from, name, to)
	if err != nil {
		return Image{}, err
	}
	m, err := planMove(source, target, name)
	if err != nil {
		return Image{}, err
	}
	// Nobody removes there what is about to be the only copy.
	release, err := target.hold(name, 0, "move from repository "+source.Name())
	if err != nil {
		return Image{}, err
	}
	defer release()
	if err := m.copy(ctx, progress); err != nil {
		return Image{}, fmt.Errorf("image %s is not moved: %w", name, err)
	}
	// From here on nothing is undone, whatever of the files here is left.
	return m.there[len(m.there)-1], nil
}

// A move is an image on its way to another repository.
type move struct {
	source, target *Repository
	name           string
	last           int     // the current revision in source
	revisions      []Image // of source, that the target shall have, the oldest first
	there          []Image // those of target, in the same order
	before         int     // how many of them were there already
}

// planMove refuses to move what is in use, cannot be read, or has a name that is another's in target.
func planMove(source, target *Repository, name string) (*move, error) {
	if who := source.Holders(name); len(who) > 0 {
		return nil, fmt.Errorf("%w: %s: %s", ErrBusy, name, strings.Join(who, ", "))
	}
	all, err := source.Revisions(name)
	if err != nil {
		return nil, err
	}
	source.mu.Lock()
	lost := source.lostOf(name)
	source.mu.Unlock()
	if len(lost) > 0 {
		return nil, fmt.Errorf("%w: %s: %s: wait until it has been read again, or remove it", ErrDamaged, name, strings.Join(lost, ", "))
	}
	m := &move{source: source, target: target, name: name, last: all[len(all)-1].Revision}
	m.revisions = all[max(0, len(all)-target.Options().Keep-1):]
	if there, err := target.Revisions(name); err == nil {
		m.there, m.before = there, len(there)
	}
	if !beginsWith(m.revisions, m.there) {
		return nil, fmt.Errorf("%w in repository %s: %s: remove or rename one of the two, or copy single revisions", ErrExists, target.Name(), name)
	}
	return m, nil
}

// beginsWith tells whether revisions begin with those of first, which are of another repository.
func beginsWith(revisions, first []Image) bool {
	if len(first) > len(revisions) {
		return false
	}
	for i, img := range first {
		if img.Blake3 != revisions[i].Blake3 {
			return false
		}
	}
	return true
}

// copy does all of the move, or nothing of it.
func (m *move) copy(ctx context.Context, progress func(done, total int64)) (err error) {
	staged, err := m.prepare(ctx, progress)
	defer func() {
		for _, s := range staged {
			err = errors.Join(err, s.Abort())
		}
	}()
	if err != nil {
		return err
	}
	if err = m.commit(staged); err == nil {
		err = m.source.removeImage(m.name, false, m.unchanged)
	}
	if err != nil {
		err = errors.Join(err, m.undo())
	}
	return err
}

// prepare checks the revisions that are in the target already and stages copies of the others.
func (m *move) prepare(ctx context.Context, progress func(done, total int64)) (staged []*Staging, err error) {
	var total, room int64
	for i, img := range m.revisions {
		_, release, err := m.source.holdFor(m.name, img.Revision, "move to repository "+m.target.Name())
		if err != nil {
			return nil, err
		}
		defer release()
		total += 2 * img.FileBytes
		if i >= m.before {
			room += img.FileBytes
		}
	}
	if err := m.target.roomFor(room); err != nil {
		return nil, err
	}
	told := stages{progress, 0, total}
	for i, img := range m.revisions {
		if i < m.before {
			err = m.target.Verify(ctx, m.name, m.there[i].Revision, told.publishing(2*img.FileBytes))
		} else {
			var s *Staging
			if s, err = m.source.copyTo(ctx, m.target, img, "move from repository "+m.source.Name(), told); err == nil {
				staged = append(staged, s)
			}
		}
		if err != nil {
			return staged, err
		}
		told = told.after(2 * img.FileBytes)
	}
	return staged, nil
}

// commit publishes the copies, unless somebody else has published an image of that name in the target meanwhile.
func (m *move) commit(staged []*Staging) error {
	for _, s := range staged {
		s.check = m.alone
		img, err := s.Commit()
		if err != nil {
			return err
		}
		m.there = append(m.there, img)
	}
	return nil
}

// alone answers an error when the current revision of the target is not the move's.
func (m *move) alone() error {
	want := 0
	if len(m.there) > 0 {
		want = m.there[len(m.there)-1].Revision
	}
	have := 0
	if img, err := m.target.Image(m.name); err == nil {
		have = img.Revision
	}
	if have != want {
		return fmt.Errorf("%w in repository %s: %s was captured or imported there meanwhile", ErrExists, m.target.Name(), m.name)
	}
	return nil
}

// unchanged answers an error when the image is not the one that was copied any more.
func (m *move) unchanged() error {
	img, err := m.source.Image(m.name)
	if err == nil && img.Revision != m.last {
		err = fmt.Errorf("%w: %s got revision %d meanwhile: try again", ErrBusy, m.name, img.Revision)
	}
	return err
}

// undo removes from the target what this move has published there, the oldest first, so that no old one is ever the current.
func (m *move) undo() error {
	for _, img := range m.there[m.before:] {
		if err := m.target.RemoveRevision(m.name, img.Revision); err != nil && !errors.Is(err, ErrNotFound) {
			return fmt.Errorf("a copy is left in repository %s: %w", m.target.Name(), err)
		}
	}
	return nil
}
