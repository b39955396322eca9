package imagestore

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// A State says how an image stands.
type State string

const (
	Missing    State = "missing"    // somebody has described it, and there is no file; a repository never answers this
	Arriving   State = "arriving"   // its file is still being written
	Processing State = "processing" // its file is being read, hashed and indexed
	Ready      State = "ready"      //
	Locked     State = "locked"     // ready, and in use by its Holders
	Damaged    State = "damaged"    // its file is not what it should be; Problem says what is wrong and what to do
)

// A Standing is how one name stands in a repository.
type Standing struct {
	Repository  string   `json:"repository"`
	Name        string   `json:"name"` // not canonical when it is that of a file put into the folder, and its Problem
	State       State    `json:"state"`
	Done, Total int64    `json:"-"`                  // bytes of the file, while Arriving (Total may be 0: not known) and Processing
	Revision    int      `json:"revision,omitempty"` // the current one, 0 when there is none yet
	Problem     string   `json:"problem,omitempty"`
	Holders     []string `json:"holders,omitempty"`
	Warnings    []string `json:"warnings,omitempty"` // what people should know of an image that can be used
}

// Standings returns how every image stands, also those that are not published yet, by name.
func (r *Repository) Standings() []Standing {
	r.mu.Lock()
	defer r.mu.Unlock()
	names := make(map[string]bool)
	for name := range r.images {
		names[name] = true
	}
	for a := range r.activities {
		names[a.name] = true
	}
	for _, n := range r.newcomers {
		names[n.name] = true
	}
	for k := range r.lost {
		names[k.name] = true
	}
	list := make([]Standing, 0, len(names))
	for _, name := range slices.Sorted(maps.Keys(names)) {
		s, _ := r.standing(name)
		list = append(list, s)
	}
	return list
}

// Standing returns how one image stands, and whether the repository knows anything of that name.
func (r *Repository) Standing(name string) (Standing, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.standing(name)
}

// standing is Standing with mu held. What is under way says more than how the current revision is.
func (r *Repository) standing(name string) (Standing, bool) {
	s := Standing{Repository: r.opt.Name, Name: name, Holders: r.holders(name)}
	known := false
	if revisions := r.images[name]; len(revisions) > 0 {
		known = true
		r.published(&s, revisions)
	} else if lost := r.lostOf(name); len(lost) > 0 {
		known = true
		s.State, s.Problem = Damaged, strings.Join(lost, "; ")+": what is left of it is read again; remove the image if nothing comes of it"
	}
	if n, ok := r.newcomerOf(name); ok {
		known = true
		s.State, s.Problem = n.state, n.problem
		if n.state == Arriving {
			s.Done = n.stamp.size
		}
	}
	if a, ok := r.activityOf(name); ok {
		known = true
		s.State, s.Problem, s.Done, s.Total = a.state, "", a.done, a.total
	}
	return s, known
}

// published says how the revisions of an image stand.
func (r *Repository) published(s *Standing, revisions []Image) {
	current := revisions[len(revisions)-1]
	s.Revision, s.Warnings = current.Revision, slices.Clone(current.Warnings)
	s.State = Ready
	if len(s.Holders) > 0 {
		s.State = Locked
	}
	if s.Problem = r.health[current.key()].Problem; s.Problem != "" {
		s.State = Damaged
	}
	for _, img := range revisions[:len(revisions)-1] {
		if problem := r.health[img.key()].Problem; problem != "" {
			s.Warnings = append(s.Warnings, fmt.Sprintf("revision %d: %s", img.Revision, problem))
		}
	}
	if problem := r.health[current.key()].Layout; problem != "" {
		s.Warnings = append(s.Warnings, problem)
	}
	s.Warnings = append(s.Warnings, r.lostOf(current.Name)...)
	s.Warnings = append(s.Warnings, r.leftOf(current)...)
}

// newcomerOf returns the newcomer of a name, the first by path when there are several. A changed file of an older revision does
// not count. mu is held.
func (r *Repository) newcomerOf(name string) (found newcomer, ok bool) {
	current := 0
	if revisions := r.images[name]; len(revisions) > 0 {
		current = revisions[len(revisions)-1].Revision
	}
	for _, n := range r.newcomers {
		if n.name == name && (n.revision == 0 || n.revision >= current) && (!ok || n.path < found.path) {
			found, ok = n, true
		}
	}
	return found, ok
}

// leftOf says of the older revisions than current whose files were changed why they are not taken in. mu is held.
func (r *Repository) leftOf(current Image) (list []string) {
	for _, n := range r.newcomers {
		if n.name == current.Name && n.revision != 0 && n.revision < current.Revision && !n.lost && n.state == Damaged {
			list = append(list, n.problem)
		}
	}
	slices.Sort(list)
	return list
}

// activityOf returns what is under way with a name, that which is further when there is more. mu is held.
func (r *Repository) activityOf(name string) (found *activity, ok bool) {
	for a := range r.activities {
		if a.name == name && (!ok || found.state == Arriving && a.state == Processing) {
			found, ok = a, true
		}
	}
	return found, ok
}

// lostOf says of each revision of an image that cannot be read why. mu is held.
func (r *Repository) lostOf(name string) (list []string) {
	for k, why := range r.lost {
		if k.name == name {
			list = append(list, fmt.Sprintf("revision %d: %s", k.revision, why))
		}
	}
	slices.Sort(list)
	return list
}
