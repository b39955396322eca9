package imagestore

import (
	"slices"
	"sync"
)

// A hold is one holder's mark on a revision, or on a name when the revision is 0.
type hold struct {
	key
	mark *int // its identity
}

// A key names one revision.
type key struct {
	name     string
	revision int
}

func (i Image) key() key { return key{i.Name, i.Revision} }

// Hold marks a revision as in use by holder (words for people, such as "restore on pc-07") until release is called, at the latest
// until the process ends. A held image cannot be removed, moved or pruned. release may be called more than once. An error
// wrapping ErrDamaged says that the revision may not be used.
func (r *Repository) Hold(name string, revision int, holder string) (release func(), err error) {
	if _, err := r.usable(name, revision); err != nil {
		return nil, err
	}
	return r.hold(name, revision, holder)
}

// hold is Hold of any revision, also a damaged one, or with revision 0 of a name that may have no image yet.
func (r *Repository) hold(name string, revision int, holder string) (release func(), err error) {
	r.mu.Lock()
	if revision != 0 {
		if _, err := r.revision(name, revision); err != nil {
			r.mu.Unlock()
			return nil, err
		}
	}
	h := hold{key{name, revision}, new(int)}
	r.holds[h] = holder
	r.mu.Unlock()
	r.tell(name)
	return sync.OnceFunc(func() {
		r.mu.Lock()
		delete(r.holds, h)
		r.mu.Unlock()
		r.tell(name)
	}), nil
}

// Holders returns who holds any revision of an image, by name.
func (r *Repository) Holders(name string) []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.holders(name)
}

// holders is Holders with mu held.
func (r *Repository) holders(name string) []string {
	return r.whoHolds(func(k key) bool { return k.name == name })
}

// revisionHolders returns who holds one revision. mu is held.
func (r *Repository) revisionHolders(name string, revision int) []string {
	return r.whoHolds(func(k key) bool { return k == key{name, revision} })
}

func (r *Repository) whoHolds(what func(key) bool) []string {
	var who []string
	for h, holder := range r.holds {
		if what(h.key) {
			who = append(who, holder)
		}
	}
	slices.Sort(who)
	return who
}
