package imagestore

import (
	"fmt"
	"slices"
	"sync"
)

// A hold is one holder's mark on a revision, or on a name when the revision is 0.
type hold struct {
	key
	mark  *int // its identity
	going bool // the mark of who removes it: nobody else may hold it
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
		_, err := r.revision(name, revision)
		if err == nil && r.going(name, revision) {
			err = fmt.Errorf("%w: %s: it is being removed", ErrBusy, name)
		}
		if err != nil {
			r.mu.Unlock()
			return nil, err
		}
	}
	h := hold{key: key{name, revision}, mark: new(int)}
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

// claim marks a revision, or with 0 an image, as going: until release is called nobody can hold a revision of it. It answers what
// removable answers. An image that is being staged meanwhile does not mind: it becomes a revision after those that go.
func (r *Repository) claim(name string, revision int) (release func(), err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.removable(name, revision); err != nil {
		return nil, err
	}
	h := hold{key{name, revision}, new(int), true}
	r.holds[h] = "removal"
	return func() {
		r.mu.Lock()
		delete(r.holds, h)
		r.mu.Unlock()
	}, nil
}

// going tells whether a revision is being removed. mu is held.
func (r *Repository) going(name string, revision int) bool {
	for h := range r.holds {
		if h.going && h.name == name && (h.revision == revision || h.revision == 0) {
			return true
		}
	}
	return false
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
		if what(h.key) && !h.going {
			who = append(who, holder)
		}
	}
	slices.Sort(who)
	return who
}
